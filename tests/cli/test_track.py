"""`trustpose track`: changed rows, unchanged rows, refused input."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.cli.cases import run
from tests.tracking.cases import same_partition, walking
from trustpose.io.coco.results import read_results
from trustpose.report.video import VideoWriter
from trustpose.skeletons import COCO_17

PEOPLE = walking([0, 300], [5, 5], 12)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    rows = PEOPLE.to_coco()
    for index, row in enumerate(rows):
        row |= {"note": index, "track_id": 77}
    path = tmp_path / "results.json"
    path.write_text(json.dumps(rows))
    return path


def _images(path: Path, **columns: Any) -> Path:
    rows = [{"id": index, **{name: column[index] for name, column in columns.items()}} for index in range(12)]
    path.write_text(json.dumps(rows))
    return path


def test_rows_get_a_track_id_and_stay_as_they_were(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = results.with_name("out.json")
    assert run("track", results, "--out", out) == 0
    message = capsys.readouterr().out
    assert "2 tracks of 24 poses, replacing the file's own, 0 without a track" in message
    before, after = json.loads(results.read_text()), json.loads(out.read_text())
    assert [{**row, "track_id": 77} for row in after] == before
    tracked = read_results(out).poses
    assert tracked.track_id is not None and same_partition(tracked.track_id, PEOPLE.annotation_id)


def test_clips_of_a_list_of_images(results: Path) -> None:
    out = results.with_name("out.json")
    images = _images(results.with_name("images.json"), clip=["a"] * 6 + ["b"] * 6, time=[*range(6)] * 2)
    assert run("track", results, "--images", images, "--out", out) == 0
    assert len({row["track_id"] for row in json.loads(out.read_text())}) == 4
    truth = results.with_name("gt.json")
    truth.write_text(json.dumps({"images": json.loads(images.read_text()), "annotations": [], "categories": []}))
    assert run("track", results, "--images", truth, "--out", "-") == 0


def test_text_ids_need_a_list_that_orders_them(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(results.read_text())
    for row in rows:
        row["image_id"] = f"cam/{row['image_id']}"
    results.write_text(json.dumps(rows))
    out = results.with_name("out.json")
    assert run("track", results, "--out", out) == 2
    assert (
        "'cam/0' is not a frame number, so the order of the frames is unknown; list them with --images"
        in capsys.readouterr().err
    )
    listed = [{"id": f"cam/{index}", "file_name": f"cam/{index}.jpg"} for index in range(11, -1, -1)]
    images = results.with_name("images.json")
    images.write_text(json.dumps(listed))
    assert run("track", results, "--images", images, "--out", out) == 0
    after = json.loads(out.read_text())
    assert {row["track_id"] for row in after} == {1, 2} and after[0]["image_id"] == "cam/0"
    images.write_text(json.dumps(listed[:5]))
    assert run("track", results, "--images", images, "--out", out) == 2
    assert "'cam/0' is not among the images of" in capsys.readouterr().err


def test_a_pose_of_no_track_has_no_id(results: Path) -> None:
    out = results.with_name("out.csv.json")
    assert run("track", results, "--start-score", "0.9", "--out", out) == 0
    assert not any("track_id" in row for row in json.loads(out.read_text()))


def test_a_skeleton_without_sigmas_is_tracked_by_boxes(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    skeleton, out = results.with_name("mine.json"), results.with_name("out.json")
    skeleton.write_text(json.dumps({"name": "mine", "keypoints": [f"k{index}" for index in range(17)]}))
    assert run("track", results, "--skeleton", skeleton, "--out", out) == 0
    said = capsys.readouterr()
    assert "skeleton 'mine' has no sigmas for OKS: poses are compared by their boxes" in said.err
    assert "2 tracks of 24 poses" in said.out
    assert run("track", results, "--skeleton", skeleton, "--distance", "oks", "--out", out) == 2
    assert "sigmas" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--distance", "l2"], "--distance: expected one of both, oks, trust, box, got 'l2'"),
        (["--area", "segment"], "--area: expected one of crop, box, keypoints, got 'segment'"),
        (["--distance", "trust"], "results.json: trust_distance needs the keypoints' expected OPKS"),
        (["--max-distance", "2"], "max_distance: expected a distance from 0 to 1, got 2"),
        (["--skeleton", "flic11"], "field 'keypoints'"),
        (["--images", "missing.json"], "missing.json: no such file"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(
    results: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = results.with_name("out.json")
    assert run("track", results, *options, "--out", out) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not out.exists()


def test_two_clips_of_the_same_name(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = _images(results.with_name("images.json"), clip=["a"] * 12, time=[*range(6)] * 2)
    assert run("track", results, "--images", images, "--out", results.with_name("out.json")) == 2
    assert "images.json: images 0 and 6 are both time 0 of clip 'a'; are these two clips?" in capsys.readouterr().err
    assert run("track", results, "--images", results, "--out", results.with_name("out.json")) == 2
    assert "image 0: field 'id'" in capsys.readouterr().err


def test_numbers_with_a_ground_truth(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    annotations = [
        {"id": index + 1, "image_id": row["image_id"], "category_id": 1, "iscrowd": 0, "area": 1e4,
         "track_id": index % 2, "bbox": [0, 0, 400, 200],
         "keypoints": [number for x, y in xy.tolist() for number in (x, y, 2)]}
        for index, (row, xy) in enumerate(zip(json.loads(results.read_text()), PEOPLE.xy, strict=True))
    ]  # fmt: skip
    category = {"id": 1, "name": "person", "keypoints": list(COCO_17.keypoints)}
    truth = {"images": [{"id": index} for index in range(12)], "annotations": annotations, "categories": [category]}
    gt, out = results.with_name("gt.json"), results.with_name("out.json")
    gt.write_text(json.dumps(truth))
    rows = json.loads(results.read_text())
    results.write_text(json.dumps([{name: row[name] for name in row if name != "annotation_id"} for row in rows]))
    assert run("track", results, "--gt", gt, "--out", out) == 0
    assert "HOTA 1.000  DetA 1.000  AssA 1.000  IDF1 1.000  MOTA 1.000  switches 0" in capsys.readouterr().out
    assert run("audit", "--gt", gt, "--results", out, "--draws", "0", "--json", results.with_name("audit.json")) == 0
    assert "HOTA" in capsys.readouterr().out
    assert json.loads(results.with_name("audit.json").read_text())["tracking"]["IDF1"] == 1
    assert run("track", results, "--gt", gt, "--out", "-") == 2
    assert "--gt: measures the file that is written" in capsys.readouterr().err
    for row in annotations:
        del row["track_id"]
    gt.write_text(json.dumps(truth))
    assert run("track", results, "--gt", gt, "--out", results.with_name("new.json")) == 2
    assert "gt.json: field 'track_id' is missing in every annotation, --gt expects it" in capsys.readouterr().err


def test_flow_of_the_video_follows_a_camera_that_turns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything moves by 40 pixels a frame, so that each person is where the other one was."""
    noise = np.random.default_rng(0).integers(0, 255, (8, 30, 3), dtype=np.uint8)
    wide = cv2.resize(noise, (1200, 320), interpolation=cv2.INTER_CUBIC)
    with VideoWriter(tmp_path / "clip.mp4", 640, 320, 10.0) as writer:
        for index in range(6):
            writer.write(np.ascontiguousarray(wide[:, 400 - 40 * index : 1040 - 40 * index]))
    people = walking([100, 140], [40, 40], 6)
    results, out = tmp_path / "results.json", tmp_path / "out.json"
    results.write_text(json.dumps(people.to_coco()))
    for options, is_right in (((), False), (("--video", tmp_path / "clip.mp4"), True)):
        assert run("track", results, *options, "--out", out) == 0
        ids = np.array([row["track_id"] for row in json.loads(out.read_text())])
        assert same_partition(ids, people.annotation_id) == is_right
    results.write_text(json.dumps(walking([60], [0], 8).to_coco()))
    capsys.readouterr()
    assert run("track", results, "--video", tmp_path / "clip.mp4", "--out", out) == 2
    assert "image_id: there is no frame 6, the last one is 5" in capsys.readouterr().err
    assert run("track", results, "--flow-method", "raft", "--out", out) == 2
    assert "--flow-method: optical flow needs the frames, so it requires --video" in capsys.readouterr().err
    assert run("track", results, "--video", tmp_path / "clip.mp4", "--images", results, "--out", out) == 2
    assert "--video and --images: both define the frames" in capsys.readouterr().err
