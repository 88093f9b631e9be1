"""`tp.measure` and `trustpose measure`: the table, the same in any layout; what is not readable; what is refused."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow.parquet import read_table

import trustpose as tp
from tests.calibration.test_measure_errors import fitted, people
from tests.cli.cases import run
from tests.cli.test_parquet import rows_in
from tests.parquet_cases import as_csv, write_parts
from trustpose.files import InputError
from trustpose.io.companions import errors_path, results_sha256
from trustpose.io.tables import write_table
from trustpose.poses import ErrorModel, Poses

COLUMNS = (
    "image_id,annotation_id,track_id,person,time,measure,value,sd,low_50,high_50,low_80,high_80,low_90,high_90,low_95,"
    "high_95,unit,readable,reason"
)


def poses_of_people(count: int = 40) -> Poses:
    poses, _ = people(2, 400)
    missing = np.zeros((count, 17), np.bool_)
    missing[3, 15] = True  # the left ankle
    xy, score = poses.xy[:count].copy(), poses.score[:count].copy()
    xy[3, 15], score[3, 15] = 0, 0
    visibility = poses.visibility[:count].copy()
    visibility[4, 13] = (0.9, 0.05, 0.05)  # the left knee
    ids = {"image_id": np.arange(count) // 2 + 1, "annotation_id": np.arange(count) + 100}
    model = ErrorModel((0.5,), (), (), (), 10, 100, "made-up people", measures=fitted())
    poses = replace(poses[:count], xy=xy, score=score, visibility=visibility, missing=missing, **ids)
    return replace(poses, error_model=model)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    path = tmp_path / "results.json"
    write_table(path, poses_of_people())
    return path


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_has_the_columns_that_scripts_rely_on(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = results.parent / "angles.csv"
    assert run("measure", results, "--out", out) == 0
    assert "40 people × 35 measures" in capsys.readouterr().out
    assert out.read_text().splitlines()[0] == COLUMNS
    rows = table(out)
    assert len(rows) == 40 * 35
    knees = [row for row in rows if row["measure"] == "left_knee"]
    assert [int(row["person"]) for row in knees] == [*range(40)]
    assert knees[3]["readable"] == "false" and knees[3]["reason"] == "left_ankle is missing"
    assert knees[4]["readable"] == "false" and knees[4]["reason"] == "left_knee is probably absent"
    for row in (knees[3], knees[4]):
        assert not any(row[name] for name in ("value", "sd", "low_50", "high_95"))
    for row in rows:
        if row["value"]:
            ends = [float(row[name]) for name in ("low_95", "low_90", "low_80", "high_80", "high_90", "high_95")]
            assert ends == sorted(ends) and (row["unit"] != "degrees" or -360 <= ends[0] <= ends[-1] <= 360)
    assert {row["unit"] for row in rows} == {"degrees", "pixels"}
    assert rows[0]["image_id"] == "1" and rows[0]["annotation_id"] == "100" and rows[0]["track_id"] == ""


def test_python_and_the_command_line_read_the_same(results: Path) -> None:
    out = results.parent / "angles.csv"
    assert run("measure", results, "--measures", "left_knee,trunk", "--levels", "0.5,0.9", "--out", out) == 0
    measured = tp.measure(results, ["left_knee", "trunk"], levels=[0.5, 0.9])
    again = results.parent / "again.csv"
    measured.save(again)
    assert again.read_text() == out.read_text()
    knee = measured["left_knee"]
    assert knee.value.shape == (40,) and knee.low.shape == (40, 2) and knee.measure.unit == "degrees"
    inside = np.flatnonzero(knee.readable)
    assert (knee.low[inside] <= knee.high[inside]).all() and (knee.sd[inside] > 0).all()
    assert repr(measured).startswith("Measurements(40 people × 2 measures; 9")
    frame = measured.to_pandas()
    assert list(frame.columns) == out.read_text().splitlines()[0].split(",") and len(frame) == 80


def test_the_same_rows_give_the_same_table_in_any_layout(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trustpose.io.parquet.ROWS", 7)
    expected = _written(results)
    assert len(expected) == 40 * 35
    rows = rows_in(results)
    csv_file = tmp_path / "results.csv"
    csv_file.write_text(as_csv(rows))
    parts = write_parts(tmp_path / "parts", rows, np.random.default_rng(0))
    for source in (csv_file, parts):
        _errors_beside(results, source)
        assert _written(source) == expected, source
    parquet = tmp_path / "angles.parquet"
    assert run("measure", results, "--out", parquet) == 0
    rows = read_table(parquet).to_pylist()
    assert [row["measure"] for row in rows] == [row["measure"] for row in expected]
    assert [row["value"] for row in rows] == [float(row["value"]) if row["value"] else None for row in expected]


def _errors_beside(results: Path, source: Path) -> None:
    beside = json.loads(errors_path(results).read_text())
    errors_path(source).write_text(json.dumps(beside | {"results": source.name, "sha256": results_sha256(source)}))


def _written(source: Path) -> list[dict[str, str]]:
    out = source.parent / "written.csv"
    assert run("measure", source, "--out", out) == 0
    return table(out)


def test_a_calibrator_sees_whole_photos_in_any_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A calibrator's features count the people of a photo, so batches of Parquet may not cut one."""
    monkeypatch.setattr("trustpose.io.parquet.ROWS", 5)
    rows = [row | {"bbox": _box_of(row["keypoints"])} for row in _plain_rows()]
    for row in rows:
        row["image_id"] = 1 + row["image_id"] % 4  # ten people a photo, who overlap
    np.random.default_rng(1).shuffle(rows)
    results = tmp_path / "plain.json"
    results.write_text(json.dumps(rows))
    expected = _calibrated_lines(results)
    assert len(expected) == 1 + 40 * 35
    assert _calibrated_lines(write_parts(tmp_path / "parts", rows, np.random.default_rng(0))) == expected


