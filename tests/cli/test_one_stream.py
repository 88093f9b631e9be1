"""The same rows give the same output, notes, warnings and records in any layout: JSON, CSV, Parquet, parts."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.calibration.cases import another, made_up
from tests.cli.cases import run
from tests.cli.test_parquet import rows_in
from tests.parquet_cases import write_layouts
from tests.tracking.test_smoothing import walk
from trustpose.calibration import calibrator as calibrators
from trustpose.calibration.calibrator import Calibrator
from trustpose.io import parquet, row_stream
from trustpose.io.coco.results import ResultsFile
from trustpose.poses import write_results


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches and files so small that 40 people need many of each."""
    monkeypatch.setattr(parquet, "ROWS", 7)
    monkeypatch.setattr(parquet, "_AT_ONCE", 11)
    monkeypatch.setattr(row_stream, "_WRITTEN_AT_ONCE", 13)
    monkeypatch.setattr(calibrators, "_SAMPLE", 30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """one.cal; second.json of the same people, and two.cal with it; whole.cal with presence."""
    folder = tmp_path_factory.mktemp("stream")
    truth, results = made_up(80)
    Calibrator.fit(truth, results, method="isotonic", folds=2).save(folder / "one.cal")
    Calibrator.fit(truth, made_up(80, spurious=40)[1], method="platt", folds=2, goal="total-f1").save(
        folder / "whole.cal"
    )
    write_results(folder / "second.json", another(truth))
    second = {"exact": another(truth)}
    Calibrator.fit(truth, results, method="trees", folds=2, second=second).save(folder / "two.cal")
    return folder


def orders(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The rows by photo, with photos shuffled, and with the rows of photos scattered; those of a photo in order."""
    random = np.random.default_rng(1)
    photo = np.array([row["image_id"] for row in rows])
    shuffled = random.permutation(photo.max() + 1)[photo]
    scattered = np.empty(len(rows), np.int64)  # rank in a permutation, ascending within each photo
    for image_id in np.unique(photo):
        scattered[photo == image_id] = 0
    rank = random.permutation(len(rows))
    for image_id in np.unique(photo):
        scattered[photo == image_id] = np.sort(rank[photo == image_id])
    keys = {"in order": photo, "shuffled": shuffled, "scattered": scattered}
    return {name: [rows[row] for row in np.argsort(key, kind="stable").tolist()] for name, key in keys.items()}


def printed(capsys: pytest.CaptureFixture[str], results: Path, out: Path) -> str:
    """What a command printed, without the names of its files."""
    captured = capsys.readouterr()
    return (captured.out + captured.err).replace(str(out), "OUT").replace(str(results), "RESULTS")


def made_up_rows(*, texts: bool = False, names: bool = False) -> list[dict[str, Any]]:
    """Rows with people on nobody, ids in order or as texts, and the names of some photos."""
    results: ResultsFile = made_up(40, spurious=10)[1]
    rows = results.poses.to_coco()
    for row in rows:
        if names and row["image_id"] % 3:
            row["file_name"] = f"{row['image_id']}.jpg"
        if texts:
            row["image_id"] = f"photo {row['image_id']:03}"
    return sorted(rows, key=lambda row: row["image_id"])


CALIBRATED: dict[str, list[str]] = {
    "one": [],
    "whole": [],
    "two": ["--second", "exact={}/second.json"],
}


@pytest.mark.parametrize("name", CALIBRATED)
@pytest.mark.parametrize("suffix", [".json", ".csv", ".parquet"])
@pytest.mark.usefixtures("small")
def test_trust_is_that_of_any_layout(folder: Path, tmp_path: Path, capsys, name: str, suffix: str) -> None:
    options = ["--calibrator", folder / f"{name}.cal", *(text.format(folder) for text in CALIBRATED[name])]
    by_keypoints: dict[str, dict[str, Any]] = {}
    messages = set[str]()
    for order, rows in orders(made_up_rows(names=True)).items():
        for results in write_layouts(tmp_path / order, rows):
            out = tmp_path / order / f"{results.name}.out{suffix}"
            assert run("calibrate", "apply", *options, "--results", results, "--out", out) == 0
            written = rows_in(out) if suffix != ".csv" else csv_rows(out)
            assert [row["keypoints"] for row in written] == [row["keypoints"] for row in rows], (
                "in the order of the file"
            )
            by_keypoints = by_keypoints or {str(row["keypoints"]): row for row in written}
            assert written == [by_keypoints[str(row["keypoints"])] for row in rows], f"{order}, {results.name}"
            messages.add(printed(capsys, results, out))
            record = json.loads(Path(f"{out}.calibrator.json").read_text())
            assert record["fitted_photos"] == 20 and record["source"]["sha256"] and record["results"]["sha256"]
    assert len(by_keypoints) == 50 and len(messages) == 1
    assert "20 of these photos have" in next(iter(messages))
    assert all("file_name" in row for row in by_keypoints.values() if row["image_id"] % 3)


@pytest.mark.usefixtures("small")
def test_trust_of_photos_with_texts_for_ids(folder: Path, tmp_path: Path, capsys) -> None:
    expected, messages = [], set[str]()
    rows = made_up_rows(texts=True)
    half = [*rows[::2], *rows[1::2]]
    for order, ordered in {"together": rows, "scattered": half}.items():
        for results in write_layouts(tmp_path / order, ordered):
            out = tmp_path / order / f"{results.name}.out.json"
            assert (
                run("calibrate", "apply", "--calibrator", folder / "whole.cal", "--results", results, "--out", out) == 0
            )
            expected.append(sorted(rows_in(out), key=lambda row: str(row["keypoints"])))
            assert [row["image_id"] for row in rows_in(out)] == [row["image_id"] for row in ordered]
            messages.add(printed(capsys, results, out))
    assert all(written == expected[0] for written in expected)
    assert len(messages) == 1


SUPPRESSED: dict[str, list[str]] = {
    "hard": [],
    "soft": ["--method", "soft-oks-nms"],
    "other score": ["--score", "score*score", "--method", "none"],
}


@pytest.mark.parametrize("name", SUPPRESSED)
@pytest.mark.parametrize("suffix", [".json", ".csv", ".parquet"])
@pytest.mark.usefixtures("small")
def test_suppressed_rows_are_those_of_any_layout(tmp_path: Path, capsys, name: str, suffix: str) -> None:
    messages, kept = set[str](), dict[str, dict[str, Any]]()
    for order, rows in orders(twice(made_up_rows(names=True))).items():
        for results in write_layouts(tmp_path / order, rows):
            out = tmp_path / order / f"{results.name}.out{suffix}"
            assert run("suppress", "--results", results, "--out", out, *SUPPRESSED[name]) == 0
            written = rows_in(out) if suffix != ".csv" else csv_rows(out)
            kept = kept or {str(row["keypoints"]): row for row in written}
            assert written == [kept[key] for row in rows if (key := str(row["keypoints"])) in kept]
            assert all(row.items() <= (kept[str(row["keypoints"])] | row).items() for row in written)
            messages.add(without_time(printed(capsys, results, out)))
    assert len(messages) == 1 and ("poses kept" in next(iter(messages)))
    assert len(kept) == (50 if name == "hard" else 100)
    assert all(("pose_score" in row) == (name != "hard") for row in kept.values())


def twice(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each row, and one of nearly the same pose with a lower score."""
    doubles = []
    for row in rows:
        shifted = [value + (index % 3 == 0) for index, value in enumerate(row["keypoints"])]
        doubles += [row, row | {"keypoints": shifted, "score": row["score"] / 2}]
    return doubles


def without_time(text: str) -> str:
    """A command's output without seconds and speed."""
    return re.sub(r"in [0-9.]+ s( \([0-9]+ poses/s\))?", "in a while", text)


@pytest.mark.parametrize("suffix", [".json", ".csv", ".parquet"])
@pytest.mark.usefixtures("small")
def test_converted_rows_are_those_of_any_layout(tmp_path: Path, capsys, suffix: str) -> None:
    messages, made_up_ones = set[str](), made_up_rows(names=True)
    made_up_ones[0]["keypoints"][:5] = [0.0] * 5
    for order, rows in orders([row | {"track_id": row["image_id"]} for row in made_up_ones]).items():
        for results in write_layouts(tmp_path / order, rows):
            out = tmp_path / order / f"{results.name}.out{suffix}"
            assert run("convert", results, "--out", out) == 0
            assert (rows_in(out) if suffix != ".csv" else csv_rows(out)) == rows
            messages.add(printed(capsys, results, out))
    (message,) = messages
    assert message.startswith("OUT: 50 poses, 17 keypoints, from coco")
    assert "1 of 850 keypoints are at 0, 0: they count as missing" in message
    assert "1 of 850 keypoints are at 0, 0 with a score" in message


@pytest.mark.parametrize("suffix", [".json", ".csv", ".parquet"])
def test_smoothed_rows_are_those_of_any_layout(tmp_path: Path, capsys, suffix: str) -> None:
    poses, _ = walk(0, frames=40)
    frames = poses[np.r_[0:12, 15:40]].to_coco()
    messages = set[str]()
    for order, rows in {"in order": frames, "scattered": [*frames[1::2], *frames[::2]]}.items():
        expected: list[dict[str, Any]] = []
        for results in write_layouts(tmp_path / order, rows):
            out = tmp_path / order / f"{results.name}.out{suffix}"
            assert run("smooth", results, "--out", out) == 0
            written = rows_in(out) if suffix != ".csv" else csv_rows(out)
            expected = expected or written
            assert written == expected and [row["image_id"] for row in written[37:]] == [12, 13, 14]
            assert [row["image_id"] for row in written[:37]] == [row["image_id"] for row in rows]
            messages.add(without_time(printed(capsys, results, out)))
    assert len(messages) == 1 and "37 poses smoothed" in next(iter(messages))


def csv_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a CSV file."""
    from trustpose.io.tables import read_rows

    return read_rows(path.read_bytes(), path) or []
