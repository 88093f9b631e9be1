"""`trustpose smooth`: what is written, what is left alone, what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.cases import run
from tests.tracking.test_smoothing import mean_error, walk
from trustpose.io.coco.results import read_results
from trustpose.poses import Poses
from trustpose.tracking import smooth

POSES, TRUE = walk(0, frames=30)


def written(folder: Path, poses: Poses) -> Path:
    rows = poses.to_coco()
    for index, row in enumerate(rows):
        row["note"] = index
    path = folder / "results.json"
    path.write_text(json.dumps(rows))
    return path


def test_rows_are_smoothed_and_keep_what_else_they_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results, out = written(tmp_path, POSES[np.r_[0:12, 15:30]]), tmp_path / "out.json"
    assert run("smooth", results, "--out", out) == 0
    said = capsys.readouterr().out
    assert "27 poses smoothed, noise from keypoint_quality; " in said and "3 rows added" in said
    before, after = json.loads(results.read_text()), json.loads(out.read_text())
    assert len(after) == 30 and [row["image_id"] for row in after[27:]] == [12, 13, 14]
    changed = {"keypoints", "keypoint_quality", "keypoint_std", "keypoint_replaced"}
    for row, given in zip(after, before, strict=False):
        assert {name: value for name, value in row.items() if name not in changed} == {
            name: value for name, value in given.items() if name not in changed
        }
        assert row["keypoints"][2::3] == given["keypoints"][2::3] and len(row["keypoint_std"]) == 17
    poses = read_results(out).poses
    order = np.argsort(poses.image_id)
    expected = smooth(POSES[np.r_[0:12, 15:30]])
    np.testing.assert_allclose(poses.xy, expected.poses.xy)
    np.testing.assert_allclose(poses.quality, expected.poses.quality)
    assert mean_error(poses[order], TRUE) < mean_error(POSES, TRUE)
    assert poses.missing is None and (poses.track_id == 5).all()
    np.testing.assert_allclose([row["keypoint_std"] for row in after], expected.std, atol=5.1e-4)
    assert run("audit", "--gt", _truth(tmp_path), "--results", out) == 0


def _truth(folder: Path) -> Path:
    """A ground truth of the clip, so that smoothed results are audited as any others."""
    people = [
        {
            "id": frame + 1,
            "image_id": frame,
            "category_id": 1,
            "keypoints": np.c_[TRUE[frame], np.full(17, 2)].ravel().tolist(),
            "num_keypoints": 17,
            "area": 20_000.0,
            "bbox": [*TRUE[frame].min(axis=0).tolist(), *np.ptp(TRUE[frame], axis=0).tolist()],
            "iscrowd": 0,
        }
        for frame in range(30)
    ]
    assert POSES.skeleton is not None
    person = {"id": 1, "name": "person", "keypoints": list(POSES.skeleton.keypoints)}
    truth = {"images": [{"id": index} for index in range(30)], "annotations": people, "categories": [person]}
    (folder / "gt.json").write_text(json.dumps(truth))
    return folder / "gt.json"


def test_other_estimators_and_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{name: row[name] for name in ("image_id", "category_id", "keypoints", "score")} for row in POSES.to_coco()]
    rows[4]["keypoints"][:3] = [0, 0, 0]
    results = tmp_path / "results.json"
    results.write_text(json.dumps(rows))
    options = ("--motion", "acceleration", "--no-gross-errors", "--fill", "0")
    assert run("smooth", results, *options, "--out", tmp_path / "out.json") == 0
    assert "noise from the clip alone, the same in all frames; 1 of 510 keypoints replaced" in capsys.readouterr().out
    after = json.loads((tmp_path / "out.json").read_text())
    assert "keypoint_quality" not in after[0] and after[4]["keypoints"][0] > 1 and after[4]["keypoints"][2] == 0
    assert after[4]["keypoint_replaced"][0] == 1


def test_keypoints_of_any_number_as_deeplabcut_has_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No sigmas are needed, unless errors are to follow from trust; what the stated deviation covers is said."""
    parts = ("paw", "nose", "tail", "ear")
    cells = np.concatenate([POSES.xy[:, :4], np.full((30, 4, 1), 0.9)], axis=2).reshape(30, 12)
    head = [["scorer", *["net"] * 12], ["bodyparts", *np.repeat(parts, 3)], ["coords", *["x", "y", "likelihood"] * 4]]
    lines = [*head, *([str(frame), *map(str, row)] for frame, row in enumerate(cells.tolist()))]
    (tmp_path / "clip.csv").write_text("\n".join(",".join(line) for line in lines))
    assert run("convert", tmp_path / "clip.csv", "--out", tmp_path / "results.json") == 0
    assert run("smooth", tmp_path / "results.json", "--out", tmp_path / "out.json") == 0
    assert "keypoint_std covers jitter and motion alone" in capsys.readouterr().err
    poses = read_results(tmp_path / "out.json").poses
    assert poses.xy.shape == (30, 4, 2) and mean_error(poses, TRUE[:, :4]) < mean_error(
        POSES.take_keypoints(np.arange(4)), TRUE[:, :4]
    )
    rows = [row | {"keypoint_quality": [0.9] * 4} for row in json.loads((tmp_path / "results.json").read_text())]
    (tmp_path / "trusted.json").write_text(json.dumps(rows))
    assert run("smooth", tmp_path / "trusted.json", "--noise", "trust", "--out", tmp_path / "no.json") == 2
    error = capsys.readouterr().err
    assert error.endswith("skeleton: expected one with sigmas, which turn keypoint_quality into pixels; got none\n")
    assert run("smooth", written(tmp_path, POSES), "--out", tmp_path / "out.json") == 0
    assert "jitter" not in capsys.readouterr().err  # with trust the deviation is of the whole error


