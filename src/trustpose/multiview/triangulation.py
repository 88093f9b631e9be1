"""Triangulation: world coordinates of keypoints from several calibrated cameras.

    poses = triangulate_points(xy, cameras, weight=quality, deviation=sigma)      # xy (V, N, K, 2) -> Poses3D

| method | what it minimises |
|---|---|
| linear | the algebraic error of all views alike (DLT) |
| weighted | the same, each view times its weight |
| ransac | the same, of the views that agree with the best pair of views: all pairs are tried, none at random |
| robust | −log p of the reprojection errors, each view with its own σ (`noise`), from the best of those starts |

Sources: Hartley and Zisserman, chapter 12; Fischler and Bolles 1981, with the truncated cost of Torr and Zisserman
2000 (MSAC); `refinement` for robust.

Robust refinement of triangulated points: maximum likelihood of the reprojection errors. The loss (`noise`) is
minimised by Levenberg and Marquardt's steps on reweighted least squares, of all points at once. Source: Hartley and
Zisserman, A6 (steps, weights) and 5.2 (covariance).

Triangulation by linear least squares (the direct linear transform), of any number of points at once. With r1, r2, r3
the rows of a camera's [R | t] and (u, v) a point's position in the plane one metre in front of it, the point X
satisfies (u r3 − r1) X = 0 and (v r3 − r2) X = 0. Multiplied by the focal lengths the residuals are pixels times
depth. The sum of their squares over the views is Xᵀ Q X, and Q is linear in (u² + v², u, v, 1): all points are one
matrix product, and one closed-form solution of 3 × 3 equations each.

Source: Hartley and Zisserman, Multiple View Geometry, 12.2, with the last coordinate of X set to 1 ("inhomogeneous").
That does not depend on where the world's origin lies.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.geometry.cameras import Camera, Cameras
from trustpose.multiview.noise import INLIER, Loss, Noise
from trustpose.multiview.posterior import mixture_covariance
from trustpose.multiview.symmetric import full_matrix, inverse_symmetric, solve_symmetric, square
from trustpose.names import expected_one_of
from trustpose.poses import ExpectedError, Poses3D

_UPPER = (np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 3]), np.array([0, 1, 2, 3, 1, 2, 3, 2, 3, 3]))  # of a 4 × 4 matrix


def to_plane(camera: Camera, ideal: Float[np.ndarray, "M 2"]) -> Float[np.ndarray, "M 2"]:
    """Return ideal pixels (M, 2) as positions in the plane one metre in front of the camera."""
    return (ideal - camera.matrix[:2, 2]) @ np.linalg.inv(camera.matrix[:2, :2]).T


def solve_linear(
    plane: Float[np.ndarray, "V M 2"], weight: Float[np.ndarray, "V M"], cameras: Cameras
) -> Float[np.ndarray, "M 3"]:
    """Return the points (M, 3), metres, that minimise the weighted sum of squared algebraic errors.

    plane: (V, M, 2) from `to_plane`, any finite number where `weight` (V, M) is 0. NaN for a point whose rays determine
    none: fewer than two, or parallel.
    """
    views, count = weight.shape
    u, v = plane[..., 0], plane[..., 1]
    terms = np.empty((count, 4 * views))
    constants = np.empty((4 * views, len(_UPPER[0])))
    for view, camera in enumerate(cameras):
        fx, fy = camera.matrix[0, 0] ** 2, camera.matrix[1, 1] ** 2
        wu, wv = weight[view] * u[view] * fx, weight[view] * v[view] * fy
        terms[:, 4 * view] = wu * u[view] + wv * v[view]
        terms[:, 4 * view + 1] = wu
        terms[:, 4 * view + 2] = wv
        terms[:, 4 * view + 3] = weight[view]
        r1, r2, r3 = np.concatenate([camera.rotation, camera.translation[:, None]], axis=1)
        products = (
            np.outer(r3, r3),
            -np.outer(r1, r3) - np.outer(r3, r1),
            -np.outer(r2, r3) - np.outer(r3, r2),
            fx * np.outer(r1, r1) + fy * np.outer(r2, r2),
        )
        constants[4 * view : 4 * view + 4] = np.stack([product[_UPPER] for product in products])
    q = terms @ constants  # (M, 10)
    return solve_symmetric(q[:, [0, 1, 2, 4, 5, 7]], -q[:, [3, 6, 8]])


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
        a += weight[:, None] * (square(jx) + square(jy))
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
        total += precision[view][:, None] * (square(jx) + square(jy))
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


Method = Literal["linear", "weighted", "ransac", "robust"]
METHODS: tuple[Method, ...] = ("linear", "weighted", "ransac", "robust")
_CHUNK = 2**14  # points at a time: their intermediate arrays stay in a processor's cache
_MAX_VIEWS_IN_PAIRS = 8  # pairs are made of a point's most trusted views, so that 31 cameras do not take 465 of them
_RAYLEIGH_MEDIAN = 1.1774  # median of the length of a two-dimensional Gaussian with σ = 1


@dataclass(frozen=True, eq=False)
class _Views:
    """M points as the V cameras see them: positions in each camera's plane, weights (0: not seen) and their errors."""

    cameras: Cameras
    plane: Float[np.ndarray, "V M 2"]
    weight: Float[np.ndarray, "V M"]
    noise: Noise

    def chunks(self) -> Iterator[tuple[slice, "_Views"]]:
        for start in range(0, self.weight.shape[1], _CHUNK):
            points = slice(start, start + _CHUNK)
            yield points, _Views(self.cameras, self.plane[:, points], self.weight[:, points], self.noise[points])


