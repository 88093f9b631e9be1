"""Triangulation: world coordinates of keypoints from several calibrated cameras.

    poses = triangulate_points(xy, cameras, weight=quality, deviation=sigma)      # xy (V, N, K, 2) -> Poses3D

| method | what it minimises |
|---|---|
| linear | the algebraic error of all views alike (DLT) |
| weighted | the same, each view times its weight |
| ransac | the same, of the views that agree with the best pair of views: all pairs are tried, none at random |
| robust | −log p of the reprojection errors, each view with its own σ (`noise`), from the best of those starts |

Sources: Hartley and Zisserman, chapter 12; Fischler and Bolles 1981, with the truncated cost of Torr and Zisserman 2000
(MSAC); `refinement` for robust.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.geometry.cameras import Cameras
from trustpose.multiview.linear import full_matrix, solve_linear, to_plane
from trustpose.multiview.noise import INLIER, Loss, Noise
from trustpose.multiview.refinement import covariance_of, errors, refine
from trustpose.names import expected_one_of
from trustpose.poses import ExpectedError, Poses3D

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
    gross errors; of all that see it where fewer than two agree. `covariance` is there if `deviation` is given. A point
    behind a camera that sees it is NaN. Raises ValueError naming the argument if a shape is wrong.
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
    covariance = None if deviation is None else np.full((m, 6), np.nan)
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
            covariance[points] = covariance_of(xyz_of_chunk, np.where(agreeing, chunk.noise.precision, 0.0), cameras)
    return Poses3D(
        xyz.reshape(n, k, 3),
        quality=None if quality is None else _mean_where(quality.reshape(views, m), used).reshape(n, k),
        covariance=None if covariance is None else full_matrix(covariance).reshape(n, k, 3, 3),
        error=distances.reshape(n, k),
        camera_count=used.sum(axis=0).reshape(n, k),
        **columns,
    )


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
