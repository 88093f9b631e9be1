"""Real estimators on real people: the calibrator improves scores out of fold."""

from dataclasses import replace

import numpy as np
import pytest

from tests.calibration.cases import fit
from trustpose.calibration.options import FitOptions
from trustpose.evaluation.audit import audit
from trustpose.images import fold_of
from trustpose.io.coco.results import read_results
from trustpose.io.coco.truth import read_coco_truth
from trustpose.poses import Poses


@pytest.mark.parametrize(("name", "raw_ece"), [("simplepose_flip", 0.23), ("movenet-thunder", 0.26)])
def test_trust_out_of_fold(data_dir, name, raw_ece) -> None:
    truth = read_coco_truth(data_dir / "coco" / "train_gt.json")
    results = read_results(data_dir / "results" / f"{name}.train.json", truth=truth)
    half = results.poses.image_id <= np.median(results.poses.image_id)  # 2,300 people: enough, and twice as fast
    results = replace(
        results, poses=results.poses[half], score=results.score[half], category_id=results.category_id[half]
    )
    fitted = fit(truth, results, FitOptions(method="trees", folds=2, draws=20))
    before, after = fitted.calibrator.card.before, fitted.calibrator.card.after
    assert before["pose.ece"][0] == pytest.approx(raw_ece, abs=0.015)
    assert after["pose.ece"][0] < before["pose.ece"][0] / 10
    assert after["pose.pearson"][0] > before["pose.pearson"][0] + 0.08
    assert after["keypoint.pearson"][0] > before["keypoint.pearson"][0] + 0.15
    assert after["keypoint.ece"][0] < before["keypoint.ece"][0] / 3
    poses = read_results(data_dir / "results" / f"{name}.dev.json").poses
    assert fitted.calibrator.shift(poses).warnings() == []
    stranger = {"simplepose_flip": "movenet-thunder", "movenet-thunder": "simplepose_flip"}[name]
    warnings = fitted.calibrator.shift(read_results(data_dir / "results" / f"{stranger}.dev.json").poses).warnings()
    assert any("another estimator" in warning for warning in warnings)
    assert np.isfinite(fitted.calibrator(poses).quality).all()


def test_leaving_dropped_joints_out_of_boxes_improves_trust(data_dir) -> None:
    """A fifth of MoveNet's joints 0, 0, 0, no boxes, as OpenPose writes it; `benchmarks/dropped_joints.py` has more."""
    truth = read_coco_truth(data_dir / "coco" / "dev_gt.json")
    results = read_results(data_dir / "results" / "movenet-thunder.dev.json", truth=truth)
    missing = results.poses.score < np.quantile(results.poses.score, 0.2)
    score = np.where(missing, 0, results.poses.score)
    dropped = Poses(
        xy=np.where(missing[..., None], 0, results.poses.xy),
        score=score,
        pose_score=score.mean(axis=1),
        image_id=results.poses.image_id,
    )
    half = fold_of(dropped.image_id, 2) == 0
    records = []
    for poses in (dropped, replace(dropped, missing=missing)):
        printed = replace(results, poses=poses, score=poses.pose_score)
        known, others = (
            replace(printed, poses=poses[rows], score=printed.score[rows], category_id=printed.category_id[rows])
            for rows in (half, ~half)
        )
        trusted = fit(truth, known, FitOptions(method="isotonic", folds=3, draws=5)).calibrator(others.poses)
        records.append(audit(truth, replace(others, poses=trusted, score=trusted.pose_quality), draws=0))
    found_there, left_out = records
    assert left_out.pose.pearson > found_there.pose.pearson + 0.04
    assert left_out.keypoint.pearson_pose_mean > found_there.keypoint.pearson_pose_mean + 0.02
    assert left_out.inputs["results"]["paired"] > 0.95 * (~half).sum()
    assert found_there.inputs["results"]["paired"] < 0.75 * (~half).sum()
    assert left_out.ap.AP > found_there.ap.AP
