"""Commands on files whose names are not UTF-8."""

import json
import os
import subprocess
import sys

import pytest

from tests.cli.cases import run, small_files
from tests.cli.predict_cases import case as case  # a fixture
from trustpose.files import shown
from trustpose.io.coco.results import read_results

LATIN = os.fsdecode(b"caf\xe9")


def test_a_folder_run_with_such_a_photo(case, capsys):
    """It is predicted, drawn, recorded, resumed, found by its name in a ground truth, and audited."""
    path, _ = case
    truth = json.loads((path / "gt.json").read_text())
    next(image for image in truth["images"] if image["file_name"] == "two.jpg")["file_name"] = shown(LATIN) + ".jpg"
    (path / "gt.json").write_text(json.dumps(truth))
    (path / "photos" / "two.jpg").rename(path / "photos" / f"{LATIN}.jpg")
    out, model = path / f"out-{LATIN}", path / f"{LATIN}.onnx"
    spec = json.loads((path / "colours.json").read_text())
    model.with_suffix(".json").write_text(json.dumps(spec | {"onnx": shown(model.name)}))
    (path / "colours.onnx").rename(model)
    arguments = ["predict", path / "photos", "--gt", path / "gt.json", "--model", model, "--out", out]
    assert run(*arguments) == 0
    assert shown(out.name) in capsys.readouterr().out
    assert sorted(entry.name for entry in out.iterdir()) == [f"{LATIN}.jpg", "none.jpg", "one.jpg", "results.json"]
    assert len(read_results(out / "results.json").poses) == 3
    assert run(*arguments, "--resume") == 0


def test_photos_that_are_counted(case):
    path, _ = case
    (path / "photos" / "two.jpg").rename(path / "photos" / f"{LATIN}.jpg")
    arguments = ["predict", path / "photos", "--model", path / "colours.onnx", "--detector", "whole"]
    assert run(*arguments, "--out", path / "out") == 0
    listed = [image["file_name"] for image in json.loads((path / "out" / "images.json").read_text())]
    assert str(path / "photos" / f"{shown(LATIN)}.jpg") in listed


@pytest.mark.parametrize(("encoding", "more"), [("utf-8", []), ("ascii", ["--report", f"{LATIN}.html"])])
def test_audit(tmp_path, encoding, more):
    small_files(tmp_path)
    for name in ("gt", "results"):
        (tmp_path / f"{name}.json").rename(tmp_path / f"{name}-{LATIN}.json")
    words = [sys.executable, "-m", "trustpose", "audit", "--gt", f"gt-{LATIN}.json", "--draws", "0"]
    words += ["--results", f"results-{LATIN}.json", "--json", f"{LATIN}.json", *more]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, env=os.environ | {"PYTHONIOENCODING": encoding})
    assert done.returncode == 0, done.stderr
    assert shown(f"results-{LATIN}.json").encode() in done.stdout
    record = json.loads((tmp_path / f"{LATIN}.json").read_bytes())
    assert record["inputs"]["results"]["file"] == shown(f"results-{LATIN}.json")
    for page in more[1:]:
        assert shown(f"gt-{LATIN}.json") in (tmp_path / page).read_text()


def test_a_message_about_such_a_file(tmp_path, capsys):
    assert run("suppress", "--results", tmp_path / LATIN, "--out", tmp_path / "out") == 2
    assert capsys.readouterr().err == f"trustpose: error: {shown(tmp_path / LATIN)}: no such file\n"
