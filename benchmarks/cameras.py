"""Camera calibration on real photos and people: intrinsics, extrinsics from people, time between clips.

python benchmarks/cameras.py [--part intrinsics|priors|people|panoptic|shifts|moments]    # DATA as in TRUSTPOSE_DATA

Intrinsics: Pose2Sim's photos of four cameras against its Qualisys file. People: its balancing trial (OpenPose's poses),
placed again from the Qualisys intrinsics. Panoptic: real 3D poses projected into five HD cameras, with Gaussian noise
and 5 % gross errors of 60 pixels. Shifts: the balancing trial's clips, begun later by known numbers of frames. Moments:
the same, one clip at a time, and what `triangulate` finds by the calibrated cameras' epipolar lines.
"""

import argparse
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from trustpose.formats.cameras import read_cameras
from trustpose.geometry.cameras import Cameras
from trustpose.multiview.board_photos import find_boards
from trustpose.multiview.boards import Board
from trustpose.multiview.extrinsics import place_by_people
from trustpose.multiview.frames import match_frames
from trustpose.multiview.intrinsics import calibrate
from trustpose.multiview.lens_fit import Prior
from trustpose.multiview.recordings import read_views
from trustpose.multiview.shifts import fit_times
from trustpose.multiview.synchronisation import synchronise
from trustpose.poses import Poses

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
TRIAL = DATA / "multiview/pose2sim"
HD = [f"00_{number:02d}" for number in (0, 3, 6, 12, 18)]
WAYS = {"no prior (OpenCV)": {"prior": None}, "prior": {}, "stronger, centre 0.5 %": {"prior": Prior(centre=0.005)}}
WAYS |= {"14 coefficients": {"coefficients": 14}}


def intrinsics() -> dict[str, list[float]]:
    reference, board, worst = read_cameras(TRIAL / "Calib.qca.txt"), Board(4, 7, 0.06), {}
    for camera in reference:
        photos = list(find_boards(sorted((TRIAL / "intrinsics").glob(f"{camera.name.replace('_', '')}_*.jpg")), board))
        corners = [photo.corners for photo in photos if photo.corners is not None]
        for way, options in WAYS.items():
            found = calibrate(corners, board, photos[0].size, **options)
            focal = np.diag(found.camera.matrix)[:2] / np.diag(camera.matrix)[:2] - 1
            centre = float(np.linalg.norm(found.camera.matrix[:2, 2] - camera.matrix[:2, 2]))
            print(
                f"{camera.name} {way:24} boards {len(corners)} of {len(photos)}, used {found.is_used.sum()}, "
                f"focal {focal[0]:+.2%} {focal[1]:+.2%}, principal point {centre:.1f} px off, error {found.error:.3f}"
            )
            worst.setdefault(way, []).append(round(centre, 1))
    return worst


def priors() -> dict[str, list[float]]:
    """Root mean squares over Panoptic's cameras, which the prior's standard deviations follow."""
    path, found = DATA / "layouts/panoptic_body3d/160906_band1/calibration_160906_band1.json", {}
    cameras = read_cameras(path)
    for kind in ("hd", "kinect-color"):
        named = [one["name"] for one in json.loads(path.read_text())["cameras"] if one["type"] == kind]
        some = [cameras[name] for name in named]
        centre = np.array([(one.matrix[:2, 2] - (np.array(one.size) - 1) / 2) / max(one.size) for one in some])
        aspect = np.array([one.matrix[1, 1] / one.matrix[0, 0] - 1 for one in some])
        tangential = np.array([one.distortion[2:4] for one in some])
        values = [*centre.T, aspect, *tangential.T]
        found[kind] = [round(float(np.sqrt((value**2).mean())), 5) for value in values]
        print(f"{len(some)} {kind}: principal point x, y (share of the longer side), aspect, p1, p2: {found[kind]}")
    return found


def off_by(found: Cameras, wanted: Cameras) -> tuple[list[float], list[float]]:
    """Return each camera's rotation error, degrees, and place error as a share of its distance from the cameras'
    middle, after a similarity alignment of the worlds."""
    pairs = list(zip(found, wanted, strict=True))
    left, _, right = np.linalg.svd(sum(there.rotation.T @ here.rotation for here, there in pairs))
    turn = left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right
    here = np.array([one.centre for one in found]) @ turn.T
    there = np.array([one.centre for one in wanted])
    here, there = here - here.mean(axis=0), there - there.mean(axis=0)
    scale = (here * there).sum() / (here**2).sum()
    angles = [np.degrees(Rotation.from_matrix(b.rotation.T @ a.rotation @ turn.T).magnitude()) for a, b in pairs]
    places = np.linalg.norm(here * scale - there, axis=1) / np.linalg.norm(there, axis=1)
    return [round(float(a), 2) for a in angles], [round(float(p), 4) for p in places]


