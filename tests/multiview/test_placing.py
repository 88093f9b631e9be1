"""Where cameras stand: by people, real and made up, and by points whose places are known."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.multiview.rings import ring
from trustpose.files import InputError
from trustpose.geometry.cameras import Cameras
from trustpose.io.cameras import read_cameras
from trustpose.io.scene_points import read_scene_points
from trustpose.multiview.bundle import _apply_steps, _jacobian, _points, adjust
from trustpose.multiview.camera_placement import (
    body_height,
    bone_length,
    camera_distance,
    make_upright,
    place_by_points,
)
from trustpose.multiview.extrinsics import PlacedCameras, place_by_people
from trustpose.multiview.frames import match_frames
from trustpose.poses import Poses
from trustpose.skeletons import COCO_17

STANDING = {  # metres: shoulders, hips, knees and ankles of a person of 1.8 m, and a face
    "nose": (0.1, 0, 1.65), "left_eye": (0.08, 0.03, 1.68), "right_eye": (0.08, -0.03, 1.68),
    "left_ear": (0, 0.07, 1.66), "right_ear": (0, -0.07, 1.66),
    "left_shoulder": (0, 0.2, 1.47), "right_shoulder": (0, -0.2, 1.47),
    "left_elbow": (0, 0.25, 1.15), "right_elbow": (0, -0.25, 1.15), "left_wrist": (0.1, 0.25, 0.9),
    "right_wrist": (0.1, -0.25, 0.9), "left_hip": (0, 0.15, 0.954), "right_hip": (0, -0.15, 0.954),
    "left_knee": (0, 0.15, 0.513), "right_knee": (0, -0.15, 0.513), "left_ankle": (0, 0.15, 0.0702),
    "right_ankle": (0, -0.15, 0.0702),
}  # fmt: skip


def walk(frames: int = 30, seed: int = 0) -> np.ndarray:
    """A person (frames, 17, 3) who walks in a circle, z upwards, with swinging limbs."""
    body = np.array([STANDING[name] for name in COCO_17.keypoints])
    generator = np.random.default_rng(seed)
    poses = []
    for frame in range(frames):
        angle = 0.3 * frame + seed
        turn = Rotation.from_euler("z", angle).as_matrix()
        swing = generator.normal(0, 0.04, body.shape)
        poses.append((body + swing) @ turn.T + (0.8 * np.cos(angle) + 0.3 * seed, 0.8 * np.sin(angle), 0))
    return np.array(poses)


def seen(cameras: Cameras, people: list[np.ndarray], noise: float, strangers: int = 0) -> list[Poses]:
    """Each camera's poses of the people, in any order, with noise, wrong scores for gross errors, and strangers."""
    generator, views = np.random.default_rng(5), []
    for camera in cameras:
        xy, score, frame = [], [], []
        for number in range(len(people[0])):
            for index in generator.permutation(len(people)):
                is_gross = generator.random(17) < 0.05
                off = generator.normal(0, np.where(is_gross, 50, noise)[:, None], (17, 2))
                xy.append(camera.project(people[index][number]) + off)
                score.append(np.where(is_gross, 0.2, 0.9))
                frame.append(number)
            for _ in range(strangers):
                xy.append(generator.uniform(0, 900, 2) + generator.uniform(-50, 50, (17, 2)))
                score.append(np.full(17, 0.3))
                frame.append(number)
        views.append(Poses(xy=np.array(xy), score=np.array(score), image_id=np.array(frame), skeleton=COCO_17))
    return views


def off_by(cameras: Cameras, wanted: Cameras) -> tuple[float, float]:
    """The largest rotation error, degrees, and place error, as a share of the distance from the cameras' middle, after
    the worlds were laid on each other."""
    pairs = list(zip(cameras, wanted, strict=True))
    left, _, right = np.linalg.svd(sum(there.rotation.T @ here.rotation for here, there in pairs))
    turn = left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right
    here = np.array([camera.centre for camera in cameras]) @ turn.T
    there = np.array([one.centre for one in wanted])
    here, there = here - here.mean(axis=0), there - there.mean(axis=0)
    scale = (here * there).sum() / (here**2).sum()
    angles = [Rotation.from_matrix(b.rotation.T @ a.rotation @ turn.T).magnitude() for a, b in pairs]
    positions = np.linalg.norm(here * scale - there, axis=1) / np.linalg.norm(there, axis=1)
    return float(np.degrees(max(angles))), float(positions.max())


