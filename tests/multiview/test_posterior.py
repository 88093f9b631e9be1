"""Covariances of points some of whose views may have gross errors: against sampled posteriors, and what they hold."""

import numpy as np
import pytest

from tests.multiview.test_triangulation import scene
from trustpose.multiview.noise import Noise
from trustpose.multiview.posterior import mixture_covariance
from trustpose.multiview.symmetric import full_matrix
from trustpose.multiview.triangulation import triangulate_points
from trustpose.poses import ExpectedError, Poses3D


def test_it_is_the_second_moment_of_the_sampled_posterior() -> None:
    """Importance sampling of −log p of the same mixture, for linear views of four cameras of which one is far off."""
    rng = np.random.default_rng(0)
    jacobian = rng.normal(0, 300, (4, 1, 2, 3))  # pixels a metre
    residual = rng.normal(0, 3, (4, 1, 2))
    residual[2, 0] = [14, -9]
    precision, gross, gross_precision = np.full((4, 1), 1 / 9), np.full((4, 1), 0.1), np.full((4, 1), 1 / 40**2)
    noise = Noise(precision, "mixture", gross, gross_precision)
    ours = full_matrix(mixture_covariance(residual, jacobian, noise))

    wide = 4 * np.linalg.inv(np.einsum("vij,vik->jk", jacobian[:, 0], jacobian[:, 0])) * 40
    places = rng.multivariate_normal(np.zeros(3), wide, 400_000)
    log_proposal = -0.5 * np.einsum("ni,ij,nj->n", places, np.linalg.inv(wide), places)
    errors = residual[:, 0, None] - np.einsum("vij,nj->vni", jacobian[:, 0], places)
    squared = (errors**2).sum(axis=2)
    density = 0.9 / 9 * np.exp(-squared / 18) + 0.1 / 1600 * np.exp(-squared / 3200)
    log_weight = np.log(density).sum(axis=0) - log_proposal
    weight = np.exp(log_weight - log_weight.max())
    assert weight.sum() ** 2 / (weight**2).sum() > 5_000  # samples that count
    expected = np.einsum("n,ni,nj->ij", weight / weight.sum(), places, places)
    np.testing.assert_allclose(ours[0], expected, rtol=0.06, atol=0.06 * np.abs(expected).max())


def test_without_gross_errors_it_is_that_of_the_usual_ones() -> None:
    cameras, _, xy = scene(4, 20, 5, noise=2)
    sigma = np.full(xy.shape[:3], 3.0)
    error = ExpectedError(sigma, 0 * sigma, 50 + 0 * sigma)
    mixture = triangulate_points(xy, cameras, deviation=error, loss="gaussian")
    usual = triangulate_points(xy, cameras, deviation=sigma, loss="gaussian")
    assert mixture.covariance is not None and usual.covariance is not None
    np.testing.assert_allclose(mixture.covariance, usual.covariance, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("views", [3, 5, 8])
def test_ellipsoids_hold_what_they_say(views: int) -> None:
    """Errors of the mixture itself, one in twelve gross."""
    cameras, xyz, xy = scene(views, 300, 5)
    rng = np.random.default_rng(1)
    sigma = rng.uniform(2, 8, xy.shape[:3])
    is_gross = rng.random(sigma.shape) < 1 / 12
    xy = xy + rng.normal(size=xy.shape) * np.where(is_gross, 60, sigma)[..., None]
    error = ExpectedError(sigma, np.full(sigma.shape, 1 / 12), np.full(sigma.shape, 60.0))
    points = triangulate_points(xy, cameras, deviation=error)
    assert points.covariance is not None
    off = (points.xyz - xyz).reshape(-1, 3)
    squared = np.einsum("ni,nij,nj->n", off, np.linalg.inv(points.covariance.reshape(-1, 3, 3)), off)
    for level in (0.8, 0.95):
        held = (squared <= Poses3D.ellipsoid_radius(level) ** 2).mean()
        assert held == pytest.approx(level, abs=0.05)


def test_the_radius_is_that_of_samples() -> None:
    """Student's t in three dimensions, scaled to unit covariance."""
    rng = np.random.default_rng(0)
    t = rng.normal(size=(200_000, 3)) / np.sqrt(rng.chisquare(8, (200_000, 1)) / 8) / np.sqrt(8 / 6)
    held = (np.linalg.norm(t, axis=1) <= Poses3D.ellipsoid_radius(0.9)).mean()
    assert held == pytest.approx(0.9, abs=0.003)
    with pytest.raises(ValueError, match=r"level: expected a share between 0 and 1, got 1\.5"):
        Poses3D.ellipsoid_radius(1.5)
