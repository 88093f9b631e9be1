"""The files that the guides name, made up: people with labels, an estimator's results on them, photos, a video."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib import cbook

from tests.multiview.rings import ring
from trustpose.io.cameras import write_cameras
from trustpose.poses import Poses, write_results
from trustpose.skeletons import COCO_17, OPENPOSE_BODY_25

PHOTOS, WIDTH, HEIGHT = 30, 640, 480
# x, y of COCO's joints of a standing person in a box of 1 × 1
_X = (50, 55, 45, 60, 40, 70, 30, 80, 20, 85, 15, 62, 38, 62, 38, 62, 38)
_Y = (8, 5, 5, 7, 7, 20, 20, 38, 38, 54, 54, 54, 54, 76, 76, 96, 96)
_STANDING = np.c_[_X, _Y] / 100


def people(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two labelled people for each photo: xy (N, 17, 2), v (N, 17), xywh boxes (N, 4)."""
    rng = np.random.default_rng(seed)
    height = rng.uniform(150, 300, 2 * PHOTOS)
    corner = np.c_[np.tile([20.0, 340.0], PHOTOS) + rng.uniform(0, 60, 2 * PHOTOS), rng.uniform(20, 150, 2 * PHOTOS)]
    size = np.c_[height * 0.5, height]
    xy = corner[:, None] + (_STANDING + rng.normal(0, 0.03, (2 * PHOTOS, 17, 2))) * size[:, None]
    v = rng.choice([0, 1, 2], (2 * PHOTOS, 17), p=[0.2, 0.1, 0.7])
    return xy, v, np.c_[corner, size]


def found(seed: int, noise: float = 0.03) -> tuple[np.ndarray, np.ndarray]:
    """An estimator's joints (N, 17, 2) and scores (N, 17) on these people, which follow its error only roughly."""
    xy, v, box = people(seed)
    rng = np.random.default_rng(seed + 1)
    error = rng.gamma(1.0, noise, v.shape) * (1 + 2 * (v < 2)) * box[:, 3:]
    angle = rng.uniform(0, 2 * np.pi, v.shape)
    score = np.clip(0.9 - 2 * error / box[:, 3:] - 0.1 * (v == 0) + rng.normal(0, 0.15, v.shape), 0.02, 0.99)
    return xy + error[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1), score


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def _image_of(person: int) -> int:
    return person // 2 + 1


def ground_truth(seed: int) -> dict[str, Any]:
    xy, v, box = people(seed)
    images = [{"id": i, "file_name": f"{i:06d}.jpg", "width": WIDTH, "height": HEIGHT} for i in range(1, PHOTOS + 1)]
    annotations = [
        {
            "id": i + 1, "image_id": _image_of(i), "category_id": 1, "iscrowd": 0, "bbox": box[i].round(1).tolist(),
            "area": float((0.5 * box[i, 2] * box[i, 3]).round(1)), "num_keypoints": int((v[i] > 0).sum()),
            "keypoints": np.c_[xy[i].round(1) * (v[i] > 0)[:, None], v[i]].ravel().tolist(),
        }
        for i in range(len(xy))
    ]  # fmt: skip
    category = {"id": 1, "name": "person", "keypoints": list(COCO_17.keypoints), "skeleton": []}
    return {"images": images, "annotations": annotations, "categories": [category]}


def results(seed: int, noise: float = 0.03) -> list[dict[str, Any]]:
    xy, score = found(seed, noise)
    return [
        {
            "image_id": _image_of(i), "category_id": 1, "keypoints": np.c_[xy[i], score[i]].round(3).ravel().tolist(),
            "score": float(score[i].mean().round(4)),
        }
        for i in range(len(xy))
    ]  # fmt: skip


