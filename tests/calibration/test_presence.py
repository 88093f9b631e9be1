"""Presence learnt from results files: what its features are, by hand; that it is told from trust; its file."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.calibration.cases import FEW, Fitted, fit, made_up
from trustpose.calibration.calibrator import Calibrator
from trustpose.calibration.card import EARLIER_FORMAT
from trustpose.calibration.presence import (
    PresenceModel,
    PresenceTargets,
    best_threshold,
    fit_presence,
    person_score,
    presence_features,
)
from trustpose.io.coco.truth import TruthFile
from trustpose.json_records import read_record
from trustpose.poses import Poses, Truth
from trustpose.skeletons import COCO_17


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    """Fitted on 300 people and 150 results on nobody, in photos whose people all have boxes."""
    truth, results = made_up(300, spurious=150)
    truth = replace(truth, images=replace(truth.images, all_people_boxed=np.ones(len(truth.images), np.bool_)))
    return fit(truth, results, replace(FEW, method="trees"))


def test_results_on_nobody_have_a_low_presence_and_teach_no_trust(fitted: Fitted) -> None:
    presence, card = fitted.out_of_fold.presence, fitted.calibrator.card
    assert card.presence is not None and card.unmatched == 150 and card.truth.used == 300
    assert presence[300:].mean() < 0.35 < 0.65 < presence[:300].mean()
    assert card.presence.fitted_on["auroc"] > 0.85 and card.presence.fitted_on["ece"] < 0.1
    assert abs(presence.mean() - 2 / 3) < 0.04
    # the people's mean OKS, whatever stands beside them
    expected, actual = fitted.out_of_fold.pose_quality[:300].mean(), card.after["pose.ece"][0]
    assert actual < 0.1 and expected > 0.3


def test_poses_are_ranked_by_presence_and_expected_oks(fitted: Fitted) -> None:
    poses = fitted.out_of_fold
    np.testing.assert_array_equal(poses.ranking_score, poses.presence * poses.pose_quality)


def test_the_file_keeps_it(fitted: Fitted, tmp_path: Path) -> None:
    fitted.calibrator.save(tmp_path / "a.cal")
    poses = made_up(20, 3, spurious=5)[1].poses
    again = Calibrator.load(tmp_path / "a.cal")
    np.testing.assert_array_equal(again(poses).presence, fitted.calibrator(poses).presence)
    assert again.card.presence.to_json() == fitted.calibrator.card.presence.to_json()


def test_a_calibrator_of_the_earlier_format_says_what_its_trust_means(fitted: Fitted, tmp_path: Path) -> None:
    for unmatched in (150, 0):
        card = replace(fitted.calibrator.card, format=EARLIER_FORMAT, presence=None, unmatched=unmatched)
        replace(fitted.calibrator, card=card).save(tmp_path / "old.cal")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            Calibrator.load(tmp_path / "old.cal")
        told = [str(warning.message) for warning in caught]
        assert len(told) == (1 if unmatched else 0)
        assert not told or "include the probability that a person is there; fit it again" in told[0]


def test_features_by_hand() -> None:
    xy = np.zeros((3, 17, 2)) + np.arange(17)[:, None]
    xy[2] += 500
    box = np.array([[0.0, 0, 20, 40], [0, 0, 20, 20], [500, 500, 540, 580]])
    poses = Poses(
        xy=xy,
        box=box,
        box_score=np.array([0.9, 0.6, 0.5]),
        pose_quality=np.array([0.8, 0.5, 0.4]),
        image_id=np.ones(3, np.int64),
        skeleton=COCO_17,
    )
    person = np.array([1.0, 0.5, 1.0])
    np.testing.assert_allclose(person_score(poses, person), [0.72, 0.15, 0.2])
    features = presence_features(poses, person)
    assert set(features) == {"box score", "quality", "person", "rank", "size", "overlap", "similarity", "double"}
    np.testing.assert_allclose(features["box score"], np.log([9, 1.5, 1]))
    np.testing.assert_allclose(features["rank"], np.log([1, 0.15 / 0.72, 0.2 / 0.72]))
    np.testing.assert_allclose(features["size"], np.log([800 / 3200, 400 / 3200, 1]))
    assert features["overlap"].tolist() == [0, 0.5, 0]
    np.testing.assert_allclose([features["similarity"], features["double"]], [[0, 1, 0], [1, 0, 0]])
    model = PresenceModel({"double": 2.0}, 0.0, 0.5, least_box_score=0.4)
    skipped = np.array([[500.0, 500, 540, 540], [0, 0, 1, 1]])  # half of the last box, a little of the others
    np.testing.assert_allclose(model(poses, skipped=skipped), 1 / (1 + np.exp([-2, -2 / 400, -1])))
    assert PresenceModel(**model.to_json()) == model


def test_scores_on_another_scale_and_poses_without_trust_are_refused() -> None:
    poses = Poses(xy=np.zeros((1, 17, 2)), pose_score=np.array([7.0]), image_id=np.ones(1, np.int64))
    with pytest.raises(ValueError, match="reads pose_quality"):
        person_score(poses)
    with pytest.raises(ValueError, match="reads box_score or pose_score from 0 to 1"):
        person_score(replace(poses, pose_quality=np.array([0.5])))
    model = PresenceModel({"person": 1.0}, 0.0, 0.5)
    whole = replace(poses, pose_quality=np.array([0.5]), pose_score=np.array([0.5]))
    with pytest.raises(ValueError, match="reads 'person', which these poses do not have"):
        model(whole)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"slopes": {"age": 1.0}}, "slopes.age: expected one of box score, .*, got 'age'"),
        ({"slopes": {"rank": "1"}}, "slopes.rank: expected a number, got '1'"),
        ({"slopes": {"rank": 1e999}}, "slopes.rank: expected a finite number"),
        ({"min_presence": 1.5}, "min_presence: expected 0 to 1, got 1.5"),
        ({"least_box_score": -1}, "least_box_score: expected 0 to 1, got -1"),
        (
            {"minimum": 1},
            "minimum is unknown, expected one of slopes, offset, min_presence, fitted_on, least_box_score",
        ),
    ],
)
def test_what_is_no_model_is_refused(value: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_record(PresenceModel, {"slopes": {"rank": 1}, "offset": 0, "min_presence": 0.5, "fitted_on": {}} | value)


def test_the_threshold_has_the_best_f1() -> None:
    presence = np.array([0.95, 0.85, 0.75, 0.65, 0.55, 0.45])
    present = np.array([True, True, True, False, False, True])
    targets = PresenceTargets(present, present, people=4)
    threshold = best_threshold(presence, targets)
    scores = {}
    for number in np.arange(1, 100) / 100:
        shown = presence >= number
        right = (shown & present).sum()
        scores[number] = 2 * right / (shown.sum() + 4)  # precision and recall have the same people here
    assert scores[threshold] == max(scores.values()) and 0.65 < threshold <= 0.75


def test_recall_counts_people_with_labelled_keypoints_and_thresholds_begin_at_a_hundredth() -> None:
    # from .61 on: precision 1, recall 1 of 1; below .5 a box-only person is shown too, who adds precision alone
    targets = PresenceTargets(np.array([True, False, True]), np.array([True, False, False]), people=1)
    assert best_threshold(np.array([0.9, 0.6, 0.5]), targets) == 0.61
    present = np.array([True, False])
    assert best_threshold(np.array([0.1, 0.05]), PresenceTargets(present, present, people=1)) == 0.06


def _complete(people: int, spurious: int) -> tuple[TruthFile, Poses]:
    truth, results = made_up(people, spurious=spurious)
    truth = replace(truth, images=replace(truth.images, all_people_boxed=np.ones(len(truth.images), np.bool_)))
    quality = np.random.default_rng(1).uniform(0.2, 0.9, len(results.poses))
    return truth, replace(results.poses, pose_quality=quality, box_score=quality[::-1].copy())


def test_fifty_results_of_each_kind_are_needed() -> None:
    for spurious in (49, 50):
        truth, poses = _complete(60, spurious)
        fold = np.arange(len(poses)) % 2
        if spurious == 50:
            fit_presence(poses, truth, fold, "pose score")
            continue
        with pytest.raises(ValueError, match="49 results match no person, expected at least 50"):
            fit_presence(poses, truth, fold, "pose score")


def test_presence_of_the_fit_is_out_of_fold_and_reads_the_named_score_alone() -> None:
    truth, poses = _complete(60, 60)
    fold = poses.image_id % 2
    model, presence = fit_presence(poses, truth, fold, "pose score")
    assert "pose score" in model.slopes and "box score" not in model.slopes
    features = {name: column for name, column in presence_features(poses).items() if name in model.slopes}
    is_person = np.arange(120) < 60
    # what fold 0 is told does not depend on its own targets, and is what the fit gives
    flipped = PresenceTargets(np.where(fold == 0, ~is_person, is_person), is_person, 60)
    np.testing.assert_allclose(PresenceModel.fit(features, flipped, fold, {})[1][fold == 0], presence[fold == 0])
    assert np.abs(model(poses) - presence).max() > 1e-3


def test_targets_by_hand() -> None:
    """Two people of photo 1, the second with a box alone; a crowd with keypoints there; a person of photo 2, not all of
    whose people have boxes."""
    box = np.array([[0.0, 0, 20, 40], [50, 0, 70, 40], [200, 200, 300, 300], [0, 0, 20, 40]])
    v = np.full((4, 17), 2)
    v[1] = 0
    image, is_crowd = np.array([1, 1, 1, 2]), np.array([False, False, True, False])
    truth = Truth(xy=np.zeros((4, 17, 2)), v=v, box=box, image_id=image, iscrowd=is_crowd)
    found = np.array([[0.0, 0, 20, 40], [50, 0, 70, 40], [100, 0, 120, 40], [0, 0, 20, 40]])
    poses = Poses(xy=np.zeros((4, 17, 2)), box=found, image_id=np.array([1, 1, 1, 2]))
    targets, rows = PresenceTargets.of(poses, truth, np.linspace(0.9, 0.6, 4), np.array([1]))
    assert rows.tolist() == [0, 1, 2]
    assert targets.present.tolist() == [True, True, False]
    assert targets.labelled.tolist() == [True, False, False]
    assert targets.people == 1


def test_similarity_is_oks_over_the_mean_of_both_areas_without_missing_joints() -> None:
    xy = np.zeros((2, 17, 2))
    xy[1, :, 0] = 4
    xy[1, 3] = 900
    missing = np.zeros((2, 17), np.bool_)
    missing[1, 3] = True
    box = np.array([[0.0, 0, 40, 50], [0, 0, 20, 50]])  # areas 2000 and 1000
    columns = {"box": box, "box_score": np.array([0.9, 0.5]), "pose_quality": np.array([0.9, 0.5])}
    poses = Poses(xy=xy, missing=missing, image_id=np.ones(2, np.int64), skeleton=COCO_17, **columns)
    variance = (2 * np.delete(COCO_17.sigmas, 3)) ** 2
    expected = np.exp(-16 / (2 * 0.53 * 1500 * variance)).mean()
    assert 0.2 < expected < 0.9
    np.testing.assert_allclose(presence_features(poses)["similarity"], [0, expected])
    assert presence_features(poses)["double"].tolist() == pytest.approx([expected, 0])


def test_the_earlier_of_equal_poses_is_the_better_one_and_a_small_product_stays() -> None:
    box = np.array([[0.0, 0, 20, 20], [15, 0, 35, 20]])  # IoU 5 / 35
    columns = {"box": box, "box_score": np.full(2, 0.02), "pose_quality": np.full(2, 0.05)}
    poses = Poses(xy=np.zeros((2, 17, 2)), image_id=np.ones(2, np.int64), skeleton=COCO_17, **columns)
    np.testing.assert_allclose(presence_features(poses)["overlap"], [0, 1 / 7])
    np.testing.assert_allclose(person_score(poses), [0.001, 0.001])