def _box_of(keypoints: list[float]) -> list[float]:
    xy = np.array(keypoints).reshape(-1, 3)[:, :2]
    return [*xy.min(axis=0), *(xy.max(axis=0) - xy.min(axis=0))]


def _calibrated_lines(source: Path) -> list[str]:
    out = source.parent / "calibrated.csv"
    assert run("measure", source, "--calibrator", "shipped:simplepose", "--out", out) == 0
    return sorted(out.read_text().splitlines())


def test_ones_own_measures(results: Path, tmp_path: Path) -> None:
    own = {
        "knee": {"angle": ["left_hip", "left_knee", "left_ankle"]},
        "shoulders to hips": {"ratio": ["left_shoulder", "right_shoulder", "left_hip", "right_hip"]},
        "lean, of the trunk": {"tilt": [["left_hip", "right_hip"], ["left_shoulder", "right_shoulder"]]},
    }
    file = tmp_path / "own.json"
    file.write_text(json.dumps(own))
    out = tmp_path / "own.csv"
    assert run("measure", results, "--measures", file, "--out", out) == 0
    rows = table(out)
    assert {row["measure"] for row in rows} == set(own) and {row["unit"] for row in rows} == {"degrees", "1"}
    expected = tp.measure(results, ["left_knee"])["left_knee"].value
    knees = [row["value"] for row in rows if row["measure"] == "knee"]
    np.testing.assert_allclose([float(knee or "nan") for knee in knees], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"knee": {"angle": ["left_hip", "left_kne", "left_ankle"]}}, "has no joint 'left_kne' (did you mean"),
        ({"knee": {"angle": ["left_hip", "left_knee"]}}, "angle: expected 3 points, got 2"),
        ({"knee": {"angel": []}}, "expected one of angle"),
        ({"knee": {"angle": "left_hip"}}, "knee.angle: expected joints or lists of joints"),
        ({"knee": []}, "expected one formula"),
        ([], "expected an object with a formula for each name"),
    ],
)
def test_wrong_definitions_are_one_line(
    own: Any, message: str, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "own.json"
    file.write_text(json.dumps(own))
    assert run("measure", results, "--measures", file, "--out", tmp_path / "own.csv") == 2
    error = capsys.readouterr().err.strip()
    assert message in error and str(file) in error and "\n" not in error and not (tmp_path / "own.csv").exists()


def test_results_without_trust_are_refused_or_give_values_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{name: row[name] for name in ("image_id", "category_id", "keypoints", "score")} for row in _plain_rows()]
    results, out = tmp_path / "plain.json", tmp_path / "angles.csv"
    results.write_text(json.dumps(rows))
    assert run("measure", results, "--out", out) == 2
    assert f"{results}: no trust (keypoint_quality)" in capsys.readouterr().err and not out.exists()
    assert run("measure", results, "--no-intervals", "--out", out) == 0
    written = table(out)
    assert written[0]["value"] and not written[0]["low_90"] and not written[0]["sd"]
    with pytest.raises(InputError, match="poses: no trust"):
        tp.measure(results)


def _plain_rows() -> list[dict[str, Any]]:
    return replace(poses_of_people(), missing=None).to_coco()


def test_what_is_said_of_measures_that_nothing_was_learnt_of(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = results.parent / "angles.csv"
    assert run("measure", results, "--measures", "left_knee,knee_difference", "--out", out) == 0
    assert "intervals of knee_difference are propagated from the joints' expected errors" in capsys.readouterr().err
    results.with_suffix(".errors.json").unlink()
    assert run("measure", results, "--out", out) == 0
    assert "nothing was learnt of how far these measures are off" in capsys.readouterr().err


def test_other_refusals(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "angles.csv"
    for arguments, message in (
        (("--levels", "0.5,1.2", "--out", out), "levels: expected numbers between 0 and 1, got 1.2"),
        (("--levels", "half", "--out", out), "--levels: expected numbers with commas between them, got 'half'"),
        (("--measures", "left_kne", "--out", out), "unknown measure 'left_kne' (did you mean 'left_knee'?)"),
        (("--out", tmp_path / "angles.txt"), "expected a table's name, ending in .csv or .parquet"),
        (("--out", results), "would be overwritten by --out"),
    ):
        assert run("measure", results, *arguments) == 2
        error = capsys.readouterr().err.strip()
        assert message in error and "\n" not in error, arguments
    frames = tmp_path / "images.json"
    frames.write_text(json.dumps({"images": [{"id": number} for number in range(1, 21)]}))
    assert run("measure", results, "--images", frames, "--out", out) == 2
    assert f"{frames}: time: expected the seconds of each frame" in capsys.readouterr().err
    with pytest.raises(KeyError, match="'knee' was not measured, expected one of trunk"):
        tp.measure(results, ["trunk"])["knee"]


def test_times_of_frames(results: Path, tmp_path: Path) -> None:
    frames = tmp_path / "images.json"
    frames.write_text(json.dumps({"images": [{"id": number, "time": number / 10} for number in range(1, 21)]}))
    out = tmp_path / "angles.csv"
    assert run("measure", results, "--measures", "trunk", "--images", frames, "--out", out) == 0
    assert [row["time"] for row in table(out)][:4] == ["0.1", "0.1", "0.2", "0.2"]
