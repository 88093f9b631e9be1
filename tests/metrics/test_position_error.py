"""MPJPE and PA-MPJPE: alignment against scipy's procrustes and rotations, and what may not change the errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation

from trustpose.metrics.position_error import PositionErrors, joint_errors, procrustes_aligned

seeds = st.integers(0, 10_000)


def _poses(seed: int, count: int = 5, joints: int = 17) -> tuple[np.ndarray, np.ndarray]:
    """Poses (N, K, 3) of random joints, metres, and estimates some centimetres off, which no mirror image suits."""
    random = np.random.default_rng(seed)
    truth = random.normal(0, 0.5, (count, joints, 3)) + random.normal(0, 3, (count, 1, 3))
    return truth + random.normal(0, 0.05, truth.shape), truth


@given(seeds)
def test_alignment_is_scipys(seed):
    """Its Procrustes analysis brings both poses to size 1, and its disparity is the squared distance left."""
    estimate, truth = _poses(seed)
    aligned = procrustes_aligned(estimate, truth)
    for pose, true_pose, fitted in zip(estimate, truth, aligned, strict=True):
        _, _, disparity = procrustes(true_pose, pose)
        spread = ((true_pose - true_pose.mean(axis=0)) ** 2).sum()
        assert ((fitted - true_pose) ** 2).sum() == pytest.approx(disparity * spread, rel=1e-9)


@given(seeds)
def test_the_rigid_alignment_is_scipys_rotation(seed):
    estimate, truth = _poses(seed)
    aligned = procrustes_aligned(estimate, truth, is_scaled=False)
    for pose, true_pose, fitted in zip(estimate, truth, aligned, strict=True):
        turn, _ = orthogonal_procrustes(pose - pose.mean(axis=0), true_pose - true_pose.mean(axis=0))
        expected = (pose - pose.mean(axis=0)) @ turn + true_pose.mean(axis=0)
        np.testing.assert_allclose(fitted, expected, atol=1e-9)


@given(seeds, st.floats(0.2, 5))
def test_a_turned_moved_and_scaled_pose_has_no_error_once_aligned(seed, scale):
    _, truth = _poses(seed)
    turn = Rotation.random(len(truth), random_state=seed).as_matrix()
    estimate = scale * truth @ turn + 7
    assert joint_errors(estimate, truth, "procrustes").max() < 1e-9
    assert joint_errors(estimate / scale, truth, "rigid").max() < 1e-9
    np.testing.assert_allclose(joint_errors(truth + 7, truth, "root"), 0, atol=1e-9)


@given(seeds)
def test_a_mirror_image_stays_wrong(seed):
    """The best rotation without a reflection is that of `Rotation.align_vectors`."""
    _, truth = _poses(seed)
    mirrored = truth * [-1, 1, 1]
    aligned = procrustes_aligned(mirrored, truth, is_scaled=False)
    for pose, true_pose, fitted in zip(mirrored, truth, aligned, strict=True):
        source, target = pose - pose.mean(axis=0), true_pose - true_pose.mean(axis=0)
        _, distance = Rotation.align_vectors(target, source)
        assert np.linalg.norm(fitted - true_pose) == pytest.approx(distance, rel=1e-6)
        assert distance > 0.1


@given(seeds, st.integers(1, 4))
def test_batches_add_up_to_millimetres(seed, split):
    estimate, truth = _poses(seed)
    sums = PositionErrors()
    sums.add(estimate[:split], truth[:split])
    sums.add(estimate[split:], truth[split:])
    numbers = sums.result()
    moved, true_moved = estimate - estimate[:, :1], truth - truth[:, :1]
    assert numbers["mpjpe"] == pytest.approx(1000 * np.linalg.norm(moved - true_moved, axis=2).mean())
    assert numbers["pa_mpjpe"] < numbers["mpjpe"]
    assert all(np.isnan(value) for value in PositionErrors().result().values())
