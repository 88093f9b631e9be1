"""Replicates from sums per image against resampling row by row, and the intervals' coverage."""

import inspect
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from trustpose.metrics import rank_correlation, spill
from trustpose.metrics.bootstrap import (
    brier_replicates,
    confusion_replicates,
    ece_replicates,
    interval,
    pearson_replicates,
    replicate_sums,
    resample_counts,
    sums_by_group,
)
from trustpose.metrics.classification import confusion
from trustpose.metrics.rank_correlation import RankedPairs
from trustpose.metrics.reliability import brier_score, expected_calibration_error, pearson


def people(seed, images=12, n=80, decimals=2):
    generator = np.random.default_rng(seed)
    score = generator.random(n).round(decimals)
    target = np.clip(score + generator.normal(0, 0.3, size=n), 0, 1).round(decimals)
    return score, target, generator.integers(0, images, size=n)


def ranked(x, y, group):
    pairs = RankedPairs()
    pairs.add(x, y, group)
    return pairs


def drawn_rows(counts, image):
    """The rows of one draw, image after image as often as it was drawn."""
    return np.concatenate([np.flatnonzero(image == i) for i in np.repeat(np.arange(len(counts)), counts)])


@pytest.mark.parametrize("seed", range(4))
def test_every_metric_against_rows_drawn_one_by_one(seed):
    score, target, image = people(seed)
    v, predicted = np.random.default_rng(seed + 100).integers(0, 3, size=(2, len(score)))
    counts = resample_counts(12, 40, seed)
    got = {
        "pearson": pearson_replicates(counts, score, target, image),
        "ece": ece_replicates(counts, score, target, image, bins=5),
        "brier": brier_replicates(counts, score, target, image),
        "confusion": confusion_replicates(counts, v, predicted, image),
    }
    pairs = ranked(score, target, image)
    for b, count in enumerate(counts):
        rows = drawn_rows(count, image)
        x, y = score[rows], target[rows]
        assert got["pearson"][b] == pytest.approx(scipy.stats.pearsonr(x, y).statistic, abs=1e-10)
        assert pairs.spearman(count) == pytest.approx(scipy.stats.spearmanr(x, y).statistic, abs=1e-12)
        assert got["ece"][b] == pytest.approx(expected_calibration_error(x, y, bins=5), abs=1e-12)
        assert got["brier"][b] == pytest.approx(brier_score(x, y), abs=1e-12)
        np.testing.assert_array_equal(got["confusion"][b], confusion(v[rows], predicted[rows]))


@given(st.integers(1, 40), st.integers(1, 30), st.integers(0, 1000))
def test_a_draw_has_as_many_images_as_there_are(images, draws, seed):
    counts = resample_counts(images, draws, seed)
    assert counts.shape == (draws, images) and (counts >= 0).all()
    assert (counts.sum(axis=1, dtype=np.int64) == images).all()
    np.testing.assert_array_equal(counts, resample_counts(images, draws, seed))


def test_counts_are_multinomial():
    counts = resample_counts(50, 4000, 3).astype(float)
    assert np.abs(counts.mean(axis=0) - 1).max() < 0.08  # five standard errors
    assert counts.var() == pytest.approx(1 - 1 / 50, abs=0.02)
    off_diagonal = np.cov(counts.T)[~np.eye(50, dtype=bool)]
    assert off_diagonal.mean() == pytest.approx(-1 / 50, abs=0.002)
    assert not np.array_equal(resample_counts(50, 2, 0), resample_counts(50, 2, 1))


def test_blocks_do_not_change_the_sums(monkeypatch):
    counts = resample_counts(30, 25)
    sums = np.random.default_rng(0).normal(size=(30, 2, 4))
    whole = replicate_sums(counts, sums)
    np.testing.assert_allclose(whole, np.einsum("bi,ijk->bjk", counts, sums), atol=1e-12)
    monkeypatch.setattr("trustpose.metrics.bootstrap._BLOCK_BYTES", 8 * 30 * 4)
    np.testing.assert_allclose(replicate_sums(counts, sums), whole, atol=1e-12)
    with pytest.raises(ValueError, match="sums: expected one row per image \\(30\\), got 29"):
        inspect.unwrap(replicate_sums)(counts, sums[:29])


