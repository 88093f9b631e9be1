"""The source of a person's area is kept from the labels to the crop, also through shards."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.people_cases import write_coco
from trustpose.datasets.augment import TrainingCrops
from trustpose.datasets.dataset_ops import join, subset
from trustpose.datasets.people import People
from trustpose.datasets.photo_people import coco_people
from trustpose.datasets.sharding import ShardOptions, write_shards
from trustpose.datasets.shards import shard_people
from trustpose.io.coco.truth import read_coco_truth


@pytest.fixture
def mixed(tmp_path: Path) -> People:
    gt, photos = write_coco(tmp_path)
    people = coco_people(read_coco_truth(gt), photos)
    sources = np.where(np.arange(len(people)) % 2, "box*0.53", "segment")
    return replace(people, labels=replace(people.labels, area_source=sources))


def test_only_an_area_of_a_segment_is_a_segments(mixed: People) -> None:
    of_segment, of_box = TrainingCrops(mixed)[0], TrainingCrops(mixed)[1]
    assert of_segment.area_by("segment") == of_segment.area_by("file") > 0
    assert np.isnan(of_box.area_by("segment")) and of_box.area_by("file") > 0


def test_operations_keep_the_source(mixed: People) -> None:
    both = join([subset(mixed, np.array([1])), mixed])
    assert both.labels.area_source is not None and mixed.labels.area_source is not None
    assert both.labels.area_source.tolist() == ["box*0.53", *mixed.labels.area_source.tolist()]
    segments = replace(mixed, labels=replace(mixed.labels, area_source=None))
    assert segments.identity != mixed.identity


def test_shards_keep_the_source(mixed: People, tmp_path: Path) -> None:
    write_shards(mixed, tmp_path / "shards", ShardOptions(), {})
    people = shard_people(tmp_path / "shards")
    assert [person.area_source for person in people] == [one.area_source for one in mixed]
