"""Boxes written as centre and size, and `num_keypoints` that contradict the keypoints, are noticed by every command.

Files: coco/dev_gt.json, two photos of coco/dev/, results/simplepose.dev.json of the data.
"""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.cases import run
from tests.parquet_cases import write_parts
from trustpose.evaluation.audit import audit
from trustpose.files import InputError
from trustpose.io.pose_stream import open_results


@pytest.fixture(scope="module")
def truth(data_dir: Path) -> dict[str, Any]:
    return json.loads((data_dir / "coco/dev_gt.json").read_bytes())


@pytest.fixture(scope="module")
def results(data_dir: Path) -> list[dict[str, Any]]:
    return json.loads((data_dir / "results/simplepose.dev.json").read_bytes())


def centred(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "bbox": [x + w / 2, y + h / 2, w, h]} for row in rows for x, y, w, h in [row["bbox"]]]


def test_audit_and_calibrate_refuse_centres(truth, results, tmp_path: Path, capsys) -> None:
    (tmp_path / "results.json").write_text(json.dumps(results))
    (tmp_path / "centred.json").write_text(json.dumps(centred(results)))
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    without_sizes = {
        **truth,
        "images": [{"id": image["id"]} for image in truth["images"]],
        "annotations": centred(truth["annotations"]),
    }
    (tmp_path / "centred_gt.json").write_text(json.dumps(without_sizes))
    for gt, poses in (("gt.json", "centred.json"), ("centred_gt.json", "results.json")):
        for command in (["audit", "--draws", 0], ["calibrate", "fit", "--out", tmp_path / "c.npz"]):
            assert run(*command, "--gt", tmp_path / gt, "--results", tmp_path / poses) == 2
            message = capsys.readouterr().err
            assert "field 'bbox': " in message and "centre" in message and message.count("\n") == 1


def test_convert_refuses_centres(results, tmp_path: Path, capsys) -> None:
    (tmp_path / "centred.json").write_text(json.dumps(centred(results)))
    assert run("convert", tmp_path / "centred.json", "--out", tmp_path / "out.json") == 2
    assert "expected x, y, width, height with the upper left corner" in capsys.readouterr().err


def test_batches_refuse_centres(results, tmp_path: Path) -> None:
    parts = write_parts(tmp_path / "parts", centred(results), np.random.default_rng(0))
    with pytest.raises(InputError, match="expected x, y, width, height with the upper left corner"):
        list(open_results(parts, is_ordered=False).batches())


@pytest.mark.parametrize("has_truth", [True, False])
def test_predict_refuses_centres(data_dir: Path, truth, tmp_path: Path, capsys, has_truth: bool) -> None:
    """One photo's boxes end outside it if they are read as corners; the other's do not, and is not predicted either."""
    names = {image["id"]: image["file_name"] for image in truth["images"]}
    people = [annotation for annotation in truth["annotations"] if annotation["image_id"] in (1268, 2153)]
    rows = [{**row, "score": 0.9} for row in centred(people)]
    (tmp_path / "boxes.json").write_text(json.dumps(rows))
    photos = [data_dir / "coco/dev" / names[image_id] for image_id in sorted({row["image_id"] for row in rows})]
    options = ["--gt", data_dir / "coco/dev_gt.json"] if has_truth else []
    assert run("predict", *photos, "--boxes", tmp_path / "boxes.json", "--out", tmp_path / "out", *options) == 2
    message = capsys.readouterr().err
    assert "field 'bbox': ends at " in message and "centre x, centre y, width, height?" in message
    assert not (tmp_path / "out/results.json").exists()


def test_numbers_of_keypoints_that_contradict_the_keypoints_are_a_note(truth, results, tmp_path: Path) -> None:
    wrong = copy.deepcopy(truth)
    labelled = [annotation for annotation in wrong["annotations"] if annotation["num_keypoints"] > 0]
    for one in labelled[:10]:
        one["num_keypoints"] = 0
    labelled[10]["num_keypoints"] += 1
    (tmp_path / "gt.json").write_text(json.dumps(wrong))
    (tmp_path / "results.json").write_text(json.dumps(results))
    files = ["--gt", tmp_path / "gt.json", "--results", tmp_path / "results.json", "--json", tmp_path / "audit.json"]
    assert run("audit", *files, "--draws", 0) == 0
    notes = json.loads((tmp_path / "audit.json").read_text())["notes"]
    expected = f"num_keypoints: contradicts the labelled keypoints of 11 of {len(wrong['annotations'])} people"
    (note,) = [note for note in notes if note.startswith("num_keypoints")]
    assert note.startswith(expected) and "in ap.*, where 10 people" in note
    parts = write_parts(tmp_path / "parts", results, np.random.default_rng(0))
    assert note in audit(tmp_path / "gt.json", parts, draws=0).notes
