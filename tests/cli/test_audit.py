"""`trustpose audit` as a command: printed tables, files, comparisons and duration."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import trustpose as tp
from tests.cli.cases import run, small_files
from trustpose.cli.audit_tables import print_comparisons


@contextmanager
def processor_seconds() -> Iterator[list[float]]:
    """Seconds that child processes took: of the wall, or of the processor where other tests run beside them."""
    used: list[float] = []
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    yield used
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - start
    used.append(min(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))


def test_it_prints_a_table_and_writes_json_and_report(data_dir: Path, tmp_path: Path, capsys) -> None:
    code = run(
        "audit", "--gt", data_dir / "coco/dev_gt.json", "--results", data_dir / "results/simplepose.dev.json",
        "--json", tmp_path / "new" / "audit.json", "--report", tmp_path / "report.html", "--draws", 50,
    )  # fmt: skip
    printed = capsys.readouterr().out
    assert code == 0
    assert "0.508" in printed
    assert "headroom" in printed
    record = json.loads((tmp_path / "new" / "audit.json").read_text())
    assert record["ap"]["AP"] == pytest.approx(0.5076, abs=5e-5)
    assert record["inputs"]["results"]["results"] == 990
    assert (tmp_path / "report.html").read_text().lower().startswith("<!doctype html>")


def test_several_results_are_compared(data_dir: Path, tmp_path: Path, capsys) -> None:
    names = ["simplepose", "simplepose_flip", "movenet-thunder"]
    files = [data_dir / f"results/{name}.dev.json" for name in names]
    common = ["audit", "--gt", data_dir / "coco/dev_gt.json", "--draws", 0, "--json", tmp_path / "audits.json"]
    assert run(*common, "--results", *files) == 0
    shown = capsys.readouterr().out
    records = json.loads((tmp_path / "audits.json").read_text())
    assert [round(record["ap"]["AP"], 4) for record in records] == [0.5076, 0.5262, 0.4933]
    assert all(number in shown for number in ("0.508", "0.526", "0.493"))
    repeated = [part for file in files for part in ("--results", file)]
    assert run(*common, *repeated) == 0
    assert json.loads((tmp_path / "audits.json").read_text()) == records


def test_differences_are_drawn_in_pairs_and_reported(data_dir: Path, tmp_path: Path, capsys) -> None:
    plain, flipped = (data_dir / f"results/{name}.dev.json" for name in ("simplepose", "simplepose_flip"))
    common = ["audit", "--gt", data_dir / "coco/dev_gt.json", "--draws", 60, "--json", tmp_path / "audits.json"]
    assert run(*common, plain, flipped) == 0
    shown = capsys.readouterr().out
    assert "difference from simplepose.dev.json, paired draws of photos" in " ".join(shown.split())
    lines = shown[shown.index("difference from") :].splitlines()
    rows = {words[1]: line for line in lines if len(words := line.split()) > 2}
    assert "+0.019 [0.01" in rows["AP"] and rows["AP"].split()[-2] == "better"
    assert rows["headroom"].split()[-2] == "≈"
    first, second = json.loads((tmp_path / "audits.json").read_text())
    ap = next(entry for entry in second["compare"] if entry["metric"] == "ap.AP")
    assert (ap["file"], ap["against"]) == (str(flipped), str(plain))
    assert ap["difference"] == pytest.approx(second["ap"]["AP"] - first["ap"]["AP"])
    assert 0 < ap["low"] < ap["difference"] < ap["high"]
    metrics = {entry["metric"] for entry in first["compare"]}
    expected = "ap.AP ap.AR headroom pose.pearson pose.ece keypoint.pearson keypoint.ece visibility.labelled.f1"
    assert metrics >= set(expected.split())
    assert run(*common, "--before", plain, "--after", flipped) == 0
    assert "have different poses" in capsys.readouterr().err
    written = json.loads((tmp_path / "audits.json").read_text())
    assert written["after"]["compare"] == second["compare"] and written["change"] is None


def test_another_field_can_be_the_score(tmp_path: Path) -> None:
    small_files(tmp_path)
    files = ["--gt", tmp_path / "gt.json", "--results", tmp_path / "results.json", "--draws", 0]
    assert run("audit", *files, "--json", tmp_path / "a.json", "--score", "bbox_score") == 0
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["score_field"] == "bbox_score"
    assert record["pose"]["pearson"] is None  # all 0.9


def test_help_answers_at_once_and_without_the_heavy_libraries() -> None:
    script = (
        "import sys, trustpose.cli\n"
        "try:\n    trustpose.cli.main(['--help'])\n"
        "except SystemExit as done:\n    assert not done.code\n"
        "heavy = {'numpy', 'torch', 'cv2', 'matplotlib', 'scipy', 'sklearn', 'onnxruntime'} & set(sys.modules)\n"
        "sys.exit(f'imports {heavy}' if heavy else 0)"
    )
    seconds = []
    for _ in range(3):
        with processor_seconds() as used:
            done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        seconds.append(used[0])
        assert done.returncode == 0, done.stderr
        assert "audit" in done.stdout
        assert "predict" in done.stdout
    assert min(seconds) < 0.5


@pytest.mark.slow
def test_a_whole_audit_of_val2017_with_report_stays_under_15_seconds(data_dir: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "trustpose", "audit", "--gt", data_dir / "coco/val2017_gt.json"]
    command += ["--results", data_dir / "results/val2017_perturbed.json", "--report", tmp_path / "report.html"]
    with processor_seconds() as used:
        subprocess.run(command, check=True, capture_output=True)
    assert used[0] < 15
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_what_was_measured_on_other_people_is_not_compared(tmp_path: Path, capsys) -> None:
    small_files(tmp_path)
    record = tp.audit(tmp_path / "gt.json", tmp_path / "results.json", draws=0)
    other_record = tp.audit(tmp_path / "gt.json", tmp_path / "results.json", area="box", draws=0)
    print_comparisons([record, other_record])
    assert (
        capsys.readouterr().out == "not compared: the files were not evaluated on the same people in the same photos\n"
    )