def unplaced(cameras: Cameras) -> Cameras:
    return Cameras(tuple(camera.placed(np.eye(3), np.zeros(3)) for camera in cameras))


@pytest.mark.slow
def test_two_people_and_a_stranger_place_four_cameras() -> None:
    cameras = ring(4)
    views = seen(cameras, [walk(14), walk(14, seed=3)], noise=2.0, strangers=1)
    placed = place_by_people(views, unplaced(cameras), match_frames(views), "scores")
    turned, moved = off_by(placed.cameras, cameras)
    assert turned < 0.6 and moved < 0.02
    assert np.nanmedian(placed.errors) < 4
    assert np.allclose(placed.cameras[0].rotation, np.eye(3))
    placed = placed.scaled(1.8 / body_height(placed.xyz, COCO_17))
    assert camera_distance(placed.cameras, "cam0", "cam2") == pytest.approx(
        camera_distance(cameras, "cam0", "cam2"), rel=0.03
    )
    assert bone_length(placed.xyz, COCO_17, "left_knee", "left_ankle") == pytest.approx(0.46, abs=0.03)
    straight = make_upright(placed, COCO_17)
    heights = [camera.centre[2] for camera in straight.cameras]
    assert np.abs(np.array(heights) - [camera.centre[2] for camera in cameras]).max() < 0.15
    for camera, before in zip(straight.cameras, placed.cameras, strict=True):  # the same images
        assert np.allclose(camera.project(straight.xyz[0]), before.project(placed.xyz[0]), equal_nan=True)


def test_what_cannot_be_placed_is_said() -> None:
    cameras = ring(3)
    views = seen(cameras, [walk(8)], noise=2.0)
    generator = np.random.default_rng(1)
    lost = Poses(xy=generator.uniform(0, 900, views[2].xy.shape), score=views[2].score, image_id=views[2].image_id)
    with pytest.raises(ValueError, match="cam"):
        place_by_people([*views[:2], lost], cameras, match_frames([*views[:2], lost]), "scores")
    with pytest.raises(ValueError, match="two or more"):
        place_by_people(views[:1], cameras[:1], match_frames(views[:1]), "scores")
    with pytest.raises(ValueError, match="no tail"):
        bone_length(np.zeros((1, 17, 3)), COCO_17, "nose", "tail")


def test_bundle_adjustment_s_derivatives() -> None:
    """Against differences, the points following: exact at a minimum without residuals."""
    cameras = ring(3, distortion=())
    ideal = cameras.project(walk(1)[0])
    weight = np.ones(ideal.shape[:2])
    weight[0, 3:6] = 0
    derivative = _jacobian(ideal, weight, cameras)
    root = np.sqrt(weight)[..., None]
    for k in range(derivative.shape[1]):
        step = np.zeros(derivative.shape[1])
        step[k] = 1e-5
        there, here = ((_points(ideal, weight, _apply_steps(cameras, s * step))[1] * root).ravel() for s in (1, -1))
        assert np.abs((there - here) / 2e-5 - derivative[:, k]).max() < 1e-3 * np.abs(derivative).max()


def test_bundle_adjustment_undoes_a_push_and_ignores_outliers() -> None:
    cameras, people = ring(4), walk(12).reshape(-1, 3)
    xy = cameras.project(people)
    xy[1, ::15] += 80
    xy[2, 5:9] = np.nan
    pushed = _apply_steps(cameras, np.random.default_rng(2).normal(0, 0.03, 18))
    assert off_by(pushed, cameras)[0] > 1
    adjusted = adjust(xy, np.where(np.isfinite(xy[..., 0]), 1.0, 0.0), pushed)
    turned, moved = off_by(adjusted.cameras, cameras)
    assert turned < 0.05 and moved < 0.002
    assert np.isnan(adjusted.errors[2, 5:9]).all() and np.nanmedian(adjusted.errors) < 0.2


