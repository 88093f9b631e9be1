"""Triangulation on real cameras: the effect of trust without ground truth, identities of people, and speed.

    for camera in cam01 cam02 cam03 cam04; do
      trustpose predict DATA/multiview/pose2sim/balancing/videos/$camera.mp4 --no-draw --out predictions/$camera
    done
    python benchmarks/triangulation.py --predictions predictions [--frames N]

Four calibrated cameras of a person who balances (Pose2Sim's demo, 100 frames), by OpenPose's files, of BODY_25B, and by
the default model. People are matched between the views once, by the scores; every method then gets the same keypoints,
COCO's 17. OpenPose's trust is that of the calibrator `shipped:simplepose`, fitted to another network's heatmap scores;
the default model's is its own; "variance" weighs by 1/σ² of the expected error. Columns, all without markers:

  reprojection    median distance in pixels of all views' keypoints from the triangulated joint, those left out included
  bones           standard deviation over time of a bone's length, share of its mean, mean over 12 bones
  held out        the same distance in a camera that the joint was triangulated without, each camera in turn: median,
                  mean, and 90th percentile; with the difference of the mean to weighted by scores, 95 % interval from
                  drawing blocks of ten frames

"first of each file" takes the first person of every file, without asking who it is. Then: the two people of the second
trial, identified by the keypoints that the balancing trial's files share with it, and the time of `triangulate` for
N (100,000) and a quarter as many frames of 4 cameras and 25 joints, in seconds of one processor, and, where aniposelib
is installed, beside it. The last line is JSON.
"""

import argparse
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import trustpose as tp
from trustpose.formats.cameras import read_cameras
from trustpose.formats.coco import read_results
from trustpose.formats.pose_files import Photos, assemble, find_files, read_pose_files
from trustpose.geometry.cameras import Cameras
from trustpose.geometry.expected_error import expected_error
from trustpose.multiview.camera_error import camera_error, with_camera_error
from trustpose.multiview.frames import match_frames
from trustpose.multiview.people import group_people
from trustpose.multiview.triangulation import METHODS, triangulate_points
from trustpose.multiview.views import positions_of, weights_of
from trustpose.poses import ExpectedError, Poses
from trustpose.skeletons import COCO_17, OPENPOSE_BODY_25B

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data")) / "multiview" / "pose2sim"
FRAMES = 100
BONES = (
    "left_shoulder left_elbow, left_elbow left_wrist, right_shoulder right_elbow, right_elbow right_wrist, "
    "left_hip left_knee, left_knee left_ankle, right_hip right_knee, right_knee right_ankle, "
    "left_shoulder right_shoulder, left_hip right_hip, left_shoulder left_hip, right_shoulder right_hip"
)
ROWS: tuple[tuple[str, str], ...] = (
    ("linear", "none"),
    ("weighted", "scores"),
    ("weighted", "trust"),
    ("weighted", "variance"),
    ("ransac", "none"),
    ("ransac", "scores"),
    ("ransac", "trust"),
    ("robust", "none"),
    ("robust", "scores"),
    ("robust", "trust"),
)
BASE = "weighted, scores"


def openpose(trial: str) -> list[Poses]:
    found = [read_pose_files(find_files([one]))[1] for one in sorted((DATA / trial / "pose").iterdir())]
    named = {"tool": "openpose", "skeleton": OPENPOSE_BODY_25B}
    return [assemble(parts, Photos(None, None), **named).poses for parts in found]


def with_trust(view: Poses) -> Poses:
    """COCO's joints with the trust of a calibrator of similar scores."""
    poses = view.to_skeleton(COCO_17)
    assert poses.score is not None
    box = poses.keypoint_box()  # OpenPose writes neither a box nor a pose's score
    poses = replace(poses, pose_score=poses.score.mean(axis=1), box=box)
    return tp.Calibrator.load("shipped:simplepose")(poses)


def of_one_person(views: list[Poses], cameras: Cameras) -> tuple[list[Poses], np.ndarray]:
    """The views, and the rows (F, V) of the person whom most cameras see; -1 where one does not."""
    moments = match_frames(views)
    group = group_people(views, cameras, moments, [weights_of(view, "scores", at) for at, view in enumerate(views)])
    people = np.unique(group.track_id)
    seen = [(group.rows[group.track_id == one] >= 0).sum() for one in people]
    chosen = group.track_id == people[int(np.argmax(seen))]
    rows = np.full((FRAMES, len(views)), -1)
    rows[group.moment[chosen]] = group.rows[chosen]
    return views, rows


def first_of_each(views: list[Poses]) -> np.ndarray:
    rows = np.full((FRAMES, len(views)), -1)
    for at, view in enumerate(views):
        assert view.image_id is not None
        rows[view.image_id[::-1], at] = np.arange(len(view))[::-1]
    return rows