def triangulate_points(
    xy: Float[np.ndarray, "V N K 2"],
    cameras: Cameras,
    *,
    weight: Float[np.ndarray, "V N K"] | None = None,
    deviation: ExpectedError | Float[np.ndarray, "V N K"] | None = None,
    quality: Float[np.ndarray, "V N K"] | None = None,
    method: Method = "robust",
    loss: Loss = "student-t",
    min_cameras: int = 2,
    **columns: Any,
) -> Poses3D:
    """Return the N poses of K keypoints in the world, metres.

    xy: (V, N, K, 2) image pixels, distortion included, in the order of `cameras`; NaN where a view has no keypoint.
    weight: (V, N, K), 0 or more, how far to trust each view's keypoint against the others': expected OPKS, or scores; 0
    or NaN leaves it out. deviation: (V, N, K), σ of its error along each axis, image pixels, or the mixture of
    `Poses.expected_error`. Where only one of both is given the other follows: weight = 1/σ² (of the whole mixture), or
    σ² ∝ 1/weight; with neither all views weigh the same. quality: (V, N, K), expected OPKS, 0–1; the result has the
    mean over the views used. `linear` leaves out no view and weighs all alike. loss: of `robust`; "mixture" needs a
    mixture as `deviation`. min_cameras: the number of views without which there is no point. columns: `frame`, `time`,
    `track_id`, `skeleton` of the result.

    The result's `camera_count` and `error` are of the views that agree: within 3σ of the point, or likelier good than
    gross errors; of all that see it where fewer than two agree. `covariance` is there if `deviation` is given: by
    `posterior.mixture_covariance` of a mixture, else that of the views that agree. A point behind a camera
    that sees it is NaN. Raises ValueError naming the argument if a shape is wrong.
    """
    error = deviation if isinstance(deviation, ExpectedError) else None
    sigma = error.std if error is not None else deviation
    assert not isinstance(sigma, ExpectedError)
    if error is not None and weight is None:
        weight = 1 / np.maximum(error.total_std, np.finfo(np.float64).tiny) ** 2
    _check(xy, cameras, {"weight": weight, "deviation": sigma, "quality": quality}, method, min_cameras)
    if loss == "mixture" and error is None:
        raise ValueError("loss: 'mixture' needs the ExpectedError of the views as deviation")
    views, n, k = xy.shape[:3]
    m = n * k
    xyz, distances = np.full((m, 3), np.nan), np.full(m, np.nan)
    used = np.zeros((views, m), np.bool_)
    covariance = None if deviation is None else np.full((m, 3, 3), np.nan)
    for points, chunk in _views(xy, cameras, weight, sigma, error, method, loss).chunks():
        xyz_of_chunk = _solve(chunk, method)
        xyz_of_chunk[(chunk.weight > 0).sum(axis=0) < min_cameras] = np.nan
        distance = errors(cameras, xyz_of_chunk, chunk.plane)
        xyz_of_chunk[(np.isnan(distance) & (chunk.weight > 0)).any(axis=0)] = np.nan  # behind a camera
        agreeing = _used(distance, chunk, method)
        agreeing[:, np.isnan(xyz_of_chunk[:, 0])] = False
        xyz[points], used[:, points] = xyz_of_chunk, agreeing
        distances[points] = np.sqrt(_mean_where(distance**2, agreeing))
        if covariance is not None:
            covariance[points] = _covariance(xyz_of_chunk, chunk, agreeing)
    return Poses3D(
        xyz.reshape(n, k, 3),
        quality=None if quality is None else _mean_where(quality.reshape(views, m), used).reshape(n, k),
        covariance=None if covariance is None else covariance.reshape(n, k, 3, 3),
        error=distances.reshape(n, k),
        camera_count=used.sum(axis=0).reshape(n, k),
        **columns,
    )


