"""Calibration against netcal and scikit-learn on yes-or-no targets, and against a plain loop on real-valued ones."""

import warnings

import netcal.metrics
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from trustpose.metrics.reliability import (
    brier_from_sums,
    brier_score,
    brier_sums,
    calibration_error_by_chance,
    ece_from_sums,
    expected_calibration_error,
    reliability_curve,
    reliability_sums,
)

HUNDREDTHS = st.integers(0, 100).map(lambda n: n / 100)


@st.composite
def scores_and_targets(draw):
    n = draw(st.integers(1, 60))
    return tuple(draw(hnp.arrays(np.float64, n, elements=HUNDREDTHS)) for _ in range(2))


def binary_sample(seed, n=3000):
    generator = np.random.default_rng(seed)
    score = generator.beta(0.7, 0.6, size=n)
    return score, (generator.random(n) < score**1.7).astype(np.float64)


@pytest.mark.parametrize("bins", [1, 5, 15, 40])
@pytest.mark.parametrize("seed", range(3))
def test_against_netcal(bins, seed):
    score, hit = binary_sample(seed)
    for binning, equal_intervals in (("equal-width", True), ("equal-mass", False)):
        theirs = netcal.metrics.ECE(bins, equal_intervals=equal_intervals).measure(score, hit.astype(int))
        # netcal's quantile bins are closed below, ours above: single rows at the edges change sides
        tolerance = 1e-12 if equal_intervals else 2 * bins / len(score)
        assert expected_calibration_error(score, hit, bins, binning) == pytest.approx(theirs, abs=tolerance)


@pytest.mark.parametrize(("binning", "strategy"), [("equal-width", "uniform"), ("equal-mass", "quantile")])
@given(scores_and_targets(), st.integers(1, 20))
def test_the_curve_against_scikit_learn(binning, strategy, sample, bins):
    score, target = sample
    hit = (target > 0.5).astype(np.float64)
    hit[0], hit[-1] = 0, 1  # scikit-learn wants both classes
    if len(score) < 2:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        true_share, predicted = calibration_curve(hit, score, n_bins=bins, strategy=strategy)
    curve = reliability_curve(score, hit, bins, binning)
    filled = curve.count > 0
    np.testing.assert_allclose(curve.mean_score[filled], predicted, atol=1e-12)
    np.testing.assert_allclose(curve.mean_target[filled], true_share, atol=1e-12)
    assert np.isnan(curve.mean_score[~filled]).all() and np.isnan(curve.mean_target[~filled]).all()
    assert brier_score(score, hit) == pytest.approx(brier_score_loss(hit, score), abs=1e-12)


@given(scores_and_targets(), st.integers(1, 20), st.sampled_from(["equal-width", "equal-mass"]))
def test_real_targets_against_a_plain_loop(sample, bins, binning):
    score, target = sample
    edges = reliability_curve(score, target, bins, binning).edges
    total = 0.0
    for i in range(bins):
        inside = (score <= edges[i + 1]) if i + 1 < bins else np.ones(len(score), dtype=bool)
        inside &= (score > edges[i]) if i else True
        if inside.any():
            total += inside.mean() * abs(score[inside].mean() - target[inside].mean())
    assert expected_calibration_error(score, target, bins, binning) == pytest.approx(total, abs=1e-12)
    assert brier_score(score, target) == pytest.approx(np.mean((score - target) ** 2), abs=1e-12)


@given(scores_and_targets(), st.integers(1, 6), st.data())
def test_sums_of_groups_are_repeated_rows(sample, groups, data):
    score, target = sample
    group = np.arange(len(score)) % groups
    repeats = data.draw(hnp.arrays(np.int64, groups, elements=st.integers(0, 3)))
    sums = reliability_sums(score, target, group, groups, bins=7)
    again = np.repeat(score, repeats[group]), np.repeat(target, repeats[group])
    expected = expected_calibration_error(*again, bins=7)
    np.testing.assert_allclose(ece_from_sums(np.tensordot(repeats, sums, 1)), expected, atol=1e-12)
    brier = brier_from_sums(repeats @ brier_sums(score, target, group, groups))
    np.testing.assert_allclose(brier, brier_score(*again), atol=1e-12)


def test_equal_mass_bins_hold_equal_shares():
    score = np.random.default_rng(0).random(1500) ** 3
    curve = reliability_curve(score, score, 15, "equal-mass")
    assert curve.count.min() >= 99 and curve.count.max() <= 101 and curve.count.sum() == 1500
    assert expected_calibration_error(score, score, 15, "equal-mass") == 0


def test_ties_share_a_bin_and_leave_others_empty():
    score = np.concatenate([np.zeros(90), np.linspace(0.1, 1, 10)])
    curve = reliability_curve(score, score, 10, "equal-mass")
    assert curve.count[0] == 90 and curve.count.sum() == 100
    assert (curve.count == 0).sum() == 8 and np.isnan(curve.mean_score[curve.count == 0]).all()


def test_no_rows():
    empty = np.zeros(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for binning in ("equal-width", "equal-mass"):
            assert np.isnan(expected_calibration_error(empty, empty, 15, binning))
            assert reliability_curve(empty, empty, 15, binning).count.tolist() == [0] * 15
        assert np.isnan(brier_score(empty, empty))


@pytest.mark.parametrize("bad", [1.2, -0.1, np.nan])
def test_outside_0_to_1_is_refused(bad):
    good, wrong = np.array([0.2, 0.4]), np.array([0.5, bad])
    with pytest.raises(ValueError, match="score: expected numbers in 0–1, got"):
        expected_calibration_error(wrong, good)
    with pytest.raises(ValueError, match="target: expected numbers in 0–1, got"):
        brier_score(good, wrong)


def test_bad_bins():
    with pytest.raises(ValueError, match="bins: expected 1 or more, got 0"):
        expected_calibration_error(np.array([0.5]), np.array([0.5]), bins=0)


@pytest.mark.parametrize("rows", [100, 300, 3000])
def test_a_calibrated_score_rarely_exceeds_its_error_by_chance(rows: int) -> None:
    above, excess = 0, []
    for seed in range(400):
        generator = np.random.default_rng(seed)
        score = generator.beta(2, 1.2, size=rows)
        target = generator.beta(6 * score, 6 * (1 - score))  # mean: the score
        limit = calibration_error_by_chance(score, target)
        error = expected_calibration_error(score, target)
        above += error > limit
        excess.append(error / limit)
        assert expected_calibration_error(score, np.clip(target - 0.2, 0, 1)) > limit
    assert 0.002 <= above / 400 <= 0.06, "about one in forty"
    assert np.median(excess) > 0.5, "and is not far below it"


def test_chance_needs_more_rows_than_bins() -> None:
    assert np.isnan(calibration_error_by_chance(np.array([0.1, 0.9]), np.array([0.2, 0.8])))
    assert calibration_error_by_chance(np.full(4, 0.5), np.full(4, 0.5)) == 0
