"""The specs that docs/networks.md shows are those that are read."""

import json
import re
from dataclasses import replace

import pytest

from tests.conftest import REPOSITORY
from trustpose.models.spec import BoxOutput, ModelSpec

BLOCKS = re.findall(r"```json\n(.*?)```", (REPOSITORY / "docs" / "networks.md").read_text(), re.DOTALL)


IS_DETECTOR = [json.loads(block)["output"]["kind"] == "boxes" for block in BLOCKS]


@pytest.mark.parametrize(
    "block", [block for block, is_detector in zip(BLOCKS, IS_DETECTOR, strict=True) if not is_detector]
)
def test_documented_specs_are_read(tmp_path, data_dir, block):
    name = json.loads(block)["onnx"].removesuffix(".onnx")
    (tmp_path / f"{name}.json").write_text(block)
    shown, real = ModelSpec.read(tmp_path / f"{name}.json"), ModelSpec.read(data_dir / "networks" / f"{name}.json")
    assert (shown.input, shown.output, shown.skeleton) == (real.input, real.output, real.skeleton)


def test_every_kind_is_documented():
    assert {json.loads(block)["output"]["kind"] for block in BLOCKS} == {"heatmaps", "coordinates", "people", "boxes"}


def test_the_documented_detector_is_what_training_makes(tmp_path):
    pytest.importorskip("torch", reason="the train extra is not installed")
    from trustpose.training.detector_task import detector_spec
    from trustpose.training.recipes import RECIPES

    (block,) = (block for block, is_detector in zip(BLOCKS, IS_DETECTOR, strict=True) if is_detector)
    (tmp_path / "mydetector.json").write_text(block)
    shown, made = ModelSpec.read(tmp_path / "mydetector.json"), detector_spec(RECIPES["default-detector"], tmp_path)
    assert shown.input == made.input and isinstance(made.output, BoxOutput)
    assert shown.output == replace(made.output, name=None)