def gathered(views: list[Poses], rows: np.ndarray, cameras: Cameras) -> dict[str, Any]:
    """Places, weights and errors (V, F, K) of the rows."""

    def take(columns: list[np.ndarray]) -> np.ndarray:
        found = np.full((len(views), FRAMES, *columns[0].shape[1:]), np.nan)
        for at, column in enumerate(columns):
            there = rows[:, at] >= 0
            found[at, there] = column[rows[there, at]]
        return found

    columns: dict[str, Any] = {"xy": take([positions_of(view) for view in views])}
    for name in ("scores", "trust"):
        columns[name] = take([weights_of(view, name, at) for at, view in enumerate(views)])
    errors = [expected_error(view) for view in views]
    parts = [[getattr(one, name) for one in errors] for name in ("std", "gross", "gross_std")]
    columns["errors"] = ExpectedError(*[take(part) for part in parts])
    columns["camera error"] = camera_error(columns["xy"], cameras, columns["errors"])
    columns["errors"] = with_camera_error(columns["errors"], columns["camera error"])
    return columns


def solved(columns: dict[str, Any], cameras: Cameras, method: Any, weight: str, kept: list[int]) -> np.ndarray:
    """The joints (F, K, 3) from some cameras."""
    error = columns["errors"]
    known: dict[str, Any] = {"weight": columns[weight][kept]} if weight in columns else {}
    if weight in ("trust", "variance"):
        known["deviation"] = ExpectedError(error.std[kept], error.gross[kept], error.gross_std[kept])
    return triangulate_points(columns["xy"][kept], cameras[kept], method=method, **known).xyz


def measured(columns: dict[str, Any], cameras: Cameras, method: str, weight: str) -> dict[str, Any]:
    views = list(range(len(cameras)))
    xyz = solved(columns, cameras, method, weight, views)
    seen = np.linalg.norm(cameras.project(xyz) - columns["xy"], axis=-1)
    held = np.stack([
        np.linalg.norm(
            cameras[one].project(solved(columns, cameras, method, weight, [v for v in views if v != one]))
            - columns["xy"][one], axis=-1)
        for one in views
    ])  # fmt: skip
    names = [pair.split() for pair in BONES.split(", ")]
    ends = np.array([[COCO_17.index(a), COCO_17.index(b)] for a, b in names])
    length = np.linalg.norm(xyz[:, ends[:, 0]] - xyz[:, ends[:, 1]], axis=-1)
    return {
        "reprojection": float(np.nanmedian(seen)),
        "bones": float(np.mean(np.nanstd(length, axis=0) / np.nanmean(length, axis=0))),
        "held out": float(np.nanmedian(held)),
        "held out, mean": float(np.nanmean(held)),
        "held out, 90 %": float(np.nanquantile(held, 0.9)),
        "by frame": np.nanmean(held, axis=(0, 2)),
    }