def test_points_of_the_scene_place_cameras(tmp_path: Path) -> None:
    camera = ring(3)[1]
    corners = {
        "a": (0, 0, 0),
        "b": (100, 0, 0),
        "c": (0, 100, 0),
        "d": (100, 100, 10),
        "e": (0, 50, 90),
        "f": (20, 30, 40),
    }
    pixels = {name: camera.project(np.array(xyz) / 100).tolist() for name, xyz in corners.items()}
    value = {"unit": "cm", "points": corners, "cameras": {"cam1": pixels}}
    (tmp_path / "scene.json").write_text(json.dumps(value))
    rows = [f"cam1,{n},{pixels[n][0]},{pixels[n][1]},{x},{y},{z},cm" for n, (x, y, z) in corners.items()]
    (tmp_path / "scene.csv").write_text("\n".join(["camera,point,u,v,x,y,z,unit", *rows]))
    for name in ("scene.json", "scene.csv"):
        points = read_scene_points(tmp_path / name)["cam1"]
        placed = place_by_points(camera.placed(np.eye(3), np.zeros(3)), points.xyz, points.pixels)
        assert placed.error < 1e-3 and np.abs(placed.camera.centre - camera.centre).max() < 1e-4
    with pytest.raises(ValueError, match="'cam1': sees 5 of the points, 6 are needed"):
        place_by_points(camera, points.xyz[1:], points.pixels[1:])
    value["points"].pop("c")
    (tmp_path / "scene.json").write_text(json.dumps(value))
    with pytest.raises(InputError, match=r"scene\.json: camera 'cam1': point 'c' is none of 'points'"):
        read_scene_points(tmp_path / "scene.json")
    (tmp_path / "scene.csv").write_text("camera,point\na,b\n")
    with pytest.raises(InputError, match=r"scene\.csv: expected rows below the header camera,point,u,v"):
        read_scene_points(tmp_path / "scene.csv")


@pytest.mark.slow
def test_panoptic_people_place_its_cameras(data_dir: Path) -> None:
    """Real people and cameras, keypoints with made-up noise of 4 pixels and gross errors."""
    folder = data_dir / "layouts/panoptic_body3d/160906_band1"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    cameras = read_cameras(folder / "calibration_160906_band1.json")[["00_00", "00_03", "00_06", "00_12"]]
    frames, moments = sorted((folder / "hdPose3d_stage1_coco19").glob("*.json")), []
    for file in frames[::5]:
        bodies = json.loads(file.read_text())["bodies"]
        joints = np.array([body["joints19"] for body in sorted(bodies, key=lambda body: body["id"])]).reshape(-1, 19, 4)
        moments.append(np.where(joints[..., 3:] > 0, joints[..., :3] / 100, np.nan))
    generator, views = np.random.default_rng(0), []
    for camera in cameras:
        xy = np.concatenate([camera.project(people) for people in moments])
        number = np.repeat(np.arange(len(moments)), [len(people) for people in moments])
        is_there = np.isfinite(xy).all(axis=2) & (xy > 0).all(axis=2) & (xy < camera.size).all(axis=2)
        is_gross = generator.random(is_there.shape) < 0.05
        xy = xy + generator.normal(0, np.where(is_gross, 60, 4)[..., None], xy.shape)
        score = np.where(is_there, np.where(is_gross, 0.3, 0.9), 0.0)
        views.append(Poses(xy=np.nan_to_num(xy), score=score, missing=~is_there, image_id=number))
    placed = place_by_people(views, unplaced(cameras), match_frames(views), "scores")
    turned, moved = off_by(placed.cameras, cameras)
    assert turned < 0.6 and moved < 0.02  # of four moments: docs/benchmarks/cameras.md has all


def test_moving_the_world_moves_no_pixel() -> None:
    cameras, people = ring(3), walk(2)
    placed = PlacedCameras(cameras, people, np.arange(2), np.zeros((3, 2, 17)))
    turn = cv2.Rodrigues(np.array([0.3, -0.2, 1.0]))[0]
    moved = placed.moved(turn, np.array([1.0, 2, 3])).scaled(2.5)
    assert np.abs(moved.cameras.project(moved.xyz) - cameras.project(people)).max() < 1e-6
