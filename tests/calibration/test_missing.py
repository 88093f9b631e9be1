"""Missing keypoints: no effect on features of other keypoints, an expected OPKS of 0, and no other change."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.calibration.cases import Fitted, fit, made_up
from trustpose.calibration.arrays import MISSING_FEATURE
from trustpose.calibration.calibrator import Calibrator
from trustpose.calibration.features import FeatureInputs, keypoint_features, pose_features, read_people
from trustpose.calibration.metrics import find_targets
from trustpose.calibration.options import FitOptions
from trustpose.calibration.selection import METHODS
from trustpose.io.coco.results import ResultsFile
from trustpose.io.coco.truth import TruthFile
from trustpose.poses import Poses
from trustpose.skeletons import COCO_17

FEW = FitOptions(folds=2, draws=20)


def dropped(poses: Poses, share: float = 0.25, seed: int = 0) -> Poses:
    """As OpenPose would have written it: the least sure joints are 0, 0, 0, there are no boxes and no ids."""
    assert poses.score is not None
    missing = poses.score + np.random.default_rng(seed).normal(0, 0.1, poses.score.shape)
    missing = missing < np.quantile(missing, share)
    return Poses(
        xy=np.where(missing[..., None], 0, poses.xy),
        score=np.where(missing, 0, poses.score),
        pose_score=poses.pose_score,
        image_id=poses.image_id,
        missing=missing,
    )


def openpose_like(people: int, seed: int = 0) -> tuple[TruthFile, ResultsFile]:
    """People of `made_up`, moved off the photo's corner, with dropped joints."""
    truth, results = made_up(people, seed)
    assert truth.truth.box is not None
    moved = replace(truth.truth, xy=truth.truth.xy + 500.0 * (truth.truth.v > 0)[..., None], box=truth.truth.box + 500)
    poses = dropped(replace(results.poses, xy=results.poses.xy + 500))
    return replace(truth, truth=moved), replace(results, poses=poses)


def tables(poses: Poses) -> dict[str, np.ndarray]:
    people = read_people(poses, COCO_17, FeatureInputs.of(poses))
    return {f"pose {name}": row for name, row in pose_features(people).items()} | keypoint_features(people)


@given(st.integers(0, 10**6), st.floats(0.05, 1))
@settings(max_examples=8)
def test_the_position_of_a_missing_keypoint_changes_no_feature(seed: int, share: float) -> None:
    poses = dropped(made_up(12, seed)[1].poses, share, seed)
    assert poses.missing is not None
    found = tables(poses)
    for position in (-1e6, 3e5, np.nan):
        xy = np.where(poses.missing[..., None], position, poses.xy)
        for name, column in tables(replace(poses, xy=xy)).items():
            np.testing.assert_array_equal(column, found[name], err_msg=name)
    assert all(np.isfinite(column).all() for column in found.values())


def test_people_without_missing_keypoints_are_as_before() -> None:
    """Bit for bit, also if people of other photos have missing keypoints: calibrators saved before masks existed stay
    valid."""
    poses = made_up(40)[1].poses
    poses = Poses(xy=poses.xy, score=poses.score, pose_score=poses.pose_score, image_id=poses.image_id)
    half = len(poses) // 2
    mixed = Poses.concatenate([poses[:half], dropped(poses)[half:]])
    whole, part = tables(poses), tables(mixed)
    for name, column in whole.items():
        np.testing.assert_array_equal(part[name][..., :half], column[..., :half], err_msg=name)
    nothing = tables(replace(poses, missing=np.zeros(poses.xy.shape[:2], dtype=bool)))
    for name, column in whole.items():
        np.testing.assert_array_equal(nothing[name], column, err_msg=name)


