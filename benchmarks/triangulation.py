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

Two disjoint pairs of cameras place each joint twice: for the three ways to make pairs, how far apart the two are, and
how many of the differences the 50, 80 and 95 % ellipsoids of the sum of both covariances hold, by robust with trust.

"first of each file" takes the first person of every file, without asking who it is. Then: the two people of the second
trial, identified by the keypoints that the balancing trial's files share with it, and the time of `triangulate` for
N (100,000) and a quarter as many frames of 4 cameras and 25 joints, in seconds of one processor, and, where aniposelib
is installed, beside it.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from harness import Estimate, parser, run, table, timed

import trustpose as tp
from trustpose.geometry.cameras import Cameras
from trustpose.geometry.expected_error import expected_error
from trustpose.io.cameras import read_cameras
from trustpose.io.coco.results import read_results
from trustpose.multiview.camera_error import camera_error, with_camera_error
from trustpose.multiview.frames import gather_rows, match_frames, positions_of, weights_of
from trustpose.multiview.people import group_people
from trustpose.multiview.recordings import read_views
from trustpose.multiview.triangulation import METHODS, triangulate_points
from trustpose.poses import ExpectedError, Poses, Poses3D
from trustpose.skeletons import COCO_17, OPENPOSE_BODY_25B

FRAMES, BLOCK = 100, 10
DRAWS = 2000
LEVELS = (0.5, 0.8, 0.95)
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


def openpose(folder: Path, trial: str) -> list[Poses]:
    return read_views(sorted((folder / trial / "pose").iterdir()), OPENPOSE_BODY_25B.name)[0]


def with_trust(view: Poses) -> Poses:
    """COCO's joints with the trust of a calibrator of similar scores."""
    poses = view.to_skeleton(COCO_17)
    box = poses.keypoint_box()  # OpenPose writes neither a box nor a pose's score
    poses = replace(poses, pose_score=poses.score.mean(axis=1), box=box)
    return tp.Calibrator.load("shipped:simplepose")(poses)


def of_one_person(views: list[Poses], cameras: Cameras) -> tuple[list[Poses], np.ndarray]:
    """The views, and the rows (F, V) of the person whom most cameras see; -1 where one does not."""
    moments = match_frames(views)
    group = group_people(views, cameras, moments, [weights_of(view, "scores", v) for v, view in enumerate(views)])
    people = np.unique(group.track_id)
    seen = [(group.rows[group.track_id == person] >= 0).sum() for person in people]
    chosen = group.track_id == people[int(np.argmax(seen))]
    rows = np.full((FRAMES, len(views)), -1)
    rows[group.moment[chosen]] = group.rows[chosen]
    return views, rows


def first_of_each(views: list[Poses]) -> np.ndarray:
    rows = np.full((FRAMES, len(views)), -1)
    for v, view in enumerate(views):
        rows[view.image_id[::-1], v] = np.arange(len(view))[::-1]
    return rows


def gathered(views: list[Poses], rows: np.ndarray, cameras: Cameras) -> dict[str, Any]:
    """Places, weights and errors (V, F, K) of the rows."""

    columns: dict[str, Any] = {"xy": gather_rows([positions_of(view) for view in views], rows)}
    for name in ("scores", "trust"):
        columns[name] = gather_rows([weights_of(view, name, v) for v, view in enumerate(views)], rows)
    errors = [expected_error(view) for view in views]
    parts = [[getattr(error, name) for error in errors] for name in ("std", "gross", "gross_std")]
    columns["errors"] = ExpectedError(*[gather_rows(part, rows) for part in parts])
    columns["camera error"] = camera_error(columns["xy"], cameras, columns["errors"])
    columns["errors"] = with_camera_error(columns["errors"], columns["camera error"])
    return columns


def triangulated(columns: dict[str, Any], cameras: Cameras, method: Any, weight: str, views: list[int], **options: Any):
    """The joints from these cameras, weighted by a column of the keypoints (V, N, K) or by their expected error."""
    error = columns["errors"]
    if weight in columns:
        options["weight"] = columns[weight][views]
    if weight in ("trust", "variance"):
        options["deviation"] = ExpectedError(error.std[views], error.gross[views], error.gross_std[views])
    return triangulate_points(columns["xy"][views], cameras[views], method=method, **options)


