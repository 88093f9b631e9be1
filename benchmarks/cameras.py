"""Camera calibration on real photos and people: intrinsics, extrinsics from people, time between clips.

python benchmarks/cameras.py [--part intrinsics|priors|people|panoptic|shifts|moments]    # DATA as in TRUSTPOSE_DATA

Intrinsics: Pose2Sim's photos of four cameras against its Qualisys file. People: its balancing trial (OpenPose's poses),
placed again from the Qualisys intrinsics. Panoptic: real 3D poses projected into five HD cameras, with Gaussian noise
and 5 % gross errors of 60 pixels. Shifts: the balancing trial's clips, begun later by known numbers of frames. Moments:
the same, one clip at a time, and what `triangulate` finds by the calibrated cameras' epipolar lines.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from harness import DATA, parser, run, table, timed
from scipy.spatial.transform import Rotation

from trustpose.geometry.cameras import Camera, Cameras
from trustpose.io.cameras import read_cameras
from trustpose.multiview.boards import Board, BoardPhoto, find_boards
from trustpose.multiview.extrinsics import place_by_people
from trustpose.multiview.frames import match_frames
from trustpose.multiview.intrinsics import Prior, calibrate
from trustpose.multiview.recordings import read_views
from trustpose.multiview.shifts import fit_times
from trustpose.multiview.synchronisation import synchronise
from trustpose.poses import Poses

PANOPTIC = DATA / "layouts" / "panoptic_body3d"
TRIAL = DATA / "multiview/pose2sim"
HD = [f"00_{number:02d}" for number in (0, 3, 6, 12, 18)]
WAYS = {"no prior (OpenCV)": {"prior": None}, "prior": {}, "stronger, centre 0.5 %": {"prior": Prior(centre=0.005)}}
WAYS |= {"14 coefficients": {"coefficients": 14}}


def reference() -> Cameras:
    """The trial's cameras as Qualisys calibrated them."""
    return read_cameras(TRIAL / "Calib.qca.txt")


def openpose(trial: str = "balancing") -> list[Poses]:
    return read_views([TRIAL / f"{trial}/pose/cam0{number}_json" for number in (1, 2, 3, 4)])[0]


def boards_of(camera: Camera, board: Board) -> tuple[list[np.ndarray], list[BoardPhoto]]:
    """The corners of the board in the camera's photos that show it, and all these photos."""
    files = sorted((TRIAL / "intrinsics").glob(f"{camera.name.replace('_', '')}_*.jpg"))
    photos = list(find_boards(files, board))
    return [photo.corners for photo in photos if photo.corners is not None], photos


def intrinsics() -> dict[str, list[float]]:
    board, rows, worst = Board(4, 7, 0.06), {}, {}
    for camera in reference():
        corners, photos = boards_of(camera, board)
        for way, settings in WAYS.items():
            calibrated = calibrate(corners, board, photos[0].size, **settings)
            focal = np.diag(calibrated.camera.matrix)[:2] / np.diag(camera.matrix)[:2] - 1
            centre = float(np.linalg.norm(calibrated.camera.matrix[:2, 2] - camera.matrix[:2, 2]))
            rows[f"{camera.name}, {way}"] = {
                "boards": f"{len(corners)} of {len(photos)}",
                "used": int(calibrated.is_used.sum()),
                "focal length": f"{focal[0]:+.2%} {focal[1]:+.2%}",
                "principal point off, px": f"{centre:.1f}",
                "error": calibrated.error,
            }
            worst.setdefault(way, []).append(round(centre, 1))
    table("intrinsics", rows)
    return worst


def priors() -> dict[str, list[float]]:
    """Root mean squares over Panoptic's cameras, which the prior's standard deviations follow."""
    path = PANOPTIC / "160906_band1" / "calibration_160906_band1.json"
    sequence, rows = read_cameras(path), {}
    for kind in ("hd", "kinect-color"):
        names = [camera["name"] for camera in json.loads(path.read_text())["cameras"] if camera["type"] == kind]
        cameras = [sequence[name] for name in names]
        sides = [np.array(camera.size) for camera in cameras]
        centres = [camera.matrix[:2, 2] for camera in cameras]
        centre = np.array([(c - (size - 1) / 2) / max(size) for c, size in zip(centres, sides, strict=True)])
        aspect = np.array([camera.matrix[1, 1] / camera.matrix[0, 0] - 1 for camera in cameras])
        tangential = np.array([camera.distortion[2:4] for camera in cameras])
        rows[kind] = [round(float(np.sqrt((v**2).mean())), 5) for v in (*centre.T, aspect, *tangential.T)]
    names = ("centre x, share of the longer side", "centre y", "aspect", "p1", "p2")
    table("priors", {kind: dict(zip(names, values, strict=True)) for kind, values in rows.items()}, "g")
    return rows


def off_by(cameras: Cameras, true: Cameras) -> tuple[list[float], list[float]]:
    """Return each camera's rotation error, degrees, and position error as a share of its distance from the cameras'
    middle, after a similarity alignment of the worlds."""
    pairs = list(zip(cameras, true, strict=True))
    u, _, vt = np.linalg.svd(sum(b.rotation.T @ a.rotation for a, b in pairs))
    turn = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    centres = np.array([camera.centre for camera in cameras]) @ turn.T
    true_centres = np.array([camera.centre for camera in true])
    centres, true_centres = centres - centres.mean(axis=0), true_centres - true_centres.mean(axis=0)
    scale = (centres * true_centres).sum() / (centres**2).sum()
    angles = [np.degrees(Rotation.from_matrix(b.rotation.T @ a.rotation @ turn.T).magnitude()) for a, b in pairs]
    positions = np.linalg.norm(centres * scale - true_centres, axis=1) / np.linalg.norm(true_centres, axis=1)
    return [round(float(a), 2) for a in angles], [round(float(p), 4) for p in positions]


