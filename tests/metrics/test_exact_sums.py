"""Sums without rounding: the same in any order and pieces, and the numbers of independent implementations."""

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from trustpose.metrics.average_precision import PrecisionRecall, precision_recall
from trustpose.metrics.reliability import (
    UNIT,
    CalibrationSums,
    PearsonSums,
    exact_products,
    exact_sums,
    expected_calibration_error,
    mean_of,
    scale_to_unit,
)

NUMBERS = st.floats(-1e12, 1e12, allow_subnormal=True)


@settings(max_examples=60, deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=40), st.integers(1, 3))
def test_sums_are_exact(values: list[float], groups: int) -> None:
    group = np.arange(len(values)) % groups
    sums = exact_sums(np.array(values), group, groups)
    for index in range(groups):
        assert Fraction(sums[index], 1 << UNIT) == sum(map(Fraction, values[index::groups]))
    total = sum(sums)
    assert mean_of(total, 1) == math.fsum(values)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-1e12, 1e12), st.floats(1e-60, 1e60)), min_size=1, max_size=20))
def test_products_are_exact(pairs: list[tuple[float, float]]) -> None:
    x, y = np.array(pairs).T
    x = np.where(np.abs(x) < 1e-60, 0, x)
    for a, b, product, left in zip(
        x.tolist(), y.tolist(), *(exact_product.tolist() for exact_product in exact_products(x, y)), strict=True
    ):
        assert Fraction(product) + Fraction(left) == Fraction(a) * Fraction(b)


@pytest.mark.parametrize("seed", range(4))
def test_batches_in_any_order_give_one_answer(seed: int) -> None:
    random = np.random.default_rng(seed)
    n, groups = 500, 3
    x, group = random.uniform(-0.002, 1.05, n), random.integers(0, groups, n)
    y = np.clip(x + random.normal(0, 0.2, n), 0, 1)
    whole, parts = PearsonSums(groups), PearsonSums(groups)
    edges = np.linspace(0, 1, 16)[1:-1]
    curve, curves = CalibrationSums(edges, groups), CalibrationSums(edges, groups)
    whole.add(x, y, group), curve.add(x, y, group)
    for rows in np.array_split(random.permutation(n), 7):
        parts.add(x[rows], y[rows], group[rows]), curves.add(x[rows], y[rows], group[rows])
    assert whole.pearson().tolist() == parts.pearson().tolist()
    assert whole.together().pearson().tolist() == parts.together().pearson().tolist()
    for index in range(groups):
        inside = group == index
        assert whole.pearson()[index] == pytest.approx(scipy.stats.pearsonr(x[inside], y[inside]).statistic, abs=1e-14)
        assert (curve.ece(index), curve.brier(index)) == (curves.ece(index), curves.brier(index))
        assert curve.is_on_scale(index) == (scale_to_unit(x[inside]) is not None)
    assert curve.together().ece() == curves.together().ece() == expected_calibration_error(np.clip(x, 0, 1), y)
    assert curve.together().brier() == pytest.approx(np.mean((np.clip(x, 0, 1) - y) ** 2), rel=1e-13)


def test_r_is_undefined_without_variation_or_with_infinity() -> None:
    sums = PearsonSums(3)
    sums.add(np.array([0.1] * 5 + [1.0, np.inf, 2.0]), np.arange(8.0), np.array([0] * 5 + [1] * 3))
    assert np.isnan(sums.pearson()).all()


@pytest.mark.parametrize("seed", range(3))
def test_curves_in_blocks_are_the_curve_at_once(seed: int) -> None:
    random = np.random.default_rng(seed)
    right, ignored = random.random((2, 60, 200, 2)).transpose(0, 3, 2, 1) < np.array([0.4, 0.1])[:, None, None, None]
    people = np.array([0, int(right[1].sum(axis=0).max()) + int(random.integers(0, 9))])
    precision, recall = precision_recall(right & ~ignored, ignored, people)
    curves = PrecisionRecall(np.repeat(people, 60))
    for block in np.array_split(np.arange(200), 6):
        curves.add(*(np.moveaxis(one[:, block], 1, 0).reshape(-1, 120) for one in (right & ~ignored, ignored)))
    np.testing.assert_array_equal(curves.precision(), precision.reshape(120, -1))
    np.testing.assert_array_equal(curves.recall(), recall.reshape(120))
    assert (precision[0] == -1).all() and (precision[1] > 0).any()