def test_features_by_hand() -> None:
    """A box of 100 by 100 at (100, 100); the left wrist is missing, the others are on a cross."""
    xy = np.full((2, 17, 2), 150.0)
    wrist, elbow = COCO_17.keypoints.index("left_wrist"), COCO_17.keypoints.index("left_elbow")
    xy[:, 0], xy[:, 1], xy[:, 2], xy[:, 3] = (100, 150), (200, 150), (150, 100), (150, 200)
    xy[:, wrist] = 0
    xy[1] += 10  # somebody beside
    missing = np.zeros((2, 17), dtype=bool)
    missing[:, wrist] = True
    poses = Poses(xy=xy, score=np.ones((2, 17)), pose_score=np.ones(2), missing=missing)
    found = tables(poses)
    assert found["pose pose left"][0] == 0 and found["pose pose right"][0] == 1 and found["pose pose top"][0] == 0
    assert found["pose joints outside"][0] == 0
    assert found["pose x left_wrist"][0] == found["pose length left_elbow–left_wrist"][0] == MISSING_FEATURE
    assert found["pose across left_elbow–left_wrist"][0] == 0
    assert found["mirror distance"][[wrist, wrist + 1], 0].tolist() == [MISSING_FEATURE] * 2
    assert found["distance from middle"][elbow, 0] == 0 and found["distance from middle"][wrist, 0] == MISSING_FEATURE
    assert found["nearest joint"][elbow, 0] == 0 and found["nearest joint"][wrist, 0] == 9
    assert found["longest limb"][elbow, 0] == 0  # to the shoulder; the one to the wrist does not count
    assert found["longest limb"][wrist, 0] == MISSING_FEATURE
    assert found["neighbour's joint"][wrist].tolist() == [4, 4]  # none
    assert found["pose neighbour's joints"][0] == pytest.approx(np.sqrt(2) * 10 / 100)


@pytest.fixture(scope="module", params=METHODS)
def fitted(request) -> Fitted:
    return fit(*openpose_like(120), replace(FEW, method=request.param))


def test_a_missing_keypoint_has_expected_opks_0(fitted: Fitted) -> None:
    for poses in (fitted.out_of_fold, fitted.calibrator(openpose_like(40, seed=1)[1].poses)):
        assert poses.missing is not None and poses.quality is not None and poses.visibility is not None
        assert (poses.quality[poses.missing] == 0).all()
        assert (poses.quality[~poses.missing] > 0.05).mean() > 0.9
        absent = poses.visibility[..., 0]
        assert 0.02 < absent[poses.missing].mean() < 0.98  # missing is not unlabelled
    truth, results = openpose_like(120)
    targets = find_targets(results.poses, truth.truth, COCO_17.sigmas, "segment")
    assert fitted.calibrator.card.unmatched < 8
    assert targets.opks[targets.missing].max() < 1e-6  # that of (0, 0)
    predicted, true = fitted.out_of_fold, targets.v.T > 0
    assert predicted.visibility is not None
    labelled = 1 - predicted.visibility[..., 0][targets.rows]
    missing = targets.missing.T
    assert labelled[missing].mean() == pytest.approx(true[missing].mean(), abs=0.05)


def test_shares_of_missing_keypoints_are_saved(fitted: Fitted, tmp_path: Path) -> None:
    calibrator, (_, results) = fitted.calibrator, openpose_like(30, seed=2)
    calibrator.save(tmp_path / "one.npz")
    again = Calibrator.load(tmp_path / "one.npz")
    for name in ("quality", "visibility", "pose_quality"):
        np.testing.assert_array_equal(getattr(again(results.poses), name), getattr(calibrator(results.poses), name))
    assert calibrator.shift(results.poses).warnings() == []


@pytest.mark.parametrize("method", ["isotonic", "platt"])
def test_fitted_without_missing_keypoints_it_applies_to_poses_that_have_some(method: str) -> None:
    truth, results = made_up(80)
    calibrator = fit(truth, results, replace(FEW, method=method)).calibrator
    poses = replace(dropped(results.poses), box=results.poses.box)
    trusted = calibrator(poses)
    assert poses.missing is not None and trusted.quality is not None
    assert (trusted.quality[poses.missing] == 0).all() and np.isfinite(trusted.visibility).all()


def test_scores_of_missing_keypoints_are_not_checked_for_their_scale() -> None:
    """Printed scores of 5 to 9, and a third of the joints 0, 0, 0."""
    truth, results = made_up(80)
    assert results.poses.score is not None
    large = replace(results, poses=replace(results.poses, score=results.poses.score * 4 + 5))
    calibrator = fit(truth, large, replace(FEW, method="platt")).calibrator
    poses = replace(dropped(large.poses, 0.35), box=large.poses.box)
    assert (calibrator(poses).pose_quality <= 1).all()
    shift = calibrator.shift(poses)
    assert shift.score_distance < 0.5  # some are missing; the others are unchanged


def test_a_person_without_any_keypoint() -> None:
    poses = dropped(made_up(6)[1].poses)
    assert poses.missing is not None
    poses = replace(poses, missing=poses.missing | (np.arange(6) == 2)[:, None])
    found = tables(poses)
    assert all(np.isfinite(column).all() for column in found.values())
    assert found["pose pose left"][2] == MISSING_FEATURE and (found["x"][:, 2] == MISSING_FEATURE).all()
