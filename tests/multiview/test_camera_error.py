"""The cameras' own error is found from poses whose expected errors are known, and told from none."""

import numpy as np
import pytest

from tests.multiview.test_triangulation import scene
from trustpose.multiview.camera_error import camera_error, with_camera_error
from trustpose.multiview.triangulation import triangulate_points
from trustpose.poses import ExpectedError


@pytest.mark.parametrize("camera_sd", (0.0, 8.0))
@pytest.mark.parametrize("views", (3, 5))
def test_it_is_found(camera_sd, views):
    cameras, _, xy = scene(views, 400, 5)
    rng = np.random.default_rng(0)
    sigma = rng.uniform(2, 8, xy.shape[:3])
    xy = xy + rng.normal(size=xy.shape) * np.hypot(sigma, camera_sd)[..., None]
    error = ExpectedError(sigma, np.full(sigma.shape, 0.02), np.full(sigma.shape, 100.0))
    assert camera_error(xy, cameras, error) == pytest.approx(camera_sd, abs=0.6 if camera_sd else 1.5)


def test_two_views_say_nothing():
    cameras, _, xy = scene(2, 20, 5, noise=5)
    sigma = np.ones(xy.shape[:3])
    assert camera_error(xy, cameras, ExpectedError(sigma, 0 * sigma, sigma)) == 0


def test_it_enlarges_the_covariance():
    cameras, _, xy = scene(4, 20, 5, noise=5)
    sigma = np.full(xy.shape[:3], 3.0)
    error = ExpectedError(sigma, 0 * sigma, 50 + 0 * sigma)
    points = triangulate_points(xy, cameras, deviation=error, loss="gaussian")
    other_points = triangulate_points(xy, cameras, deviation=with_camera_error(error, 4.0), loss="gaussian")
    full = (points.camera_count == 4) & (other_points.camera_count == 4)
    np.testing.assert_allclose(other_points.covariance[full], points.covariance[full] * (25 / 9), rtol=0.02)
