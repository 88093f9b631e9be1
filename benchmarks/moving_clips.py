"""Clips with known truth: a camera that moves over a photo with labelled people. No benchmark; `smoothing.py` uses it.

The camera pans, zooms and turns in slow waves; frames have noise of changing strength, some are blurred, an object
passes in front, boxes tremble as a detector's do, and people are lost for some frames. Labels move with the photo.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

import trustpose as tp
from trustpose.geometry.expected_error import AREA_OF_BOX
from trustpose.io.coco.truth import TruthFile
from trustpose.poses import Poses

WIDTH, HEIGHT = 640, 480
LABELS = 12  # a photo needs somebody with as many labelled keypoints
LOST, LOST_FRAMES = 0.02, (2, 7)  # chance of a frame to begin a gap, and its length


@dataclass(frozen=True, eq=False)
class Clip:
    """The network's poses in F frames, the truth of each person (P, F, K, 2), who is labelled (P, K), areas (P, F),
    and the frames in which a person was lost (P, F)."""

    poses: Poses
    truth: np.ndarray
    labelled: np.ndarray
    area: np.ndarray
    lost: np.ndarray


def camera_path(frames: int, centre: np.ndarray, scale: float, generator: np.random.Generator) -> np.ndarray:
    """Affine maps (F, 2, 3) from the photo to frames: slow waves of place, zoom and angle about a point."""
    time = np.linspace(0, 2 * np.pi, frames)

    def wave(size: float) -> np.ndarray:
        rates = generator.uniform(0.5, 2.0, 2)
        return size * sum(np.sin(rate * time + generator.uniform(0, 6)) for rate in rates) / 2

    zoom, angle = scale * np.exp(wave(0.25)), np.deg2rad(wave(10))
    turn = np.stack([np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)], axis=1).reshape(frames, 2, 2)
    turn = turn * zoom[:, None, None]
    shift = np.array([WIDTH / 2, HEIGHT / 2]) + np.stack([wave(90), wave(60)], axis=1) - turn @ centre
    return np.concatenate([turn, shift[..., None]], axis=2)


def frame_of(
    photo: np.ndarray, move: np.ndarray, passing: tuple, time: int, generator: np.random.Generator
) -> np.ndarray:
    """One frame, with the object that passes, motion blur and noise."""
    frame = cv2.warpAffine(photo, move, (WIDTH, HEIGHT), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT_101)
    patch, start, speed = passing
    x, y = (start + speed * time).astype(int)
    low, high = np.maximum([x, y], 0), np.minimum([x + patch.shape[1], y + patch.shape[0]], [WIDTH, HEIGHT])
    if (high > low).all():
        frame[low[1] : high[1], low[0] : high[0]] = patch[low[1] - y : high[1] - y, low[0] - x : high[0] - x]
    if generator.uniform() < 0.15:
        length = int(generator.integers(3, 12))
        frame = cv2.blur(frame, (length, 1))
    noise = generator.normal(0, generator.uniform(2, 14), frame.shape)
    return np.clip(frame + noise, 0, 255).astype(np.uint8)


def clip_of(photo: np.ndarray, patch: np.ndarray, people: tp.Truth, frames: int, predict, seed: int) -> Clip:
    generator = np.random.default_rng(seed)
    low, high = people.box[:, :2].min(axis=0), people.box[:, 2:].max(axis=0)
    scale = min(0.75 * WIDTH / (high - low)[0], 0.75 * HEIGHT / (high - low)[1], 2.0)
    moves = camera_path(frames, (low + high) / 2, scale, generator)
    truth = np.einsum("fij,pkj->pfki", moves[:, :, :2], people.xy) + moves[None, :, None, :, 2]
    size = np.sqrt(np.linalg.det(moves[:, :, :2]))
    area = AREA_OF_BOX * np.prod(people.box[:, 2:] - people.box[:, :2], axis=1)[:, None] * size**2
    corners = people.box[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]  # (P, 4, 2)
    corners = np.einsum("fij,pcj->pfci", moves[:, :, :2], corners) + moves[None, :, None, :, 2]
    boxes = np.concatenate([corners.min(axis=2), corners.max(axis=2)], axis=2)  # (P, F, 4)
    span = np.tile(boxes[..., 2:] - boxes[..., :2], 2)
    boxes = boxes + generator.normal(0, 0.03, boxes.shape) * span
    lost = np.zeros(boxes.shape[:2], bool)
    for person, frame in np.argwhere(generator.uniform(size=lost.shape) < LOST):
        lost[person, max(frame, 1) : min(frame + generator.integers(*LOST_FRAMES), frames - 1)] = True
    passing = (
        cv2.resize(patch, (150, 220)),
        np.array([-150.0, generator.uniform(0, 260)]),
        np.array([WIDTH / 25, 0.0]),
    )
    predicted = []
    for frame in range(frames):
        seen = np.flatnonzero(~lost[:, frame])
        if len(seen):
            poses = predict(frame_of(photo, moves[frame], passing, frame, generator), boxes[seen, frame])
            predicted.append(replace(poses, image_id=np.full(len(seen), frame), track_id=seen + 1, photos=None))
    return Clip(Poses.concatenate(predicted), truth, people.v > 0, area, lost)


def clips_of(model: str, truth: TruthFile, data: Path, split: str, photos: int, frames: int) -> list[Clip]:
    """Clips of the first photos, by id, that show somebody well."""
    names, clips, patch = truth.images.names(), [], np.full((50, 50, 3), 128, np.uint8)
    predictor = tp.load(data / "networks" / "simplepose.onnx" if model == "simplepose" else model)
    calibrator = tp.Calibrator.load("shipped:simplepose") if model == "simplepose" else None

    def predict(frame: np.ndarray, boxes: np.ndarray) -> Poses:
        poses = predictor(frame, boxes=boxes)
        return poses if calibrator is None else calibrator.trusted(replace(poses, image_id=np.zeros(len(poses), int)))

    for image, people in truth.truth.by_image():
        people = people[np.flatnonzero((people.v > 0).any(axis=1))]
        if not len(people) or (people.v > 0).sum(axis=1).max() < LABELS:
            continue
        photo = cv2.cvtColor(cv2.imread(str(data / "coco" / split / names[image])), cv2.COLOR_BGR2RGB)
        clips.append(clip_of(photo, patch, people, frames, predict, image))
        patch = photo
        if len(clips) == photos:
            break
    return clips
