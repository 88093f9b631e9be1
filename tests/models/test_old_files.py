"""Files of earlier versions: every kind of model.json is read as before, and written files are read again."""

import json
from pathlib import Path

import pytest

from trustpose.codecs.coordinates import CoordinateCodec
from trustpose.codecs.heatmaps import HeatmapCodec
from trustpose.models.outputs.trust import TrustOutput
from trustpose.models.spec import BoxOutput, CoordinateOutput, HeatmapOutput, ModelSpec, PeopleOutput

HEATMAPS_WITH_TRUST = """{
  "onnx": "model.onnx",
  "input": {"name": "image", "layout": "NCHW", "dtype": "float32", "height": 256, "width": 192, "channels": "RGB",
    "scale": 0.00392156862745098, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
  "output": {"kind": "heatmaps", "keypoints": 17, "height": 64, "width": 48, "stride": 4, "name": "heatmaps",
    "sigma": 2.0},
  "codec": "dark",
  "skeleton": "coco17",
  "crop": {"padding": 1.25, "aspect": 0.75},
  "name": "a network", "licence": "Apache-2.0", "source": "somewhere", "network": "light-mobilenetv2-050",
  "trust": {
    "outputs": {"quality": "quality", "visibility": "visibility", "pose_quality": "pose_quality"},
    "head": "keypoint-tokens", "area": "segment", "parameters": 94437,
    "fitted_on": {"dataset": "coco", "people": 4000}, "options": {}, "maps": {"backbone": "tensor_7"}, "box": "box"},
  "measured": {"AP": 0.5, "on": "dev"}
}"""
DEEPENED = """{
  "onnx": "model.onnx",
  "input": {"name": "image", "layout": "NCHW", "dtype": "float32", "height": 384, "width": 288, "channels": "BGR",
    "scale": "1/255", "mean": [0.406, 0.456, 0.485], "std": [0.225, 0.224, 0.229]},
  "output": {"kind": "heatmaps", "name": "heatmaps", "keypoints": 17, "height": 96, "width": 72, "stride": 4,
    "sigma": 1.0, "smoothing": 5, "offset": 2.0, "score_scale": "1/255", "score_offset": 0.5},
  "codec": "second-highest",
  "skeleton": "coco17",
  "crop": {"padding": [1.09, 1.135], "aspect": 0.75},
  "name": "mspn", "licence": "unknown", "source": "mspn.pth", "network": "mspn-2", "deepen": 4
}"""
COORDINATES = """{
  "onnx": "movenet-thunder.onnx",
  "input": {"name": "input:0", "layout": "NHWC", "dtype": "int32", "height": 256, "width": 256, "channels": "RGB",
    "scale": "1", "mean": [0, 0, 0], "std": [1, 1, 1]},
  "output": {"kind": "coordinates", "order": ["y", "x", "score"], "normalised": true, "keypoints": 17},
  "skeleton": "coco17",
  "crop": {"padding": 1.25, "aspect": 1.0}
}"""
PEOPLE = """{
  "onnx": "movenet-multipose.onnx",
  "input": {"name": "input:0", "layout": "NHWC", "dtype": "int32", "height": "multiple of 32, 256 usual",
    "width": "multiple of 32, 256 usual", "channels": "RGB", "scale": "1", "mean": [0, 0, 0], "std": [1, 1, 1]},
  "output": {"kind": "people", "shape": [1, 6, 56], "normalised": true, "keypoints": 17,
    "order": "17 x (y, x, score), then ymin, xmin, ymax, xmax, score"},
  "skeleton": "coco17"
}"""
BOXES = """{
  "onnx": "model.onnx",
  "input": {"name": "image", "layout": "NCHW", "dtype": "float32", "height": "multiple of 32, 320 usual",
    "width": "multiple of 32, 320 usual", "channels": "RGB", "scale": 0.00392156862745098,
    "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "longest": 320},
  "output": {"kind": "boxes", "stride": 8, "min_score": 0.3, "name": "boxes"},
  "name": "light-detector", "licence": "unknown", "source": "trustpose train light-detector"
}"""
ALL = (HEATMAPS_WITH_TRUST, DEEPENED, COORDINATES, PEOPLE, BOXES)


def _read(folder: Path, text: str) -> ModelSpec:
    folder.mkdir(exist_ok=True)
    (folder / "model.json").write_text(text)
    return ModelSpec.read(folder)


@pytest.mark.parametrize("text", ALL)
def test_read_and_written_again(tmp_path, text):
    spec = _read(tmp_path, text)
    again = spec.to_json()
    assert _read(tmp_path, json.dumps(again)) == spec
    for name, value in json.loads(text).items():  # what was written before is written as it was
        if name not in ("input", "output"):
            assert again[name] == value, name


def test_heatmaps_with_trust(tmp_path):
    spec = _read(tmp_path, HEATMAPS_WITH_TRUST)
    trust = {name: name for name in ("quality", "visibility", "pose_quality")}
    fitted, maps = {"dataset": "coco", "people": 4000}, {"backbone": "tensor_7"}
    assert spec.trust == TrustOutput(trust, "keypoint-tokens", "segment", 94437, fitted, {}, maps, "box")
    assert spec.output == HeatmapOutput(17, 64, 48, 4.0, "heatmaps", "dark") and spec.padding == 1.25
    assert spec.codec == HeatmapCodec(48, 64, 4.0, 2.0, "dark") and spec.people == "boxes"
    assert (spec.network, spec.deepen, spec.input.multiple) == ("light-mobilenetv2-050", 0, None)
    assert spec.measured == {"AP": 0.5, "on": "dev"} and spec.onnx == tmp_path / "model.onnx"


def test_how_mspn_is_read(tmp_path):
    spec = _read(tmp_path, DEEPENED)
    assert spec.codec == HeatmapCodec(72, 96, 4.0, 1.0, "second-highest", "ordinary", None, 5, 2.0, 1 / 255, 0.5)
    assert spec.padding == (1.09, 1.135) and spec.deepen == 4 and spec.input.channels == "BGR"


def test_coordinates(tmp_path):
    spec = _read(tmp_path, COORDINATES)
    assert spec.output == CoordinateOutput(17, ("y", "x", "score"), True) and spec.trust is None
    assert spec.codec == CoordinateCodec(256, 256, ("y", "x", "score")) and spec.name == "movenet-thunder"


def test_people(tmp_path):
    spec = _read(tmp_path, PEOPLE)
    box = ("ymin", "xmin", "ymax", "xmax", "score")
    assert spec.output == PeopleOutput(6, 17, ("y", "x", "score"), box, True) and spec.people == "photo"
    assert (spec.input.multiple, spec.input.longest, spec.input.width) == (32, 384, 256)


def test_boxes(tmp_path):
    spec = _read(tmp_path, BOXES)
    assert spec.output == BoxOutput(8, 0.3, "boxes") and (spec.input.multiple, spec.input.longest) == (32, 320)
    assert spec.people == "photo" and len(spec.skeleton) == 0
