"""Agreement of paired readings, against pingouin's and poseaudit's numbers, SciPy, and formulas written out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from trustpose.metrics.agreement import agreement_of, icc_intervals, interval_score, moments, repeated_limits

# pingouin 0.7.0, options round.column.CI95 None, of `readings`:
#   pg.intraclass_corr(table, targets="t", raters="r", ratings="v")
PINGOUIN = {
    (8, 4.0, 10.0): (
        (0.8266808849961856, 0.37429985540160127, 0.9624077931499719),
        (0.8549707293170219, 0.43830813104498856, 0.9691769405457901),
    ),
    (12, 2.0, 3.0): (
        (0.9759098094865767, 0.9123143242736328, 0.9931560507490512),
        (0.9796237156864394, 0.9309589212321722, 0.9940912558830879),
    ),
    (60, -1.0, 1.0): (
        (0.9908542202837708, 0.831233859230949, 0.9974413049861298),
        (0.9965598006927573, 0.9942473230339043, 0.9979436604400562),
    ),
}


def readings() -> list[tuple[np.ndarray, np.ndarray]]:
    generator, samples = np.random.default_rng(7), []
    for n, bias, sd in PINGOUIN:
        reference = np.round(generator.normal(40, 12, n), 3)
        samples.append((reference, np.round(reference + bias + generator.normal(0, sd, n), 3)))
    return samples


def people() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(3)
    person = np.repeat(np.arange(6), 20)
    reference = np.round(generator.normal(60, 20, 120), 3)
    of_person = generator.normal(0, 2, 6)[person]
    return reference, np.round(reference + 1.5 + of_person + generator.normal(0, 4, 120), 3), person


@pytest.mark.parametrize("index", range(3))
def test_icc_is_pingouins(index: int) -> None:
    reference, measured = readings()[index]
    agreement, consistency = list(PINGOUIN.values())[index]
    values, ends = agreement_of(moments(reference, measured).sum(axis=0)), icc_intervals(reference, measured)
    assert (float(values["icc_a1"]), *ends["icc_a1"]) == pytest.approx(agreement, rel=1e-9)
    assert (float(values["icc_c1"]), *ends["icc_c1"]) == pytest.approx(consistency, rel=1e-9)


def test_poseaudits_numbers() -> None:
    # poseaudit 0.7.2: audit_values(measured, reference, big_error=5, unit="deg", subject=person)
    reference, measured, person = people()
    values = agreement_of(moments(reference, measured, large=5.0).sum(axis=0))
    expected = {
        "bias": 1.849241666666668,
        "rmse": 4.435922240639482,
        "mae": 3.5551749999999998,
        "large_share": 0.275,
        "low_limit": -6.086635517778243,
        "high_limit": 9.785118851111578,
        "icc_a1": 0.979971064695229,
        "ccc": 0.9798061531485678,
        "pearson": 0.9837150319114979,
        "slope": 1.01420826921923,
    }
    assert {name: float(values[name]) for name in expected} == pytest.approx(expected, rel=1e-5)
    limits = repeated_limits(measured - reference, person)
    assert limits == pytest.approx((-6.213667254402061, 9.912150587735397), rel=1e-5)


def test_slope_and_ccc_are_scipys_and_lins() -> None:
    reference, measured, _ = people()
    values = agreement_of(moments(reference, measured).sum(axis=0))
    line = stats.linregress(reference, measured)
    assert float(values["slope"]) == pytest.approx(line.slope) and float(values["intercept"]) == pytest.approx(
        line.intercept
    )
    covariance = np.cov(reference, measured, bias=True)
    lin = 2 * covariance[0, 1] / (covariance.trace() + (reference.mean() - measured.mean()) ** 2)
    assert float(values["ccc"]) == pytest.approx(lin)


@given(st.floats(-50, 50), st.integers(3, 40), st.integers(0, 1000))
def test_a_shift_moves_the_bias_alone(shift: float, n: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    reference = generator.normal(0, 10, n)
    measured = reference + generator.normal(0, 3, n)
    before, after = (agreement_of(moments(reference, value).sum(axis=0)) for value in (measured, measured + shift))
    assert float(after["bias"] - before["bias"]) == pytest.approx(shift, abs=1e-9)
    for name in ("sd", "slope", "icc_c1", "pearson"):
        assert float(after[name]) == pytest.approx(float(before[name]), rel=1e-6, abs=1e-9)
    assert float(after["rmse"]) ** 2 == pytest.approx(
        float(after["bias"]) ** 2 + float(after["sd"]) ** 2 * (n - 1) / n, rel=1e-6, abs=1e-9
    )


def test_the_interval_score_is_lowest_for_the_true_quantiles() -> None:
    value = np.random.default_rng(0).normal(size=20_000)
    scores = {
        width: float(interval_score(np.full_like(value, -width), np.full_like(value, width), value, 0.9).mean())
        for width in (1.2, 1.645, 2.2)
    }
    assert min(scores, key=scores.__getitem__) == 1.645
    assert float(interval_score(np.zeros(1), np.ones(1), np.array([1.5]), 0.9)[0]) == pytest.approx(1 + 20 * 0.5)