def placed(label: str, views: list[Poses], cameras: Cameras, weight: str) -> dict[str, list[float]]:
    unplaced = Cameras(tuple(one.placed(np.eye(3), np.zeros(3)) for one in cameras))
    started = time.perf_counter()
    try:
        found = place_by_people(views, unplaced, match_frames(views), weight)
    except ValueError as error:
        print(f"{label} {weight}: not placed: {error}")
        return {}
    angles, places = off_by(found.cameras, cameras)
    print(
        f"{label}, weighted by {weight}: rotation at most {max(angles):.2f}° {angles}, places {max(places):.1%} "
        f"{places}, reprojection {np.nanmedian(found.errors):.1f} px, {time.perf_counter() - started:.0f} s"
    )
    return {"rotation": angles, "place": places}


def people(results: list[Path]) -> dict:
    cameras = read_cameras(TRIAL / "Calib.qca.txt")
    views = read_views([TRIAL / f"balancing/pose/cam0{number}_json" for number in (1, 2, 3, 4)])[0]
    found = {f"openpose {how}": placed("balancing, OpenPose", views, cameras, how) for how in ("scores", "none")}
    if results:
        views = read_views(results)[0]
        for how in ("trust", "scores", "none"):
            found[f"results {how}"] = placed("balancing, --results", views, cameras, how)
    return found


def panoptic() -> dict:
    found = {}
    for sequence in ("160906_band1", "160906_band2"):
        folder = DATA / "layouts/panoptic_body3d" / sequence
        cameras = read_cameras(folder / f"calibration_{sequence}.json")[HD]
        moments = []
        for file in sorted((folder / "hdPose3d_stage1_coco19").glob("*.json")):
            joints = np.array([body["joints19"] for body in json.loads(file.read_text())["bodies"]]).reshape(-1, 19, 4)
            moments.append(np.where(joints[..., 3:] > 0, joints[..., :3] / 100, np.nan))
        number = np.repeat(np.arange(len(moments)), [len(one) for one in moments])
        for noise in (2, 5):
            generator, views = np.random.default_rng(0), []
            for camera in cameras:
                xy = camera.project(np.concatenate(moments))
                there = np.isfinite(xy).all(axis=2) & (xy > 0).all(axis=2) & (xy < camera.size).all(axis=2)
                gross = generator.random(there.shape) < 0.05
                xy = xy + generator.normal(0, np.where(gross, 60, noise)[..., None], xy.shape)
                score = np.where(there, np.where(gross, 0.3, 0.9), 0.0)
                views.append(Poses(xy=np.nan_to_num(xy), score=score, missing=~there, image_id=number))
            label = f"{sequence}, noise {noise} px"
            found[label] = placed(label, views, cameras, "scores")
    return found


def shifts() -> dict:
    views = read_views([TRIAL / f"balancing/pose/cam0{number}_json" for number in (1, 2, 3, 4)])[0]
    before = synchronise(views, [60.0] * 4, "scores").offset
    print("the clips as they are: offsets in frames", (before * 60).round(1).tolist())
    worst = 0.0
    for shift in ((0, 7, 2, 15), (0, 0, 20, 5), (10, 0, 0, 0), (8, 0, 20, 11)):
        moved = []
        for view, frames in zip(views, shift, strict=True):
            kept = view[view.image_id >= frames]
            moved.append(replace(kept, image_id=kept.image_id - frames))
        found = synchronise(moved, [60.0] * 4, "scores").offset - before
        error = found * 60 - (np.array(shift) - shift[0])
        worst = max(worst, float(np.abs(error).max()))
        print(f"begun {shift} frames later: errors in frames {error.round(2).tolist()}")
    return {"worst": round(worst, 2)}


def moments(results: list[Path]) -> dict:
    """What is found of each camera in turn, begun later: the shift, and the share by which the distance falls."""
    cameras, found = read_cameras(TRIAL / "Calib.qca.txt"), {}
    trials = {
        f"{trial}, OpenPose": [TRIAL / f"{trial}/pose/cam0{number}_json" for number in (1, 2, 3, 4)]
        for trial in ("balancing", "two_people")
    } | ({"--results": results} if results else {})
    for label, paths in trials.items():
        views = read_views(paths)[0]
        weight = "scores" if views[0].quality is None else "trust"
        for begun in (0, 4, 6, 8, 15, 30):
            rows = []
            for at in range(4 if begun else 1):
                moved = [replace(one, image_id=one.image_id - begun) if v == at else one for v, one in enumerate(views)]
                kept = [one[one.image_id >= 0] for one in moved]
                fit = fit_times(kept, cameras, weight=weight)
                rows.append([*fit.shift.tolist(), round(float(1 - fit.best[at] / fit.current[at]), 2)])
            found[f"{label} {begun}"] = rows
            print(f"{label}, {begun} frames: shift of each camera, distance less by: {rows}")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("intrinsics", "priors", "people", "panoptic", "shifts", "moments"))
    parser.add_argument("--results", nargs=4, type=Path, default=[], help="the four videos' results, of any estimator")
    asked = parser.parse_args()
    parts = {"intrinsics": intrinsics, "priors": priors, "people": lambda: people(asked.results)}
    parts |= {"panoptic": panoptic, "shifts": shifts, "moments": lambda: moments(asked.results)}
    print(json.dumps({name: run() for name, run in parts.items() if asked.part in (None, name)}))
