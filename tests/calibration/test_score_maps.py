"""Score curves against scikit-learn's, and their common properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from tests.calibration.cases import made_up
from trustpose.calibration.features import FeatureInputs, NormalisedPoses, read_people
from trustpose.calibration.metrics import Targets, find_targets
from trustpose.calibration.score_maps import (
    IsotonicMaps,
    LogisticMaps,
    _isotonic,
    fit_logistic,
    fit_rising,
    logit,
    sigmoid,
)
from trustpose.files import InputError
from trustpose.skeletons import COCO_17


def _case(people: int = 400, seed: int = 0) -> tuple[NormalisedPoses, Targets]:
    truth, results = made_up(people, seed)
    targets = find_targets(results.poses, truth.truth, COCO_17.sigmas, "segment")
    return read_people(results.poses, COCO_17, FeatureInputs.of(results.poses)), targets


def _sklearn_logistic(score: np.ndarray, target: np.ndarray) -> LogisticRegression:
    """Soft targets as weighted rows of both classes. Our ridge is on standardised inputs."""
    weight = np.r_[target, 1 - target]
    both = np.r_[np.ones(len(score)), np.zeros(len(score))]
    model = LogisticRegression(C=1000, tol=1e-10, max_iter=1000)
    return model.fit(np.r_[score, score][:, None], both, sample_weight=weight)


@given(st.integers(0, 10**6), st.integers(5, 300))
@settings(max_examples=40)
def test_platt_is_scikit_learns_logistic_regression(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    score = random.normal(0, 1, count)
    score = (score - score.mean()) / score.std()
    target = np.clip(sigmoid(1.3 * score - 0.4) + random.normal(0, 0.2, count), 0, 1)
    slope, offset = fit_logistic(score[:, None], target)
    model = _sklearn_logistic(score, target)
    np.testing.assert_allclose(sigmoid(slope * score + offset), model.predict_proba(score[:, None])[:, 1], atol=2e-5)


def test_platt_does_not_depend_on_the_scores_scale() -> None:
    random = np.random.default_rng(0)
    score, target = random.normal(0, 1, 200), random.random(200)
    fit, second_fit = fit_logistic(score[:, None], target), fit_logistic(1000 * score[:, None] - 7, target)
    np.testing.assert_allclose(fit[0] * score + fit[1], second_fit[0] * (1000 * score - 7) + second_fit[1], atol=1e-8)


def test_perfect_separation_stays_finite() -> None:
    slopes = fit_logistic(np.array([[0.0], [0.1], [0.9], [1.0]]), np.array([0.0, 0, 1, 1]))
    assert np.isfinite(slopes).all() and slopes[0] > 0


def test_correlated_inputs_get_no_negative_slope() -> None:
    """Two inputs of which one repeats the other, worse: plain regression would subtract it."""
    random = np.random.default_rng(0)
    truth = random.normal(0, 1, 3000)
    noise = random.normal(0, 1, 3000)
    inputs = np.stack([truth + noise, truth * 0.2 + noise], axis=1)
    target = sigmoid(truth)
    assert fit_logistic(inputs, target)[1] < 0
    rising = fit_rising(inputs, target)
    assert rising[1] == 0
    np.testing.assert_allclose(rising[[0, 2]], fit_logistic(inputs[:, :1], target), atol=1e-12)
    assert fit_rising(-inputs[:, :1], target)[0] == 0


def test_temperature_is_the_best_single_number() -> None:
    people, targets = _case()
    maps = LogisticMaps.fit("temperature", people, targets)
    at, score = logit(people.pose_score[targets.rows].astype(float)), targets.oks

    def loss(slope: float) -> float:
        return float((np.logaddexp(0, slope * at) - score * slope * at).sum())

    minimum = minimize_scalar(loss, bounds=(-5, 5), method="bounded", options={"xatol": 1e-8})
    assert maps.slope[-1] == pytest.approx(minimum.x, abs=1e-3)
    assert (maps.offset[:17] == 0).all() and (maps.slope[17:34] == 0).all()  # occlusion is the keypoint's share
    share = [(targets.v[k][targets.v[k] > 0] == 1).mean() for k in range(17)]
    np.testing.assert_allclose(maps(people).occluded[:, 0], share, atol=1e-5)


@pytest.mark.parametrize("rises", [True, False])
def test_knots_are_scikit_learns(rises: bool) -> None:
    """With and without equal scores, and where nearly all or nothing is one level."""
    random = np.random.default_rng(0)
    for count, levels in ((2, 2), (3, 1), (40, 7), (500, 500), (500, 40)):
        score = random.integers(0, levels, count) / levels
        for target in (random.random(count), random.random(count) < score, np.ones(count)):
            x, y = _isotonic(score, target, rises)
            curve = IsotonicRegression(y_min=0, y_max=1, increasing=rises).fit(score, target)
            np.testing.assert_array_equal(x, curve.X_thresholds_)
            np.testing.assert_allclose(y, curve.y_thresholds_, rtol=0, atol=1e-12)


def test_isotonic_is_scikit_learns() -> None:
    people, targets = _case()
    predicted = IsotonicMaps.fit(people, targets)(people)
    fresh = read_people(made_up(50, 9)[1].poses, COCO_17, FeatureInputs(True, False))
    again = IsotonicMaps.fit(people, targets)(fresh)
    for k in (0, 5, 16):
        labelled = targets.v[k] > 0
        curve = IsotonicRegression(out_of_bounds="clip").fit(people.score[k], labelled)
        np.testing.assert_allclose(predicted.labelled[k], curve.predict(people.score[k]), atol=1e-6)
        np.testing.assert_allclose(again.labelled[k], curve.predict(fresh.score[k]), atol=1e-6)
        curve = IsotonicRegression(out_of_bounds="clip").fit(people.score[k][labelled], targets.opks[k][labelled])
        np.testing.assert_allclose(predicted.similarity[k], curve.predict(people.score[k]), atol=1e-6)
    curve = IsotonicRegression(out_of_bounds="clip").fit(people.pose_score, targets.oks)
    np.testing.assert_allclose(predicted.pose, curve.predict(people.pose_score), atol=1e-6)


@pytest.mark.parametrize("method", ["isotonic", "platt", "temperature"])
def test_curves_rise_with_the_score(method) -> None:
    people, targets = _case()
    maps = IsotonicMaps.fit(people, targets) if method == "isotonic" else LogisticMaps.fit(method, people, targets)
    predicted = maps(people)
    order = np.argsort(people.score[3])
    for name in ("labelled", "similarity"):
        assert (np.diff(getattr(predicted, name)[3][order]) >= -1e-7).all()
    assert (np.diff(predicted.pose[np.argsort(people.pose_score)]) >= -1e-7).all()


def test_temperature_refuses_scores_off_the_scale() -> None:
    people, targets = _case(40)
    with pytest.raises(InputError, match="scores in 0–1"):
        LogisticMaps.fit("temperature", _scaled(people, 10), targets)


def _scaled(people: NormalisedPoses, factor: float) -> NormalisedPoses:
    from dataclasses import replace

    return replace(people, score=people.score * np.float32(factor))


def test_a_keypoint_that_is_never_labelled() -> None:
    people, targets = _case(60)
    targets.v[4] = 0
    targets.opks[4] = 0
    for maps in (IsotonicMaps.fit(people, targets), LogisticMaps.fit("platt", people, targets)):
        assert maps(people).quality[:, 4].max() < 1e-3