def test_frames_with_texts_for_ids(tmp_path: Path) -> None:
    rows = POSES[np.r_[0:12, 15:30]].to_coco()
    for row in rows:
        row["image_id"] = f"cam/{row['image_id']:03}.jpg"
    results, images = tmp_path / "results.json", tmp_path / "images.json"
    results.write_text(json.dumps(rows))
    images.write_text(
        json.dumps([{"id": f"cam/{index:03}.jpg", "file_name": f"cam/{index:03}.jpg"} for index in range(30)])
    )
    assert run("smooth", results, "--images", images, "--out", tmp_path / "out.json") == 0
    after = json.loads((tmp_path / "out.json").read_text())
    assert [row["image_id"] for row in after[27:]] == ["cam/012.jpg", "cam/013.jpg", "cam/014.jpg"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--noise", "loud"), "--noise: expected one of auto, trust, constant, got 'loud'"),
        (("--motion", "jerk"), "--motion: expected one of velocity, acceleration, got 'jerk'"),
        (("--fill", "-1"), "greater than or equal to 0"),
    ],
)
def test_options_are_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str], options, said: str) -> None:
    assert run("smooth", written(tmp_path, POSES), *options, "--out", tmp_path / "out.json") == 2
    assert said in capsys.readouterr().err


def test_two_poses_of_a_track_in_one_frame_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = written(tmp_path, Poses.concatenate([POSES, POSES[:1]]))
    assert run("smooth", results, "--out", tmp_path / "out.json") == 2
    error = capsys.readouterr().err
    assert error == f"trustpose: error: {results}: image 0 has two poses of track 5, expected one\n"
    bare = written(tmp_path, POSES)
    rows = [
        {name: value for name, value in row.items() if name != "keypoint_quality"}
        for row in json.loads(bare.read_text())
    ]
    bare.write_text(json.dumps(rows))
    assert run("smooth", bare, "--noise", "trust", "--out", tmp_path / "out.json") == 2
    assert "keypoint_quality: expected in the poses" in capsys.readouterr().err
