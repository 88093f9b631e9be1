"""Real estimators on real people: the calibrator does what it is for, out of fold."""

from dataclasses import replace

import numpy as np
import pytest

from trustpose.calibration.crossfit import Options
from trustpose.calibration.fit import fit
from trustpose.data.coco import read_results, read_truth


@pytest.mark.parametrize(("name", "raw_ece"), [("simplepose_flip", 0.23), ("movenet-thunder", 0.26)])
def test_trust_out_of_fold(data_dir, name, raw_ece) -> None:
    truth = read_truth(data_dir / "coco" / "train_gt.json")
    results = read_results(data_dir / "results" / f"{name}.train.json", truth=truth)
    half = results.poses.image_id <= np.median(results.poses.image_id)  # 2,300 people: enough, and twice as fast
    results = replace(
        results, poses=results.poses[half], score=results.score[half], category_id=results.category_id[half]
    )
    fitted = fit(truth, results, Options(method="trees", folds=2, replicates=20))
    before, after = fitted.calibrator.card.before, fitted.calibrator.card.after
    assert before["pose.ece"][0] == pytest.approx(raw_ece, abs=0.015)
    assert after["pose.ece"][0] < before["pose.ece"][0] / 10
    assert after["pose.pearson"][0] > before["pose.pearson"][0] + 0.08
    assert after["keypoint.pearson"][0] > before["keypoint.pearson"][0] + 0.15
    assert after["keypoint.ece"][0] < before["keypoint.ece"][0] / 3
    others = read_results(data_dir / "results" / f"{name}.dev.json").poses
    assert fitted.calibrator.shift(others).warnings() == []
    stranger = {"simplepose_flip": "movenet-thunder", "movenet-thunder": "simplepose_flip"}[name]
    warnings = fitted.calibrator.shift(read_results(data_dir / "results" / f"{stranger}.dev.json").poses).warnings()
    assert any("another estimator" in warning for warning in warnings)
    assert np.isfinite(fitted.calibrator(others).quality).all()