def measured(columns: dict[str, Any], cameras: Cameras, method: str, weight: str) -> dict[str, Any]:
    views = list(range(len(cameras)))
    xyz = triangulated(columns, cameras, method, weight, views).xyz
    seen = np.linalg.norm(cameras.project(xyz) - columns["xy"], axis=-1)
    held_out = []
    for view in views:
        others = triangulated(columns, cameras, method, weight, [other for other in views if other != view])
        held_out.append(np.linalg.norm(cameras[view].project(others.xyz) - columns["xy"][view], axis=-1))
    held = np.stack(held_out)
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


def methods_on(title: str, columns: dict[str, Any], cameras: Cameras) -> dict[str, Any]:
    """Print and return every method's numbers, and the intervals of their differences from the base."""
    rows = {f"{method}, {weight}": measured(columns, cameras, method, weight) for method, weight in ROWS}
    base = rows[BASE]["by frame"]
    for row in rows.values():
        by_frame = row.pop("by frame")
        row["against"] = Estimate.mean((by_frame - base).reshape(-1, BLOCK).mean(axis=1), DRAWS).interval
    print(f"\n{title}; the cameras' own error {columns['camera error']:.1f} px")
    table(f"pixels; against {BASE}", rows, ".1f", bones=".2%")
    return rows


def disjoint_pairs(columns: dict[str, Any], cameras: Cameras) -> dict[str, Any]:
    """Print and return what ellipsoids hold of the differences between two pairs of cameras."""
    rows, squared = {}, []
    for other in (1, 2, 3):
        pairs = [0, other], [view for view in (1, 2, 3) if view != other]
        first, second = (triangulated(columns, cameras, "robust", "trust", list(pair)) for pair in pairs)
        off, covariance = first.xyz - second.xyz, first.covariance + second.covariance
        is_finite = np.isfinite(off).all(axis=2) & np.isfinite(covariance).all(axis=(2, 3))
        off, covariance = off[is_finite], covariance[is_finite]
        squared.append(np.einsum("ni,nij,nj->n", off, np.linalg.inv(covariance), off))
        rows[f"{pairs[0]}, {pairs[1]}"] = {
            "mm": float(1000 * np.median(np.linalg.norm(off, axis=1))),
            **held(squared[-1]),
        }
    rows["all"] = held(np.concatenate(squared))
    table("pairs of cameras: median difference; ellipsoids hold", rows, ".3f", mm=".0f")
    return rows


def held(squared: np.ndarray) -> dict[str, float]:
    """Return the share of these squared Mahalanobis distances that lie within ellipsoids of three levels."""
    return {f"{level:.0%}": float((squared <= Poses3D.ellipsoid_radius(level) ** 2).mean()) for level in LEVELS}


def identities(folder: Path, cameras: Cameras) -> dict[str, Any]:
    """In how many frames each person of the second trial has one identity in all views that show it."""
    both, alone = openpose(folder, "two_people"), openpose(folder, "balancing")
    weights = [weights_of(view, "scores", 0) for view in both]
    timing = timed(lambda: group_people(both, cameras, match_frames(both), weights))
    group, seconds = timing.result, timing.cpu_seconds
    kinds: dict[int, list[bool]] = {}
    for moment, rows, person in zip(group.moment, group.rows, group.track_id, strict=True):
        for view, row in enumerate(rows):
            if row >= 0:
                before = alone[view].xy[alone[view].image_id == moment]
                old = (np.abs(before - both[view].xy[row]).max(axis=(1, 2)) < 1e-3).any()
                kinds.setdefault(int(person), []).append(bool(old))
    frames = {int(person): int((group.track_id == person).sum()) for person in np.unique(group.track_id)}
    pure = {person: len(set(olds)) == 1 for person, olds in kinds.items()}
    views = {person: float((group.rows[group.track_id == person] >= 0).sum(axis=1).mean()) for person in frames}
    rows = {person: {"frames": frames[person], "views": views[person], "one person": pure[person]} for person in frames}
    table("two people and a bystander", rows, ".2f")
    print(f"identified in {seconds / FRAMES * 1000:.1f} ms a frame")
    return {"frames": frames, "views": views, "pure": pure, "seconds a frame": seconds / FRAMES}


