"""Robust refinement of triangulated points: the reprojection error that a heavy-tailed error makes likeliest.

A view whose keypoint lies on another joint, or on another person, has an error of a hundred pixels where the others
have three. Under a Gaussian such a view pulls the point towards it; under Student's t, whose density is

    p(r) ∝ (1 + r² / (ν σ²)) ^ −(ν + 2) / 2        (r: pixels, two dimensions, σ: the view's own)

its pull fades as 1 / r. The minimum of −Σ log p is found by Levenberg and Marquardt's steps on reweighted least
squares, of all points at once. Geman and McClure's and Cauchy's functions stand beside it.

Source: Lange, Little and Taylor 1989 (Student's t), Geman and McClure 1985; Hartley and Zisserman, A6.8 (weights).
"""

from typing import Literal

import numpy as np
from jaxtyping import Float

from trustpose.geometry.cameras import Camera, Cameras
from trustpose.multiview.linear import inverse_symmetric, solve_symmetric

Loss = Literal["student-t", "cauchy", "geman-mcclure", "gaussian"]
LOSSES: tuple[Loss, ...] = ("student-t", "cauchy", "geman-mcclure", "gaussian")
FREEDOM = 4.0  # degrees of freedom of Student's t, usual for "some outliers"
_STEPS = 20
_DONE = 1e-5  # metres; a point that moves less has arrived
_NEAREST = 1e-6  # metres in front of a camera


def reprojection(camera: Camera, xyz: Float[np.ndarray, "M 3"], plane: Float[np.ndarray, "M 2"]) -> tuple:
    """Return the errors x and y (M,), ideal pixels, and the projected place u, v and depth (M,) that they came from;
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
    """Return the distance (V, M), ideal pixels, between each view's keypoint and the point as it sees it."""
    found = np.empty(plane.shape[:2])
    for at, camera in enumerate(cameras):
        dx, dy, *_ = reprojection(camera, xyz, plane[at])
        found[at] = np.hypot(dx, dy)
    return found


def cost(
    error: Float[np.ndarray, "V M"], precision: Float[np.ndarray, "V M"], loss: Loss = "student-t"
) -> Float[np.ndarray, " M"]:
    """Return −log p of the errors (V, M), up to a constant, summed over views; infinite for a point without a place in
    a view that sees it. `precision` is 1/σ² of each view, 0 for one that does not see the point."""
    scaled = np.where(precision > 0, error**2 * precision, 0.0)
    summed = _rho(scaled, loss).sum(axis=0)
    return np.where(np.isnan(summed), np.inf, summed)


_GEMAN = 9.0  # squared: a view 3σ off has lost three quarters of its pull


def _rho(scaled: np.ndarray, loss: Loss) -> np.ndarray:
    """Return half the loss of squared errors in units of σ²; a Gaussian's near 0."""
    if loss == "student-t":
        return (FREEDOM + 2) / 2 * np.log1p(scaled / FREEDOM)
    if loss == "cauchy":
        return np.log1p(scaled / 2)
    if loss == "geman-mcclure":
        return _GEMAN * scaled / (2 * (_GEMAN + scaled))
    return scaled / 2


def pull(scaled: np.ndarray, loss: Loss) -> np.ndarray:
    """Return the weight of a view in reweighted least squares, from its squared error in units of σ²: the slope of the
    loss against that of a Gaussian."""
    if loss == "student-t":
        return (FREEDOM + 2) / (FREEDOM + scaled)
    if loss == "cauchy":
        return 2 / (2 + scaled)
    if loss == "geman-mcclure":
        return (_GEMAN / (_GEMAN + scaled)) ** 2
    return np.ones_like(scaled)


