"""Correlations against scipy.stats, on rows repeated by their weights, and on real predictions."""

import json
import warnings

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trustpose.geometry.oks import oks, opks
from trustpose.metrics.reliability import average_opks_pearson, pearson, pearson_from_sums, pearson_sums, spearman
from trustpose.skeletons import COCO_17

SHORT_DECIMALS = st.integers(-1000, 1000).map(lambda n: n / 8)  # many ties, no rounding of its own


@st.composite
def weighted_pairs(draw):
    n = draw(st.integers(2, 40))
    x, y = (draw(hnp.arrays(np.float64, n, elements=SHORT_DECIMALS)) for _ in range(2))
    return x, y, draw(hnp.arrays(np.int64, n, elements=st.integers(0, 4)))


def by_scipy(correlation, x, y):
    if len(x) < 2 or x.min() == x.max() or y.min() == y.max():
        return np.nan
    return correlation(x, y).statistic


@given(weighted_pairs())
def test_weights_are_repeated_rows(pairs):
    x, y, w = pairs
    for ours, theirs in ((pearson, scipy.stats.pearsonr), (spearman, scipy.stats.spearmanr)):
        expected = by_scipy(theirs, np.repeat(x, w), np.repeat(y, w))
        np.testing.assert_allclose(ours(x, y, w), expected, atol=1e-12)
        np.testing.assert_allclose(ours(x, y), by_scipy(theirs, x, y), atol=1e-12)


@given(weighted_pairs(), st.integers(1, 5), st.floats(-1e6, 1e6))
def test_sums_of_groups_give_the_same_r(pairs, groups, shift):
    x, y, w = pairs
    x = x + shift
    group = np.arange(len(x)) % groups
    repeats = np.resize(w, groups)
    got = float(pearson_from_sums(repeats @ pearson_sums(x, y, group, groups)))
    np.testing.assert_allclose(got, pearson(x, y, repeats[group]), atol=1e-7)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1.0, 1e160, 1e307])
def test_scale_does_not_matter(scale):
    x, y = np.random.default_rng(0).normal(size=(2, 50))
    for x_scaled in (x * scale, x * scale + scale):
        assert pearson(x_scaled, y) == pytest.approx(scipy.stats.pearsonr(x, y).statistic, abs=1e-12)
        assert spearman(x_scaled, y) == pytest.approx(scipy.stats.spearmanr(x, y).statistic, abs=1e-12)


@pytest.mark.parametrize(
    ("x", "y", "weights"),
    [
        ([], [], None),
        ([1.0], [2.0], None),
        ([0.1, 0.1, 0.1], [1.0, 2.0, 3.0], None),
        ([1.0, 2.0, 3.0], [0.1, 0.1, 0.1], None),
        ([1.0, 2.0], [1.0, 2.0], [0, 1]),
        ([1.0, 2.0], [1.0, 2.0], [0, 5]),
        ([1.0, 2.0], [1.0, 2.0], [0, 0]),
        ([1.0, np.nan, 3.0], [1.0, 2.0, 3.0], None),
    ],
)
def test_undefined_is_nan_without_a_warning(x, y, weights):
    w = None if weights is None else np.array(weights)
    x, y = np.array(x, dtype=float), np.array(y, dtype=float)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(pearson(x, y, w)) and np.isnan(spearman(x, y, w))
        counts = np.ones(len(x), dtype=np.int64) if w is None else w
        sums = pearson_sums(x, y, np.arange(len(x)), len(x))
        assert np.isnan(pearson_from_sums(counts @ sums))


def test_a_side_constant_within_a_draw_is_undefined_whatever_its_sums_round_to():
    constant, varied = np.random.default_rng(0).normal(size=(2, 300, 3))
    constant[:] = constant[:, :1]
    group = np.repeat(np.arange(300), 3)
    for x, y in ((constant, varied), (varied, constant)):
        sums = pearson_sums(x.ravel(), y.ravel(), group, 300)
        for times in (1, 3, 7):
            assert np.isnan(pearson_from_sums(sums * times)).all()


def test_infinity_has_a_rank_but_no_pearson():
    x, y = np.array([1.0, np.inf, 2.0, -np.inf]), np.array([1.0, 9.0, 3.0, 2.0])
    assert np.isnan(pearson(x, y))
    assert np.isnan(pearson_from_sums(pearson_sums(x, y, np.zeros(4, dtype=int), 1)[0]))
    assert spearman(x, y) == pytest.approx(scipy.stats.spearmanr(x, y).statistic, abs=1e-12)


def test_a_row_of_weight_0_may_hold_anything():
    x, y, w = np.array([1.0, 2.0, 4.0, np.nan]), np.array([1.0, 3.0, 2.0, np.inf]), np.array([1, 1, 2, 0])
    assert pearson(x, y, w) == pytest.approx(np.corrcoef([1, 2, 4, 4], [1, 3, 2, 2])[0, 1])


def test_bad_arguments():
    x = np.arange(3.0)
    with pytest.raises(ValueError, match="weights: expected counts of 0 or more, got -1"):
        pearson(x, x, np.array([1, -1, 1]))


def test_the_numbers_known_of_a_real_network(data_dir):
    """r(score, OKS), r(average score, average OPKS) and r per keypoint of SimplePose on the dev photos."""
    people = {
        annotation["id"]: annotation
        for annotation in json.loads((data_dir / "coco/dev_gt.json").read_bytes())["annotations"]
    }
    results = json.loads((data_dir / "results/simplepose.dev.json").read_bytes())
    truth = np.array([people[result["annotation_id"]]["keypoints"] for result in results], dtype=float).reshape(
        -1, 17, 3
    )
    predicted = np.array([result["keypoints"] for result in results], dtype=float).reshape(-1, 17, 3)
    area = np.array([people[result["annotation_id"]]["area"] for result in results], dtype=float)
    arguments = (predicted[..., :2], truth[..., :2], truth[..., 2], area, COCO_17.sigmas)
    similarity = opks(*arguments)
    assert len(results) == 990
    assert pearson(np.array([result["score"] for result in results]), oks(*arguments)) == pytest.approx(
        0.6902, abs=5e-5
    )
    assert average_opks_pearson(predicted[..., 2], similarity) == pytest.approx(0.8792, abs=5e-5)
    assert pearson(predicted[..., 2].ravel(), similarity.ravel()) == pytest.approx(0.6313, abs=5e-5)