def _covariance(
    xyz: Float[np.ndarray, "M 3"], views: _Views, agreeing: Bool[np.ndarray, "V M"]
) -> Float[np.ndarray, "M 3 3"]:
    """Return the points' covariance, square metres; NaN if the views do not determine it."""
    noise = views.noise
    if noise.gross is None or noise.gross_precision is None:
        return full_matrix(covariance_of(xyz, np.where(agreeing, noise.precision, 0.0), views.cameras))
    residual, jacobian = np.empty((*noise.precision.shape, 2)), np.empty((*noise.precision.shape, 2, 3))
    for view, camera in enumerate(views.cameras):
        dx, dy, u, v, depth = reprojection(camera, xyz, views.plane[view])
        residual[view] = np.stack([-dx, -dy], axis=1)
        jacobian[view] = np.stack(_derivatives(camera, u, v, depth), axis=1)
    return full_matrix(mixture_covariance(residual, jacobian, noise))


def _check(
    xy: np.ndarray, cameras: Cameras, columns: dict[str, np.ndarray | None], method: str, min_cameras: int
) -> None:
    if xy.ndim != 4 or xy.shape[3] != 2 or len(xy) != len(cameras):
        raise ValueError(f"xy: expected ({len(cameras)} cameras, N, K, 2), got {xy.shape}")
    for name, array in columns.items():
        if array is not None and array.shape != xy.shape[:3]:
            raise ValueError(f"{name}: expected {xy.shape[:3]}, got {array.shape}")
    if method not in METHODS:
        raise ValueError(f"method: {expected_one_of(METHODS, method)}")
    if len(cameras) < 2 or not 2 <= min_cameras <= len(cameras):
        raise ValueError(f"min_cameras: expected 2 to {len(cameras)} cameras, got {min_cameras}")


def _views(
    xy: np.ndarray,
    cameras: Cameras,
    weight: np.ndarray | None,
    sigma: np.ndarray | None,
    error: ExpectedError | None,
    method: Method,
    loss: Loss,
) -> _Views:
    """Return the points in the cameras' planes, with weights and precisions that are 0 where a view is left out."""
    shape = (len(cameras), xy.shape[1] * xy.shape[2])
    flat = cameras.undistort(xy.reshape(*shape, 2).astype(np.float64))
    plane = np.stack([to_plane(camera, pixels) for camera, pixels in zip(cameras, flat, strict=True)])
    is_seen = np.asarray(np.isfinite(plane).all(axis=2))
    if weight is not None and method != "linear":
        weight = weight.reshape(shape).astype(np.float64)
        is_seen &= weight > 0
    precision = None if sigma is None else _precision(sigma, shape)
    if precision is not None and method != "linear":
        is_seen &= precision > 0
    plane[~is_seen] = 0.0
    relative = np.asarray(is_seen, dtype=np.float64)
    if method != "linear" and (weight is not None or precision is not None):
        trust = weight if weight is not None else precision
        assert trust is not None
        relative = np.where(is_seen, trust, 0.0)
    if precision is None:
        precision = np.asarray(relative * _noise(cameras, plane, relative))
    precision = np.where(is_seen, precision, 0.0)
    if error is None:
        return _Views(cameras, plane, relative, Noise(precision, loss))
    wide = np.where(is_seen, _precision(error.gross_std, shape), 0.0)
    gross = np.nan_to_num(error.gross.reshape(shape).astype(np.float64))
    return _Views(cameras, plane, relative, Noise(precision, loss, gross, wide))


