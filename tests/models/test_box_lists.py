"""Specs of detectors that list boxes: there and back, and every broken field is named."""

import copy
import json

import pytest

from tests.predict.tiny_boxes import PICODET
from tests.tiny_onnx import write_network
from trustpose.files import InputError
from trustpose.models.spec import BoxListOutput, ModelSpec


def write(folder, text):
    (folder / "picodet.json").write_text(json.dumps(text))
    return folder / "picodet.json"


def test_there_and_back(tmp_path):
    spec = ModelSpec.read(write(tmp_path, PICODET))
    assert spec.output == BoxListOutput("transpose_8.tmp_0", "concat_8.tmp_0", 0.15, 0.6, 0)
    assert spec.input.resize == "stretched" and spec.input.size == "320×320, photo stretched"
    assert len(spec.skeleton) == 0 and spec.people == "photo" and spec.output.kind == "box-list"
    further = copy.deepcopy(PICODET)
    further["output"] |= {"overlap": 0.45, "person": 3}
    del further["input"]["resize"]
    for text in (PICODET, further):
        first = ModelSpec.read(write(tmp_path, text))
        assert ModelSpec.read(write(tmp_path, first.to_json())) == first
    assert (first.output.overlap, first.output.person, first.input.resize) == (0.45, 3, "letterbox")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("input.resize", value) for value in ("whole photo stretched to 320 x 320", 5, None)),
        *(("output.scores", value) for value in (5, "", None)),
        *(("output.boxes", value) for value in (5, "transpose_8.tmp_0")),
        *(("output.min_score", value) for value in (0, 1.5, "0.3", True)),
        *(("output.overlap", value) for value in (-0.1, 1.1, "0.6")),
        *(("output.person", value) for value in (-1, 0.5, "0", True, None)),
        ("output.stride", 8),
        ("skeleton", "coco17"),
    ],
)
def test_wrong_fields_are_named(tmp_path, field, value):
    text = copy.deepcopy(PICODET)
    *parents, last = field.split(".")
    (text[parents[0]] if parents else text)[last] = value
    with pytest.raises(InputError, match=rf"picodet\.json: field '{field}'") as error:
        ModelSpec.read(write(tmp_path, text))
    assert "\n" not in str(error.value)


def test_only_a_fixed_size_is_stretched(tmp_path):
    text = copy.deepcopy(PICODET)
    text["input"] |= {"height": "multiple of 32, 320 usual", "width": "multiple of 32, 320 usual"}
    with pytest.raises(InputError, match=r"field 'input\.resize': expected letterbox for an input of any size"):
        ModelSpec.read(write(tmp_path, text))
    path = write_network(tmp_path).with_suffix(".json")
    heatmaps = json.loads(path.read_text())
    heatmaps["input"]["resize"] = "stretched"
    with pytest.raises(InputError, match=r"field 'input\.resize': expected letterbox with output kind heatmaps"):
        ModelSpec.read(write(tmp_path, heatmaps))
