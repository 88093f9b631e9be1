"""SLEAP's predictions: project files and analysis HDF5, as h5py sees them and as sleap-io writes them."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.io.reading import read
from trustpose.files import InputError

NODES = ("nose", "left_ear", "tail")
RANDOM = np.random.default_rng(0)
XY = RANDOM.uniform(10, 200, (5, 3, 2)).round(2)
XY[3, 1] = np.nan
SCORE = RANDOM.uniform(0.1, 0.9, (5, 3)).round(3)
FRAME, TRACK, POSE_SCORE = [0, 0, 3, 4, 4], [0, 1, 0, 0, 1], [0.5, 0.625, 0.5, 0.75, 0.25]
POINT = [("x", "<f8"), ("y", "<f8"), ("visible", "?"), ("complete", "?"), ("score", "<f8")]
INSTANCE = [
    *(("instance_id", "<i8"), ("instance_type", "u1"), ("frame_id", "<u8"), ("skeleton", "<u4"), ("track", "<i4")),
    *(("from_predicted", "<i8"), ("score", "<f4"), ("point_id_start", "<u8"), ("point_id_end", "<u8")),
]
FRAMES = [("frame_id", "<u8"), ("video", "<u4"), ("frame_idx", "<u8")]
VIDEO: dict[str, Any] = {"filename": "clip.mp4", "backend": {"filename": "clip.mp4"}}


def project(path: Path, version: float = 1.2, videos: tuple[dict[str, Any], ...] = (VIDEO,)) -> Path:
    """Five predicted people in frames 0, 3 and 4, and one labelled by hand in frame 9."""
    frames = [(0, 0, 0, 0, 2), (1, 0, 3, 2, 3), (2, 0, 4, 3, 5), (3, 0, 9, 5, 6)]
    rows = [(i, 1, FRAME.index(f) and (1 if f == 3 else 2), 0, TRACK[i], -1, POSE_SCORE[i], 3 * i, 3 * i + 3)
            for i, f in enumerate(FRAME)]  # fmt: skip
    points = [(x, y, not np.isnan(x), False, s)
              for xy, scores in zip(XY, SCORE, strict=True) for (x, y), s in zip(xy, scores, strict=True)]  # fmt: skip
    nodes = {"nodes": [{"name": name, "weight": 1.0} for name in ("tail", "nose", "left_ear")]}
    nodes["skeletons"] = [{"graph": {"name": "mouse"}, "nodes": [{"id": 1}, {"id": 2}, {"id": 0}]}]
    fields = [*FRAMES, ("start", "<u8"), ("end", "<u8")]
    with h5py.File(path, "w") as file:
        group = file.create_group("metadata")
        group.attrs["format_id"], group.attrs["json"] = version, np.bytes_(json.dumps(nodes))
        file["frames"] = np.array(frames, fields)
        file["instances"] = np.array([*rows, (5, 0, 3, 0, -1, -1, 0.0, 0, 3)], INSTANCE)
        file["pred_points"] = np.array(points, POINT)
        file["points"] = np.zeros(3, POINT[:4])
        file["videos_json"] = [json.dumps(video) for video in videos]
    return path


def analysis(path: Path, *, dims: bool = False, scored: bool = True) -> Path:
    """The same people in the arrays of an analysis file: with axes as SLEAP has them, or as `dims` says."""
    tracks, points, people = np.full((2, 2, 3, 5), np.nan), np.full((2, 3, 5), np.nan), np.full((2, 5), np.nan)
    for row, (frame, track) in enumerate(zip(FRAME, TRACK, strict=True)):
        tracks[track, :, :, frame], points[track, :, frame] = XY[row].T, SCORE[row]
        people[track, frame] = POSE_SCORE[row]
    with h5py.File(path, "w") as file:
        file["node_names"], file["track_names"] = np.array(NODES, "S"), np.array(["a", "b"], "S")
        file["tracks"] = tracks.transpose(3, 0, 2, 1) if dims else tracks
        if scored:
            file["point_scores"], file["instance_scores"] = points, people
        if dims:
            file["tracks"].attrs["dims"] = '["frame", "track", "node", "xy"]'
    return path


def check(path: Path, shift: float = 0.0) -> None:
    poses = read(path).poses
    np.testing.assert_allclose(poses.xy, XY - shift)
    np.testing.assert_allclose(poses.score, np.where(np.isnan(XY[..., 0]), np.nan, SCORE))
    np.testing.assert_allclose(poses.pose_score, POSE_SCORE)
    assert poses.image_id is not None and poses.track_id is not None
    assert poses.image_id.tolist() == FRAME and poses.track_id.tolist() == [1, 2, 1, 1, 2]


def test_a_project_file(tmp_path: Path) -> None:
    path = project(tmp_path / "clip.predictions.slp")
    check(path)
    tool_poses = read(path)
    assert tool_poses.skeleton is not None and tool_poses.skeleton.keypoints == NODES
    assert tool_poses.notes == ("people labelled by hand, left out: 1",)
    check(project(tmp_path / "old.slp", version=1.0), shift=0.5)


def test_photos_of_a_project(tmp_path: Path) -> None:
    files = [f"C:\\photos\\{number}.png" for number in range(10)]
    path = project(tmp_path / "photos.slp", videos=({"backend": {"filename": files}},))
    assert read(path).photo == ("0.png", "0.png", "3.png", "4.png", "4.png")
    short = project(tmp_path / "short.slp", videos=({"backend": {"filenames": files[:4]}},))
    with pytest.raises(InputError, match=r"short\.slp: dataset 'frames': frame 4 is not among the 4 photos"):
        read(short)


@pytest.mark.parametrize("dims", [False, True])
def test_an_analysis_file(tmp_path: Path, dims: bool) -> None:
    path = analysis(tmp_path / "clip.analysis.h5", dims=dims)
    check(path)
    assert read(path).notes == ()
    poses = read(analysis(tmp_path / "unscored.h5", dims=dims, scored=False))
    np.testing.assert_array_equal(np.isnan(poses.poses.score), np.isnan(XY[..., 0]))
    assert "the files have no scores" in poses.notes[0]


def test_what_sleap_io_writes(tmp_path: Path) -> None:
    sleap_io = pytest.importorskip("sleap_io", reason="sleap-io is not installed")
    skeleton = sleap_io.Skeleton(nodes=list(NODES), edges=[("nose", "tail")])
    video, tracks = sleap_io.Video(filename="clip.mp4"), [sleap_io.Track("a"), sleap_io.Track("b")]
    frames = [
        sleap_io.LabeledFrame(video=video, frame_idx=number, instances=[
            sleap_io.PredictedInstance.from_numpy(
                XY[row], skeleton=skeleton, point_scores=SCORE[row], score=POSE_SCORE[row], track=tracks[TRACK[row]])
            for row in range(5) if FRAME[row] == number])
        for number in (0, 3, 4)]  # fmt: skip
    labels = sleap_io.Labels(labeled_frames=frames, videos=[video], skeletons=[skeleton], tracks=tracks)
    sleap_io.save_file(labels, str(tmp_path / "a.slp"))
    check(tmp_path / "a.slp")
    for preset in ("matlab", "standard"):
        sleap_io.save_analysis_h5(labels, str(tmp_path / f"{preset}.h5"), preset=preset)
        check(tmp_path / f"{preset}.h5")


def test_labels_are_no_predictions(tmp_path: Path) -> None:
    path = project(tmp_path / "labels.slp")
    with h5py.File(path, "r+") as file:
        rows = file["instances"][:]
        rows["instance_type"] = 0
        file["instances"][:] = rows
    with pytest.raises(InputError, match=r"labels\.slp: holds 6 people labelled by hand, expected predictions"):
        read(path)


def spoilt(path: Path, name: str, value: Any) -> Path:
    with h5py.File(path, "r+") as file:
        if name in file:
            del file[name]
        if value is not None:
            file[name] = value
    return path


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("instances", None, "dataset 'instances': expected rows of instance_type, frame_id"),
        ("instances", np.zeros(3), "dataset 'instances': expected rows"),
        ("pred_points", np.zeros(3, POINT), "expected 3 points of 'pred_points' in each row"),
        ("frames", np.zeros(2, FRAMES), "each 'frame_id' of"),
        ("frames", np.array([(i, 0, 2**64 - 1 - i) for i in range(4)], FRAMES), "a 'frame_idx' from 0 to 1000000000"),
        ("videos_json", [b"{"], "'videos_json': is not valid JSON"),
        ("videos_json", h5py.SoftLink("/elsewhere"), None),
        ("metadata", None, "group 'metadata': expected the attribute 'json'"),
        ("metadata", np.zeros(1), "group 'metadata': expected the attribute 'json'"),
    ],
)
def test_spoilt_projects_are_one_line(tmp_path: Path, name: str, value: Any, message: str | None) -> None:
    path = spoilt(project(tmp_path / "a.slp"), name, value)
    if message is None:
        check(path)
        return
    with pytest.raises(InputError, match=message) as error:
        read(path)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


NODE, SKELETON = {"name": "nose"}, {"nodes": [{"id": 0}]}


@pytest.mark.parametrize(
    ("metadata", "version", "message"),
    [
        (
            {"nodes": [{"name": 3}], "skeletons": [SKELETON]},
            1.2,
            "field 'nodes.0.name': expected a text, got 3",
        ),
        ({"nodes": [NODE]}, 1.2, "'json': field 'skeletons' is missing, expected 1 skeleton"),
        ({"nodes": [NODE], "skeletons": [SKELETON] * 2}, 1.2, "'skeletons': expected 1 skeleton, got a list of 2"),
        ({"nodes": [], "skeletons": [SKELETON]}, 1.2, "field 'skeletons.0.nodes': expected ids below 0, the number of"),
        ({"nodes": [NODE], "skeletons": [{"nodes": [{"id": -1}]}]}, 1.2, "nodes.0.id': expected a whole number of at"),
        ({"nodes": [NODE], "skeletons": [SKELETON]}, '"new"', "attribute 'format_id': expected a number, got 'new'"),
    ],
)
def test_spoilt_metadata_are_one_line(tmp_path: Path, metadata: Any, version: Any, message: str) -> None:
    path = project(tmp_path / "a.slp")
    with h5py.File(path, "r+") as file:
        attributes = file["metadata"].attrs
        attributes["json"], attributes["format_id"] = np.bytes_(json.dumps(metadata)), version
    with pytest.raises(InputError, match=message) as error:
        read(path)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("node_names", np.array(["nose", "tail"], "S"), r"dataset 'tracks': expected \(tracks, 2, 2, frames\)"),
        ("node_names", np.array(["nose", "nose", "tail"], "S"), "node names: expected each once"),
        ("node_names", np.zeros((2, 2, 2)), "dataset 'node_names': expected a list of texts"),
        ("node_names", np.zeros(3), "dataset 'node_names': expected a list of texts"),
        ("node_names", None, "expected SLEAP's datasets 'tracks' and 'node_names'"),
        ("point_scores", np.zeros((2, 3, 4)), r"dataset 'point_scores': expected \(2, 3, 5\), got \(2, 3, 4\)"),
        ("point_scores", np.full((2, 3, 5), np.inf), "'point_scores': expected a finite number"),
        ("tracks", np.zeros(3), "dataset 'tracks': expected numbers by track, xy, node, frame"),
    ],
)
def test_spoilt_analyses_are_one_line(tmp_path: Path, name: str, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(spoilt(analysis(tmp_path / "a.h5"), name, value))
