"""How crops are cut, in a spec."""

import json

import pytest

from tests.tiny_onnx import write_network
from trustpose.files import InputError
from trustpose.models.spec import ModelSpec

WHOLE = {"padding": 1.25, "cutting": "whole-pixels"}


def test_affine_is_the_default(tmp_path):
    spec = ModelSpec.read(write_network(tmp_path))
    assert spec.cutting == "affine" and "cutting" not in spec.to_json()["crop"]


def test_whole_pixels_there_and_back(tmp_path):
    spec = ModelSpec.read(write_network(tmp_path, crop=WHOLE))
    assert spec.cutting == "whole-pixels" and spec.to_json()["crop"] == WHOLE | {"aspect": 0.75}
    (tmp_path / "colours.json").write_text(json.dumps(spec.to_json()))
    assert ModelSpec.read(tmp_path / "colours.onnx") == spec


def test_others_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"field 'crop.cutting': expected one of affine, whole-pixels, got 'crooked'"):
        ModelSpec.read(write_network(tmp_path, crop=WHOLE | {"cutting": "crooked"}))
    with pytest.raises(InputError, match=r"field 'crop.cutting': expected affine with codec udp"):
        ModelSpec.read(write_network(tmp_path, crop=WHOLE, codec="udp"))
