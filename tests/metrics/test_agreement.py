"""Agreement: equal to pingouin's ICC and poseaudit's numbers, and clustered intervals that hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from trustpose.metrics.agreement import (
    agreement_statistics,
    clustered_intervals,
    interval_coverage,
    intraclass_correlation,
)

CASES = ((12, 0.0, 5.0), (40, 8.0, 3.0), (200, -2.0, 20.0))
# pingouin 0.7.0: pingouin.intraclass_corr(frame, targets="t", raters="m", ratings="v") on the same values, which
# prints ICC to 8 decimals and intervals to 2: ICC(A,1), its interval, ICC(C,1), its interval
PINGOUIN = (
    (0.950250, (0.14, 0.99), 0.986762, (0.95, 1.0)),
    (0.990712, (0.98, 1.0), 0.992287, (0.99, 1.0)),
    (0.814409, (0.66, 0.89), 0.849769, (0.81, 0.88)),
)
# poseaudit 0.7.2: poseaudit.audit_values(y, x, 5.0) on the first case
POSEAUDIT = {
    "mae": 9.92575,
    "rmse": 11.200101,
    "large": 0.833333,
    "bias": -9.79675,
    "limits": (-20.909017, 1.315517),
    "percentiles": (-18.093475, 0.015275),
    "slope": 0.898854,
    "intercept": -3.353907,
    "ccc": 0.945972,
    "pearson": 0.991515,
}


def values() -> list[tuple[np.ndarray, np.ndarray]]:
    random, cases = np.random.default_rng(7), []
    for count, bias, noise in CASES:
        x = np.round(random.uniform(0, 120, count), 3)
        cases.append((x, np.round(0.9 * x + bias + random.normal(0, noise, count), 3)))
    return cases


def test_intraclass_correlations_are_pingouins() -> None:
    for (x, y), expected in zip(values(), PINGOUIN, strict=True):
        for (value, *ends), (number, interval) in zip(
            intraclass_correlation(x, y), (expected[:2], expected[2:]), strict=True
        ):
            assert value == pytest.approx(number, abs=5e-7)
            assert ends == pytest.approx(interval, abs=5e-3)


def test_numbers_are_poseaudits_and_scipys() -> None:
    x, y = values()[0]
    numbers = agreement_statistics(x, y, 5.0)
    for name, expected in POSEAUDIT.items():
        assert getattr(numbers, name) == pytest.approx(expected, abs=2e-6), name
    line = stats.linregress(x, y)
    assert (numbers.slope, numbers.intercept) == pytest.approx((line.slope, line.intercept))
    assert numbers.sd == pytest.approx(np.std(y - x, ddof=1)) and numbers.count == 12


def test_values_that_do_not_vary() -> None:
    same = np.full(20, 3.0)
    numbers = agreement_statistics(same, same + 1, 5.0)
    assert numbers.bias == 1 and np.isnan(numbers.pearson) and np.isnan(numbers.icc_agreement[0])
    parallel = agreement_statistics(np.arange(20.0), np.arange(20.0) + 1, 5.0)
    assert parallel.icc_consistency == (1, 1, 1) and parallel.icc_agreement[0] < 1


def test_clustered_intervals_hold() -> None:
    """Clips with a bias each: intervals that take their values for independent are far too narrow."""
    random, held, independent = np.random.default_rng(0), [], []
    for _ in range(200):
        cluster = np.repeat(np.arange(30), 20)
        x = random.normal(0, 10, len(cluster))
        y = x + 2 + random.normal(0, 1, 30)[cluster] + random.normal(0, 0.3, len(cluster))
        for found, groups in ((held, cluster), (independent, np.arange(len(x)))):
            low, high = clustered_intervals(x, y, groups, 5.0, draws=200)["bias"]
            found.append(low <= 2 <= high)
    assert 0.89 <= np.mean(held) <= 0.99 and np.mean(independent) < 0.5


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 40), st.floats(-20, 20), st.floats(0.01, 10), st.integers(0, 1000))
def test_invariances(count: int, bias: float, noise: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    x = random.normal(50, 20, count)
    y = x + bias + random.normal(0, noise, count)
    numbers, swapped = agreement_statistics(x, y, 5.0), agreement_statistics(y, x, 5.0)
    assert numbers.bias == pytest.approx(-swapped.bias) and numbers.rmse == pytest.approx(swapped.rmse)
    assert numbers.icc_agreement == pytest.approx(swapped.icc_agreement) and numbers.ccc == pytest.approx(swapped.ccc)
    assert numbers.rmse**2 == pytest.approx(numbers.bias**2 + numbers.sd**2 * (count - 1) / count)
    moved = agreement_statistics(x, y + 30, 5.0)
    assert moved.icc_consistency == pytest.approx(numbers.icc_consistency, abs=1e-6)
    assert numbers.icc_agreement[1] <= numbers.icc_agreement[0] <= numbers.icc_agreement[2]


def test_interval_score_is_least_for_the_true_quantiles() -> None:
    truth = np.random.default_rng(1).normal(0, 1, 20000)

    def score(half: float) -> tuple[float, float]:
        return interval_coverage(truth, np.full(len(truth), -half), np.full(len(truth), half), 0.9)

    coverage, best = score(1.645)
    assert coverage == pytest.approx(0.9, abs=0.01) and best < min(score(1.3)[1], score(2.1)[1])
