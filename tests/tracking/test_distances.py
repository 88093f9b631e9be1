"""Distances: by hand with the OKS kernel, what they ignore, what they need."""

from dataclasses import replace

import numpy as np
import pytest

from tests.tracking.cases import walking
from trustpose.geometry.oks import oks
from trustpose.tracking import both_distance, box_distance, oks_distance, trust_distance

POSES = walking([0, 150, 400], [5, 5, 5], 2)
PAST, NOW = POSES[:3], POSES[3:]


def test_oks_of_a_pair_is_the_kernels_with_the_mean_area() -> None:
    low, high = PAST.xy.min(axis=1), PAST.xy.max(axis=1)
    other_low, other_high = NOW.xy.min(axis=1), NOW.xy.max(axis=1)
    area = ((high - low).prod(axis=1)[:, None] + (other_high - other_low).prod(axis=1)) / 2
    ones = np.ones((3, 3, 17))
    expected = 1 - oks(PAST.xy[:, None], NOW.xy, ones, area, POSES.skeleton.sigmas)
    np.testing.assert_allclose(oks_distance(PAST, NOW, area="box"), expected, rtol=1e-12)
    np.testing.assert_allclose(oks_distance(PAST, NOW, area="keypoints"), expected, rtol=1e-12)
    assert (np.diag(oks_distance(PAST, NOW)) < np.diag(expected)).all()  # crops are larger, so OKS is more lenient


def test_keypoints_that_are_missing_do_not_count() -> None:
    off = NOW.xy.copy()
    off[:, 9] += 500
    box = PAST.keypoint_box()
    changed_past, moved = replace(PAST, box=box), replace(NOW, xy=off, box=box)
    whole = replace(NOW, box=box)
    missing = np.zeros((3, 17), bool)
    missing[:, 9] = True
    without = oks_distance(changed_past, replace(whole, missing=missing))
    np.testing.assert_allclose(oks_distance(changed_past, replace(moved, missing=missing)), without)
    assert (np.diag(oks_distance(changed_past, moved)) > np.diag(without) + 0.03).all()
    off[:, 9] = np.nan
    np.testing.assert_allclose(oks_distance(changed_past, replace(moved, xy=off)), without)


def test_untrusted_keypoints_count_little() -> None:
    """By hand: the weighted mean of each keypoint's OPKS; with the same trust everywhere it is OKS."""
    generator = np.random.default_rng(3)
    first, second = generator.uniform(0, 1, (2, 3, 17))
    first[0, :5] = np.nan
    changed_past, moved = replace(PAST, quality=first), replace(NOW, quality=second)
    same = [replace(one, quality=np.full((3, 17), 0.4)) for one in (PAST, NOW)]
    np.testing.assert_allclose(trust_distance(*same), oks_distance(PAST, NOW))
    weight = 0.1 + np.nan_to_num(first)[:, None] * second
    each = np.stack([_only(PAST, NOW, joint) for joint in range(17)], axis=2)
    np.testing.assert_allclose(trust_distance(changed_past, moved), (each * weight).sum(axis=2) / weight.sum(axis=2))


def _only(past, now, joint: int) -> np.ndarray:
    """The distance by one joint, in boxes of all."""
    missing = np.arange(17) != joint
    boxed = (replace(one, box=one.keypoint_box(), missing=np.tile(missing, (3, 1))) for one in (past, now))
    return oks_distance(*boxed)


def test_a_pose_without_keypoints_is_far_from_all() -> None:
    nowhere = replace(NOW, missing=np.ones((3, 17), bool))
    np.testing.assert_array_equal(oks_distance(PAST, nowhere), 1)
    np.testing.assert_array_equal(box_distance(PAST, nowhere), 1)


def test_boxes_by_hand() -> None:
    boxes = [np.array([[0.0, 0, 10, 10]]), np.array([[0.0, 5, 10, 15]])]
    first, second = (replace(POSES[:1], box=box) for box in boxes)
    np.testing.assert_allclose(box_distance(first, second), [[1 - 50 / 150]])


def test_both_is_the_mean() -> None:
    mean = (oks_distance(PAST, NOW) + box_distance(PAST, NOW)) / 2
    np.testing.assert_array_equal(both_distance(PAST, NOW), mean)
    trusted = [replace(one, quality=np.tile(np.linspace(0, 1, 17), (3, 1))) for one in (PAST, NOW)]
    np.testing.assert_array_equal(both_distance(*trusted), (trust_distance(*trusted) + box_distance(*trusted)) / 2)
    np.testing.assert_array_equal(both_distance(PAST, trusted[1]), mean)


def test_what_is_lacking_is_named() -> None:
    with pytest.raises(ValueError, match=r"Poses\.quality of past is None"):
        trust_distance(PAST, NOW)
    with pytest.raises(ValueError, match=r"Poses\.skeleton is None"):
        oks_distance(replace(PAST, skeleton=None), NOW)