def speed(cameras: Cameras, frames: int) -> dict[str, dict[str, float]]:
    rng, seconds = np.random.default_rng(0), {}
    for count in (frames // 4, frames):
        xyz = rng.normal(0, 0.5, (count, 25, 3)) + np.array([-1, 0, 1])
        xy = cameras.project(xyz) + rng.normal(0, 5, (4, count, 25, 2))
        gross = rng.random(xy.shape[:3]) < 0.05
        xy[gross] += rng.normal(0, 100, (gross.sum(), 2))
        sigma = rng.uniform(3, 8, xy.shape[:3])
        error = ExpectedError(sigma, np.full(sigma.shape, 0.05), np.full(sigma.shape, 100.0))
        for method in METHODS:
            timing = timed(lambda: triangulate_points(xy, cameras, method=method, deviation=error))  # noqa: B023
            seconds.setdefault(method, {})[str(count)] = timing.cpu_seconds
    table("processor seconds, by frames", seconds, ".1f")
    return seconds


def peer(cameras: Cameras, frames: int = 4000) -> dict[str, float] | None:
    """Plain triangulation beside aniposelib's, if that is installed: processor seconds, how far apart joints are."""
    try:
        from aniposelib.cameras import Camera, CameraGroup
    except ImportError:
        return None
    names = {"matrix": "matrix", "dist": "distortion", "size": "size", "name": "name", "tvec": "translation"}
    theirs = CameraGroup([
        Camera(rvec=cv2.Rodrigues(camera.rotation)[0].ravel(), **{a: getattr(camera, b) for a, b in names.items()})
        for camera in cameras
    ])  # fmt: skip
    rng = np.random.default_rng(0)
    xyz = rng.normal(0, 0.5, (frames, 25, 3)) + np.array([-1, 0, 1])
    xy = cameras.project(xyz) + rng.normal(0, 5, (4, frames, 25, 2))
    flat = xy.reshape(4, -1, 2)
    theirs.triangulate(flat.copy())  # compiles
    timings = (
        timed(lambda: theirs.triangulate(flat.copy(), undistort=True)),
        timed(lambda: triangulate_points(xy, cameras, method="linear").xyz),
    )
    seconds = dict(zip(("aniposelib", "ours"), (timing.cpu_seconds for timing in timings), strict=True))
    distance = 1000 * np.median(np.linalg.norm(timings[0].result - timings[1].result.reshape(-1, 3), axis=1))
    times = seconds["aniposelib"] / seconds["ours"]
    print(f"\nPlain DLT, {frames:,} frames: {times:.1f} × aniposelib's speed; joints {distance:.2f} mm apart (median)")
    return seconds | {"ratio": times, "millimetres apart": float(distance)}


def main(options):
    folder = options.data / "multiview" / "pose2sim"
    cameras = read_cameras(folder / "Calib.qca.txt")
    result: dict[str, Any] = {}
    sources = {"OpenPose": [with_trust(view) for view in openpose(folder, "balancing")]}
    if options.predictions is not None:
        files = sorted(options.predictions.glob("cam*/results.json"))
        sources["default model"] = [read_results(file, skeleton=COCO_17).poses for file in files]
    for name, views in sources.items():
        columns = gathered(*of_one_person(views, cameras), cameras)
        result[name] = methods_on(f"{name}, the balancing person", columns, cameras)
        result[name]["pairs"] = disjoint_pairs(columns, cameras)
        plain = gathered(views, first_of_each(views), cameras)
        result[name]["first of each file"] = row = measured(plain, cameras, "linear", "none")
        del row["by frame"]
        print(f"first of each file, linear: {row['reprojection']:.1f} px, bones {row['bones']:.2%}")
    result["identities"] = identities(folder, cameras)
    result["speed"] = speed(cameras, options.frames)
    result["peer"] = peer(cameras)
    return result


if __name__ == "__main__":
    options_parser = parser(__doc__, "data")
    add = options_parser.add_argument
    add("--predictions", type=Path, help="folder with cam01/results.json … of the default model")
    add("--frames", type=int, default=100_000, help="to triangulate for the time")
    run(main, options_parser)
