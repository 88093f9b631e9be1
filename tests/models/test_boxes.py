"""Specs of detectors: there and back, from files and folders, and every broken field is named."""

import json

import pytest

from tests.predict.tiny_boxes import LONGEST, write_boxes
from tests.predict.tiny_people import write_people
from tests.tiny_onnx import write_network
from trustpose.files import InputError
from trustpose.models.spec import BoxOutput, ModelSpec, output_kind


def test_there_and_back(tmp_path):
    path = write_boxes(tmp_path, measured={"AP": 0.4, "on": "dots"})
    spec = ModelSpec.read(path)
    assert (spec.input.multiple, spec.input.longest) == (32, LONGEST) and spec.output == BoxOutput(8, 0.3, "boxes")
    assert len(spec.skeleton) == 0 and spec.people == "photo"
    assert spec.input.scale == 1 / 255 and spec.measured == {"AP": 0.4, "on": "dots"} and spec.onnx == path
    assert ModelSpec.read(path.with_suffix(".json")) == spec
    usual = json.loads(path.with_suffix(".json").read_text())
    usual["input"] |= {"height": "multiple of 32, 256 usual", "width": "multiple of 32, 192 usual"}
    del usual["output"]["name"], usual["measured"]
    for content in (json.loads(path.with_suffix(".json").read_text()), usual):
        path.with_suffix(".json").write_text(json.dumps(content))
        first = ModelSpec.read(path)
        path.with_suffix(".json").write_text(json.dumps(first.to_json()))
        assert ModelSpec.read(path) == first


def test_a_folder(tmp_path):
    write_boxes(tmp_path / "some", "model")
    spec = ModelSpec.read(tmp_path / "some")
    assert spec.onnx == tmp_path / "some" / "model.onnx" and spec.name == "red people"
    text = json.loads((tmp_path / "some" / "model.json").read_text())
    for name in ("onnx", "name", "licence", "source"):
        del text[name]
    (tmp_path / "some" / "model.json").write_text(json.dumps(text))
    spec = ModelSpec.read(tmp_path / "some")
    assert spec.onnx == tmp_path / "some" / "model.onnx"
    assert (spec.name, spec.licence, spec.source) == ("model", "unknown", "unknown")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("input.height", value) for value in (320, "multiple of x", "32")),
        ("input.width", "multiple of 16, 320 usual"),
        *(("input.longest", value) for value in (0, "320", 1e9)),
        ("input.mean", [0, 0]),
        ("input.std", [1, 0, 1]),
        ("input.size", 4),
        *(("output.kind", value) for value in ("box", 5, None)),
        *(("output.stride", value) for value in (0, 12, 2.5, "8", None)),
        *(("output.min_score", value) for value in (0, -1, "0.3", True)),
        ("output.name", 5),
        ("output.keypoints", 17),
        ("measured", [1]),
        ("skeleton", "coco17"),
        ("name", ""),
    ],
)
def test_wrong_fields_are_named(tmp_path, field, value):
    path = write_boxes(tmp_path)
    text = json.loads((tmp_path / "boxes.json").read_text())
    *parents, last = field.split(".")
    (text[parents[0]] if parents else text)[last] = value
    if field == "input.height" and value == 320:  # a network of one size
        text["input"]["width"] = value
        del text["input"]["longest"]
    (tmp_path / "boxes.json").write_text(json.dumps(text))
    with pytest.raises(InputError, match=rf"boxes\.json: field '{field}'") as error:
        ModelSpec.read(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("field", ["input", "output", "output.stride", "output.min_score", "input.name"])
def test_missing_fields_are_named(tmp_path, field):
    path = write_boxes(tmp_path)
    text = json.loads((tmp_path / "boxes.json").read_text())
    *parents, last = field.split(".")
    del (text[parents[0]] if parents else text)[last]
    (tmp_path / "boxes.json").write_text(json.dumps(text))
    with pytest.raises(InputError, match=rf"boxes\.json: field '{field}' is missing"):
        ModelSpec.read(path)


def test_output_kinds_of_detectors(tmp_path):
    path = write_boxes(tmp_path)
    for name in (path, str(path), path.with_suffix(".json")):
        assert output_kind(name) == "boxes"
    others = {write_network(tmp_path): "heatmaps", write_people(tmp_path): "people", tmp_path / "none.onnx": None}
    for key, kind in (others | {tmp_path: None, "whole": None}).items():
        assert output_kind(key) == kind
    write_boxes(tmp_path, "model")
    assert output_kind(tmp_path) == "boxes"
    for text in ("{", "[]", '{"output": "boxes"}', '{"output": {"kind": []}}', '{"output": {"kind": "other"}}'):
        path.with_suffix(".json").write_text(text)
        assert output_kind(path) is None
