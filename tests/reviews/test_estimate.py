"""`tp.estimate` and `trustpose estimate`: the JSON that scripts rely on, the same numbers in Python, refusals."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import trustpose as tp
from tests.calibration.test_accuracy import fitted, sampled
from tests.cli.cases import run
from trustpose.files import InputError
from trustpose.io.tables import write_table
from trustpose.poses import ErrorModel, Poses


def poses_with_errors() -> Poses:
    poses, *_ = sampled(11, 60)
    box = np.tile([0.0, 0.0, 40.0, 60.0], (len(poses), 1))
    model = ErrorModel((0.5,), (), (), (), 10, 100, "made-up people", accuracy=fitted())
    return replace(poses, box=box, score=poses.quality, error_model=model, pose_score=poses.pose_quality)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    path = tmp_path / "results.json"
    write_table(path, poses_with_errors())
    return path


def test_the_json_that_scripts_rely_on(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("estimate", results, "--json") == 0
    record = json.loads(capsys.readouterr().out)
    for number in (record["mean_oks"], record["ap"], record["keypoint"]["left_wrist"], record["above"]["0.75"]):
        assert 0 <= number["low"] <= number["value"] <= number["high"] <= 1
    assert set(record["shift"]) == {"quality", "shape"} and len(record["keypoint"]) == 17
    assert sum(group["people"] for group in record["groups"]["people"].values()) == len(tp.read_poses(results))
    accuracy = tp.estimate(results)
    assert accuracy.to_json() == record
    assert accuracy.mean_oks.value == pytest.approx(tp.read_poses(results).pose_quality.mean(), abs=0.02)
    assert repr(accuracy).startswith("EstimatedAccuracy(") and "mean OKS, size" in accuracy._repr_html_()


def test_the_table_and_the_file(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "accuracy.json"
    assert run("estimate", results, "--out", out) == 0
    printed = capsys.readouterr().out
    assert "mean OKS" in printed and "OPKS, left wrist" in printed and "mean OKS, size medium" in printed
    assert json.loads(out.read_text()) == tp.estimate(results).to_json()


def test_refusals_are_one_line(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(results.read_text())
    plain = tmp_path / "plain.json"
    names = ("image_id", "category_id", "keypoints", "score")
    plain.write_text(json.dumps([{name: row[name] for name in names} for row in rows]))
    alone = tmp_path / "alone.json"
    alone.write_text(results.read_text())
    for path, message in ((plain, "no trust"), (alone, "how far its expected OKS is off")):
        assert run("estimate", path) == 2
        error = capsys.readouterr().err.strip()
        assert message in error and str(path) in error and "\n" not in error
    with pytest.raises(InputError, match="no trust"):
        tp.estimate(tp.read_poses(plain))
    with pytest.raises(InputError, match="there are no poses"):
        tp.estimate(poses_with_errors()[:0])


def test_trust_of_a_bundled_calibrator_is_enough(results: Path, tmp_path: Path) -> None:
    rows = json.loads(results.read_text())
    plain = tmp_path / "plain.json"
    names = ("image_id", "category_id", "keypoints", "score", "bbox")
    plain.write_text(json.dumps([{name: row[name] for name in names} for row in rows]))
    accuracy = tp.estimate(plain, calibrator="shipped:simplepose")
    assert accuracy.shift.shape > 0.2 and accuracy.mean_oks.high - accuracy.mean_oks.low > 0.1
    assert any("unlike" in note for note in accuracy.notes)
