"""The field "trust" of a spec, and the arrays that a network's head gives."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.tiny_onnx import write_network
from trustpose.files import InputError
from trustpose.heads.heads import Trust, average_flipped
from trustpose.models.outputs.trust import TrustArrays, TrustOutput
from trustpose.models.runtime.backends import OnnxNetwork
from trustpose.models.spec import ModelSpec
from trustpose.poses import ErrorModel
from trustpose.skeletons import COCO_17

TRUST = {"outputs": {"quality": "q"}, "head": "ours", "area": "segment", "parameters": 12, "fitted_on": {}}
OUTPUT = {"kind": "heatmaps", "keypoints": 17, "height": 64, "width": 48, "stride": 4}


def _spec(folder, **top):
    return ModelSpec.read(write_network(folder, **top))


def test_a_spec_with_trust(tmp_path):
    options = {"gate": "hard", "others": [[1, 2, 3]], "window": None}
    fields = {"options": options, "maps": {"features": "x"}, "fitted_on": {"people": 3, "share": 0.5, "data": "COCO"}}
    spec = _spec(tmp_path, trust=TRUST | fields)
    assert spec.trust == TrustOutput(
        {"quality": "q"}, "ours", "segment", 12, fields["fitted_on"], options, {"features": "x"}
    )
    assert _spec(tmp_path).trust is None


@pytest.mark.parametrize(
    "top",
    [
        {"trust": TRUST},
        {"codec": "udp", "measured": {"AP": 0.5}, "network": "hrnet-w32"},
        {"codec": "integral", "output": OUTPUT | {"temperature": 2.0, "name": "maps", "sigma": 3}},
        {"output": {"kind": "coordinates", "keypoints": 17, "order": ["y", "x", "score"], "normalised": True}},
    ],
)
def test_what_is_written_is_read(tmp_path, top):
    spec = _spec(tmp_path, **top)
    (tmp_path / "colours.json").write_text(json.dumps(spec.to_json()))
    assert ModelSpec.read(spec.onnx) == spec


def test_a_decoding_without_a_name_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="decoding udp in the ordinary convention"):
        _spec(tmp_path).with_decoding("udp").to_json()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("outputs", value) for value in ({}, {"oks": "q"}, {"quality": 1}, "quality", None)),
        ("outputs", {"quality": "q", "labelled": "q"}),
        *(("head", value) for value in (None, 1, "")),
        *(("area", value) for value in ("mask", 1)),
        *(("parameters", value) for value in (-1, 1.5, "12", None)),
        *(("fitted_on", value) for value in ([], {"people": [1]}, 3)),
        *(("options", value) for value in ([], 3)),
        *(("maps", value) for value in ({"features": 1}, "x")),
        ("labels", 1),
    ],
)
def test_wrong_fields_are_named(tmp_path, field, value):
    with pytest.raises(InputError, match=rf"colours\.json: field 'trust\.{field}['.]"):
        _spec(tmp_path, trust=TRUST | {field: value})


def test_an_output_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"colours\.onnx: its outputs are maps; .*'trust\.outputs\.quality' says 'q'"):
        OnnxNetwork(_spec(tmp_path, trust=TRUST))


QUALITY, VISIBILITY = np.full((2, 3), 0.5), np.full((2, 3, 3), 1 / 3)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"quality": QUALITY[:1]}, r"quality \(1, 3\), its spec's 'trust' says \(2, 3\)"),
        ({"pose_quality": QUALITY}, r"pose_quality \(2, 3\), its spec's 'trust' says \(2,\)"),
        ({"quality": QUALITY + 0.6}, "quality that is not from 0 to 1"),
        ({"quality": QUALITY - 0.6}, "quality that is not from 0 to 1"),
        ({"pose_quality": np.array([0.5, np.nan])}, "pose_quality that is not from 0 to 1"),
        ({"visibility": VISIBILITY * 0.9}, "visibility that does not sum to 1"),
    ],
)
def test_arrays_that_are_no_trust(arrays, message):
    with pytest.raises(InputError, match=f"model.onnx: gave {message}"):
        TrustArrays.of(arrays, 2, 3, "model.onnx")


def test_rounding_is_forgiven_and_labelled_left_aside():
    arrays = TrustArrays.of({"quality": QUALITY + 0.5 + 1e-7, "labelled": QUALITY}, 2, 3, "model.onnx")
    assert list(arrays.filled()) == ["quality"] and arrays.quality.max() == 1
    assert arrays.quality.dtype == np.float32 and arrays.visibility is None


@given(st.integers(0, 1000))
def test_the_flip_average_is_the_heads(seed):
    random = np.random.default_rng(seed)
    both = [
        {
            "quality": random.random((2, 17)).astype(np.float32),
            "visibility": random.dirichlet((1, 1, 1), (2, 17)).astype(np.float32),
            "pose_quality": random.random(2).astype(np.float32),
        }
        for _ in range(2)
    ]
    averaged = TrustArrays(**both[0]).average_flipped(TrustArrays(**both[1]), COCO_17.flip_index)
    in_torch = [Trust(**{name: torch.from_numpy(value) for name, value in one.items()}) for one in both]
    expected = average_flipped(*in_torch, torch.from_numpy(COCO_17.flip_index))
    for name, value in expected.filled().items():
        np.testing.assert_allclose(averaged.filled()[name], value.numpy(), atol=1e-7)
    index, right = COCO_17.keypoints.index("left_wrist"), COCO_17.keypoints.index("right_wrist")
    by_hand = (both[0]["quality"][:, index] + both[1]["quality"][:, right]) / 2
    np.testing.assert_allclose(averaged.quality[:, index], by_hand, atol=1e-7)


def test_a_line_after_the_flip_test_there_and_back(tmp_path):
    text = TRUST | {"flip": {"quality": [1.2, -0.1]}}
    spec = ModelSpec.read(write_network(tmp_path, trust=text))
    assert spec.trust is not None and spec.trust.flip == {"quality": (1.2, -0.1)}
    assert spec.to_json()["trust"]["flip"] == {"quality": [1.2, -0.1]}


PRESENCE = {"slopes": {"box score": 1.1, "rank": 0.2}, "offset": -0.3, "min_presence": 0.4, "fitted_on": {"photos": 7}}


def test_presence_and_lines_in_detected_boxes_there_and_back(tmp_path):
    text = TRUST | {"presence": PRESENCE, "detected": {"quality": [1.1, 0.0]}, "detected_flip": {"quality": [1.0, 0.2]}}
    spec = ModelSpec.read(write_network(tmp_path, trust=text))
    assert spec.trust is not None and spec.trust.presence is not None and spec.trust.presence.min_presence == 0.4
    written = spec.to_json()["trust"]
    assert {name: written[name] for name in ("presence", "detected", "detected_flip")} == {
        name: text[name] for name in ("presence", "detected", "detected_flip")
    }


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"min_presence": 0.2},
            r"field 'trust\.min_presence': expected nothing, as it is a field of an earlier version",
        ),
        (
            {"presence": PRESENCE | {"slopes": {"age": 1}}},
            r"field 'trust\.presence\.slopes\.age': expected one of box score, ",
        ),
        ({"presence": 0.2}, r"field 'trust\.presence'"),
    ],
)
def test_presence_that_is_none_or_of_an_earlier_version_is_refused(tmp_path, fields, message):
    with pytest.raises(InputError, match=message):
        ModelSpec.read(write_network(tmp_path, trust=TRUST | fields))


@pytest.mark.parametrize(
    ("flip", "expected"),
    [
        ({"visibility": [1, 0]}, "flip.visibility': expected one of quality, pose_quality"),
        ({"quality": [1]}, "flip.quality': expected two numbers, slope and offset"),
        ({"quality": ["1", 1]}, "flip.quality': expected two numbers, slope and offset"),
        ([1, 2], "flip': expected an object"),
    ],
)
def test_other_lines_are_refused(tmp_path, flip, expected):
    with pytest.raises(InputError, match=expected):
        ModelSpec.read(write_network(tmp_path, trust=TRUST | {"flip": flip}))


def test_a_line_moves_the_logits_of_the_means():
    trust_arrays, second_trust_arrays = TrustArrays(quality=QUALITY), TrustArrays(quality=QUALITY[:, ::-1])
    index = np.arange(QUALITY.shape[1])
    mean = trust_arrays.average_flipped(second_trust_arrays, index).quality
    moved = trust_arrays.average_flipped(second_trust_arrays, index, {"quality": (2.0, 0.5)}).quality
    logit = np.log(mean / (1 - mean))
    np.testing.assert_allclose(np.log(moved / (1 - moved)), 2 * logit + 0.5, atol=1e-4)
    np.testing.assert_allclose(
        trust_arrays.average_flipped(second_trust_arrays, index, {"quality": (1.0, 0.0)}).quality, mean, atol=1e-6
    )


def test_discs_of_expected_errors_there_and_back(tmp_path):
    """With a flip test its own, else those of one view; a spec without them, as of earlier versions, has none."""
    model = ErrorModel((0.5, 0.9), (("nose",),), ((0.6,),), (((0.7, 2.4), (0.8, 2.5)),), 20, 30, "made up")
    changed_model = replace(model, people=21)
    text = TRUST | {"errors": model.to_json(), "errors_flip": changed_model.to_json()}
    trust = _spec(tmp_path, trust=text).trust
    assert trust is not None and (trust.errors, trust.errors_flip) == (model, changed_model)
    assert (trust.error_model(flip=False), trust.error_model(flip=True)) == (model, changed_model)
    assert replace(trust, errors_flip=None).error_model(flip=True) == model
    assert json.loads(json.dumps(trust.to_json()["errors"])) == json.loads(json.dumps(model.to_json()))
    assert TrustOutput({"quality": "q"}, "ours", "segment", 12).error_model(flip=True) is None
    wrong = TRUST | {"errors": model.to_json() | {"version": 9}}
    with pytest.raises(InputError, match=r"field 'trust\.errors\.version': expected 1, got 9"):
        _spec(tmp_path, trust=wrong)
