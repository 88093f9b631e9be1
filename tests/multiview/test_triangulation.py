"""Triangulation: against OpenCV's and scipy's, with views missing and wrong, and the coverage of its covariance."""

import cv2
import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.stats import chi2

from tests.multiview.rings import ring
from trustpose.multiview.noise import LOSSES
from trustpose.multiview.symmetric import inverse_symmetric
from trustpose.multiview.triangulation import METHODS, triangulate_points
from trustpose.poses import ExpectedError


def scene(count: int, people: int = 40, joints: int = 5, noise: float = 0.0, seed: int = 0):
    """Cameras, points (N, K, 3), and what the cameras see with Gaussian errors, (V, N, K, 2)."""
    rng = np.random.default_rng(seed)
    cameras = ring(count)
    xyz = rng.normal(0, 0.4, (people, joints, 3)) + np.array([0, 0, 1])
    xy = cameras.project(xyz)
    return cameras, xyz, xy + rng.normal(0, noise, xy.shape) if noise else xy


@pytest.mark.parametrize("method", METHODS)
def test_exact_views_give_the_points(method):
    cameras, xyz, xy = scene(4)
    points = triangulate_points(xy, cameras, method=method)
    np.testing.assert_allclose(points.xyz, xyz, atol=2e-5)  # where OpenCV stops undoing the distortion
    assert (points.camera_count == 4).all()
    assert points.error is not None and points.error.max() < 1e-2


def test_two_views_are_opencvs():
    """On exact views of two cameras both solve the same equations; OpenCV's with a homogeneous unit vector."""
    cameras, xyz, _ = scene(2)
    ideal = np.stack([camera.project_ideal(xyz) for camera in cameras]).reshape(2, -1, 2)
    first, second = cameras.projections()
    homogeneous = cv2.triangulatePoints(first, second, ideal[0].T, ideal[1].T)
    theirs = (homogeneous[:3] / homogeneous[3]).T
    ours = triangulate_points(cameras.project(xyz), cameras, method="linear").xyz.reshape(-1, 3)
    np.testing.assert_allclose(ours, theirs, atol=2e-5)


@pytest.mark.parametrize("trust", ("weight", "deviation", "mixture"))
def test_linear_is_the_least_squares_of_numpy(trust):
    """The rows x p3 − p1 and y p3 − p2 of the projections, weighted, given to `lstsq` point by point. Without weights
    these are 1 / σ², of a mixture (1 − p) N(0, σ²) + p N(0, 16 σ²) the inverse of (1 − p) σ² + p 16 σ²."""
    cameras, _, xy = scene(4, 5, 2, noise=8)
    weight = np.random.default_rng(1).random(xy.shape[:3])
    sigma, p = weight**-0.5, 0.2
    options = {
        "weight": {"weight": weight},
        "deviation": {"deviation": sigma},
        "mixture": {"deviation": ExpectedError(good := sigma / np.sqrt(1 + 15 * p), np.full_like(sigma, p), 4 * good)},
    }[trust]
    ideal, points = cameras.undistort(xy), triangulate_points(xy, cameras, **options, method="weighted")
    for person, joint in np.ndindex(5, 2):
        rows = []
        for index, p in enumerate(cameras.projections()):
            root = np.sqrt(weight[index, person, joint])
            rows += [root * (ideal[index, person, joint, axis] * p[2] - p[axis]) for axis in (0, 1)]
        a = np.array(rows)
        expected = np.linalg.lstsq(a[:, :3], -a[:, 3], rcond=None)[0]
        np.testing.assert_allclose(points.xyz[person, joint], expected, atol=1e-9)


@pytest.mark.parametrize("loss", LOSSES)
def test_refinement_finds_scipys_minimum(loss):
    """scipy minimises the same loss of reprojection errors in ideal pixels from the true points."""
    cameras, xyz, xy = scene(4, 4, 2, noise=4, seed=2)
    deviation = np.random.default_rng(3).uniform(2, 8, xy.shape[:3])
    gross, wide = 0.1, 60.0
    error = ExpectedError(deviation, np.full(deviation.shape, gross), np.full(deviation.shape, wide))
    known = error if loss == "mixture" else deviation
    points, ideal = triangulate_points(xy, cameras, deviation=known, loss=loss), cameras.undistort(xy)
    rho = {
        "student-t": lambda z: 3 * np.log1p(z / 4),  # two-dimensional, four degrees of freedom
        "cauchy": lambda z: np.log1p(z / 2),
        "geman-mcclure": lambda z: 9 * z / (2 * (9 + z)),
        "gaussian": lambda z: z / 2,
    }.get(loss)

    for person, joint in np.ndindex(4, 2):

        def residual(point, person=person, joint=joint):
            seen = np.stack([camera.project_ideal(point) for camera in cameras])
            sigma = deviation[:, person, joint]
            z = (((seen - ideal[:, person, joint]) / sigma[:, None]) ** 2).sum(axis=1)
            if loss == "mixture":
                p = (1 - gross) * np.exp(-z / 2) / sigma**2 + gross * np.exp(-z * sigma**2 / wide**2 / 2) / wide**2
                return np.sqrt(2 * np.log(((1 - gross) / sigma**2 + gross / wide**2) / p))
            assert rho is not None
            return np.sqrt(2 * rho(z))

        best = least_squares(residual, xyz[person, joint], xtol=1e-12, ftol=1e-12, gtol=1e-12)
        np.testing.assert_allclose(points.xyz[person, joint], best.x, atol=5e-5)


