"""Robust refinement of triangulated points: maximum likelihood of the reprojection errors.

The loss (`noise`) is minimised by Levenberg and Marquardt's steps on reweighted least squares, of all points at once.
Source: Hartley and Zisserman, A6 (steps, weights) and 5.2 (covariance).
"""

import numpy as np
from jaxtyping import Float

from trustpose.geometry.cameras import Camera, Cameras
from trustpose.multiview.linear import inverse_symmetric, solve_symmetric
from trustpose.multiview.noise import Noise

_STEPS = 20
_DONE = 1e-5  # metres; a point that moves less has converged
_NEAREST = 1e-6  # metres in front of a camera


def reprojection(camera: Camera, xyz: Float[np.ndarray, "M 3"], plane: Float[np.ndarray, "M 2"]) -> tuple:
    """Return the errors x and y (M,), ideal pixels, and the projected position u, v and depth (M,) that they came from;
    NaN behind the camera."""
    x, y, depth = camera.to_camera(xyz).T
    depth = np.where(depth > _NEAREST, depth, np.nan)
    u, v = x / depth, y / depth
    (fx, skew), (_, fy) = camera.matrix[:2, :2]
    dv = v - plane[:, 1]
    return fx * (u - plane[:, 0]) + skew * dv, fy * dv, u, v, depth


def errors(
    cameras: Cameras, xyz: Float[np.ndarray, "M 3"], plane: Float[np.ndarray, "V M 2"]
) -> Float[np.ndarray, "V M"]:
    """Return the distance (V, M), ideal pixels, between each view's keypoint and the point's projection."""
    distances = np.empty(plane.shape[:2])
    for view, camera in enumerate(cameras):
        dx, dy, *_ = reprojection(camera, xyz, plane[view])
        distances[view] = np.hypot(dx, dy)
    return distances


def refine(
    xyz: Float[np.ndarray, "M 3"], plane: Float[np.ndarray, "V M 2"], noise: Noise, cameras: Cameras
) -> Float[np.ndarray, "M 3"]:
    """Return the points (M, 3), metres, moved to the nearest minimum of the loss; NaN stays NaN.

    plane: as for `solve_linear`; noise: of its M points, in ideal pixels. A point never ends with a larger loss than it
    began with.
    """
    refined = xyz.copy()
    moving = np.flatnonzero(np.isfinite(xyz).all(axis=1))
    points, damping = xyz[moving], np.full(len(moving), 1e-3)
    cost = noise[moving].cost(errors(cameras, points, plane[:, moving]))
    for _ in range(_STEPS):
        if not len(moving):
            break
        plane_moving, noise_moving = plane[:, moving], noise[moving]
        a, b = _normal_equations(points, plane_moving, noise_moving, cameras)
        a[:, [0, 3, 5]] *= (1 + damping)[:, None]
        step = np.nan_to_num(solve_symmetric(a, b))
        moved = points + step
        new_cost = noise_moving.cost(errors(cameras, moved, plane_moving))
        better = new_cost < cost
        points, cost = np.where(better[:, None], moved, points), np.where(better, new_cost, cost)
        damping = np.where(better, damping / 10, damping * 10)
        refined[moving] = points
        is_moving = (np.abs(step).max(axis=1) > _DONE) & (damping < 1e6)
        moving, points, cost, damping = moving[is_moving], points[is_moving], cost[is_moving], damping[is_moving]
    return refined


def _normal_equations(
    xyz: np.ndarray, plane: np.ndarray, noise: Noise, cameras: Cameras
) -> tuple[np.ndarray, np.ndarray]:
    """Return JᵀWJ (M, 6) and −JᵀWr (M, 3) at the points."""
    a, b = np.zeros((len(xyz), 6)), np.zeros((len(xyz), 3))
    for view, camera in enumerate(cameras):
        dx, dy, u, v, depth = reprojection(camera, xyz, plane[view])
        weight = noise.pull(dx**2 + dy**2, view)
        weight = np.where((noise.precision[view] > 0) & np.isfinite(weight), weight, 0.0)
        jx, jy = _derivatives(camera, u, v, depth)
        a += weight[:, None] * (_square(jx) + _square(jy))
        b -= weight[:, None] * (np.nan_to_num(dx)[:, None] * jx + np.nan_to_num(dy)[:, None] * jy)
    return a, b


def information(
    xyz: Float[np.ndarray, "M 3"], precision: Float[np.ndarray, "V M"], cameras: Cameras
) -> Float[np.ndarray, "M 6"]:
    """Return Σ JᵀJ/σ² over the views (M, 6), per square metre, as in `inverse_symmetric`, which gives the covariance of
    the points. Source: Hartley and Zisserman, 5.2 (backward transport of covariance)."""
    total = np.zeros((len(xyz), 6))
    for view, camera in enumerate(cameras):
        x, y, depth = camera.to_camera(xyz).T
        depth = np.where(depth > _NEAREST, depth, np.nan)
        jx, jy = _derivatives(camera, x / depth, y / depth, depth)
        total += precision[view][:, None] * (_square(jx) + _square(jy))
    return total


def covariance_of(
    xyz: Float[np.ndarray, "M 3"], precision: Float[np.ndarray, "V M"], cameras: Cameras
) -> Float[np.ndarray, "M 6"]:
    """Return the covariance (M, 6), square metres, of points whose views have errors of this precision (1/σ², V × M);
    NaN if they do not determine it."""
    return inverse_symmetric(information(xyz, precision, cameras))


def _derivatives(camera: Camera, u: np.ndarray, v: np.ndarray, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the derivatives (M, 3) of the ideal pixel's x and y by the point's position, pixels a metre; 0 if
    unknown."""
    r1, r2, r3 = camera.rotation
    (fx, skew), (_, fy) = camera.matrix[:2, :2]
    along_v = (r2 - v[:, None] * r3) / depth[:, None]
    along_u = (r1 - u[:, None] * r3) / depth[:, None]
    return np.nan_to_num(fx * along_u + skew * along_v), np.nan_to_num(fy * along_v)


def _square(j: np.ndarray) -> np.ndarray:
    """Return j jᵀ (M, 6) of vectors (M, 3)."""
    x, y, z = j.T
    return np.stack([x * x, x * y, x * z, y * y, y * z, z * z], axis=1)