def _precision(sigma: np.ndarray, shape: tuple[int, int]) -> Float[np.ndarray, "V M"]:
    """Return 1/σ²; 0 where σ is unknown, infinite or 0, which no error is."""
    sigma = sigma.reshape(shape).astype(np.float64)
    is_known = (sigma > 0) & np.isfinite(sigma)
    return np.where(is_known, 1 / np.square(np.where(is_known, sigma, 1.0)), 0.0)


def _noise(cameras: Cameras, plane: np.ndarray, weight: np.ndarray) -> float:
    """Return the factor from weights to 1/σ², from the reprojection errors of some points by `weighted`: half of the
    scaled errors of points that three or more views see are below a Gaussian's median. 1 without such points."""
    sample = np.flatnonzero((weight > 0).sum(axis=0) >= 3)
    sample = sample[:: max(1, len(sample) // _CHUNK)]
    if not len(sample):
        return 1.0
    plane, weight = plane[:, sample], weight[:, sample]
    scaled = errors(cameras, solve_linear(plane, weight, cameras), plane) * np.sqrt(weight)
    scaled = scaled[(weight > 0) & np.isfinite(scaled)]
    middle = float(np.median(scaled)) if len(scaled) else 0.0
    return (_RAYLEIGH_MEDIAN / max(middle, 1e-6)) ** 2


def _solve(views: _Views, method: Method) -> Float[np.ndarray, "M 3"]:
    if method in ("linear", "weighted"):
        return solve_linear(views.plane, views.weight, views.cameras)
    if method == "ransac":
        precision = views.noise.precision
        start = _best_start(views, lambda error: np.minimum(error**2 * precision, INLIER**2).sum(axis=0))
        agreeing = _used(errors(views.cameras, start, views.plane), views, method)
        again = solve_linear(views.plane, np.where(agreeing, views.weight, 0.0), views.cameras)
        return np.where(np.isfinite(again), again, start)
    return refine(_best_start(views, views.noise.cost), views.plane, views.noise, views.cameras)


def _best_start(views: _Views, loss: Callable[[np.ndarray], np.ndarray]) -> Float[np.ndarray, "M 3"]:
    """Return for each point the candidate with the smallest loss (M,) of distances (V, M), pixels: the weighted
    solution of all views, or of one pair of its most trusted views."""
    best = solve_linear(views.plane, views.weight, views.cameras)
    lowest = _loss_of(best, views, loss)
    count = len(views.weight)
    if count < 3:
        return best
    rank = np.argsort(np.argsort(-views.weight, axis=0, kind="stable"), axis=0)
    for pair in combinations(range(min(count, _MAX_VIEWS_IN_PAIRS)), 2):
        only = np.where((rank == pair[0]) | (rank == pair[1]), views.weight, 0.0)
        candidate = solve_linear(views.plane, only, views.cameras)
        its = _loss_of(candidate, views, loss)
        better = its < lowest
        best[better], lowest[better] = candidate[better], its[better]
    return best


def _loss_of(xyz: np.ndarray, views: _Views, loss: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    distance = errors(views.cameras, xyz, views.plane)
    lost = loss(np.where(views.weight > 0, distance, 0.0))
    return np.where(np.isnan(lost), np.inf, lost)


def _used(distance: Float[np.ndarray, "V M"], views: _Views, method: Method) -> Bool[np.ndarray, "V M"]:
    """Return the views that count as used for a point: those that agree, or all that see it where fewer than two do."""
    is_seen = views.weight > 0
    if method in ("linear", "weighted"):
        return is_seen
    agreeing = is_seen & (views.noise.goodness(distance**2) > 0.5)
    return np.where(agreeing.sum(axis=0) >= 2, agreeing, is_seen)


def _mean_where(values: np.ndarray, used: np.ndarray) -> Float[np.ndarray, " M"]:
    """Return the mean over the first axis of the values that are `used`; NaN without any."""
    count: Int[np.ndarray, " M"] = used.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return np.where(used, values, 0.0).sum(axis=0) / np.where(count > 0, count, np.nan)