def unplaced(cameras: Cameras) -> Cameras:
    return Cameras(tuple(camera.placed(np.eye(3), np.zeros(3)) for camera in cameras))


def placed(label: str, views: list[Poses], cameras: Cameras, weight: str) -> dict[str, list[float]]:
    try:
        timing = timed(lambda: place_by_people(views, unplaced(cameras), match_frames(views), weight))
    except ValueError as error:
        print(f"{label} {weight}: not placed: {error}")
        return {}
    angles, positions = off_by(timing.result.cameras, cameras)
    print(
        f"{label}, weighted by {weight}: rotation at most {max(angles):.2f}° {angles}, places {max(positions):.1%} "
        f"{positions}, reprojection {np.nanmedian(timing.result.errors):.1f} px, {timing.seconds:.0f} s"
    )
    return {"rotation": angles, "place": positions}


def people(results: list[Path]) -> dict[str, dict[str, list[float]]]:
    cameras, views = reference(), openpose()
    numbers = {f"openpose {w}": placed("balancing, OpenPose", views, cameras, w) for w in ("scores", "none")}
    if results:
        views = read_views(results)[0]
        for weight in ("trust", "scores", "none"):
            numbers[f"results {weight}"] = placed("balancing, --results", views, cameras, weight)
    return numbers


def panoptic() -> dict[str, dict[str, list[float]]]:
    numbers = {}
    for sequence in ("160906_band1", "160906_band2"):
        folder = PANOPTIC / sequence
        cameras = read_cameras(folder / f"calibration_{sequence}.json")[HD]
        moments = []
        for file in sorted((folder / "hdPose3d_stage1_coco19").glob("*.json")):
            joints = np.array([body["joints19"] for body in json.loads(file.read_text())["bodies"]]).reshape(-1, 19, 4)
            moments.append(np.where(joints[..., 3:] > 0, joints[..., :3] / 100, np.nan))
        number = np.repeat(np.arange(len(moments)), [len(moment) for moment in moments])
        for noise in (2, 5):
            generator, views = np.random.default_rng(0), []
            for camera in cameras:
                xy = camera.project(np.concatenate(moments))
                is_seen = np.isfinite(xy).all(axis=2) & (xy > 0).all(axis=2) & (xy < camera.size).all(axis=2)
                gross = generator.random(is_seen.shape) < 0.05
                xy = xy + generator.normal(0, np.where(gross, 60, noise)[..., None], xy.shape)
                score = np.where(is_seen, np.where(gross, 0.3, 0.9), 0.0)
                views.append(Poses(xy=np.nan_to_num(xy), score=score, missing=~is_seen, image_id=number))
            label = f"{sequence}, noise {noise} px"
            numbers[label] = placed(label, views, cameras, "scores")
    return numbers


def shifts() -> dict[str, float]:
    views = openpose()
    before = synchronise(views, [60.0] * 4, "scores").offset
    print("the clips as they are: offsets in frames", (before * 60).round(1).tolist())
    worst = 0.0
    for shift in ((0, 7, 2, 15), (0, 0, 20, 5), (10, 0, 0, 0), (8, 0, 20, 11)):
        moved = []
        for view, frames in zip(views, shift, strict=True):
            later = view[view.image_id >= frames]
            moved.append(replace(later, image_id=later.image_id - frames))
        offset = synchronise(moved, [60.0] * 4, "scores").offset - before
        error = offset * 60 - (np.array(shift) - shift[0])
        worst = max(worst, float(np.abs(error).max()))
        print(f"begun {shift} frames later: errors in frames {error.round(2).tolist()}")
    return {"worst": round(worst, 2)}


def moments(results: list[Path]) -> dict[str, list[list[float]]]:
    """What is found of each camera in turn, begun later: the shift, and the share by which the distance falls."""
    cameras, numbers = reference(), {}
    trials = {f"{trial}, OpenPose": openpose(trial) for trial in ("balancing", "two_people")}
    trials |= {"--results": read_views(results)[0]} if results else {}
    for label, views in trials.items():
        weight = "scores" if views[0].quality is None else "trust"
        for begun in (0, 4, 6, 8, 15, 30):
            rows = []
            for camera in range(4 if begun else 1):
                moved = [replace(v, image_id=v.image_id - begun * (n == camera)) for n, v in enumerate(views)]
                fit = fit_times([view[view.image_id >= 0] for view in moved], cameras, weight=weight)
                rows.append([*fit.shift.tolist(), round(float(1 - fit.best[camera] / fit.current[camera]), 2)])
            numbers[f"{label} {begun}"] = rows
            print(f"{label}, {begun} frames: shift of each camera, distance less by: {rows}", flush=True)
    return numbers


def run_parts(
    doc: str | None, parts: dict[str, Callable[[], Any]], of_results: dict[str, Callable[[list[Path]], Any]]
) -> None:
    """Run a benchmark of several parts, all or one of them; some also measure the results of another estimator."""
    options_parser = parser(doc)
    options_parser.add_argument("--part", choices=[*parts, *of_results], help="this one alone")
    results = {"nargs": 4, "type": Path, "default": [], "help": "the four videos' results, of any estimator"}
    options_parser.add_argument("--results", metavar=("CAM01", "CAM02", "CAM03", "CAM04"), **results)

    def main(options):
        all_parts = parts | {name: partial(part, options.results) for name, part in of_results.items()}
        return {name: part() for name, part in all_parts.items() if options.part in (None, name)}

    run(main, options_parser)


if __name__ == "__main__":
    parts = {"intrinsics": intrinsics, "priors": priors, "panoptic": panoptic, "shifts": shifts}
    run_parts(__doc__, parts, {"people": people, "moments": moments})
