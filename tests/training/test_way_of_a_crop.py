"""The number of our modules between a shard and the loss, which may only decrease."""

from importlib import import_module
from pathlib import Path

import pytest

from tests.people_cases import write_coco
from trustpose.datasets.photo_people import Cut, coco_people
from trustpose.datasets.sharding import ShardOptions, write_shards
from trustpose.io.coco.truth import read_coco_truth

MOST_MODULES = 14  # one of them is the network, which in others of the zoo are two
TOOLS = Path(__file__).parents[2] / "tools"


def test_a_crop_passes_few_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Here and not in a process of its own, which would take seconds to import torch."""
    gt, photos = write_coco(tmp_path, photos=16)
    write_shards(
        coco_people(read_coco_truth(gt), photos), tmp_path / "shards", ShardOptions(Cut(160, 1.5), quality=90), {}
    )
    monkeypatch.syspath_prepend(TOOLS)
    tool = import_module("way_of_a_crop")
    task = tool.prepare(tmp_path / "shards")
    modules = tool.functions_of(lambda: tool.walk(task))
    tool.show(modules)
    output = capsys.readouterr().out
    for seldom in ("half_body_box", "body_mask", "heatmap_loss"):
        assert seldom in output, "the way ends early, or not every kind of augmentation was drawn"
    assert len(modules) <= MOST_MODULES, output
