"""The Kalman smoother against the normal equations of the same Gaussian model, and what any smoother must do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from trustpose.tracking.gross_errors import Measured, estimate_noise, smooth_measured
from trustpose.tracking.kalman import Points, filter_points, motion, smooth_points


def walks(seed: int, count: int, points: int, order: int) -> tuple[Points, np.ndarray]:
    """Points that wander, measured with uneven noise at uneven times, some of them not; and λ."""
    generator = np.random.default_rng(seed)
    position = np.cumsum(np.cumsum(generator.normal(size=(count, points, 2)), axis=0), axis=0)
    variance = generator.uniform(0.5, 4, (count, points))
    variance[generator.uniform(size=variance.shape) < 0.2] = np.inf
    variance[:2] = 1.0
    step = generator.choice([1.0, 2.0, 0.5], (count, points))
    return Points(position, variance, step, order), generator.choice([0.05, 1.0, 10.0], points)


def normal_equations(points: Points, density: np.ndarray, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Least squares of all states of one point, weighted by the inverse covariances: positions (T, 2), variances (T,).

    The precision of the joint Gaussian of all states, built from one row per measurement and one block per step.
    """
    m, count = points.order, len(points.variance)
    precision, right = np.zeros((count * m, count * m)), np.zeros((count * m, 2))
    for t in range(count):
        if np.isfinite(points.variance[t, index]):
            precision[t * m, t * m] += 1 / points.variance[t, index]
            right[t * m] += points.position[t, index] / points.variance[t, index]
        if t:
            move, force = motion(points.step[t, index], m)
            change = np.zeros((m, count * m))
            change[:, t * m : t * m + m], change[:, t * m - m : t * m] = np.eye(m), -np.triu(np.array(move, float))
            precision += change.T @ np.linalg.inv(density[index] * np.array(force, float)) @ change
    return np.linalg.solve(precision, right)[::m], np.diag(np.linalg.inv(precision))[::m]


@pytest.mark.parametrize("order", [2, 3])
def test_positions_and_variances_are_those_of_the_normal_equations(order: int) -> None:
    points, density = walks(order, 40, 4, order)
    path = smooth_points(points, density)
    for index in range(4):
        position, variance = normal_equations(points, density, index)
        np.testing.assert_allclose(path.position[:, index], position, rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(path.variance[:, index], variance, rtol=1e-4)


@pytest.mark.parametrize("order", [2, 3])
def test_after_two_measurements_and_a_gap_nothing_is_lost(order: int) -> None:
    """The derivatives are all but unknown in such a gap, so that variances there are differences of large numbers."""
    points, density = walks(order, 30, 3, order)
    points.variance[2:14] = np.inf
    points.variance[14:] = 1.0
    points = Points(points.position, points.variance, np.ones_like(points.step), order)
    path = smooth_points(points, density)
    for index in range(3):
        position, variance = normal_equations(points, density, index)
        np.testing.assert_allclose(path.position[:, index], position, atol=1e-4)
        np.testing.assert_allclose(path.variance[:, index], variance, rtol=1e-4)


@pytest.mark.parametrize("order", [2, 3])
def test_a_measurement_left_out_is_predicted_as_without_it(order: int) -> None:
    points, density = walks(order, 25, 3, order)
    path = smooth_points(points, density)
    for t, index in np.argwhere(np.isfinite(points.variance[5:]))[::7]:
        without = points.variance.copy()
        without[t + 5, index] = np.inf
        smoothed_points = smooth_points(Points(points.position, without, points.step, order), density)
        left_out = points.position[t + 5, index] - smoothed_points.position[t + 5, index]
        np.testing.assert_allclose(path.left_out[t + 5, index], left_out, rtol=1e-5, atol=1e-5)
        variance = smoothed_points.variance[t + 5, index] + points.variance[t + 5, index]
        np.testing.assert_allclose(path.left_out_variance[t + 5, index], variance, rtol=1e-5)


def test_innovations_have_the_density_of_all_measurements_together() -> None:
    """The product of the innovations' densities is that of the measurements' joint Gaussian (scipy's): of those after
    the first two, given these."""
    points, density = walks(5, 12, 1, 2)
    points = Points(points.position, np.where(np.isinf(points.variance), 2.0, points.variance), points.step)
    rows = list(filter_points(points, density))
    found = sum(float(multivariate_normal.logpdf(row.innovation[0], [0, 0], 1 / row.inverse[0])) for row in rows[2:])
    covariance = joint_covariance(points, density)
    whole, first = (sum(joint_density(points, covariance, n, axis) for axis in (0, 1)) for n in (12, 2))
    np.testing.assert_allclose(found, whole - first, rtol=1e-3)


def joint_covariance(points: Points, density: np.ndarray, wide: float = 1e6) -> np.ndarray:
    """The covariance of all measurements of the only point, states multiplied out from a first one of variance
    `wide`."""
    count, states = len(points.variance), []
    blocks = [[np.zeros((2, 2)) for _ in range(count)] for _ in range(count)]
    for t in range(count):
        move, force = (np.array(one, float) for one in motion(points.step[t, 0], 2))
        move = np.triu(move)
        states.append(np.eye(2) * wide if t == 0 else move @ states[-1] @ move.T + density[0] * force)
        blocks[t][t] = states[-1]
        for s in range(t):
            blocks[t][s] = move @ blocks[t - 1][s]
    position = np.array([[blocks[max(s, t)][min(s, t)][0, 0] for s in range(count)] for t in range(count)])
    return position + np.diag(points.variance[:, 0])


def joint_density(points: Points, covariance: np.ndarray, count: int, axis: int) -> float:
    return float(
        multivariate_normal.logpdf(points.position[:count, 0, axis], np.zeros(count), covariance[:count, :count])
    )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), order=st.sampled_from([2, 3]))
