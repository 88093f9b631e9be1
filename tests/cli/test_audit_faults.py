"""Damaged files and known faults: `trustpose audit` prints one clear line and leaves no file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.cases import as_bytes, mutated, run, small_files


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--area", "polygon"], "area: expected one of auto, segment, box, box*0.53, file, got 'polygon'"),
        (["--images", "nowhere"], "--images adds a gallery to the report, so it needs --report"),
        (["--images", "nowhere", "--report", "r.html"], "nowhere: no such directory"),
        (["--report", "."], "--report expects a file to write"),
        (["--json", "."], "--json expects a file to write"),
        (["--sigmas", "1,x"], "--sigmas: expected numbers separated by commas"),
        (["--sigmas", "0.1,0.2"], "sigmas: expected 17 numbers above 0"),
        (["--score", "nothing"], "result 0: field 'nothing': expected a finite number, got nothing"),
        (["--draws", "-1"], "--draws"),
        (["--nonsense"], "--nonsense"),
        (["--category", "cow"], "no category 'cow'"),
    ],
)
def test_wrong_options_get_one_line_and_code_2(tmp_path: Path, monkeypatch, capsys, extra, message: str) -> None:
    small_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run("audit", "--gt", "gt.json", "--results", "results.json", *extra) == 2
    complaint = capsys.readouterr().err
    assert message in complaint
    assert complaint.count("\n") == 1
    assert {file.name for file in tmp_path.iterdir()} == {"gt.json", "results.json"}


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(5))
def test_mutated_files_get_one_clear_line_or_whole_outputs(tmp_path: Path, capsys, batch: int) -> None:
    """500 damaged files: no traceback, no incomplete output; accepted ones give complete outputs."""
    results, truth = small_files(tmp_path)
    random = np.random.default_rng(batch)
    outputs = [tmp_path / "audit.json", tmp_path / "report.html"]
    refused = 0
    for _ in range(100):
        spoilt = ["gt.json", "results.json"][int(random.random() < 0.6)]
        (tmp_path / "gt.json").write_text(json.dumps(truth))
        (tmp_path / "results.json").write_text(json.dumps(results))
        (tmp_path / spoilt).write_bytes(as_bytes(random, mutated(random, truth if spoilt == "gt.json" else results)))
        code = run(
            "audit", "--gt", tmp_path / "gt.json", "--results", tmp_path / "results.json",
            "--json", outputs[0], "--draws", 3,
        )  # fmt: skip
        complaint = capsys.readouterr().err
        written = {file.name for file in tmp_path.iterdir()} - {"gt.json", "results.json"}
        if code == 2:
            refused += 1
            assert complaint.count("\n") == 1
            assert complaint.startswith("trustpose: error: ")
            assert ".json" in complaint
            assert not written
        else:
            assert code == 0
            assert written == {"audit.json"}
            json.loads(outputs[0].read_text())
            outputs[0].unlink()
    assert refused > 50


def certain_faults() -> list[tuple[str, str, Any]]:
    """(name, file, change of its value) that no audit may accept."""
    nan = float("nan")

    def put(*path: Any) -> Any:
        *steps, last, new = path

        def change(value: Any) -> Any:
            inner = value
            for step in steps:
                inner = inner[step]
            inner[last] = new
            return value

        return change

    faults: list[tuple[str, str, Any]] = [
        ("nan", "results.json", put(0, "score", nan)),
        ("inf", "results.json", put(1, "keypoints", 4, float("inf"))),
        ("wrong K", "results.json", put(2, "keypoints", [1.0] * 48)),
        ("text for a number", "results.json", put(0, "keypoints", 0, "7")),
        ("unknown image", "results.json", put(0, "image_id", 99)),
        ("unknown person", "results.json", put(0, "annotation_id", 99)),
        ("person twice", "results.json", put(0, "annotation_id", 2)),
        ("unknown category", "results.json", put(0, "category_id", 99)),
        ("nan label", "gt.json", put("annotations", 0, "keypoints", 0, nan)),
        ("v of 7", "gt.json", put("annotations", 0, "keypoints", 2, 7)),
        ("id twice", "gt.json", put("annotations", 0, "id", 2)),
        ("image twice", "gt.json", put("images", 0, "id", 2)),
        ("area below 0", "gt.json", put("annotations", 0, "area", -5)),
        ("no images", "gt.json", put("images", [])),
        ("empty list", "results.json", lambda _: []),
        ("a number", "results.json", lambda _: 3),
        ("null", "gt.json", lambda _: None),
        ("a list", "gt.json", lambda value: [value]),
    ]
    for name in ("image_id", "category_id", "keypoints", "score"):
        faults.append((f"result without {name}", "results.json", lambda value, name=name: value[1].pop(name) and value))
    for name in ("images", "annotations", "categories"):
        faults.append((f"no {name}", "gt.json", lambda value, name=name: value.pop(name) and value))
    return faults


@pytest.mark.parametrize(("name", "file", "change"), certain_faults(), ids=[name for name, _, _ in certain_faults()])
def test_invalid_values_are_refused(tmp_path: Path, capsys, name: str, file: str, change) -> None:
    results, truth = small_files(tmp_path)
    value = change(truth if file == "gt.json" else results)
    (tmp_path / file).write_text(json.dumps(value))
    files = ["--gt", tmp_path / "gt.json", "--results", tmp_path / "results.json"]
    assert run("audit", *files, "--json", tmp_path / "out.json", "--draws", 0) == 2, name
    complaint = capsys.readouterr().err
    assert file in complaint
    assert complaint.count("\n") == 1
    assert not (tmp_path / "out.json").exists()


def test_a_folder_and_an_empty_file_are_refused(tmp_path: Path, capsys) -> None:
    small_files(tmp_path)
    (tmp_path / "empty.json").write_bytes(b"")
    for results in (tmp_path, tmp_path / "empty.json", tmp_path / "missing.json"):
        assert run("audit", "--gt", tmp_path / "gt.json", "--results", results) == 2
        assert str(results) in capsys.readouterr().err
