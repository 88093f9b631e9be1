"""Eight people of four photos, written as shards."""

import pytest

from tests.people_cases import write_coco
from trustpose.datasets.photo_people import Cut, coco_people
from trustpose.datasets.sharding import ShardOptions, write_shards
from trustpose.io.coco.truth import read_coco_truth

OPTIONS = ShardOptions(Cut(160, 1.5), quality=95, shard_size=40_000)


@pytest.fixture
def case(tmp_path):
    """Eight people of four photos, in photos and in two shards or more."""
    gt, photos = write_coco(tmp_path)
    people = coco_people(read_coco_truth(gt), photos)
    index = write_shards(people, tmp_path / "shards", OPTIONS, {"labels": "gt.json"})
    assert len(index["shards"]) >= 2
    return people, tmp_path / "shards", index
