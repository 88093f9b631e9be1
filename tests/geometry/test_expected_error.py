"""The error that an expected OPKS stands for, against the OKS kernel on simulated errors."""

import numpy as np
import pytest

from trustpose.geometry.expected_error import deviation_of, expected_error
from trustpose.geometry.oks import opks
from trustpose.poses import Poses
from trustpose.report.scene import prepare
from trustpose.skeletons import COCO_17, FLIC_11


@pytest.mark.parametrize("expected", [0.05, 0.3, 0.5, 0.8, 0.97])
def test_a_gaussian_error_of_this_size_has_this_expected_opks(expected):
    """The mean of the kernel over 200,000 errors with this deviation along each axis is the OPKS it was made from."""
    area, sigmas = np.array([5000.0]), COCO_17.sigmas
    error = deviation_of(np.full((1, 17), expected), area, sigmas)
    drawn = np.random.default_rng(0).normal(size=(200_000, 17, 2)) * error[0, :, None]
    mean = opks(drawn, np.zeros_like(drawn), np.full((200_000, 17), 2), np.full(200_000, 5000.0), sigmas).mean(axis=0)
    np.testing.assert_allclose(mean, expected, atol=0.004)


def test_the_ends():
    np.testing.assert_array_equal(
        deviation_of(np.array([[1.0, 0.0]]), np.array([9.0]), np.array([0.1, 0.1])), [[0, np.inf]]
    )


def test_only_the_error_of_a_keypoint_that_is_there():
    """quality = P(labelled) × E[OPKS if labelled]: half of it lost to absence changes nothing."""
    quality = np.full((1, 17), 0.6)
    box = np.array([[10.0, 20, 110, 220]])
    alone = Poses(xy=np.zeros((1, 17, 2)), quality=quality, box=box, skeleton=COCO_17)
    visibility = np.tile([0.5, 0.2, 0.3], (1, 17, 1))
    half = Poses(xy=np.zeros((1, 17, 2)), quality=quality / 2, visibility=visibility, box=box, skeleton=COCO_17)
    expected = np.sqrt(0.53 * 100 * 200) * 2 * COCO_17.sigmas * np.sqrt(1 / 0.6 - 1)
    np.testing.assert_allclose(expected_error(alone), expected[None])
    np.testing.assert_allclose(expected_error(half), expected[None])
    gone = np.tile([1.0, 0, 0], (1, 17, 1))
    unknown = Poses(xy=np.zeros((1, 17, 2)), quality=quality * 0, visibility=gone, box=box, skeleton=COCO_17)
    assert np.isinf(expected_error(unknown)).all()
    assert expected_error(Poses(xy=np.zeros((1, 17, 2)), skeleton=COCO_17)) is None
    assert expected_error(Poses(xy=np.zeros((1, 11, 2)), quality=np.ones((1, 11)), skeleton=FLIC_11)) is None


def test_discs_of_drawings_have_this_radius():
    quality = np.linspace(0.2, 0.9, 17)[None]
    xy = np.random.default_rng(0).uniform(50, 950, (1, 17, 2))
    poses = Poses(xy=xy, quality=quality, box=np.array([[50.0, 50, 950, 950]]), skeleton=COCO_17)
    scene = prepare(poses, COCO_17, "trust", None, (1000, 1000, 3))
    error = expected_error(poses)
    drawn = scene.error > 0
    assert drawn.sum() > 8
    np.testing.assert_array_equal(scene.error[drawn], error[drawn])
    assert (error[~drawn] <= 1.8 * scene.radius[~drawn]).all(), "only those hidden by their joint are not drawn"
