"""The specs that docs/networks.md shows are those that are read."""

import json
import re

import pytest

from tests.conftest import REPOSITORY
from trustpose.inference.people_spec import PeopleSpec, finds_people
from trustpose.inference.spec import ModelSpec

BLOCKS = re.findall(r"```json\n(.*?)```", (REPOSITORY / "docs" / "networks.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_documented_specs_are_read(tmp_path, data_dir, block):
    name = json.loads(block)["onnx"].removesuffix(".onnx")
    (tmp_path / f"{name}.json").write_text(block)
    read = PeopleSpec.read if finds_people(tmp_path / f"{name}.json") else ModelSpec.read
    shown, real = read(tmp_path / f"{name}.json"), read(data_dir / "networks" / f"{name}.json")
    assert (shown.input, shown.output, shown.skeleton) == (real.input, real.output, real.skeleton)


def test_every_kind_is_documented():
    assert {json.loads(block)["output"]["kind"] for block in BLOCKS} == {"heatmaps", "coordinates", "people"}