def test_without_noise_the_path_is_the_measurements(seed: int, order: int) -> None:
    points, density = walks(seed, 15, 2, order)
    seen = np.isfinite(points.variance)
    path = smooth_points(Points(points.position, np.where(seen, 1e-10, np.inf), points.step, order), density)
    np.testing.assert_allclose(path.position[seen], points.position[seen], atol=1e-4)
    assert (path.variance[seen] < 1e-8).all() and (path.variance[~seen] > 1e-8).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_noise_without_end_gives_a_straight_line(seed: int) -> None:
    """Forces too weak to be seen: the regression line, weighted, of numpy."""
    points, _ = walks(seed, 15, 1, 2)
    path = smooth_points(points, np.full(1, 1e-9))
    time = np.cumsum(points.step[:, 0])
    seen = np.isfinite(points.variance[:, 0])
    for axis in (0, 1):
        weights = 1 / np.sqrt(points.variance[seen, 0])
        line = np.polyfit(time[seen], points.position[seen, 0, axis], 1, w=weights)
        np.testing.assert_allclose(path.position[:, 0, axis], np.polyval(line, time), atol=2e-2, rtol=1e-3)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), order=st.sampled_from([2, 3]))
def test_time_may_run_backwards(seed: int, order: int) -> None:
    points, density = walks(seed, 20, 2, order)
    points = Points(points.position, points.variance, np.ones_like(points.step), order)
    points.variance[-2:] = 1.0
    back = Points(points.position[::-1], points.variance[::-1], points.step, order)
    first, second = smooth_points(points, density), smooth_points(back, density)
    np.testing.assert_allclose(second.position[::-1], first.position, atol=1e-4)
    np.testing.assert_allclose(second.variance[::-1], first.variance, rtol=1e-4)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), length=st.integers(2, 9), order=st.sampled_from([2, 3]))
def test_in_a_gap_the_uncertainty_grows_and_then_shrinks(seed: int, length: int, order: int) -> None:
    points, density = walks(seed, 30, 1, order)
    variance = np.ones((30, 1))
    variance[10 : 10 + length] = np.inf
    path = smooth_points(Points(points.position, variance, np.ones((30, 1)), order), density)
    std = path.variance[9 : 11 + length, 0]
    top = int(np.argmax(std))
    assert 0 < top < len(std) - 1
    assert (np.diff(std[: top + 1]) > 0).all() and (np.diff(std[top:]) < 0).all()


def simulated(gross: float) -> tuple[Measured, np.ndarray, np.ndarray]:
    """Points with forces of λ = 0.02 and good errors of 0.25 of the stated variance, and a share of gross errors."""
    generator = np.random.default_rng(3)
    count, points = 400, 12
    true, velocity = np.zeros((count, points, 2)), np.zeros((points, 2))
    root = np.linalg.cholesky(0.02 * np.array(motion(1.0, 2)[1], float))
    for t in range(1, count):
        kick = generator.normal(size=(points, 2, 2)) @ root.T
        true[t], velocity = true[t - 1] + velocity + kick[..., 0], velocity + kick[..., 1]
    variance = generator.uniform(1, 9, (count, points))
    is_gross = generator.uniform(size=variance.shape) < gross
    std = np.where(is_gross, 40.0, np.sqrt(0.25 * variance))
    measured = true + generator.normal(size=true.shape) * std[..., None]
    points = Points(measured, variance, np.ones_like(variance))
    return Measured(points, np.full_like(variance, max(gross, 1e-4)), np.full_like(variance, 1600.0)), true, is_gross


