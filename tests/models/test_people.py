"""Specs of networks that find people: the published one reads, and every broken field is named."""

import json

import pytest

from tests.predict.tiny_people import write_people
from tests.tiny_onnx import write_network
from trustpose.files import InputError
from trustpose.models.inputs import LONGEST_SIDE
from trustpose.models.spec import ModelSpec, PeopleOutput, output_kind


def test_the_real_one(data_dir):
    path = data_dir / "networks" / "movenet-multipose.onnx"
    spec = ModelSpec.read(path)
    assert output_kind(path) == "people" and output_kind(path.with_name("simplepose.onnx")) == "heatmaps"
    output = spec.expect(PeopleOutput)
    assert (spec.input.multiple, spec.input.longest, output.people, output.keypoints) == (32, LONGEST_SIDE, 6, 17)
    assert output.order == ("y", "x", "score") and spec.licence == "Apache-2.0"


def test_fixed_and_free_sizes(tmp_path):
    free = ModelSpec.read(write_people(tmp_path / "free"))
    assert (free.input.multiple, free.input.height, free.input.longest) == (32, 256, LONGEST_SIDE)
    assert free == ModelSpec.read(tmp_path / "free" / "people.json")
    fixed = ModelSpec.read(write_people(tmp_path / "fixed", side=192))
    assert (fixed.input.multiple, fixed.input.height, fixed.input.width) == (None, 192, 192)
    text = json.loads((tmp_path / "free" / "people.json").read_text())
    text["input"]["longest"] = 512
    (tmp_path / "free" / "people.json").write_text(json.dumps(text))
    assert ModelSpec.read(tmp_path / "free" / "people.onnx").input.longest == 512


WRONG = [
    *(("skeleton", value) for value in ("coco", 17)),
    *(("input.height", value) for value in ("multiple of x", "multiple of 0", "32", 0, None, 320)),
    ("input.width", "multiple of 16, 256 usual"),
    *(("input.longest", value) for value in (0, "384", 1e9)),
    ("input.stride", 4),
    *(
        ("output.order", value)
        for value in ("", "17 x (y, x)", "16 x (y, x, score), then ymin, xmin, ymax, xmax, score")
    ),
    ("output.order", "17 x (y, y, score), then ymin, xmin, ymax, xmax, score"),
    ("output.order", "17 x (y, x, score), then ymin, xmin, ymin, xmax, score"),
    *(("output.shape", value) for value in ([1, 6, 55], [2, 6, 56], [1, 56], "1", None, [1, "6", 56])),
    *(("output.normalised", value) for value in (1, "yes")),
    ("output.keypoints", 16),
    ("output.name", 5),
    ("crop", {"padding": 1}),
]


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_wrong_fields_are_named(tmp_path, field, value):
    path = write_people(tmp_path)
    text = json.loads((tmp_path / "people.json").read_text())
    *parents, last = field.split(".")
    (text[parents[0]] if parents else text)[last] = value
    (tmp_path / "people.json").write_text(json.dumps(text))
    with pytest.raises(InputError) as error:
        ModelSpec.read(path)
    named = "input.width" if (field, value) == ("input.height", 320) else field
    assert "people.json: field '" in str(error.value) and "\n" not in str(error.value)
    assert f"'{named}'" in str(error.value) or field == "input.height"


def test_other_kinds_find_no_people(tmp_path):
    spec = ModelSpec.read(write_network(tmp_path))
    with pytest.raises(InputError, match=r"colours\.onnx: gives heatmaps, expected a network that gives people"):
        spec.expect(PeopleOutput)


def test_there_and_back(tmp_path):
    for side in ("side", 192):
        path = write_people(tmp_path, side=side)
        spec = ModelSpec.read(path)
        path.with_suffix(".json").write_text(json.dumps(spec.to_json()))
        assert ModelSpec.read(path) == spec