def interval(one: np.ndarray, other: np.ndarray, draws: int = 2000) -> tuple[float, float]:
    """95 % of the mean difference, drawing blocks of ten frames."""
    blocks = (one - other).reshape(-1, 10).mean(axis=1)
    drawn = np.random.default_rng(0).integers(0, len(blocks), (draws, len(blocks)))
    low, high = np.quantile(blocks[drawn].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def table(title: str, columns: dict[str, Any], cameras: Cameras) -> dict[str, Any]:
    found = {f"{method}, {weight}": measured(columns, cameras, method, weight) for method, weight in ROWS}
    names = ("reprojection", "bones", "held out", "held out, mean", "held out, 90 %")
    print(f"\n{title}; the cameras' own error {columns['camera error']:.1f} px")
    print(f"{'':18}" + "".join(f"{name:>16}" for name in names) + f"{f'against {BASE}':>30}")
    base = found[BASE]["by frame"]
    for name, row in found.items():
        low, high = interval(row["by frame"], base)
        row["against"] = [float((row["by frame"] - base).mean()), low, high]
        cells = (f"{row[key]:16.2%}" if key == "bones" else f"{row[key]:16.1f}" for key in names)
        print(f"{name:18}" + "".join(cells) + f"{row['against'][0]:14.1f} [{low:.1f}, {high:.1f}]")
        del row["by frame"]
    return found


def identities(cameras: Cameras) -> dict[str, Any]:
    """In how many frames each person of the second trial has one identity in all views that show it."""
    both, alone = openpose("two_people"), openpose("balancing")
    started = time.process_time()
    group = group_people(both, cameras, match_frames(both), [weights_of(view, "scores", 0) for view in both])
    seconds = time.process_time() - started
    kinds: dict[int, list[bool]] = {}
    for moment, rows, person in zip(group.moment, group.rows, group.track_id, strict=True):
        for view, row in enumerate(rows):
            if row >= 0:
                before = alone[view].xy[alone[view].image_id == moment]
                old = (np.abs(before - both[view].xy[row]).max(axis=(1, 2)) < 1e-3).any()
                kinds.setdefault(int(person), []).append(bool(old))
    frames = {int(one): int((group.track_id == one).sum()) for one in np.unique(group.track_id)}
    pure = {person: len(set(known)) == 1 for person, known in kinds.items()}
    views = {one: float((group.rows[group.track_id == one] >= 0).sum(axis=1).mean()) for one in frames}
    print("\nTwo people and a bystander: frames, views, and whether all of a track's detections are of one person;")
    print(f"who is who in {seconds / FRAMES * 1000:.1f} ms a frame")
    for one in frames:
        print(f"  person {one}: {frames[one]} frames, {views[one]:.2f} views, {'one person' if pure[one] else 'MIXED'}")
    return {"frames": frames, "views": views, "pure": pure, "seconds a frame": seconds / FRAMES}


def speed(cameras: Cameras, frames: int) -> dict[str, dict[str, float]]:
    rng, found = np.random.default_rng(0), {}
    for count in (frames // 4, frames):
        xyz = rng.normal(0, 0.5, (count, 25, 3)) + np.array([-1, 0, 1])
        xy = cameras.project(xyz) + rng.normal(0, 5, (4, count, 25, 2))
        gross = rng.random(xy.shape[:3]) < 0.05
        xy[gross] += rng.normal(0, 100, (gross.sum(), 2))
        sigma = rng.uniform(3, 8, xy.shape[:3])
        error = ExpectedError(sigma, np.full(sigma.shape, 0.05), np.full(sigma.shape, 100.0))
        for method in METHODS:
            started = time.process_time()
            triangulate_points(xy, cameras, method=method, deviation=error)
            found.setdefault(method, {})[str(count)] = time.process_time() - started
    print(f"\nProcessor seconds{'':6}" + "".join(f"{count:>12,} frames" for count in (frames // 4, frames)))
    for method, seconds in found.items():
        print(f"  {method:21}" + "".join(f"{one:19.1f}" for one in seconds.values()))
    return found


def peer(cameras: Cameras, frames: int = 4000) -> dict[str, float] | None:
    """Plain triangulation beside aniposelib's, if that is installed: processor seconds, how far apart joints are."""
    try:
        from aniposelib.cameras import Camera, CameraGroup
    except ImportError:
        return None
    names = {"matrix": "matrix", "dist": "distortion", "size": "size", "name": "name", "tvec": "translation"}
    theirs = CameraGroup([
        Camera(rvec=cv2.Rodrigues(one.rotation)[0].ravel(), **{a: getattr(one, b) for a, b in names.items()})
        for one in cameras
    ])  # fmt: skip
    rng = np.random.default_rng(0)
    xyz = rng.normal(0, 0.5, (frames, 25, 3)) + np.array([-1, 0, 1])
    xy = cameras.project(xyz) + rng.normal(0, 5, (4, frames, 25, 2))
    flat = xy.reshape(4, -1, 2)
    theirs.triangulate(flat.copy())  # compiles
    started = time.process_time()
    one = theirs.triangulate(flat.copy(), undistort=True)
    middle = time.process_time()
    other = triangulate_points(xy, cameras, method="linear").xyz
    seconds = {"aniposelib": middle - started, "ours": time.process_time() - middle}
    apart = 1000 * np.median(np.linalg.norm(one - other.reshape(-1, 3), axis=1))
    times = seconds["aniposelib"] / seconds["ours"]
    print(f"\nPlain DLT, {frames:,} frames: {times:.1f} × aniposelib's speed; joints {apart:.2f} mm apart (median)")
    return seconds | {"ratio": times, "millimetres apart": float(apart)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predictions", type=Path, help="folder with cam01/results.json … of the default model")
    parser.add_argument("--frames", type=int, default=100_000)
    arguments = parser.parse_args()
    cameras = read_cameras(DATA / "Calib.qca.txt")
    found: dict[str, Any] = {}
    sources = {"OpenPose": [with_trust(view) for view in openpose("balancing")]}
    if arguments.predictions is not None:
        files = sorted(arguments.predictions.glob("cam*/results.json"))
        sources["default model"] = [read_results(file, skeleton=COCO_17).poses for file in files]
    for name, views in sources.items():
        columns = gathered(*of_one_person(views, cameras), cameras)
        found[name] = table(f"{name}, the balancing person", columns, cameras)
        plain = gathered(views, first_of_each(views), cameras)
        found[name]["first of each file"] = one = measured(plain, cameras, "linear", "none")
        del one["by frame"]
        print(f"first of each file, linear: {one['reprojection']:.1f} px, bones {one['bones']:.2%}")
    found["identities"] = identities(cameras)
    found["speed"] = speed(cameras, arguments.frames)
    found["peer"] = peer(cameras)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