@pytest.mark.parametrize("gross", [0.0, 0.2])
def test_the_clip_says_its_noise_and_which_measurements_are_gross(gross: float) -> None:
    measured, true, is_gross = simulated(gross)
    noise = estimate_noise(measured, np.arange(12))
    assert np.median(noise.scale) == pytest.approx(0.25, rel=0.15)
    assert np.median(noise.scale * noise.force) == pytest.approx(0.02, rel=0.4)
    smoothed = smooth_measured(measured, noise)
    square = ((smoothed.path.position - true) ** 2).sum(axis=-1)
    assert np.mean(square / (2 * smoothed.path.variance)) == pytest.approx(1, abs=0.2), (
        "its variance is that of its error"
    )
    far = is_gross & (np.linalg.norm(measured.points.position - true, axis=-1) > 10)
    assert (smoothed.good[far] < 0.5).mean() > 0.97 if gross else not far.any()
    assert (smoothed.good[~is_gross] < 0.5).mean() < 0.01


def test_a_short_track_gets_what_is_usual() -> None:
    """Four measurements say nothing of their own noise; those of the same joint of another track do."""
    measured, _, _ = simulated(0.0)
    short = np.isfinite(measured.points.variance)
    short[4:, 0] = False
    variance = np.where(short, measured.points.variance, np.inf)
    points = Points(measured.points.position, variance, measured.points.step)
    gross = Measured(points, measured.gross, np.where(short, measured.gross_variance, np.inf))
    together, alone = estimate_noise(gross, np.zeros(12, int)), estimate_noise(gross, np.arange(12))
    assert together.scale[0] == pytest.approx(0.25, rel=0.2)
    assert abs(np.log(together.scale[0] / 0.25)) < abs(np.log(alone.scale[0] / 0.25))


def test_a_points_group_counts_as_much_as_twenty_measurements() -> None:
    """The highest likelihood, of the joint Gaussian by scipy: a point's own, plus that of its group of n measurements
    times 20 / n. The first two measurements of a point determine its state and do not count."""
    counts, forces, scales = (12, 40), (1.0, 0.2), (1.0, 1.0)
    generator = np.random.default_rng(1)
    position, variance = np.zeros((40, 2, 2)), np.full((40, 2), np.inf)
    for index, (count, force, scale) in enumerate(zip(counts, forces, scales, strict=True)):
        velocity = np.cumsum(generator.normal(size=(count, 2)) * force, axis=0)
        position[:count, index] = np.cumsum(velocity, axis=0) + generator.normal(size=(count, 2)) * scale
        variance[:count, index] = 1.0

    def likelihood(parameters: np.ndarray, row: int) -> float:
        force, scale = np.exp(parameters)
        count = counts[row]
        points = Points(position[:count, [row]], variance[:count, [row]] * scale, np.ones((count, 1)))
        line = np.c_[np.ones(count), np.arange(count)]
        off_line = np.c_[-line[2:] @ np.linalg.inv(line[:2]), np.eye(count - 2)]  # of the line through the first two
        covariance = off_line @ joint_covariance(points, np.array([force * scale]), wide=0.0) @ off_line.T
        return float(multivariate_normal(cov=covariance).logpdf((off_line @ points.position[:, 0]).T).sum())

    def pooled(parameters: np.ndarray, at: int) -> float:
        own, group = likelihood(parameters, at), likelihood(parameters, 0) + likelihood(parameters, 1)
        return -(own + group * 20 / (sum(counts) - 4))

    measured = Measured(
        Points(position, variance, np.ones((40, 2))), np.zeros((40, 2)), np.where(np.isinf(variance), np.inf, 100.0)
    )
    noise = estimate_noise(measured, np.zeros(2, int))
    for index in range(2):
        best = minimize(pooled, [-2.0, 0.0], (index,), method="Nelder-Mead").x
        np.testing.assert_allclose(
            np.log([noise.force[index], noise.scale[index]]), best, atol=0.4
        )  # a third of a step of its grid