def _openpose(folder: Path, seed: int) -> None:
    """BODY_25, joints with a low score not found: 0, 0, 0."""
    xy, score = found(seed)
    indexes = [OPENPOSE_BODY_25.keypoints.index(name) for name in COCO_17.keypoints]
    for image in range(1, PHOTOS + 1):
        rows = []
        for i in (2 * image - 2, 2 * image - 1):
            joints = np.zeros((25, 3))
            joints[indexes] = np.where(score[i, :, None] > 0.3, np.c_[xy[i], score[i]], 0)
            rows.append({"person_id": [-1], "pose_keypoints_2d": joints.round(3).ravel().tolist()})
        _write(folder / f"{image:06d}_keypoints.json", {"version": 1.3, "people": rows})


def _yolo(folder: Path, seed: int) -> None:
    xy, score = found(seed)
    _, _, box = people(seed)
    size = np.array([WIDTH, HEIGHT])
    for image in range(1, PHOTOS + 1):
        lines = []
        for i in (2 * image - 2, 2 * image - 1):
            centre = np.r_[(box[i, :2] + box[i, 2:] / 2) / size, box[i, 2:] / size]
            joints = np.c_[xy[i] / size, score[i]].ravel()
            lines.append(" ".join(["0", *(f"{one:.6f}" for one in [*centre, *joints, score[i].mean()])]))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{image:06d}.txt").write_text("\n".join(lines) + "\n")