def test_covariance_covers_what_it_says():
    """50, 80 and 95 % ellipsoids hold as many of the true points, with every view's own σ."""
    cameras, xyz, xy = scene(4, 800, 5)
    rng = np.random.default_rng(4)
    deviation = rng.uniform(1, 12, xy.shape[:3])
    noisy = xy + rng.normal(size=xy.shape) * deviation[..., None]
    points = triangulate_points(noisy, cameras, deviation=deviation, method="robust", loss="gaussian")
    assert points.covariance is not None
    off = (points.xyz - xyz).reshape(-1, 3)
    distance = np.einsum("ni,nij,nj->n", off, np.linalg.inv(points.covariance.reshape(-1, 3, 3)), off)
    for level in (0.5, 0.8, 0.95):
        assert (distance < chi2(3).ppf(level)).mean() == pytest.approx(level, abs=0.025)


@pytest.mark.parametrize("method", ("ransac", "robust"))
def test_one_wrong_view_of_four_is_left_out(method):
    cameras, xyz, xy = scene(4, 100, 5, noise=2)
    xy[2, :, 3] += 150.0  # another person's wrist
    points = triangulate_points(xy, cameras, deviation=np.full(xy.shape[:3], 2.0), method=method)
    assert points.camera_count is not None
    assert (points.camera_count[:, 3] == 3).mean() > 0.9
    off = np.linalg.norm(points.xyz - xyz, axis=-1)
    assert np.median(off[:, 3]) < 1.6 * np.median(off[:, 0])
    plain = triangulate_points(xy, cameras, method="linear")
    assert np.median(np.linalg.norm(plain.xyz - xyz, axis=-1)[:, 3]) > 10 * np.median(off[:, 3])


def test_the_noise_is_that_of_the_errors_where_only_weights_are_known():
    """As many of 30,000 views do not agree as with the σ of the errors that are left: of twelve views' 24 coordinates
    a point takes up three, which leaves 21 / 24 of the variance."""
    cameras, _, xy = scene(12, 500, 5, noise=4)
    left = np.full(xy.shape[:3], 4 * np.sqrt(21 / 24))
    unknown = triangulate_points(xy, cameras, weight=np.full(xy.shape[:3], 0.7), method="ransac").camera_count
    camera_count = triangulate_points(xy, cameras, deviation=left, method="ransac").camera_count
    assert unknown is not None and camera_count is not None
    assert 12 - unknown.mean() == pytest.approx(12 - camera_count.mean(), rel=0.1)


def test_weights_leave_the_wrong_view_out():
    cameras, xyz, xy = scene(3)
    xy[0] += 40
    weight = np.ones(xy.shape[:3])
    weight[0] = 0
    for method in ("weighted", "ransac", "robust"):
        np.testing.assert_allclose(triangulate_points(xy, cameras, weight=weight, method=method).xyz, xyz, atol=2e-5)


def test_missing_views():
    cameras, xyz, xy = scene(3)
    quality = np.broadcast_to(np.array([0.9, 0.6, 0.3])[:, None, None], xy.shape[:3]).copy()
    xy[0, :, 0] = np.nan  # two views left
    xy[:2, :, 1] = np.nan  # one
    xy[:, :, 2] = np.nan  # none
    points = triangulate_points(xy, cameras, quality=quality)
    assert (points.camera_count == np.array([2, 0, 0, 3, 3])).all()
    np.testing.assert_allclose(points.xyz[:, [0, 3, 4]], xyz[:, [0, 3, 4]], atol=2e-5)
    assert np.isnan(points.xyz[:, 1:3]).all()
    assert points.quality is not None
    np.testing.assert_allclose(points.quality[:, [0, 3]], [[0.45, 0.6]] * len(xyz))
    three = triangulate_points(xy, cameras, min_cameras=3)
    assert np.isnan(three.xyz[:, 0]).all() and not np.isnan(three.xyz[:, 3]).any()


def test_a_point_behind_a_camera_is_no_point():
    cameras, _, xy = scene(2)
    both = np.stack([xy[0], 2 * np.array([640, 480]) - xy[0]])  # rays that meet only where they are followed backwards
    pair = cameras[[0, 1]]
    points = triangulate_points(both, pair, method="linear")
    for camera in pair:
        is_finite = np.isfinite(points.xyz[..., 0])
        assert (camera.to_camera(points.xyz[is_finite])[..., 2] > 0).all()


def test_many_cameras_and_nobody():
    cameras, xyz, xy = scene(12, 3, 2)
    np.testing.assert_allclose(triangulate_points(xy, cameras).xyz, xyz, atol=2e-5)
    assert len(triangulate_points(xy[:, :0], cameras)) == 0


def test_closed_form_inverse():
    rng = np.random.default_rng(5)
    half = rng.normal(size=(50, 3, 3))
    full = half @ half.transpose(0, 2, 1) + 0.1 * np.eye(3)
    upper = inverse_symmetric(full[:, [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]])
    expected = np.linalg.inv(full)[:, [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]]
    np.testing.assert_allclose(upper, expected, rtol=1e-8, atol=1e-8)
    assert np.isnan(inverse_symmetric(np.array([[1.0, 0, 0, 0, 0, 0]]))).all()


def test_wrong_arguments_are_named():
    cameras, _, xy = scene(3, 2, 2)
    with pytest.raises(ValueError, match=r"xy: expected \(3 cameras, N, K, 2\), got \(2, 2, 2, 2\)"):
        triangulate_points(xy[:2], cameras)
    with pytest.raises(ValueError, match="min_cameras: expected 2 to 3 cameras, got 4"):
        triangulate_points(xy, cameras, min_cameras=4)
