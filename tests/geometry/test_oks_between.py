"""OKS between poses: hand-computed values, area conventions, keypoints that do not count."""

from dataclasses import replace

import numpy as np
import pytest

import trustpose.geometry.oks as module
from trustpose.geometry.oks import oks_between
from trustpose.grouping.suppression import pose_area
from trustpose.poses import Poses
from trustpose.skeletons import COCO_17

SIGMAS = np.array([0.05, 0.1])


def test_two_poses_by_hand():
    """One keypoint 3-4-5 pixels apart, the other in place; the area is the mean of 100 and 300."""
    xy = np.array([[[0.0, 0.0], [10.0, 10.0]], [[3.0, 4.0], [10.0, 10.0]]])
    overlap = oks_between(xy, np.array([100.0, 300.0]), SIGMAS)
    expected = (np.exp(-25 / (2 * 200 * 0.1**2)) + 1) / 2
    np.testing.assert_allclose(overlap, [[1, expected], [expected, 1]], rtol=1e-12)


def test_keypoints_that_do_not_count():
    xy = np.array([[[0.0, 0.0], [10.0, 10.0]], [[3.0, 4.0], [10.0, 10.0]], [[3.0, 4.0], [np.nan, 10.0]]])
    area = np.array([200.0, 200.0, 200.0])
    one = np.exp(-25 / (2 * 200 * 0.1**2))
    np.testing.assert_allclose(oks_between(xy, area, SIGMAS)[0], [1, (one + 1) / 2, one], rtol=1e-12)
    counted = np.array([[False, True], [True, True], [True, True]])
    np.testing.assert_allclose(oks_between(xy, area, SIGMAS, counted)[0], [1, 1, 0], rtol=1e-12)


def test_photos_at_once_and_in_parts_are_as_one_by_one(monkeypatch):
    generator = np.random.default_rng(0)
    xy, area = generator.normal(0, 30, (4, 9, 17, 2)), generator.uniform(5e3, 2e4, (4, 9))
    together = oks_between(xy, area, COCO_17.sigmas)
    monkeypatch.setattr(module, "_TERMS_AT_A_TIME", 17 * 9 * 4)
    np.testing.assert_array_equal(oks_between(xy, area, COCO_17.sigmas), together)
    np.testing.assert_array_equal(oks_between(xy[2], area[2], COCO_17.sigmas), together[2])
    np.testing.assert_array_equal(together, together.swapaxes(1, 2))
    assert ((0 < together) & (together < 1)).any() and oks_between(xy[0, :0], area[0, :0], COCO_17.sigmas).size == 0


def test_areas():
    xy = np.array([[[2.0, 3.0], [12.0, 7.0]], [[np.nan, 3.0], [np.nan, 7.0]], [[1.0, np.nan], [4.0, 5.0]]])
    box = np.array([[0.0, 0.0, 30.0, 20.0], [5.0, 5.0, 8.0, 25.0], [0.0, 0.0, 3.0, 4.0]])
    poses = Poses(xy=xy, box=box)
    np.testing.assert_allclose(pose_area(poses, "box"), [600, 60, 12])
    # 30 × 20 is grown to 30 × 40, 3 × 20 to 15 × 20, 3 × 4 is 3:4; each side times 1.25
    np.testing.assert_allclose(pose_area(poses, "crop"), [1200 * 1.5625, 300 * 1.5625, 12 * 1.5625])
    np.testing.assert_allclose(pose_area(poses, "keypoints"), [40, 0, 0])
    assert pose_area(replace(poses, box=None), "keypoints")[0] == 40


def test_areas_that_cannot_be_had():
    poses = Poses(xy=np.zeros((2, 3, 2)), box=np.array([[0.0, 0, 1, 1], [np.nan, 0, 1, 1]]))
    with pytest.raises(ValueError, match="1 of 2 poses have none"):
        pose_area(poses, "box")
    with pytest.raises(ValueError, match="area 'crop' needs the poses' boxes"):
        pose_area(replace(poses, box=None), "crop")


def test_missing_keypoints_are_in_no_area():
    xy = np.array([[[10.0, 10], [30, 50], [0, 0]]])
    missing = np.array([[False, False, True]])
    assert pose_area(Poses(xy=xy, missing=missing), "keypoints").tolist() == [800]
    assert pose_area(Poses(xy=xy), "keypoints").tolist() == [1500]
    assert pose_area(Poses(xy=xy, missing=~missing), "keypoints").tolist() == [0]
    assert pose_area(Poses(xy=xy, missing=missing | True), "keypoints").tolist() == [0]
