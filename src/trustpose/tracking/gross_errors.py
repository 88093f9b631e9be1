"""Smoothing where some measurements are gross errors, and estimating a clip's noise.

A measurement's error is good (variance c r) with probability 1 − p and gross (variance g) with probability p. The
responsibility of the good part, w, is the probability that a measurement is good given how far it is from where all
others expect it; it then counts with precision w / (c r) + (1 − w) / g. Smoothing and responsibilities take turns: an
expectation-maximisation in which each measurement is judged by the others alone.

λ (the random force) and c are those of the highest likelihood, from a grid: the filter runs for every pair at once, and
a measurement's density is that of the mixture. c r is the variance of the part of the error that changes from frame to
frame. A constant error, such as that of a network that always predicts the shoulder too low, cannot be seen in a
sequence, so c is below 1 where r is the variance of the whole error.

A joint that lies still for most of a clip has a small λ, and a fast movement of a few frames is then as far from the
expected path as a gross error. But a gross error jumps, and a movement goes there and back step by step
(`fast_movement`).
"""

import warnings
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.tracking.kalman import Path, Points, filter_points, smooth_points

FORCES = np.logspace(-8, 2, 21)  # λ / c of the grid, in units of r averaged over a point's measurements
SCALES = np.logspace(-3, 1, 9)  # c of the grid
MAX_ROWS = 1000  # rows that the grid reads, those in the middle
POOLED = 20  # the log likelihood of a point's group, scaled to so many measurements, is added to the point's own
SCREEN = 7  # rows whose median is taken
ROUNDS = 4  # of smoothing and responsibilities
SHORTEST_MOVEMENT, LONGEST_STEP = 3, 0.6  # rows; of the movement's largest distance from the smoothed path
_MIN_DENSITY = 1e-300


@dataclass(frozen=True, eq=False)
class Measured:
    """Measurements with gross errors: `points` with the variances r of good ones, and, both (T, S), the probability
    `gross` of a gross error, 0–1, and its variance, infinite too where nothing was measured."""

    points: Points
    gross: Float[np.ndarray, "T S"]
    gross_variance: Float[np.ndarray, "T S"]

    @property
    def seen(self) -> np.ndarray:
        """Whether each point was measured (T, S)."""
        return np.isfinite(self.points.variance)

    def rows(self, rows: slice) -> "Measured":
        """Return some rows, or all of them backwards."""
        columns = self.points.position, self.points.variance, self.points.step
        position, variance, step = (column[rows] for column in columns)
        if rows.step == -1:  # the time since the row before is then that to the row after
            step = np.concatenate([step[-1:], step[:-1]])
        points = replace(self.points, position=position, variance=variance, step=step)
        return Measured(points, self.gross[rows], self.gross_variance[rows])


@dataclass(frozen=True, eq=False)
class MotionNoise:
    """λ / c, in pixels² per frame^(2m−1), and c, of S points."""

    force: Float[np.ndarray, " S"]
    scale: Float[np.ndarray, " S"]


@dataclass(frozen=True, eq=False)
class RobustPath:
    """The path of `kalman.smooth_points`, through the measurements themselves in a `fast_movement`; the probability
    (T, S) that each measurement is good, 0 without one; and `staying` (T, S), the variance of an error that stays over
    time, (1 − c) r of each measurement: as such errors add up, the path has the same average of them as of the
    measurements."""

    path: Path
    good: Float[np.ndarray, "T S"]
    staying: Float[np.ndarray, "T S"]


def smooth_measured(measured: Measured, noise: MotionNoise) -> RobustPath:
    """Return the smoothed path of S points from measurements of which some may be gross errors."""
    points = replace(measured.points, variance=measured.points.variance * noise.scale)
    scaled, density, seen = replace(measured, points=points), noise.force * noise.scale, measured.seen
    # Good if it fits the rows before it or those after it: a point that starts to move fast is no gross error.
    screened = _screened(scaled)
    good = np.maximum(_gated(screened, density), _gated(screened.rows(slice(None, None, -1)), density)[::-1])
    for _ in range(ROUNDS):
        variance = _effective_variance(points.variance, scaled.gross_variance, good)
        path = smooth_points(replace(points, variance=variance), density)
        square = np.where(seen, (path.left_out**2).sum(axis=-1), 0)
        prediction_variance = np.where(seen, path.left_out_variance, 0) - np.where(seen, variance, 0)
        good = _responsibility(square, np.maximum(prediction_variance, 0), scaled)[0]
    variance = _effective_variance(points.variance, scaled.gross_variance, good)
    std = np.sqrt(np.where(seen, measured.points.variance, 0) * np.maximum(1 - noise.scale, 0))
    average = smooth_points(replace(points, position=np.stack([std, std], axis=-1), variance=variance), density)
    path = smooth_points(replace(points, variance=variance), density)
    moving = fast_movement(points.position, path.position, seen, good)
    position = np.where(moving[..., None], points.position, path.position)
    path = replace(path, position=position, variance=np.where(moving, points.variance, path.variance))
    return RobustPath(path, np.where(moving, 1.0, good), average.position[..., 0] ** 2)


