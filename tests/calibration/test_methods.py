"""Each method: common properties, out-of-fold predictions, seeds, and options that are refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trustpose as tp
from tests.calibration.cases import FEW, fit, made_up
from trustpose.calibration.applied_record import fitted_photos
from trustpose.calibration.calibrator import Calibrator
from trustpose.calibration.fit import prepare
from trustpose.calibration.score_maps import IsotonicMaps, LogisticMaps
from trustpose.calibration.selection import METHODS, out_of_fold
from trustpose.files import InputError
from trustpose.images import fold_of
from trustpose.skeletons import BLAZEPOSE_33

TRUST = ("quality", "visibility", "pose_quality")


@pytest.fixture(scope="module", params=METHODS)
def calibrator(request) -> Calibrator:
    return fit(*made_up(80), replace(FEW, method=request.param)).calibrator


def test_out_of_fold_trust_does_not_depend_on_its_own_fold() -> None:
    """Labels of one fold are replaced by noise: the predictions for its people do not change."""
    truth, results = made_up(80)
    image = results.poses.image_id
    assert image is not None
    inside = fold_of(image, 2) == 0
    v = truth.truth.v.copy()
    v[inside] = (v[inside] + 1) % 3
    v[inside, 0] = 2
    changed_truth = replace(truth, truth=replace(truth.truth, v=v, num_keypoints=None))
    for method in ("platt", "trees"):
        task = [prepare(gt, results, FEW) for gt in (truth, changed_truth)]
        first, two = (out_of_fold(method, each, lambda _: None) for each in task)
        np.testing.assert_array_equal(first.quality[inside], two.quality[inside])
        assert (first.quality[~inside] != two.quality[~inside]).any()


@given(st.integers(0, 10**6), st.integers(1, 60))
@settings(max_examples=8)
def test_ranges_sums_and_order(calibrator, seed: int, people: int) -> None:
    poses = made_up(people, seed)[1].poses
    predicted = calibrator(poses)
    assert ((predicted.quality >= 0) & (predicted.quality <= 1)).all()
    assert ((predicted.pose_quality >= 0) & (predicted.pose_quality <= 1)).all()
    assert ((predicted.visibility >= 0) & (predicted.visibility <= 1)).all()
    np.testing.assert_allclose(predicted.visibility.sum(axis=2), 1, atol=1e-12)
    assert (predicted.quality <= 1 - predicted.visibility[..., 0] + 1e-6).all()  # at most P(labelled)
    order = np.random.default_rng(seed).permutation(people)
    again = calibrator(poses[order])
    for name in TRUST:
        np.testing.assert_array_equal(getattr(again, name), getattr(predicted, name)[order])


def test_a_saved_calibrator_predicts_the_same(calibrator, tmp_path) -> None:
    poses = made_up(50, 7)[1].poses
    calibrator.save(tmp_path / "one.cal")
    loaded = tp.Calibrator.load(tmp_path / "one.cal")
    assert loaded.card == calibrator.card
    for name in TRUST:
        np.testing.assert_array_equal(getattr(loaded(poses), name), getattr(calibrator(poses), name))
    assert loaded.shift(poses) == calibrator.shift(poses)
    assert fitted_photos(loaded, [np.array([1, 2, 2]), np.array([10**6, 2])]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["one.cal"]


def test_the_same_seed_gives_the_same_calibrator() -> None:
    poses = made_up(50, 7)[1].poses
    options = replace(FEW, method="trees")
    first, two = (fit(*made_up(40), options).calibrator(poses) for _ in range(2))
    for name in TRUST:
        np.testing.assert_array_equal(getattr(first, name), getattr(two, name))


@pytest.mark.parametrize("change", ["unsorted", "start", "slope"])
def test_curves_that_no_fit_gives(change) -> None:
    x, y, start = np.arange(8.0), np.linspace(0, 1, 8), np.arange(0, 9, 2)
    IsotonicMaps(x, y, start)
    wrong = {"unsorted": (x[::-1], y, start), "start": (x, y, start + 1)}
    with pytest.raises(ValueError, match=r"IsotonicMaps|expected numbers"):
        if change == "slope":
            LogisticMaps("platt", np.full(4, 1e300), np.zeros(4))
        else:
            IsotonicMaps(*wrong[change])


def test_any_skeleton_with_sigmas_of_its_own() -> None:
    truth, results = made_up(60, skeleton=BLAZEPOSE_33)
    with pytest.raises(InputError, match="no published sigmas"):
        fit(truth, results, replace(FEW, method="trees"))
    options = replace(FEW, method="trees", sigmas=np.full(33, 0.07))
    calibrator = fit(truth, results, options).calibrator
    assert calibrator(results.poses).quality.shape == (60, 33)
    assert calibrator.card.skeleton.sigmas[0] == 0.07


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "magic"}, "method: expected one of auto, temperature"),
        ({"area": "mask"}, "area: expected one of auto, segment"),
        ({"folds": 1}, "folds: expected 2 or more"),
        ({"folds": 50}, "photos with labelled people are too few for 50 folds"),
        ({"sigmas": np.zeros(17)}, "sigmas: expected 17 numbers above 0"),
    ],
)
def test_wrong_options_are_refused(options, message) -> None:
    with pytest.raises(InputError, match=message):
        fit(*made_up(20), replace(FEW, **options))


def test_scores_off_the_scale_leave_temperature_out() -> None:
    truth, results = made_up(60)
    poses = replace(results.poses, score=10 * results.poses.score, pose_score=10 * results.poses.pose_score)
    off = replace(results, poses=poses, score=10 * results.score)
    card = fit(truth, off, FEW).calibrator.card
    assert list(card.skipped) == ["temperature"] and "scores in 0–1" in card.skipped["temperature"]
    assert card.before["pose.ece"] is None and card.after["pose.ece"] is not None and card.change["pose.ece"] is None
    with pytest.raises(InputError, match="scores in 0–1"):
        fit(truth, off, replace(FEW, method="temperature"))