def refine(
    xyz: Float[np.ndarray, "M 3"],
    plane: Float[np.ndarray, "V M 2"],
    precision: Float[np.ndarray, "V M"],
    cameras: Cameras,
    loss: Loss = "student-t",
) -> Float[np.ndarray, "M 3"]:
    """Return the points (M, 3), metres, moved to the nearest minimum of the loss; NaN stays NaN.

    plane: as for `solve_linear`; precision: (V, M), 1/σ² with σ in ideal pixels, 0 for a view that does not see the
    point. A point never ends with a larger loss than it began with.
    """
    found = xyz.copy()
    moving = np.flatnonzero(np.isfinite(xyz).all(axis=1))
    here, damping = xyz[moving], np.full(len(moving), 1e-3)
    now = cost(errors(cameras, here, plane[:, moving]), precision[:, moving], loss)
    for _ in range(_STEPS):
        if not len(moving):
            break
        seen, sure = plane[:, moving], precision[:, moving]
        a, b = _normal_equations(here, seen, sure, cameras, loss)
        a[:, [0, 3, 5]] *= (1 + damping)[:, None]
        step = np.nan_to_num(solve_symmetric(a, b))
        moved = here + step
        then = cost(errors(cameras, moved, seen), sure, loss)
        better = then < now
        here, now = np.where(better[:, None], moved, here), np.where(better, then, now)
        damping = np.where(better, damping / 10, damping * 10)
        found[moving] = here
        left = (np.abs(step).max(axis=1) > _DONE) & (damping < 1e6)
        moving, here, now, damping = moving[left], here[left], now[left], damping[left]
    return found


def _normal_equations(
    xyz: np.ndarray, plane: np.ndarray, precision: np.ndarray, cameras: Cameras, loss: Loss
) -> tuple[np.ndarray, np.ndarray]:
    """Return JᵀWJ (M, 6) and −JᵀWr (M, 3) at the points."""
    a, b = np.zeros((len(xyz), 6)), np.zeros((len(xyz), 3))
    for at, camera in enumerate(cameras):
        dx, dy, u, v, depth = reprojection(camera, xyz, plane[at])
        weight = precision[at] * pull((dx**2 + dy**2) * precision[at], loss)
        weight = np.where((precision[at] > 0) & np.isfinite(weight), weight, 0.0)
        jx, jy = _slopes(camera, u, v, depth)
        a += weight[:, None] * (_square(jx) + _square(jy))
        b -= weight[:, None] * (np.nan_to_num(dx)[:, None] * jx + np.nan_to_num(dy)[:, None] * jy)
    return a, b


def information(
    xyz: Float[np.ndarray, "M 3"], precision: Float[np.ndarray, "V M"], cameras: Cameras
) -> Float[np.ndarray, "M 6"]:
    """Return Σ JᵀJ/σ² over the views (M, 6), per square metre, as in `inverse_symmetric`, which gives the covariance of
    the points. Source: Hartley and Zisserman, 5.2 (backward transport of covariance)."""
    total = np.zeros((len(xyz), 6))
    for at, camera in enumerate(cameras):
        x, y, depth = camera.to_camera(xyz).T
        depth = np.where(depth > _NEAREST, depth, np.nan)
        jx, jy = _slopes(camera, x / depth, y / depth, depth)
        total += precision[at][:, None] * (_square(jx) + _square(jy))
    return total


def covariance_of(
    xyz: Float[np.ndarray, "M 3"], precision: Float[np.ndarray, "V M"], cameras: Cameras
) -> Float[np.ndarray, "M 6"]:
    """Return the covariance (M, 6), square metres, of points whose views have errors of this precision (1/σ², V × M);
    NaN if they do not determine it."""
    return inverse_symmetric(information(xyz, precision, cameras))


def _slopes(camera: Camera, u: np.ndarray, v: np.ndarray, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the derivatives (M, 3) of the ideal pixel's x and y by the point's place, pixels a metre; 0 if unknown."""
    r1, r2, r3 = camera.rotation
    (fx, skew), (_, fy) = camera.matrix[:2, :2]
    along_v = (r2 - v[:, None] * r3) / depth[:, None]
    along_u = (r1 - u[:, None] * r3) / depth[:, None]
    return np.nan_to_num(fx * along_u + skew * along_v), np.nan_to_num(fy * along_v)


def _square(j: np.ndarray) -> np.ndarray:
    """Return j jᵀ (M, 6) of vectors (M, 3)."""
    x, y, z = j.T
    return np.stack([x * x, x * y, x * z, y * y, y * z, z * z], axis=1)
