"""No command overwrites its inputs, or writes two outputs to one file; only `-` is standard output."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.calibration.cases import as_json, made_up
from tests.cli.cases import run
from trustpose.calibration.calibrator import Calibrator
from trustpose.cli.outputs import check_outputs
from trustpose.files import InputError
from trustpose.poses import write_results


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> Path:
    """gt.json, results.json, others.json, one.cal and a folder of photos."""
    folder = tmp_path_factory.mktemp("given")
    truth, results = made_up(40)
    (folder / "gt.json").write_text(json.dumps(as_json(truth)))
    for name in ("results.json", "others.json"):
        write_results(folder / name, results.poses)
    Calibrator.fit(folder / "gt.json", folder / "results.json", method="isotonic").save(folder / "one.cal")
    (folder / "photos").mkdir()
    cv2.imwrite(str(folder / "photos" / "1.png"), np.zeros((4, 4, 3), np.uint8))
    return folder


AUDIT = ["audit", "--gt", "gt.json", "--draws", "0"]
FIT = ["calibrate", "fit", "--gt", "gt.json", "--results", "results.json", "--draws", "1", "--method", "isotonic"]
APPLY = ["calibrate", "apply", "--calibrator", "one.cal", "--results", "results.json"]
CONVERT = ["convert", "results.json", "--gt", "gt.json"]
MISTAKES = {
    "audit json gt": ([*AUDIT, "--results", "results.json", "--json", "gt.json"], "--gt"),
    "audit json results": ([*AUDIT, "--results", "others.json", "results.json", "--json", "results.json"], "--results"),
    "audit report gt": ([*AUDIT, "--results", "results.json", "--report", "gt.json"], "--gt"),
    "audit report calibrator": (
        [*AUDIT, "--results", "results.json", "--calibrator", "one.cal", "--report", "one.cal"],
        "--calibrator",
    ),
    "audit before": (
        [*AUDIT, "--before", "others.json", "--after", "results.json", "--json", "others.json"],
        "--before",
    ),
    "audit after": (
        [*AUDIT, "--before", "others.json", "--after", "results.json", "--json", "results.json"],
        "--after",
    ),
    "audit photo": (
        [*AUDIT, "--results", "results.json", "--images", "photos", "--report", "photos/1.png"],
        "--images",
    ),
    "fit out": ([*FIT, "--out", "results.json"], "--results"),
    "fit json": ([*FIT, "--out", "new.cal", "--json", "gt.json"], "--gt"),
    "apply results": ([*APPLY, "--out", "results.json"], "--results"),
    "apply calibrator": ([*APPLY, "--out", "one.cal"], "--calibrator"),
    "convert source": ([*CONVERT, "--out", "results.json"], "a file to convert"),
    "convert gt": ([*CONVERT, "--out", "gt.json"], "--gt"),
    "suppress": (["suppress", "--results", "results.json", "--out", "results.json"], "--results"),
}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("case", MISTAKES)
def test_inputs_are_never_overwritten(given, capsys, monkeypatch, case):
    words, option = MISTAKES[case]
    monkeypatch.chdir(given)
    before = contents(given)
    assert run(*words) == 2
    output, message = capsys.readouterr()
    assert message.startswith(f"trustpose: error: {words[-1]}: would be overwritten by {words[-2]}, ")
    assert f"given as {option};" in message and message.count("\n") == 1 and not output
    assert contents(given) == before


def _links(folder: Path) -> dict[str, Path]:
    (folder / "symbolic").symlink_to("file")
    (folder / "hard").hardlink_to(folder / "file")
    (folder / "below").mkdir()
    return {
        "its name": folder / "file",
        "symbolic link": folder / "symbolic",
        "hard link": folder / "hard",
        "detour": folder / "below" / ".." / "file",
    }


@pytest.mark.parametrize("spelling", ["its name", "symbolic link", "hard link", "detour"])
def test_however_it_is_spelt(tmp_path, spelling):
    (tmp_path / "file").write_bytes(b"")
    path = _links(tmp_path)[spelling]
    with pytest.raises(InputError, match="would be overwritten by --out, but is given as --gt"):
        check_outputs({"--out": path}, {"--gt": tmp_path / "file"})
    with pytest.raises(InputError, match="would be written by both --json and --report"):
        check_outputs({"--json": tmp_path / "file", "--report": path}, {})


@pytest.mark.parametrize("report_name", ["new", "below/../new", "link"])
def test_two_outputs_in_one_file_that_is_not_there_yet(tmp_path, report_name):
    (tmp_path / "below").mkdir()
    (tmp_path / "link").symlink_to("new")
    with pytest.raises(InputError, match="would be written by both --json and --report"):
        check_outputs({"--json": tmp_path / "new", "--report": tmp_path / report_name}, {"--gt": None})
    check_outputs({"--json": tmp_path / "new", "--report": tmp_path / "newer"}, {})


def test_allowed_outputs(given):
    """The null device twice, files of an earlier run, a file next to the photos."""
    null = Path(os.devnull)
    check_outputs({"--json": null, "--report": null}, {"--gt": given / "gt.json"})
    page = given / "photos" / "report.html"
    page.write_text("")
    check_outputs({"--report": page, "--json": given / "photos" / "2.png"}, {"--images": given / "photos"})
    page.unlink()


def test_the_same_new_file_for_two_outputs_of_a_command(given, tmp_path, capsys):
    words = [*AUDIT[:1], "--gt", given / "gt.json", "--results", given / "results.json"]
    assert run(*words, "--json", tmp_path / "S", "--report", tmp_path / "S") == 2
    assert "would be written by both" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run([sys.executable, "-m", "trustpose", *words], cwd=folder, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done


def test_numbers_to_standard_output_and_the_table_to_standard_error(given, capfd, monkeypatch):
    monkeypatch.chdir(given)
    before = sys.stdout
    assert run(*AUDIT, "--results", "results.json", "--json", "-") == 0
    assert sys.stdout is before
    output, message = capfd.readouterr()
    assert json.loads(output)["inputs"]["ground_truth"]["file"] == "gt.json"
    assert "oracle AP" in message
    assert run(*AUDIT, "--results", "results.json") == 0
    assert "oracle AP" in capfd.readouterr().out
    assert not (given / "-").exists()


@pytest.mark.parametrize(
    "words", [CONVERT, APPLY, ["suppress", "--results", "results.json"]], ids=lambda words: words[0]
)
def test_results_to_standard_output(given, tmp_path, capfd, monkeypatch, words):
    monkeypatch.chdir(given)
    assert run(*words, "--out", tmp_path / "file") == 0
    capfd.readouterr()
    assert run(*words, "--out", "-") == 0
    assert capfd.readouterr().out == (tmp_path / "file").read_text()


@pytest.mark.slow
def test_a_calibrator_through_a_pipe(given, tmp_path):
    done = command(given, *FIT, "--out", "-", "--json", str(tmp_path / "fit.json"))
    (tmp_path / "two.cal").write_bytes(done.stdout)
    assert Calibrator.load(tmp_path / "two.cal").card.method == "isotonic"
    assert b"keypoint ECE" in done.stderr


def test_standard_output_twice(given, capsys, monkeypatch):
    monkeypatch.chdir(given)
    assert run(*AUDIT, "--results", "results.json", "--json", "-", "--report", "-") == 2
    assert "-: would be written by both --report and --json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "written"),
    [
        ([*AUDIT, "--results", "results.json"], ("--json", "--report")),
        (FIT, ("--out", "--json")),
        (APPLY, ("--out",)),
        (CONVERT, ("--out",)),
        (["suppress", "--results", "results.json"], ("--out",)),
    ],
    ids=lambda one: one[0] if len(one) > 2 else "",
)
def test_written_files_are_reported_on_one_line(given, tmp_path, capsys, monkeypatch, words, written):
    monkeypatch.chdir(given)
    files = [tmp_path / f"{option[2:]}.out" for option in written]
    assert run(*words, *(word for pair in zip(written, files, strict=True) for word in pair)) == 0
    lines = capsys.readouterr().out.splitlines()
    for file in files:
        assert sum(str(file) in line for line in lines) == 1
        assert file.exists()
