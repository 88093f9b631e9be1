"""COCO-WholeBody's results, 133 keypoints in five fields: what each command reads, and says that it does not read."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.multiview.rings import ring
from trustpose.cli import main
from trustpose.io.cameras import write_cameras
from trustpose.io.poses3d import read_poses3d
from trustpose.skeletons import COCO_WHOLEBODY_133

FIELDS = (("keypoints", 17), ("foot_kpts", 6), ("face_kpts", 68), ("lefthand_kpts", 21), ("righthand_kpts", 21))
WHOLE = ("--skeleton", "coco_wholebody133")
NOTE = "note: 17 of the file's 133 keypoints are read; --skeleton coco_wholebody133 reads all"


def body(shift: float = 0.0, seed: int = 0) -> np.ndarray:
    """The keypoints (133, 2) of a person of 200 pixels."""
    return np.random.default_rng(seed).uniform(100, 300, (133, 2)) + shift


def result(image_id: int, xy: np.ndarray, score: float = 0.9) -> dict[str, Any]:
    row: dict[str, Any] = {"image_id": image_id, "category_id": 1, "score": score, "bbox": [100, 100, 200, 200]}
    table, start = np.c_[xy, np.full(133, 0.5)], 0
    for name, count in FIELDS:
        row[name] = table[start : start + count].ravel().tolist()
        start += count
    return row


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps(rows))
    return path


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return int(end.value.code or 0)


def hands_apart() -> list[dict[str, Any]]:
    """Two people in one photo with the same body and other hands, feet and faces."""
    first, second = body(), body()
    second[17:] += 150
    return [result(1, first), result(1, second, 0.8)]


def test_suppress(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By 17 keypoints the two are one person, by 133 they are not."""
    path, out = write(tmp_path / "results.json", hands_apart()), tmp_path / "out.json"
    assert run("suppress", "--results", path, "--out", out) == 0
    assert NOTE in capsys.readouterr().err and len(json.loads(out.read_text())) == 1
    assert run("suppress", "--results", path, "--out", out, *WHOLE) == 0
    assert "note:" not in capsys.readouterr().err and len(json.loads(out.read_text())) == 2


def test_track(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two people whose bodies change places, but not their other keypoints: only these tell whom a track continues."""
    rows = []
    for frame in (1, 2):
        for person in (0, 1):
            xy = body(400 * person)
            xy[:17] = body(400 * (person if frame == 1 else 1 - person))[:17]
            rows.append(result(frame, xy) | {"bbox": None})
    for row in rows:
        del row["bbox"]
    path, out = write(tmp_path / "results.json", rows), tmp_path / "out.json"
    tracks = {}
    for options in ((), WHOLE):
        assert run("track", path, "--out", out, "--distance", "oks", "--area", "keypoints", *options) == 0
        assert (NOTE in capsys.readouterr().err) == (not options)
        tracks[options] = [row["track_id"] for row in json.loads(out.read_text())]
    assert tracks == {(): [1, 2, 2, 1], WHOLE: [1, 2, 1, 2]}


def test_triangulate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rig, world = ring(3), np.random.default_rng(1).uniform(-0.4, 0.4, (133, 3))
    write_cameras(rig, tmp_path / "rig.json", "trustpose")
    files = [
        write(tmp_path / f"cam{number}.json", [result(1, camera.project(world))]) for number, camera in enumerate(rig)
    ]
    arguments = (
        "--cameras",
        tmp_path / "rig.json",
        "--out",
        tmp_path / "people.json",
        "--unchecked",
        "--min-frames",
        1,
    )
    results = [word for file in files for word in ("--results", file)]
    assert run("triangulate", *arguments, *results) == 0
    assert NOTE in capsys.readouterr().err and read_poses3d(tmp_path / "people.json").xyz.shape[1] == 17
    assert run("triangulate", *arguments, *results, *WHOLE) == 0
    assert "133 keypoints are read" not in capsys.readouterr().err
    np.testing.assert_allclose(read_poses3d(tmp_path / "people.json").xyz[0], world, atol=1e-3)


def test_calibrate_apply_and_audit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A calibrator of 133 keypoints reads as many; one of 17 says what it leaves out, as an audit does."""
    random, rows, people = np.random.default_rng(0), [], []
    for number in range(1, 41):
        xy = body(seed=number)
        rows.append(result(number, xy + random.normal(0, random.uniform(1, 20), xy.shape), float(random.random())))
        label = {name: np.reshape(row, (-1, 3)) for name, row in result(number, xy).items() if name.endswith("s")}
        label = {name: np.c_[table[:, :2], np.full(len(table), 2)].ravel().tolist() for name, table in label.items()}
        more = {"id": number, "image_id": number, "category_id": 1, "iscrowd": 0, "area": 2e4, "num_keypoints": 17}
        people.append(label | more | {"bbox": [100, 100, 200, 200]})
    names = list(COCO_WHOLEBODY_133.keypoints[:17])
    truth = {
        "images": [{"id": number, "width": 500, "height": 500} for number in range(1, 41)],
        "annotations": people,
        "categories": [{"id": 1, "name": "person", "keypoints": names}],
    }
    gt, path = tmp_path / "gt.json", write(tmp_path / "results.json", rows)
    gt.write_text(json.dumps(truth))
    files = ("--gt", gt, "--results", path)
    for options, count in (((), 17), (WHOLE, 133)):
        fit = ("--folds", 2, "--draws", 2, "--method", "isotonic", "--out", tmp_path / "fitted.cal")
        assert run("calibrate", "fit", *files, *fit, *options) == 0
        capsys.readouterr()
        out = tmp_path / "out.json"
        assert run("calibrate", "apply", "--calibrator", tmp_path / "fitted.cal", "--results", path, "--out", out) == 0
        assert (NOTE in capsys.readouterr().err) == (count == 17)
        assert {len(row["keypoint_quality"]) for row in json.loads(out.read_text())} == {count}
        assert run("audit", *files, "--draws", 0, *options) == 0
        captured = capsys.readouterr()
        assert ("17 of the file's 133 keypoints are read" in " ".join((captured.out + captured.err).split())) == (
            count == 17
        )
