"""Pose-guided proposals: alignment, what they learn from made-up detectors, and what they draw."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trustpose.datasets.proposals import align_poses, fit_proposals
from trustpose.skeletons import COCO_17, Skeleton

TORSO = tuple(COCO_17.index(name) for name in ("left_shoulder", "right_shoulder", "left_hip", "right_hip"))


def _people(seed: int, count: int):
    """Standing and lying people; the detector cuts a fifth off the feet of the first, and is 5 % off for others."""
    generator = np.random.default_rng(seed)
    lying = generator.random(count) < 0.5
    pose = np.random.default_rng(0).uniform(-0.3, 0.3, (17, 2)) + np.linspace(-2, 2, 17)[:, None] * [0, 1]
    pose[list(TORSO)] = [[0.3, -0.5], [-0.3, -0.5], [0.2, 0.5], [-0.2, 0.5]]
    pose = np.where(lying[:, None, None], pose[None, :, ::-1], pose)
    pose = (pose + generator.normal(0, 0.03, pose.shape)) * generator.uniform(20, 90, (count, 1, 1))
    xy = pose + generator.uniform(100, 500, (count, 1, 2))
    box = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1)
    sides = np.tile(box[:, 2:] - box[:, :2], 2)
    off = generator.normal(0, 0.01, (count, 4)) + np.where(lying[:, None], [0.05, 0, 0, 0], [0, 0, 0, -0.2])
    return xy, np.ones((count, 17), bool), box, box + off * sides, lying


def test_learns_which_poses_are_cut():
    xy, labelled, box, found, _ = _people(1, 400)
    generator = fit_proposals(xy, labelled, box, found, COCO_17, atoms=2, gaussians=2)
    xy, labelled, box, _, lying = _people(2, 40)
    drawn = generator.draw(xy, labelled, box, np.random.default_rng(0), count=200)
    offset = (drawn - box[:, None]) / np.tile(box[:, 2:] - box[:, :2], 2)[:, None]
    assert offset.shape == (40, 200, 4)
    np.testing.assert_allclose(offset[lying].mean(axis=(0, 1)), [0.05, 0, 0, 0], atol=0.003)
    np.testing.assert_allclose(offset[~lying].mean(axis=(0, 1)), [0, 0, 0, -0.2], atol=0.003)
    np.testing.assert_allclose(offset[lying].std(axis=(0, 1)), 0.01, atol=0.003)
    labelled[:, TORSO[0]] = False  # the pose is unknown: the detector's errors for all people
    assert (generator.atom_of(xy, labelled) == 2).all()
    unknown = generator.draw(xy, labelled, box, np.random.default_rng(0), count=200)
    cut = ((unknown - box[:, None])[..., 3] / (box[:, 3] - box[:, 1])[:, None] < -0.1).mean()
    assert cut == pytest.approx(0.5, abs=0.1)


def test_moments_are_those_of_the_offsets():
    """One Gaussian for one atom: mean and covariance of what the detector did."""
    xy, labelled, box, found, _ = _people(3, 300)
    generator = fit_proposals(xy, labelled, box, found, COCO_17, atoms=1, gaussians=1)
    offset = (found - box) / np.tile(box[:, 2:] - box[:, :2], 2)
    np.testing.assert_allclose(generator.mean[0, 0], offset.mean(axis=0), atol=1e-9)
    covariance = generator.root[0, 0] @ generator.root[0, 0].T
    np.testing.assert_allclose(covariance, np.cov(offset.T, bias=True) + 1e-6 * np.eye(4), atol=1e-9)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.floats(0.1, 10))
def test_alignment_forgets_place_and_size(seed, scale):
    random = np.random.default_rng(seed)
    xy, labelled = random.normal(0, 50, (4, 17, 2)), random.random((4, 17)) < 0.9
    aligned = align_poses(xy, labelled, TORSO)
    np.testing.assert_allclose(align_poses(xy * scale + [7, -3], labelled, TORSO), aligned, atol=1e-6)
    whole = labelled[:, TORSO].all(axis=1)
    assert np.isnan(aligned[~whole]).all() and (np.isnan(aligned[whole]).any(axis=-1) == ~labelled[whole]).all()
    torso = aligned[whole][:, TORSO]
    middle = torso[:, :2].mean(axis=1), torso[:, 2:].mean(axis=1)
    np.testing.assert_allclose(middle[0] + middle[1], 0, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(middle[0] - middle[1], axis=1), 1)


def test_boxes_stay_upright_and_faults_are_reported():
    xy, labelled, box, found, _ = _people(1, 60)
    wild = fit_proposals(xy, labelled, box, box + (found - box) * 40, COCO_17, atoms=2)
    drawn = wild.draw(xy, labelled, box, np.random.default_rng(0), count=50)
    assert (drawn[..., 2:] > drawn[..., :2]).all() and (drawn != box[:, None]).any()
    with pytest.raises(ValueError, match="has no left_shoulder"):
        fit_proposals(xy, labelled, box, found, Skeleton("other", tuple("abcdefghijklmnopq"), ()))
    with pytest.raises(ValueError, match="expected 8 people or more"):
        fit_proposals(xy[:5], labelled[:5], box[:5], found[:5], COCO_17)
