"""The bundled calibrators: their cards, and their numbers on people that they were not fitted on."""

from dataclasses import replace

import numpy as np
import pytest

import trustpose as tp
from tests.calibration.cases import audit_notes
from trustpose.calibration.applied_record import fitted_photos
from trustpose.calibration.shipped import PREFIX, calibrator_file, shipped_calibrators
from trustpose.evaluation.audit import audit
from trustpose.io.coco.results import read_results
from trustpose.io.coco.truth import read_coco_truth

NAMES = ("mediapipe", "movenet-multipose", "movenet-thunder", "pp-tinypose", "simplepose")


def test_all_are_there_small_and_with_a_card() -> None:
    known = shipped_calibrators()
    assert tuple(known) == NAMES
    for name, file in known.items():
        assert file.stat().st_size < 400_000
        text = file.with_suffix(".md").read_text()
        card = tp.Calibrator.load(PREFIX + name).card
        assert card.estimator == name and card.method == "trees" and not card.opinions
        assert f"{card.results.used:,} results" in text and f" → {card.after['pose.pearson'][0]:.3f} (" in text
        for heading in ("**Fitted on**", "**Training data of the network:**", "**Numbers**", "**Limits.**", "Licence"):
            assert heading in text
        assert len(card.networks) == (0 if name == "mediapipe" else 1)


def test_an_unknown_name() -> None:
    with pytest.raises(tp.InputError, match="calibrator: expected one of shipped:med"):
        tp.Calibrator.load("shipped:movenet")
    assert str(calibrator_file("folder/some.cal")) == "folder/some.cal"


def test_networks_that_saw_train2017_are_fitted_on_other_photos(data_dir) -> None:
    val2017 = read_coco_truth(data_dir / "coco" / "val2017_gt.json").images.id
    dev = read_coco_truth(data_dir / "coco" / "dev_gt.json").images.id
    for name in NAMES:
        calibrator = tp.Calibrator.load(PREFIX + name)
        assert fitted_photos(calibrator, [dev]) == 0
        if name != "mediapipe":
            assert np.isin(calibrator.image_ids, val2017).all()


@pytest.mark.parametrize(("name", "file"), [("simplepose", "simplepose"), ("movenet-thunder", "movenet-thunder")])
def test_they_hold_on_dev(data_dir, name, file) -> None:
    truth = read_coco_truth(data_dir / "coco" / "dev_gt.json")
    results = read_results(data_dir / "results" / f"{file}.dev.json", truth=truth)
    calibrator = tp.Calibrator.load(PREFIX + name)
    applied = calibrator.apply(results.poses)
    assert applied.warnings == ()
    before, after = (
        audit(truth, one, area="file", draws=0)
        for one in (results, replace(results, poses=applied.poses, score=applied.poses.ranking_score))
    )
    assert after.pose.pearson > before.pose.pearson + 0.08 and after.pose.ece < 0.025
    assert after.keypoint.pearson > before.keypoint.pearson + 0.15 and after.ap.AP > before.ap.AP
    assert audit_notes(calibrator, truth, results, calibrator.card.area) == ()
    stranger = {"simplepose": "movenet-thunder", "movenet-thunder": "simplepose"}[name]
    poses = read_results(data_dir / "results" / f"{stranger}.dev.json").poses
    assert any("another estimator" in sentence for sentence in calibrator.apply(poses).warnings)
