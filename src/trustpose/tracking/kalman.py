"""Kalman filter and smoother of many points at once, each moved by random forces.

A coordinate's state is its position and its first derivatives, the last of which is a Wiener process: with order 2 the
velocity is, so that forces are white noise (constant velocity), with order 3 the acceleration (constant acceleration).
Over a time h the state x goes to F x + w, with w of covariance λ Q (Bar-Shalom, Li & Kirubarajan, "Estimation with
Applications to Tracking and Navigation", 2001, section 6.2):

    F_ij = h^(j−i) / (j−i)!     Q_ij = h^(2m−1−i−j) / ((m−1−i)! (m−1−j)! (2m−1−i−j)),   i, j = 0 … m−1

A measurement is the position plus noise of variance r. Filter: Kalman's, from a diffuse prior. Smoother: de
Jong's backward recursion ("Smoothing and interpolation with the state-space model", JASA 1989), which needs no inverse
and also gives the error of each measurement when it is left out (de Jong & Penzer, "Diagnosing shocks in time series",
JASA 1998). x and y have the same variances, so these are computed once for both.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import factorial
from typing import Any

import numpy as np
from jaxtyping import Float

# Variance of the first state, in units of the measurements' and of time: large enough to bias nothing (by 1e-5 of a
# variance), and small enough that differences of numbers of this size keep six digits.
NOTHING_KNOWN = 1e5
_Matrix = list[list[Any]]  # m × m arrays (…)
Gate = Callable[[int, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Points:
    """T measurements of S points: `position` (T, S, 2), finite also where nothing was measured; its `variance` along
    each axis (T, S), there infinite; `step` (T, S), the time since the row before, of any value in the first row; and
    the `order` m of the motion, 2 or 3."""

    position: Float[np.ndarray, "T S 2"]
    variance: Float[np.ndarray, "T S"]
    step: Float[np.ndarray, "T S"]
    order: int = 2

    def motions(self) -> Iterator[tuple[_Matrix, _Matrix]]:
        """Yield F and Q for λ = 1 of the way to each row, computed once if all steps are equal."""
        steps = self.step[1:]
        if steps.size and (steps == steps.flat[0]).all():
            common = motion(steps.flat[0], self.order)
            yield from (common for _ in self.step)
        else:
            yield from (motion(step, self.order) for step in self.step)


@dataclass(frozen=True, eq=False)
class Path:
    """The smoothed path of S points at T times: position (T, S, 2) and its variance along each axis (T, S).

    `left_out` (T, S, 2) is each measurement minus the position that all others predict there, and `left_out_variance`
    (T, S) the variance of that difference, the measurement's own included; infinite or NaN where nothing was measured.
    """

    position: Float[np.ndarray, "T S 2"]
    variance: Float[np.ndarray, "T S"]
    left_out: Float[np.ndarray, "T S 2"]
    left_out_variance: Float[np.ndarray, "T S"]


@dataclass(frozen=True, eq=False)
class Row:
    """One row of the filter: the position (…, S, 2) expected before its measurement, the first row of the covariance,
    m × (…, S), the measurement's variance (…, S), innovation (…, S, 2) and 1 / the innovation's variance (…, S)."""

    mean: Any
    column: list[np.ndarray]
    variance: np.ndarray
    innovation: np.ndarray
    inverse: np.ndarray


def motion(step: Any, order: int) -> tuple[_Matrix, _Matrix]:
    """Return F (the part below its diagonal is 0 and must not be used) and Q for λ = 1, for a time `step` of any
    shape: the equations at the top of this module."""
    every, last = range(order), order - 1
    move = [[step ** max(j - i, 0) / factorial(max(j - i, 0)) for j in every] for i in every]
    force = [
        [
            step ** (2 * order - 1 - i - j) / (factorial(last - i) * factorial(last - j) * (2 * order - 1 - i - j))
            for j in every
        ]
        for i in every
    ]
    return move, force


def filter_points(points: Points, density: Float[np.ndarray, "*G S"], gate: Gate | None = None) -> Iterator[Row]:
    """Run the filter for λ = `density` (…, S), row by row. `gate` (t, innovation, variance of the expected position)
    gives the variance (…, S) to take for the measurement of row t, in place of `points.variance`."""
    m, shape = points.order, density.shape
    finite = np.isfinite(points.variance)
    total = np.where(finite, points.variance, 0).sum(axis=0)
    scale = NOTHING_KNOWN * np.where(total > 0, total / np.maximum(finite.sum(axis=0), 1), 1.0)
    mean: list[Any] = [np.zeros((*shape, 2)) for _ in range(m)]
    first = np.argmax(finite, axis=0)  # near the first measurement, so that no digits are lost
    mean[0] = mean[0] + np.take_along_axis(points.position, first[None, :, None], axis=0)[0]
    covariance: _Matrix = [[np.zeros(shape) + (scale if i == j else 0.0) for j in range(m)] for i in range(m)]
    for t, (move, force) in enumerate(points.motions()):
        if t:
            mean = [sum(move[i][j][..., None] * mean[j] for j in range(i, m)) for i in range(m)]
            covariance = _moved(move, force, covariance, density, m)
        column = covariance[0]
        innovation = points.position[t] - mean[0]
        variance = points.variance[t] if gate is None else gate(t, innovation, column[0])
        inverse = 1 / (column[0] + variance)
        yield Row(mean[0], column, variance, innovation, inverse)
        mean = [one + (c * inverse)[..., None] * innovation for one, c in zip(mean, column, strict=True)]
        covariance = _symmetric(m, lambda i, j, p=covariance, s=inverse: p[i][j] - p[0][i] * p[0][j] * s)


def _moved(move: _Matrix, force: _Matrix, covariance: _Matrix, density: np.ndarray, m: int) -> _Matrix:
    """Return F P Fᵀ + λ Q."""
    half = [[sum(move[i][k] * covariance[k][j] for k in range(i, m)) for j in range(m)] for i in range(m)]
    return _symmetric(m, lambda i, j: sum(half[i][k] * move[j][k] for k in range(j, m)) + density * force[i][j])


def _symmetric(m: int, entry: Callable[[int, int], Any]) -> _Matrix:
    upper = {(i, j): entry(i, j) for i in range(m) for j in range(i, m)}
    return [[upper[min(i, j), max(i, j)] for j in range(m)] for i in range(m)]


def smooth_points(points: Points, density: Float[np.ndarray, " S"]) -> Path:
    """Return the expected positions given all measurements; `density` (S,) is λ.

    Backwards, with s = Fᵀ ρ and W = Fᵀ N F of the row after, the gain k = p / S, and p the first row of the covariance,
    f that after the measurement: position = mean + k₀ ν + f s, variance = f₀ − f W f; u = ν / S − k s and M = 1 / S +
    k W k give what is left out, u / M, of variance 1 / M; then ρ = s + u e₀ and N = (I − k e₀ᵀ)ᵀ W (I − k e₀ᵀ) +
    e₀ e₀ᵀ / S.
    """
    m, (count, size) = points.order, points.variance.shape
    forward = list(filter_points(points, density))
    path = Path(*(np.empty((count, size, *tail)) for tail in ((2,), (), (2,), ())))
    rho: list[Any] = [np.zeros((size, 2)) for _ in range(m)]
    total: _Matrix = [[np.zeros(size) for _ in range(m)] for _ in range(m)]
    moves = [move for move, _ in points.motions()]
    for t in range(count - 1, -1, -1):
        if t < count - 1:
            rho, total = _moved_back(moves[t + 1], rho, total, m)
        row = forward[t]
        gain = [one * row.inverse for one in row.column]
        is_seen = np.isfinite(row.variance)
        kept = np.where(is_seen, np.where(is_seen, row.variance, 0) * row.inverse, 1.0)  # 1 − k₀
        after = [one * kept for one in row.column]
        drawn = sum(one[:, None] * s for one, s in zip(after, rho, strict=True))
        path.position[t] = row.mean + gain[0][:, None] * row.innovation + drawn
        spread = sum(after[i] * total[i][j] * after[j] for i in range(m) for j in range(m))
        path.variance[t] = np.maximum(after[0] - spread, 0)
        along = [sum(total[i][j] * gain[j] for j in range(m)) for i in range(m)]  # W k
        big = row.inverse + sum(k * one for k, one in zip(gain, along, strict=True))
        u = row.innovation * row.inverse[:, None] - sum(k[:, None] * s for k, s in zip(gain, rho, strict=True))
        with np.errstate(divide="ignore", invalid="ignore"):
            path.left_out[t], path.left_out_variance[t] = u / big[:, None], 1 / big
        side = [total[0][i] - along[i] for i in range(m)]
        rho = [rho[0] + u, *rho[1:]]
        total = _symmetric(
            m, lambda i, j, w=total, e=side, a=along[0], b=big: w[i][j] if i else e[j] if j else e[0] - a + b
        )
    return path


def _moved_back(move: _Matrix, rho: list[Any], total: _Matrix, m: int) -> tuple[list[Any], _Matrix]:
    """Return Fᵀ ρ and Fᵀ N F."""
    half = [[sum(move[k][i] * total[k][j] for k in range(i + 1)) for j in range(m)] for i in range(m)]
    back = [sum(move[k][i][..., None] * rho[k] for k in range(i + 1)) for i in range(m)]
    return back, [[sum(half[i][k] * move[k][j] for k in range(j + 1)) for j in range(m)] for i in range(m)]
