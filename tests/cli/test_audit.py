"""`trustpose audit` from the outside: what it prints, writes, refuses, and leaves behind when it refuses."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trustpose as tp
from trustpose.cli import main
from trustpose.cli.audit_tables import print_comparisons


@contextmanager
def processor_seconds() -> Iterator[list[float]]:
    """Seconds that child processes took: of the wall, or of the processor where other tests run beside them."""
    used: list[float] = []
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    yield used
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - start
    used.append(min(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))


def run(*arguments: str | Path) -> int:
    """Exit code of the command, in this process."""
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    return int(done.value.code or 0)


def small_files(folder: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Results and ground truth of four people in three photos."""
    random = np.random.default_rng(0)
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 100} for i in (1, 2, 3)]
    annotations, results = [], []
    for i, image in enumerate((1, 1, 2, 3)):
        xy, v = random.uniform(0, 90, (17, 2)).round(1), random.integers(0, 3, 17)
        annotations.append({
            "id": i + 1, "image_id": image, "category_id": 1, "iscrowd": 0, "area": 4000.0, "bbox": [0, 0, 90, 90],
            "keypoints": np.c_[xy * (v > 0)[:, None], v].ravel().tolist(), "num_keypoints": int((v > 0).sum()),
        })  # fmt: skip
        found = np.c_[(xy + random.normal(0, 4, (17, 2))).round(2), random.random(17).round(3)]
        results.append({
            "image_id": image, "category_id": 1, "annotation_id": i + 1, "bbox": [0, 0, 90, 90], "bbox_score": 0.9,
            "keypoints": found.ravel().tolist(), "score": 0.1 * i + 0.2,
        })  # fmt: skip
    names = list(tp.SKELETONS["coco17"].keypoints)
    categories = [{"id": 1, "name": "person", "keypoints": names, "skeleton": [[1, 2]]}]
    truth = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "gt.json").write_text(json.dumps(truth))
    (folder / "results.json").write_text(json.dumps(results))
    return results, truth


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


def test_differences_are_drawn_in_pairs_and_said(data_dir: Path, tmp_path: Path, capsys) -> None:
    plain, flipped = (data_dir / f"results/{name}.dev.json" for name in ("simplepose", "simplepose_flip"))
    common = ["audit", "--gt", data_dir / "coco/dev_gt.json", "--draws", 60, "--json", tmp_path / "audits.json"]
    assert run(*common, plain, flipped) == 0
    shown = capsys.readouterr().out
    assert "difference from simplepose.dev.json, the same photos drawn for both" in " ".join(shown.split())
    lines = shown[shown.index("difference from") :].splitlines()
    said = {words[1]: line for line in lines if len(words := line.split()) > 2}
    assert "+0.019 [0.01" in said["AP"] and said["AP"].split()[-2] == "better"
    assert said["headroom"].split()[-2] == "≈"
    one, other = json.loads((tmp_path / "audits.json").read_text())
    ap = next(entry for entry in other["compare"] if entry["metric"] == "ap.AP")
    assert (ap["file"], ap["against"]) == (str(flipped), str(plain))
    assert ap["difference"] == pytest.approx(other["ap"]["AP"] - one["ap"]["AP"])
    assert 0 < ap["low"] < ap["difference"] < ap["high"]
    metrics = {entry["metric"] for entry in one["compare"]}
    wanted = "ap.AP ap.AR headroom pose.pearson pose.ece keypoint.pearson keypoint.ece visibility.labelled.f1"
    assert metrics >= set(wanted.split())
    assert run(*common, "--before", plain, "--after", flipped) == 0
    assert "hold other poses" in capsys.readouterr().err
    written = json.loads((tmp_path / "audits.json").read_text())
    assert written["after"]["compare"] == other["compare"] and written["change"] is None


def test_another_field_can_be_the_score(tmp_path: Path) -> None:
    small_files(tmp_path)
    files = ["--gt", tmp_path / "gt.json", "--results", tmp_path / "results.json", "--draws", 0]
    assert run("audit", *files, "--json", tmp_path / "a.json", "--score", "bbox_score") == 0
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["score_field"] == "bbox_score"
    assert record["pose"]["pearson"] is None  # all 0.9


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--area", "polygon"], "area: expected auto or one of segment, box, box*0.53, file, got 'polygon'"),
        (["--images", "nowhere"], "--images draws a gallery into the report, expected --report too"),
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


WRONG = [None, True, -1, 0, 1.5, 2**63, 2**70, "", "x", "1", [], [1], [[1]], {}, {"a": 1}, 1e308, -1e308, "\ud800"]


def mutated(random: np.random.Generator, value: Any) -> Any:
    """A copy of a JSON value with one place somewhere in it spoilt."""
    if isinstance(value, (list, dict)) and len(value) and random.random() < 0.85:
        keys = list(range(len(value))) if isinstance(value, list) else list(value)
        key = keys[random.integers(len(keys))]
        copy = value.copy()
        action = random.random()
        if action < 0.1:
            del copy[key]
        elif action < 0.2 and isinstance(copy, list):
            copy.insert(int(key), copy[key])
        else:
            copy[key] = mutated(random, value[key])
        return copy
    return WRONG[random.integers(len(WRONG))]


def as_bytes(random: np.random.Generator, value: Any) -> bytes:
    """The mutated value as a file, which may itself be damaged."""
    content = json.dumps(value, allow_nan=True).encode()
    damage = random.random()
    if damage < 0.1:
        return content[: random.integers(0, len(content))]
    if damage < 0.15:
        return content.replace(b"0.", random.choice([b"NaN", b"Infinity", b"-Infinity", b"1e999"]), 1)
    if damage < 0.2:
        at = random.integers(0, len(content))
        return content[:at] + random.bytes(3) + content[at:]
    if damage < 0.22:
        return content.decode().encode("utf-16")
    return content


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(5))
def test_mutated_files_get_one_clear_line_or_whole_outputs(tmp_path: Path, capsys, batch: int) -> None:
    """500 spoilt files: never a traceback, never half an output; what passes for valid gives whole outputs."""
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
def test_what_must_be_refused_is_refused(tmp_path: Path, capsys, name: str, file: str, change) -> None:
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
    one = tp.audit(tmp_path / "gt.json", tmp_path / "results.json", replicates=0)
    other = tp.audit(tmp_path / "gt.json", tmp_path / "results.json", area="box", replicates=0)
    print_comparisons([one, other])
    assert (
        capsys.readouterr().out == "not compared: the files were not measured on the same people in the same photos\n"
    )
