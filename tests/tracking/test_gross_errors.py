"""What keeps gross errors out of paths and of the clip's noise: the median of neighbours, both directions, rounds."""

import numpy as np
import pytest

from tests.tracking.test_kalman import simulated
from trustpose.geometry.oks import opks
from trustpose.poses import Poses
from trustpose.skeletons import COCO_17
from trustpose.tracking import gross_errors, smooth, smoothing
from trustpose.tracking.gross_errors import Measured, MotionNoise, estimate_noise, smooth_measured
from trustpose.tracking.kalman import Points


def measured(true: np.ndarray) -> Measured:
    """Measurements of points (T, S, 2) with σ = 1, of which a tenth may be gross errors with σ = 30."""
    shape = true.shape[:2]
    position = true + np.random.default_rng(1).normal(size=true.shape)
    points = Points(position, np.ones(shape), np.ones(shape))
    return Measured(points, np.full(shape, 0.1), np.full(shape, 900.0))


def test_a_clip_that_begins_with_two_gross_errors_is_no_jumpy_one() -> None:
    """They are a minority of seven rows, though not of three."""
    true = np.zeros((60, 40, 2))
    true[..., 0] = np.linspace(0, 30, 60)[:, None]
    clip = measured(true)
    clip.points.position[:2] += (40, 0)
    noise = estimate_noise(clip, np.zeros(40, int))
    assert np.median(noise.force) < 1e-4 and np.median(noise.scale) == pytest.approx(1, rel=0.2)
    path = smooth_measured(clip, noise)
    assert (path.good[:2] < 0.5).all() and np.abs(path.path.position - true).mean() < 0.3


def test_a_point_that_starts_to_move_fast_is_followed() -> None:
    """The rows before do not expect it, those after it do."""
    true = np.zeros((60, 20, 2))
    true[30:, :, 0] = np.arange(30)[:, None] * 6.0
    path = smooth_measured(measured(true), MotionNoise(np.full(20, 0.01), np.ones(20)))
    assert (path.good > 0.5).mean() > 0.85 and np.abs(path.path.position - true).mean() < 2


def test_more_rounds_change_nothing(monkeypatch) -> None:
    clip, _, _ = simulated(0.2)
    noise = estimate_noise(clip, np.arange(12))
    path = smooth_measured(clip, noise)
    monkeypatch.setattr(gross_errors, "ROUNDS", 20)
    np.testing.assert_allclose(path.path.position, smooth_measured(clip, noise).path.position, atol=1e-3)


def gaussian_walk(seed: int) -> Poses:
    """A person whose keypoints have errors of 4 pixels along each axis, none of them gross, and no trust."""
    time = np.arange(90)
    way = np.stack([3 * time + 20 * np.sin(time / 9), 100 + 10 * np.cos(time / 7)], axis=1)
    true = np.random.default_rng(7).uniform(0, 200, (17, 2)) + way[:, None]
    xy = true + np.random.default_rng(seed).normal(size=true.shape) * 4
    box = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1)
    return Poses(xy, image_id=time, track_id=np.ones(90, int), box=box, skeleton=COCO_17)


def test_without_trust_few_of_a_gaussians_errors_are_taken_for_gross_ones() -> None:
    """With P(gross) = .05 and a gross variance g some 170 times the good one, both densities are equal where d² / 2σ²
    is ln(19 × 170), which exp(−8.1) = 3 of 10,000 exceed; with P(gross) = .3 it would be 25 of 10,000."""
    share = np.mean([smooth(gaussian_walk(seed), noise="constant").replaced.mean() for seed in range(3)])
    assert share < 0.0015


def test_replaced_is_what_is_likelier_gross_than_good(monkeypatch) -> None:
    def judged(clip: Measured, noise: MotionNoise) -> gross_errors.RobustPath:
        path = smooth_measured(clip, noise)
        path.good[:] = 0.9
        path.good[10], path.good[11] = 0.45, 0.55
        return path

    monkeypatch.setattr(smoothing, "smooth_measured", judged)
    replaced = smooth(gaussian_walk(0)).replaced
    assert replaced[10].all() and replaced.sum() == 17


def test_the_quality_left_is_the_mean_opks_of_a_gaussian_error() -> None:
    """Against a million errors drawn, by the one kernel of OKS."""
    side, std = 80.0, np.linspace(1, 30, 17)
    error = np.random.default_rng(0).normal(size=(60_000, 17, 2)) * std[:, None]
    drawn = opks(error, np.zeros_like(error), np.ones((60_000, 17), bool), np.full(60_000, side**2), COCO_17.sigmas)
    poses = gaussian_walk(0)
    left = smoothing._quality_factor(poses, std[None] ** 2, np.full((1, 17), side))
    np.testing.assert_allclose(left[0], drawn.mean(axis=0), atol=0.01)