def _deeplabcut(folder: Path, seed: int) -> None:
    """A video of one mouse with four body parts, 200 frames, 60 of them labelled, as DeepLabCut's CSVs have it."""
    rng = np.random.default_rng(seed)
    parts = ["nose", "left_ear", "right_ear", "tail"]
    frames = 200
    centre = np.cumsum(rng.normal(0, 3, (frames, 2)), axis=0) + 240
    xy = centre[:, None] + np.array([(0, -30), (-12, -18), (12, -18), (0, 45)]) + rng.normal(0, 1, (frames, 4, 2))
    off = rng.gamma(1.0, 3.0, (frames, 4))
    likelihood = np.clip(1.0 - off / 30 + rng.normal(0, 0.05, off.shape), 0.01, 1)
    position = xy + off[..., None] / np.sqrt(2)
    scorer = "DLC_resnet50_openfieldOct30shuffle1_30000"
    with (folder / f"video{scorer}.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["scorer", *[scorer] * 12])
        rows.writerow(["bodyparts", *[part for part in parts for _ in range(3)]])
        rows.writerow(["coords", *["x", "y", "likelihood"] * 4])
        rows.writerows([i, *np.c_[position[i], likelihood[i]].ravel().round(4)] for i in range(frames))
    with (folder / "CollectedData_me.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["scorer", "", "", *["me"] * 8])
        rows.writerow(["bodyparts", "", "", *[part for part in parts for _ in range(2)]])
        rows.writerow(["coords", "", "", *["x", "y"] * 4])
        for i in range(0, frames, 3):
            labels = [f"{one:.2f}" for one in xy[i].ravel()]
            rows.writerow(
                ["labeled-data", "video", f"img{i:04d}.png", *([*labels[:6], "", ""] if i % 9 == 0 else labels)]
            )


def _knees(folder: Path, seed: int) -> None:
    """Ten seconds of a left knee that walks: motion capture, and readings that are late, off by a few degrees, and have
    intervals; for two people, and as tables in degrees and in radians."""
    rng = np.random.default_rng(seed)
    time = np.arange(0, 10, 0.02)
    for person, measured in (("mocap", "knee"), ("ann", "ann"), ("ben", "ben"), ("goniometer", "app")):
        angle = 30 - 25 * np.cos(2 * np.pi * time / rng.uniform(1.1, 1.4))
        value = np.interp(time - 0.06, time, angle) + 2 + rng.normal(0, 2, len(time))
        head = "Coordinates\nversion=1\ninDegrees=yes\nendheader\ntime\tknee_angle_l\n"
        cells = "".join(f"{second:.3f}\t{degrees:.4f}\n" for second, degrees in zip(time, angle, strict=True))
        (folder / f"{person}.mot").write_text(head + cells)
        with (folder / f"{measured}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["track_id", "person", "time", "measure", "value", "low_90", "high_90", "unit", "readable"])
            for row, (second, degrees) in enumerate(zip(time.round(3), value.round(4), strict=True)):
                name = "left_knee_flexion" if measured == "knee" else "knee_angle_l"
                rows.writerow([1, row, second, name, degrees, degrees - 4, degrees + 4, "degrees", "true"])
    for name, table in (("goniometer", angle), ("app", np.deg2rad(value))):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("time", "knee"), *zip(time.round(3), table.round(5), strict=True)])


def _several_cameras(folder: Path, seed: int) -> None:
    """Four cameras around two people who walk, 30 frames, with scores and expected OPKS."""
    rng, cameras = np.random.default_rng(seed), ring(4)
    write_cameras(cameras, folder / "cameras.json")
    depth = rng.uniform(-0.2, 0.2, 17)  # a flat body seen from its side has no size
    body = np.c_[_STANDING[:, 0] - 0.5, depth, 1.8 - 1.8 * _STANDING[:, 1]]
    step = np.linspace(-0.5, 0.5, 30)
    position = np.stack([np.c_[step, 0 * step - 0.6, 0 * step], np.c_[-step, 0 * step + 0.6, 0 * step]])
    xyz = body + position[:, :, None]  # (2, 30, 17, 3)
    for index, seen in enumerate(cameras.project(xyz)):
        rows = []
        for person, frame in np.ndindex(2, 30):
            quality = rng.uniform(0.7, 0.98, 17)
            joints = np.c_[seen[person, frame] + rng.normal(0, 3, (17, 2)), quality]
            rows.append({
                "image_id": frame, "category_id": 1, "keypoints": joints.round(2).ravel().tolist(),
                "score": float(quality.mean()), "keypoint_quality": quality.round(3).tolist(),
            })  # fmt: skip
        _write(folder / f"cam{index + 1}.json", rows)


def _tracks(path: Path) -> None:
    """One person who walks through 40 frames and swings a leg and an arm."""
    frames = np.arange(40)
    xy = np.repeat(100 + 240 * _STANDING[None], len(frames), axis=0)  # (T, 17, 2)
    xy[:, :, 0] += 2.0 * frames[:, None]
    xy[:, [9, 15], 1] += 8 * np.sin(frames[:, None] / 5)
    quality = np.full((40, 17), 0.9)
    pose = Poses(xy, quality, quality=quality, image_id=frames + 1, track_id=np.ones(40, int), skeleton=COCO_17)
    write_results(path, replace(pose, pose_quality=quality[:, 0], box=pose.keypoint_box()))


def write_files(folder: Path) -> None:
    """Write every file that a guide names."""
    _tracks(folder / "tracks.json")
    _several_cameras(folder, 7)
    _knees(folder, 7)
    shutil.copy(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False), folder / "photo.jpg")
    (folder / "photos").mkdir()
    blank = np.full((HEIGHT, WIDTH, 3), 180, np.uint8)
    for image in range(1, PHOTOS + 1):
        cv2.imwrite(str(folder / "photos" / f"{image:06d}.jpg"), blank)
    small = cv2.resize(cv2.imread(str(folder / "photo.jpg")), (256, 300))
    clip = cv2.VideoWriter(str(folder / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (256, 300))
    for _ in range(5):
        clip.write(small)
    clip.release()
    _write(folder / "gt.json", ground_truth(0))
    _write(folder / "results.json", results(0))
    _write(folder / "new_version.json", results(0, noise=0.02))
    _write(folder / "other_gt.json", ground_truth(10))
    _write(folder / "new.json", results(10))
    _openpose(folder / "openpose", 0)
    _openpose(folder / "new_openpose", 10)
    _yolo(folder / "runs" / "pose" / "predict" / "labels", 0)
    _deeplabcut(folder, 0)
