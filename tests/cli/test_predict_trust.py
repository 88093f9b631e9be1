"""`trustpose predict` with a model that has trust: the fields of its results, their audit, its messages."""

import json

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import trustpose as tp
from tests.predict.tiny_trust import PeaksHead
from tests.tiny_onnx import photo_of_people, write_network
from trustpose.cli.models import models
from trustpose.cli.predict import predict
from trustpose.export.trust_folder import Fitted, save_trust_folder
from trustpose.io.coco.results import read_results
from trustpose.models.spec import ModelSpec
from trustpose.predict.journal import Journal
from trustpose.skeletons import COCO_17

app = typer.Typer()
app.command()(predict)


def _run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None, result.output
    return result.output


@pytest.fixture
def case(tmp_path):
    """A photo of three people, their truth and detections with scores, a model with trust."""
    photo, positions, boxes = photo_of_people(3, seed=1)
    cv2.imwrite(str(tmp_path / "1.png"), photo[..., ::-1])
    people = []
    for index, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
        labels = [float(n) for point in positions[index] for n in (*point, 2)]
        common = {"image_id": 1, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": 0.5 + index / 10}
        people.append({"id": index + 1, "iscrowd": 0, "area": 1e4, "keypoints": labels, "num_keypoints": 17, **common})
    images = [{"id": 1, "file_name": "1.png", "width": photo.shape[1], "height": photo.shape[0]}]
    category = {"id": 1, "name": "person", "keypoints": list(COCO_17.keypoints)}
    truth = {"images": images, "annotations": people, "categories": [category]}
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    detections = [{name: person[name] for name in ("image_id", "category_id", "bbox", "score")} for person in people]
    (tmp_path / "boxes.json").write_text(json.dumps(detections))
    spec = ModelSpec.read(write_network(tmp_path / "source"))
    save_trust_folder(tmp_path / "model", spec, PeaksHead(), {}, Fitted("peaks", "box", {"people": 3}))
    return tmp_path, photo, boxes


def _common(path, model="model", out="out"):
    return (path / "1.png", "--gt", path / "gt.json", "--model", path / model, "--out", path / out)


def test_results_with_trust(case):
    path, photo, boxes = case
    output = _run(*_common(path), "--boxes", path / "boxes.json")
    assert "warning" not in output
    rows = json.loads((path / "out" / "results.json").read_text())
    poses = tp.load(path / "model")(photo, boxes)
    order = [poses.box[:, 0].tolist().index(row["bbox"][0]) for row in rows]
    assert sorted(order) == [0, 1, 2]
    for row, index in zip(rows, order, strict=True):
        np.testing.assert_allclose(row["keypoint_quality"], poses.quality[index], atol=1e-6)
        np.testing.assert_allclose(row["visibility"], poses.visibility[index], atol=1e-6)
        assert row["pose_quality"] == pytest.approx(poses.pose_quality[index], abs=1e-6)
        assert row["bbox_score"] == 0.5 + index / 10
        assert row["score"] == row["pose_quality"] * row["bbox_score"]
        assert row["pose_score"] == pytest.approx(np.mean(row["keypoints"][2::3])) != row["score"]
    plain = _run(*_common(path, "source/colours.onnx", "plain"), "--boxes", path / "boxes.json")
    assert "3 people" in plain
    drawn = [cv2.imread(str(path / out / "1.jpg")) for out in ("out", "plain")]
    assert (drawn[0] != drawn[1]).any()


def test_without_detections_the_score_is_the_expected_oks(case):
    path, _, _ = case
    _run(*_common(path), "--no-draw", "--flip")
    rows = json.loads((path / "out" / "results.json").read_text())
    assert [row["score"] for row in rows] == [row["pose_quality"] for row in rows]
    record = tp.audit(path / "gt.json", path / "out" / "results.json", area="file")
    quality = read_results(path / "out" / "results.json").poses.quality
    assert record.keypoint.source == "keypoint_quality" and record.keypoint.n == quality.size
    assert record.visibility.labelled.threshold is None and record.visibility.ternary.visible.f1 == pytest.approx(1.0)


def test_another_codec_is_reported_in_one_line(case):
    path, _, _ = case
    output = _run(*_common(path), "--no-draw", "--codec", "dark")
    (line,) = [line for line in output.splitlines() if "warning" in line]
    assert line.startswith("trustpose: warning: ") and "argmax-quarter, and is not calibrated with dark" in line


def test_models_show_trust(case):
    path, _, _ = case
    shown = typer.Typer()
    shown.command()(models)
    (row,) = json.loads(CliRunner().invoke(shown, ["--dir", str(path / "model"), "--json"]).output)
    assert row["gives"].endswith("argmax-quarter; trust (peaks): quality, visibility, pose_quality")
    assert row["trust"]["area"] == "box" and row["trust"]["fitted_on"] == {"people": 3}


def test_the_journal_keeps_trust(case):
    path, photo, boxes = case
    poses = tp.load(path / "model")(photo, boxes)
    with Journal(path / "journal", {}, is_resumed=False) as journal:
        journal.add(1, poses)
    with Journal(path / "journal", {}, is_resumed=True) as journal:
        for name in ("quality", "visibility", "pose_quality"):
            np.testing.assert_array_equal(getattr(journal.done[1], name), getattr(poses, name))