@pytest.mark.parametrize("shape", [(20,), (20, 3), (20, 2, 3), (0, 3), (20, 0)])
def test_sums_by_group(shape):
    values = np.random.default_rng(0).normal(size=shape)
    group = np.arange(shape[0]) % 4
    expected = np.zeros((5, *shape[1:]))
    np.add.at(expected, group, values)
    np.testing.assert_allclose(sums_by_group(values, group, 5), expected, atol=1e-12)


def test_the_interval_leaves_out_nan():
    values = np.concatenate([np.arange(101.0), np.full(30, np.nan)])
    assert interval(values) == pytest.approx((2.5, 97.5))
    assert interval(values, level=0.5) == pytest.approx((25, 75))
    assert np.isnan(interval(np.full(3, np.nan))).all()
    with pytest.raises(ValueError, match="level: expected a share between 0 and 1, got 95"):
        interval(values, level=95.0)


def test_the_interval_against_scipy():
    x = np.random.default_rng(0).gamma(2, size=200)
    image = np.arange(200)
    sums = np.stack([np.ones(200), x], axis=1)
    replicates = replicate_sums(resample_counts(200, 4000, 1), sums)
    theirs = scipy.stats.bootstrap((x,), np.mean, n_resamples=4000, method="percentile", rng=2).confidence_interval
    np.testing.assert_allclose(interval(replicates[:, 1] / replicates[:, 0]), theirs, atol=0.02)
    y = x + np.random.default_rng(5).normal(size=200)
    ours = interval(pearson_replicates(resample_counts(200, 4000, 3), x, y, image))
    statistic = lambda a, b: scipy.stats.pearsonr(a, b).statistic  # noqa: E731
    theirs = scipy.stats.bootstrap(
        (x, y), statistic, paired=True, vectorized=False, n_resamples=4000, method="percentile", rng=4
    ).confidence_interval
    np.testing.assert_allclose(ours, theirs, atol=0.02)


def test_95_percent_of_intervals_hold_the_truth():
    """The mean of people who come in photos of one to four, alike within a photo; 400 samples of 100 photos.

    Drawing people instead of photos would cover far less, which the second number shows.
    """
    generator = np.random.default_rng(7)
    covered = covered_by_people = 0
    for trial in range(400):
        image = np.repeat(np.arange(100), generator.integers(1, 5, size=100))
        x = generator.normal(size=100)[image] + 0.5 * generator.normal(size=len(image))
        for rows, is_photos in ((image, True), (np.arange(len(image)), False)):
            size = int(rows.max()) + 1
            sums = sums_by_group(np.stack([np.ones(len(x)), x], axis=1), rows, size)
            replicates = replicate_sums(resample_counts(size, 300, trial), sums)
            low, high = interval(replicates[:, 1] / replicates[:, 0])
            covered += is_photos and low <= 0 <= high
            covered_by_people += not is_photos and low <= 0 <= high
    assert 0.91 < covered / 400 < 0.98
    assert covered_by_people / 400 < 0.85


def test_undefined_draws_are_nan_and_silent(recwarn):
    score, target = np.array([0.1, 0.2, 0.9]), np.array([0.3, 0.1, 0.8])
    counts = resample_counts(3, 200, 0)
    ones = (counts == 3).any(axis=1)  # one image three times: both sides constant
    assert ones.any()
    np.testing.assert_array_equal(np.isnan(pearson_replicates(counts, score, target, np.arange(3))), ones)
    pairs = ranked(score, target, np.arange(3))
    ranks = [pairs.spearman(count) for count in counts]
    np.testing.assert_array_equal(np.isnan(ranks), ones)
    with_nan = np.array([0.1, np.nan, 0.9])
    assert np.isnan(pearson_replicates(counts, with_nan, target, np.arange(3))).all()
    assert not recwarn.list


