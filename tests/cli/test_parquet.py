"""Commands on Parquet in parts write what they write of the same rows in memory."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.calibration.cases import as_json, made_up
from tests.cli.cases import run
from tests.parquet_cases import write_parts
from trustpose.calibration.calibrator import Calibrator
from trustpose.io.companions import read_errors
from trustpose.io.pose_stream import open_results
from trustpose.io.tables import read_rows
from trustpose.skeletons import COCO_17


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """results.json, the same in parts, and one.cal."""
    folder = tmp_path_factory.mktemp("batches")
    truth, results = made_up(80)
    rows = results.poses.to_coco()
    (folder / "results.json").write_text(json.dumps(rows))
    write_parts(folder / "parts", rows, np.random.default_rng(2))
    Calibrator.fit(truth, results, method="isotonic", folds=2).save(folder / "one.cal")
    return folder


def rows_in(out: Path) -> list:
    files = sorted(out.glob("part-*.parquet")) if out.is_dir() else [out]
    if files[0].suffix == ".json":
        return json.loads(files[0].read_text())
    return [row for file in files for row in read_rows(file.read_bytes(), file) or []]


@pytest.mark.parametrize("name", ["out.json", "out.parquet", "out"])
def test_calibrated_rows_are_those_in_memory(folder: Path, tmp_path: Path, name: str, monkeypatch) -> None:
    monkeypatch.setattr("trustpose.io.tables.PART_ROWS", 30)
    monkeypatch.setattr("trustpose.io.parquet.ROWS", 8)
    arguments = ["calibrate", "apply", "--calibrator", folder / "one.cal", "--out"]
    assert run(*arguments, tmp_path / "whole.json", "--results", folder / "results.json") == 0
    assert run(*arguments, tmp_path / name, "--results", folder / "parts") == 0
    assert rows_in(tmp_path / name) == rows_in(tmp_path / "whole.json")
    expected = read_errors(tmp_path / "whole.json")
    assert expected is not None and read_errors(tmp_path / name) == expected
    if name != "out.json":
        batch, _ = next(iter(open_results(tmp_path / name, skeleton=COCO_17).batches()))
        assert batch.poses.error_model == expected
    assert not list(tmp_path.glob(".*")), "something temporary is left"


@pytest.mark.parametrize("name", ["out.json", "out.parquet", "out"])
def test_the_record_of_calibrated_rows_is_that_in_memory(folder: Path, tmp_path: Path, name: str) -> None:
    arguments = ["calibrate", "apply", "--calibrator", folder / "one.cal", "--out"]
    assert run(*arguments, tmp_path / "whole.json", "--results", folder / "results.json") == 0
    assert run(*arguments, tmp_path / name, "--results", folder / "parts") == 0
    whole, record = (json.loads((tmp_path / f"{out}.calibrator.json").read_text()) for out in ("whole.json", name))
    for field in ("calibrator", "fitted", "fitted_photos"):
        assert record[field] == whole[field]
    assert record["fitted_photos"] == 40 and len(record["source"]["sha256"]) == 64
    (folder / "gt.json").write_text(json.dumps(as_json(made_up(80)[0])))
    audit = ["audit", "--gt", folder / "gt.json", "--draws", "0", "--json", tmp_path / "audit.json", "--results"]
    assert run(*audit, tmp_path / name) == 0
    notes = json.loads((tmp_path / "audit.json").read_text())["notes"]
    assert any(note.startswith("40 of these photos have the same ids") and "one.cal" in note for note in notes)


@pytest.mark.parametrize("name", ["out.json", "out.parquet", "out"])
def test_converted_rows_are_unchanged(folder: Path, tmp_path: Path, name: str) -> None:
    assert run("convert", folder / "parts", "--out", tmp_path / name) == 0
    assert rows_in(tmp_path / name) == rows_in(folder / "results.json")


def test_results_become_parquet(folder: Path, tmp_path: Path) -> None:
    assert run("convert", folder / "results.json", "--format", "coco", "--out", tmp_path / "out.parquet") == 0
    rows = rows_in(tmp_path / "out.parquet")
    assert [row["keypoints"] for row in rows] == [row["keypoints"] for row in rows_in(folder / "results.json")]


def test_what_is_refused_names_it_and_writes_nothing(folder: Path, tmp_path: Path, capsys) -> None:
    apply = ["calibrate", "apply", "--calibrator", folder / "one.cal", "--results"]
    rows = rows_in(folder / "results.json")
    for row in rows:
        row["keypoints"][2::3] = [100 * keypoint for keypoint in row["keypoints"][2::3]]
    scaled = write_parts(tmp_path / "scaled", rows, np.random.default_rng(0))
    refused = {
        "another estimator, or another scale": [*apply, scaled, "--out", tmp_path / "a.parquet"],
        "expected .json, .csv, .parquet or the name": [*apply, folder / "parts", "--out", tmp_path / "a.txt"],
        "lies in the folder that is read": [*apply, folder / "parts", "--out", folder / "parts" / "new.parquet"],
        "--class: applies to other tools' files": [
            "convert",
            folder / "parts",
            "--class",
            "1",
            "--out",
            tmp_path / "a",
        ],
        "expected one table of results or one folder of its parts": [
            *("convert", folder / "parts", folder / "parts", "--out", tmp_path / "a.json")
        ],
    }
    for message, arguments in refused.items():
        assert run(*arguments) == 2
        assert message in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"scaled"}


def test_a_ground_truth_becomes_parquet_and_is_audited(folder: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "gt.json").write_text(json.dumps(as_json(made_up(80)[0])))
    assert run("convert", tmp_path / "gt.json", "--out", tmp_path / "gt.parquet") == 0
    assert "80 people on 40 photos" in capsys.readouterr().out
    audit = ["audit", "--results", folder / "parts", "--json", tmp_path / "out.json", "--gt"]
    audit += [tmp_path / "gt.parquet", "--report", tmp_path / "page.html", "--metric", "pck", "--draws", "20"]
    assert run(*audit, "--results", folder / "results.json") == 0  # two files, compared
    content = json.loads((tmp_path / "out.json").read_text())
    assert all(comparison["difference"] == 0 for record in content for comparison in record["compare"])
    assert content[0]["compare"] and "pck" in content[0]["localisation"] and content[0]["intervals"]["ap.AP"]
    assert (tmp_path / "page.html").read_text().startswith("<!DOCTYPE html>")
    capsys.readouterr()
    assert run("convert", tmp_path / "gt.json", "--out", tmp_path / "b.parquet", "--sigmas", "0.1") == 2
    assert "--sigmas: applies to poses" in capsys.readouterr().err


def test_a_calibrator_is_fitted_in_batches(folder: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "gt.json").write_text(json.dumps(as_json(made_up(80)[0])))
    fit = ["calibrate", "fit", "--method", "platt", "--folds", "2", "--draws", "5", "--max-results", "60", "--out"]
    whole = ["--gt", tmp_path / "gt.json", "--results", folder / "results.json"]
    parts = ["--gt", tmp_path / "gt.json", "--results", folder / "parts"]
    assert run(*fit, tmp_path / "whole.cal", *whole) == run(*fit, tmp_path / "parts.cal", *parts) == 0
    assert capsys.readouterr().out.count("fitted on 60 of 80 results") == 2
    written = [Calibrator.load(tmp_path / name) for name in ("whole.cal", "parts.cal")]
    assert written[0].card.after == written[1].card.after
    np.testing.assert_array_equal(written[0].model.slope, written[1].model.slope)  # type: ignore[union-attr]
    assert run(*fit, tmp_path / "common.cal", *parts, "--common") == 0