def fast_movement(
    position: Float[np.ndarray, "T S 2"],
    expected: Float[np.ndarray, "T S 2"],
    seen: Bool[np.ndarray, "T S"],
    good: Float[np.ndarray, "T S"],
) -> Bool[np.ndarray, "T S"]:
    """Return which measurements that count as gross errors (`good` below one half) are a movement: three or more in
    successive rows, between good ones, with no step longer than 0.6 of their largest distance from the smoothed path
    `expected`."""
    rejected = seen & (good < 0.5)
    distance = np.where(rejected, np.linalg.norm(position - expected, axis=-1), 0.0)
    step = np.linalg.norm(np.diff(position, axis=0), axis=-1)  # (T - 1, S) from each row to the next
    movement = np.zeros(rejected.shape, np.bool_)
    for point in np.flatnonzero(rejected.sum(axis=0) >= SHORTEST_MOVEMENT).tolist():
        edges = np.flatnonzero(np.diff(rejected[:, point].astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
        for start, end in edges.tolist():
            inside = 0 < start and end < len(rejected) and seen[[start - 1, end], point].all()
            longest = LONGEST_STEP * distance[start:end, point].max()
            if end - start >= SHORTEST_MOVEMENT and inside and step[start - 1 : end, point].max() <= longest:
                movement[start:end, point] = True
    return movement


def estimate_noise(measured: Measured, group: Int[np.ndarray, " S"]) -> MotionNoise:
    """Return the λ / c and c of highest likelihood of S points. Those of one `group` (S,), such as a joint, share a
    prior worth `POOLED` measurements, so that a short track gets values usual for its group."""
    measured = _screened(measured)
    extra = max(0, len(measured.gross) - MAX_ROWS)
    measured = measured.rows(slice(extra // 2, len(measured.gross) - (extra - extra // 2)))
    seen = measured.seen
    r = np.where(seen, measured.points.variance, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    unit = np.where(r > 0, r, 1.0)
    table, count = _likelihoods(measured, unit)  # (forces, scales, S)
    for group_id in np.unique(group):
        rows = group == group_id
        total = max(float(count[rows].sum()), 1.0)
        table[..., rows] += table[..., rows].sum(axis=2, keepdims=True) * (POOLED / total)
    points = np.arange(table.shape[2])
    a, b = np.unravel_index(table.reshape(-1, len(points)).argmax(axis=0), table.shape[:2])
    force = _peak(np.log(FORCES), np.moveaxis(table[:, b, points], 0, -1), a)
    scale = _peak_of_variance(np.log(SCALES), table[a, :, points], b)
    return MotionNoise(np.exp(force) * unit, np.exp(scale))


def _screened(measured: Measured) -> Measured:
    """Return the measurements with a higher probability of a gross error where they are far from the median of their
    neighbours: a filter that begins at a gross error would not find back for long."""
    seen = measured.seen[..., None]
    ends = ((SCREEN // 2, SCREEN // 2), (0, 0), (0, 0))
    around = np.pad(np.where(seen, measured.points.position, np.nan), ends, constant_values=np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no measurement around
        median = np.nanmedian(np.lib.stride_tricks.sliding_window_view(around, SCREEN, axis=0), axis=-1)
        square = np.where(seen, (measured.points.position - median) ** 2, np.nan).sum(axis=-1)
        usual = np.nanmedian(square, axis=0) / (2 * np.log(2))  # of Rayleigh's distribution
    points = replace(measured.points, variance=np.where(measured.seen, 4 * np.nan_to_num(usual) + _MIN_DENSITY, np.inf))
    good = _responsibility(np.nan_to_num(square), np.zeros(()), replace(measured, points=points))[0]
    return replace(measured, gross=np.where(measured.seen, 1 - good, measured.gross))


def _peak(grid: np.ndarray, values: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Return where (S,) the parabola through the best value (S, G) and its neighbours is highest."""
    inner, rows = np.clip(best, 1, len(grid) - 2), np.arange(len(best))
    before, centre, after = (values[rows, inner + shift] for shift in (-1, 0, 1))
    bend = before - 2 * centre + after
    offset = np.where(bend < 0, (before - after) / (2 * np.where(bend < 0, bend, 1)), 0)
    return np.where(best == inner, grid[inner] + np.clip(offset, -1, 1) * (grid[1] - grid[0]), grid[best])


def _peak_of_variance(grid: np.ndarray, values: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Like `_peak` for the log of a variance: through three points goes −n (x + exp(x₀ − x)), a Gaussian's log
    likelihood, whose highest point is x₀."""
    inner, rows, step = np.clip(best, 1, len(grid) - 2), np.arange(len(best)), grid[1] - grid[0]
    below, above = (values[rows, inner + shift] - values[rows, inner] for shift in (-1, 1))
    bottom = above * np.expm1(step) - below * np.expm1(-step)
    ratio = step * (below + above) / np.where(bottom < 0, bottom, -1)
    is_peak = (best == inner) & (bottom < 0) & (ratio > 0)
    return np.where(is_peak, grid[inner] + np.clip(np.log(np.where(is_peak, ratio, 1)), -step, step), grid[best])


def _likelihoods(measured: Measured, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the log likelihood of every λ / c, c and point, and the number of measurements (S,)."""
    points, seen = measured.points, measured.seen
    scale = SCALES[:, None]
    counted = seen & (np.cumsum(seen, axis=0) > points.order)  # the first ones determine the state
    table = np.zeros((len(FORCES), len(SCALES), len(unit)))

    def gate(t: int, innovation: np.ndarray, expected: np.ndarray) -> np.ndarray:
        row = _Row(scale * points.variance[t], measured.gross[t], measured.gross_variance[t])
        good, density = _responsibility((innovation**2).sum(axis=-1), expected, row)
        table[...] += np.where(counted[t], np.log(density), 0)
        return _effective_variance(row.variance, row.gross_variance, good)

    for _ in filter_points(points, FORCES[:, None, None] * scale * unit, gate):
        pass
    return table, counted.sum(axis=0)


def _gated(measured: Measured, density: np.ndarray) -> np.ndarray:
    """Return the responsibilities (T, S) of the filter: each measurement judged by those before it."""
    good = np.zeros(measured.gross.shape)

    def gate(t: int, innovation: np.ndarray, expected: np.ndarray) -> np.ndarray:
        row = _Row(measured.points.variance[t], measured.gross[t], measured.gross_variance[t])
        good[t] = _responsibility((innovation**2).sum(axis=-1), expected, row)[0]
        return _effective_variance(row.variance, row.gross_variance, good[t])

    for _ in filter_points(measured.points, density, gate):
        pass
    return good


@dataclass(frozen=True, eq=False)
class _Row:
    """One row of measurements: variance, P(gross error), its variance."""

    variance: np.ndarray
    gross: np.ndarray
    gross_variance: np.ndarray


def _responsibility(
    square: np.ndarray, expected: np.ndarray, measured: "_Row | Measured"
) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability that measurements are good, 0 without one, and the density of the mixture, from the
    squared distance to an expected position and the variance of that position."""
    variance = measured.variance if isinstance(measured, _Row) else measured.points.variance
    seen = np.isfinite(variance)
    parts = []
    for share, component_variance in ((1 - measured.gross, variance), (measured.gross, measured.gross_variance)):
        total = np.maximum(np.where(seen, component_variance, 1.0) + expected, _MIN_DENSITY)
        parts.append(share / (2 * np.pi * total) * np.exp(-square / (2 * total)))
    density = np.maximum(parts[0] + parts[1], _MIN_DENSITY)
    return np.where(seen, parts[0] / density, 0.0), density


def _effective_variance(variance: np.ndarray, gross_variance: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Return the effective variance of the measurements: 1 / (w / (c r) + (1 − w) / g)."""
    with np.errstate(divide="ignore"):
        return 1 / (good / variance + (1 - good) / gross_variance)
