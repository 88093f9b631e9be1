"""A flip test whose mirrored crops have another padding: where keypoints stand, and what a spec may say."""

import json

import numpy as np
import pytest

from tests.tiny_onnx import photo_of_people, write_network
from trustpose.files import InputError
from trustpose.models.spec import ModelSpec
from trustpose.predict.boxes import Boxes
from trustpose.predict.load import load

CROP = {"padding": 1.25, "aspect": 0.75}


def test_keypoints_stay_where_they_are(tmp_path):
    """A network that finds colours, of a skeleton without left and right; a map pixel is 6 pixels of the photo."""
    photo, xy, around = photo_of_people(3)
    boxes = Boxes(around, np.zeros(3, np.int64))
    skeleton = {"name": "colours", "keypoints": [f"colour {k}" for k in range(17)], "limbs": []}
    found = {}
    for name, further in (("same", {}), ("tighter", {"flip_padding": 1.1}), ("wider", {"flip_padding": 1.5})):
        network = write_network(tmp_path / name, crop=CROP | further, codec="dark", skeleton=skeleton)
        found[name] = load(network, detector="whole", flip=True)(photo, boxes=boxes).xy
    for name in ("tighter", "wider"):
        distance = np.linalg.norm(found[name] - found["same"], axis=2)
        assert 0.01 < np.median(distance) < 1, name
        assert abs(np.median(found[name] - found["same"])) < 0.1, name
        assert np.median(np.linalg.norm(found[name] - xy, axis=2)) < 3, name


def test_a_second_crop_is_mirrored_as_it_is(tmp_path):
    photo, _, around = photo_of_people(2)
    boxes = Boxes(around, np.zeros(2, np.int64))
    first, second = (
        load(write_network(tmp_path / name, crop=crop), detector="whole", flip=True, second_crop=1.5)
        for name, crop in (("one", CROP), ("other", CROP | {"flip_padding": 1.15}))
    )
    np.testing.assert_array_equal(first(photo, boxes=boxes).xy, second(photo, boxes=boxes).xy)


def test_trust_of_the_bundled_model_is_the_mean_of_both_views():
    """The mirrored view's is that of a predictor whose own crops have that padding, given the mirrored photo."""
    photo = np.random.default_rng(0).integers(0, 256, (200, 160, 3), dtype=np.uint8)
    box = np.array([[20.0, 10, 120, 180]])
    mirrored_box = np.array([[40.0, 10, 140, 180]])
    both, one, other = load("default", flip=True), load("default"), load("default")
    padding = both.spec.flip_padding
    assert padding is not None and padding != both.spec.padding
    other.paddings = [padding]
    first_poses, first = (predictor(photo, boxes=Boxes(box, np.zeros(1, np.int64))) for predictor in (both, one))
    second = other(np.ascontiguousarray(photo[:, ::-1]), boxes=Boxes(mirrored_box, np.zeros(1, np.int64)))
    swapped = second.quality[:, both.skeleton.flip_index]
    np.testing.assert_allclose(
        first_poses.quality, (first.quality + swapped) / 2, atol=0.02
    )  # half a pixel of rounding
    np.testing.assert_allclose(first_poses.pose_quality, (first.pose_quality + second.pose_quality) / 2, atol=0.02)


def test_there_and_back(tmp_path):
    spec = ModelSpec.read(write_network(tmp_path, crop=CROP | {"flip_padding": 1.15}))
    assert spec.flip_padding == 1.15 and spec.to_json()["crop"] == CROP | {"flip_padding": 1.15}
    (tmp_path / "colours.json").write_text(json.dumps(spec.to_json()))
    assert ModelSpec.read(tmp_path / "colours.onnx") == spec


@pytest.mark.parametrize("crop", [{"flip_padding": "tight"}, {"flip_padding": 0.0}, {"padding": [1.1, 1.2]}])
def test_others_are_refused(tmp_path, crop):
    with pytest.raises(InputError, match=r"field 'crop.flip_padding': expected "):
        ModelSpec.read(write_network(tmp_path, crop=CROP | {"flip_padding": 1.15} | crop))
