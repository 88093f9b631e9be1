"""Kalman filter and smoother of many points at once, each moved by random forces.

A coordinate's state is its position and its first derivatives, the last of which is a Wiener process: with order 2 the
velocity is, so that forces are white noise (constant velocity), with order 3 the acceleration (constant acceleration).
Over a time h the state x goes to F x + w, with w of covariance λ Q (Bar-Shalom, Li & Kirubarajan, "Estimation with
Applications to Tracking and Navigation", 2001, section 6.2):

    F_ij = h^(j−i) / (j−i)!     Q_ij = h^(2m−1−i−j) / ((m−1−i)! (m−1−j)! (2m−1−i−j)),   i, j = 0 … m−1

A measurement is the position plus noise of variance r. Filter: Kalman's, from a diffuse prior. Smoother: the filter
forwards and backwards, and the two combined at each time (Fraser & Potter, "The optimum linear smoother as a
combination of two optimum linear filters", IEEE Transactions on Automatic Control 1969). It also gives the error of
each measurement when it is left out (de Jong & Penzer, "Diagnosing shocks in time series", JASA 1998) and takes no
difference of large numbers, as recursions from the filter's last row do: after two measurements and a gap the
acceleration is all but unknown, and these lose all digits. x and y have the same variances, so these are computed
once for both.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import factorial
from typing import Any

import numpy as np
from jaxtyping import Float

# Variance of the first state, in units of the measurements' and of time: large enough to bias nothing (by 1e-7 of a
# variance), and small enough that a gap of ten rows, which multiplies it by 1e4, leaves five digits.
DIFFUSE_SCALE = 1e7
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
    (T, S) the variance of that difference, the measurement's own included; infinite where nothing was measured.
    """

    position: Float[np.ndarray, "T S 2"]
    variance: Float[np.ndarray, "T S"]
    left_out: Float[np.ndarray, "T S 2"]
    left_out_variance: Float[np.ndarray, "T S"]


@dataclass(frozen=True, eq=False)
class Row:
    """One row of the filter: the state expected before its measurement, m × (…, S, 2), and its covariance,
    m × m × (…, S); the measurement's variance (…, S), innovation (…, S, 2) and 1 / the innovation's variance (…, S)."""

    mean: list[Any]
    covariance: _Matrix
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
    scale = DIFFUSE_SCALE * np.where(total > 0, total / np.maximum(finite.sum(axis=0), 1), 1.0)
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
        yield Row(mean, covariance, variance, innovation, inverse)
        mean = [derivative + (c * inverse)[..., None] * innovation for derivative, c in zip(mean, column, strict=True)]
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

    The state at a time predicted from the measurements before it, with mean a and covariance A, and the one predicted
    from those after it, with b and B, combine to a + A (A + B)⁻¹ (b − a), of covariance A (A + B)⁻¹ B: the estimate
    with the measurement of that time left out.
    """
    path = Path(*(np.empty((*points.variance.shape, *tail)) for tail in ((2,), (), (2,), ())))
    forward = list(filter_points(points, density))
    backward = filter_points(_reversed(points), density)
    for t, before, after in zip(range(len(forward) - 1, -1, -1), reversed(forward), backward, strict=True):
        mean, variance = _leave_one_out(before, after, points.order)
        path.left_out[t], path.left_out_variance[t] = points.position[t] - mean, variance + points.variance[t]
        gain = variance / path.left_out_variance[t]
        path.position[t] = mean + gain[:, None] * path.left_out[t]
        path.variance[t] = variance * (1 - gain)
    return path


def _reversed(points: Points) -> Points:
    """Return the points with time running backwards: the same kind of motion, odd derivatives of the other sign."""
    step = np.roll(points.step[::-1], 1, axis=0)  # the time since the row that is now before
    return Points(points.position[::-1], points.variance[::-1], step, points.order)


def _leave_one_out(before: Row, after: Row, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the position (S, 2) that the measurements before a time and those after it predict there, and its
    variance (S,). `after` is a row of the filter of the reversed points."""
    sign = [(-1) ** i for i in range(m)]
    a = before.covariance
    b = [[sign[i] * sign[j] * after.covariance[i][j] for j in range(m)] for i in range(m)]
    right = [
        np.stack([*np.moveaxis(sign[i] * after.mean[i] - before.mean[i], -1, 0), b[i][0]], axis=-1) for i in range(m)
    ]
    solved = _solve([[a[i][j] + b[i][j] for j in range(m)] for i in range(m)], right, m)
    combined: Any = sum(a[0][i][..., None] * solved[i] for i in range(m))  # (S, 3): A (A + B)⁻¹ [b − a, B e₀]
    return before.mean[0] + combined[..., :2], combined[..., 2]


def _solve(matrix: _Matrix, right: list[Any], m: int) -> list[Any]:
    """Return X with `matrix` X = `right`, m × (S, 3): symmetric and positive definite, so by L D Lᵀ without pivots."""
    rest, lower, right = [list(row) for row in matrix], {}, list(right)
    for k in range(m):
        for i in range(k + 1, m):
            lower[i, k] = rest[i][k] / rest[k][k]
            right[i] = right[i] - lower[i, k][..., None] * right[k]
            for j in range(k + 1, i + 1):
                rest[i][j] = rest[i][j] - lower[i, k] * rest[j][k]
    solution: list[Any] = [right[k] / rest[k][k][..., None] for k in range(m)]
    for k in range(m - 2, -1, -1):
        solution[k] = solution[k] - sum(lower[i, k][..., None] * solution[i] for i in range(k + 1, m))
    return solution
