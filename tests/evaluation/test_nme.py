"""Normalised mean error of faces: against a loop over real labels, and its place in record, table and page."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.cases import run
from trustpose.evaluation.audit import audit

FACES = {"300w/test_300w.json": ("face68", 36, 45), "wflw/test_wflw.json": ("face98", 60, 72)}


@pytest.fixture(params=FACES)
def faces(request, data_dir: Path, tmp_path: Path) -> tuple[Path, Path, str, float]:
    """A ground truth, results 2 pixels off in a random direction, the skeleton, and the error by the papers' formula:
    the mean over all points of all faces of the distance over that of the eyes' outer corners."""
    skeleton, right, left = FACES[request.param]
    path = data_dir / "layouts" / request.param
    generator, results, errors = np.random.default_rng(0), [], []
    for label in json.loads(path.read_text())["annotations"]:
        points = np.array(label["keypoints"], float).reshape(-1, 3)
        angle = generator.uniform(0, 2 * np.pi, len(points))
        moved = points[:, :2] + 2 * np.c_[np.cos(angle), np.sin(angle)]
        eyes = np.hypot(*(points[right] - points[left])[:2])
        errors += [np.hypot(*(a - b)) / eyes for a, b in zip(moved, points[:, :2], strict=True)]
        keypoints = np.c_[moved, np.full(len(points), 0.9)].ravel().tolist()
        results.append({"image_id": label["image_id"], "category_id": 1, "keypoints": keypoints, "score": 0.9})
        results[-1]["bbox"] = label["bbox"]
    (tmp_path / "results.json").write_text(json.dumps(results))
    return path, tmp_path / "results.json", skeleton, float(np.mean(errors))


def test_it_is_the_mean_of_all_points(faces) -> None:
    truth, results, skeleton, expected = faces
    record = audit(truth, results, skeleton=skeleton, metric=["nme"], draws=50)
    nme = record.localisation["nme"]
    assert nme.error == pytest.approx(expected, rel=1e-12) and nme.title == "NME" and nme.fraction == 0.1
    assert 0 < nme.total <= 1 and repr(record).endswith(f"NME {expected:.3f})")
    low, high = record.intervals["localisation.nme.error"]
    assert low <= expected <= high


def test_it_stands_in_table_json_and_page(faces, tmp_path: Path, capsys) -> None:
    truth, results, skeleton, expected = faces
    rows = json.loads(results.read_text())
    for row in rows:
        row["keypoints"][::3] = [x + 3 for x in row["keypoints"][::3]]
    (tmp_path / "worse.json").write_text(json.dumps(rows))
    options = ["--gt", truth, "--skeleton", skeleton, "--metric", "nme", "--json", tmp_path / "a.json"]
    assert run("audit", *options, "--report", tmp_path / "page.html", results, tmp_path / "worse.json") == 0
    shown = capsys.readouterr().out
    assert "NME, of the distance between the eyes' outer corners" in shown and f"{expected:.3f}" in shown
    first, second = json.loads((tmp_path / "a.json").read_text())
    difference = next(
        comparison for comparison in second["compare"] if comparison["metric"] == "localisation.nme.error"
    )
    assert difference["difference"] > 0 and f"NME {difference['difference']:+.3f}" in shown and "worse" in shown
    page = (tmp_path / "page.html").read_text()
    assert "Mean error" in page and "Mean error, less that of" in page and "Within 0.1" in page
    assert first["localisation"]["nme"]["error"] == pytest.approx(expected, rel=1e-12)


def test_a_point_without_a_prediction_gives_no_mean(faces) -> None:
    truth, results, skeleton, _ = faces
    rows = json.loads(results.read_text())
    rows[0]["keypoints"][:3] = [0, 0, 0]
    results.write_text(json.dumps(rows))
    record = audit(truth, results, skeleton=skeleton, metric=["nme"], draws=0)
    assert record.localisation["nme"].error is None
    assert "localisation.nme.error: null, as joints that count have no prediction" in record.notes


def test_other_skeletons_are_refused(data_dir: Path, capsys) -> None:
    truth = data_dir / "coco" / "dev_gt.json"
    results = data_dir / "results" / "simplepose.dev.json"
    assert run("audit", "--gt", truth, "--results", results, "--metric", "nme") == 2
    said = capsys.readouterr().err
    assert "skeleton 'coco17' has no corners of the eyes, expected one of face68, face70, face98" in said