@pytest.mark.parametrize("decimals", [0, 1, 16])
def test_ranks_in_files_are_those_of_scipy_in_every_draw(monkeypatch, decimals):
    """With runs, blocks and pieces so small that 300 rows, and many of one value, take several of each."""
    for module, name, size in (
        (spill, "RUN_BYTES", 1000), (spill, "BLOCK", 64), (spill, "HELD_BYTES", 300), (spill, "SPILL_BLOCK", 50),
        (rank_correlation, "_ROWS", 17), (rank_correlation, "_PAIRED", 40),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, size)
    score, target, image = people(4, n=300, decimals=decimals)
    pairs = RankedPairs()
    for start in range(0, 300, 37):
        pairs.add(*(column[start : start + 37] for column in (score, target, image)))
    for counts in resample_counts(12, 5):
        rows = drawn_rows(counts, image)
        expected = scipy.stats.spearmanr(score[rows], target[rows]).statistic
        assert pairs.spearman(counts) == pytest.approx(expected, abs=1e-12)


def test_a_draw_of_ranks_takes_a_few_bytes_of_memory_a_row():
    score, target, image = people(5, images=10_000, n=600_000, decimals=16)
    pairs, counts = RankedPairs(), resample_counts(10_000, 1)[0]
    tracemalloc.start()
    for start in range(0, len(score), 8192):
        pairs.add(*(column[start : start + 8192] for column in (score, target, image)))
    assert pairs.spearman(counts) > 0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 45 * len(score)  # of which 35 are blocks, whose size does not grow; sorted at once, rows take 60


def test_draws_are_those_of_the_generator():
    """Drawn a few thousand at a time, without the eight bytes a photo of all at once."""
    generator = np.random.default_rng(7)
    for counts in resample_counts(100_000, 2, 7):
        expected = np.bincount(generator.integers(0, 100_000, size=100_000), minlength=100_000)
        np.testing.assert_array_equal(counts, expected)


def test_ranks_of_millions_of_rows_do_not_overflow():
    """A weight common to all leaves ρ as it is, and is as if each row stood there a thousand times."""
    score, target = np.random.default_rng(0).normal(size=(2, 20_000))
    target += 3 * score
    rho = ranked(score, target, np.zeros(20_000, int)).spearman(np.array([1000]))
    assert rho == pytest.approx(scipy.stats.spearmanr(score, target).statistic, abs=1e-12)


def test_pearson_agrees_with_the_weighted_form_far_from_0():
    score, target, image = people(3)
    counts = resample_counts(12, 20, 0)
    got = pearson_replicates(counts, score * 1e-3 + 1e6, target, image)
    expected = [pearson(score * 1e-3 + 1e6, target, count.astype(int)[image]) for count in counts]
    np.testing.assert_allclose(got, expected, atol=1e-8)


@pytest.mark.parametrize(("images", "draws"), [(0, 10), (10, 0)])
def test_nothing_to_draw(images, draws):
    with pytest.raises(ValueError, match="expected 1 or more"):
        resample_counts(images, draws)


SPEED = """
import time
import numpy as np
from trustpose.metrics.bootstrap import resample_counts
from trustpose.metrics.rank_correlation import RankedPairs

generator = np.random.default_rng(0)
score, target = generator.random((2, 20_000))
counts, image = resample_counts(7000), generator.integers(0, 7000, size=20_000)
start = time.process_time()
pairs = RankedPairs()
pairs.add(score, target, image)
for count in counts:
    assert abs(pairs.spearman(count)) < 1
print(time.process_time() - start)
"""


def test_a_thousand_spearmans_of_20000_rows_take_seconds():
    """Measured in a process of its own, as users run it: the shape checks under pytest cost more than the ranks."""
    one_core = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    answer = subprocess.run([sys.executable, "-c", SPEED], env=one_core, capture_output=True, text=True, check=True)
    assert float(answer.stdout) < 5
