"""A second crop of each person: its poses and the first's, each as another predictor gives them, and their means."""

import cv2
import numpy as np
import pytest

from tests.tiny_onnx import photo_of_people, write_network
from trustpose.files import InputError
from trustpose.predict.boxes import Boxes
from trustpose.predict.load import load
from trustpose.predict.second_crop import NEAR, merge_crops


def test_means_of_what_two_predictors_give(tmp_path):
    photo, _, around = photo_of_people(3)
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), photo[..., ::-1])
    boxes = Boxes(around, np.zeros(3, np.int64))
    one, other = (
        load(write_network(tmp_path / str(padding), crop={"padding": padding, "aspect": 0.75}), detector="whole")
        for padding in (1.25, 1.5)
    )
    both = load(tmp_path / "1.25" / "colours.onnx", detector="whole", second_crop=1.5, batch_size=4, flip=False)
    first, second, third_poses = (predictor(path, boxes=boxes) for predictor in (one, other, both))
    near = np.linalg.norm(first.xy - second.xy, axis=2) < 320 * 1.25 / 64  # dots between the pixels of one are missed
    assert np.abs(first.xy - second.xy)[near].max() > 0.1 and 0.5 < near.mean() < 1
    np.testing.assert_allclose(third_poses.xy[near], (first.xy + second.xy)[near] / 2, atol=1e-6)
    higher = np.where((first.score >= second.score)[..., None], first.xy, second.xy)
    np.testing.assert_array_equal(third_poses.xy[~near], higher[~near])
    np.testing.assert_allclose(third_poses.score, (first.score + second.score) / 2, atol=1e-6)
    np.testing.assert_allclose(third_poses.pose_score, third_poses.score.mean(axis=1))
    np.testing.assert_array_equal(third_poses.box, around)
    assert len(both(path, boxes=Boxes(np.empty((0, 4)), np.empty(0, np.int64)))) == 0


def test_far_places_are_not_averaged():
    """Each keypoint by itself: near, far with the first higher, far with the second higher; trust is averaged."""
    height = np.array([64.0 / NEAR, 6.4 / NEAR])  # near is closer than 64 and 6.4 pixels
    first = np.zeros((2, 3, 2))
    second = first + np.array([[[30, 40], [60, 80], [60, 80]], [[3, 4], [30, 40], [-30, 40]]])
    score = np.array([[0.9, 0.5, 0.5]] * 2 + [[0.1, 0.4, 0.6]] * 2)
    trust = {"pose_quality": np.array([0.2, 0.4, 0.6, 1.0])}
    xy, means, averaged = merge_crops(np.concatenate([first, second]), score, trust, height)
    np.testing.assert_allclose(xy[0], [[15, 20], [0, 0], [60, 80]])
    np.testing.assert_allclose(xy[1], [[1.5, 2], [0, 0], [-30, 40]])
    np.testing.assert_allclose(means, [[0.5, 0.45, 0.55]] * 2)
    np.testing.assert_allclose(averaged["pose_quality"], [0.4, 0.7])


def test_trust_of_the_bundled_model_is_the_mean_of_both_crops():
    photo = np.random.default_rng(0).integers(0, 256, (200, 160, 3), dtype=np.uint8)
    boxes = Boxes(np.array([[20.0, 10, 120, 180]]), np.zeros(1, np.int64))
    both, one, other = load("default", second_crop=1.15), load("default"), load("default")
    other.paddings = [1.15]
    first, second, third_poses = (predictor(photo, boxes=boxes) for predictor in (one, other, both))
    for name in ("quality", "visibility", "pose_quality"):
        given, further = getattr(first, name), getattr(second, name)
        assert np.abs(given - further).max() > 1e-4, name
        np.testing.assert_allclose(getattr(third_poses, name), (given + further) / 2, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("padding", [0.4, 5.1, float("nan")])
def test_a_padding_beyond_all_sense_is_refused(tmp_path, padding):
    with pytest.raises(InputError, match=r"second_crop: expected 0.5 to 5.0, got "):
        load(write_network(tmp_path), second_crop=padding)
