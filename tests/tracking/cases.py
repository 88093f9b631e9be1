"""People who walk through made-up clips."""

from dataclasses import replace
from typing import Any

import numpy as np

from trustpose.poses import Poses
from trustpose.skeletons import COCO_17

_X = (50, 55, 45, 60, 40, 70, 30, 80, 20, 85, 15, 62, 38, 62, 38, 62, 38)
_Y = (8, 5, 5, 7, 7, 20, 20, 38, 38, 54, 54, 54, 54, 76, 76, 96, 96)
STANDING = np.c_[_X, _Y] * [1.0, 2.0]  # COCO's joints of a person 200 pixels tall


def walking(start: list[float], speed: list[float], frames: int, seed: int = 0, first_frame: int = 0) -> Poses:
    """People who start at x = `start` and move by `speed` pixels a frame; `annotation_id` is the identity, from 0."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames)[:, None]
    x = np.array(start) + np.array(speed) * time  # (F, P)
    xy = STANDING + np.stack([x, np.zeros_like(x)], axis=-1)[:, :, None] + rng.normal(0, 1, (*x.shape, 17, 2))
    xy = xy.reshape(-1, 17, 2)
    people = len(start)
    return Poses(
        xy,
        score=np.full(xy.shape[:2], 0.8),
        pose_score=np.full(len(xy), 0.8),
        image_id=np.repeat(np.arange(frames) + first_frame, people),
        annotation_id=np.tile(np.arange(people), frames),
        skeleton=COCO_17,
    )


VIDEOS = ("a/one.mp4", "a/two.mp4", "b/three.MOV")


def three_clips() -> list[Poses]:
    """Frames of three videos: every second one of the second, and people who leave for a while in the third."""
    clips = []
    for number, (start, speed) in enumerate((([0, 300], [3, -3]), ([50, 200, 400], [0, 2, -4]), ([10], [5]))):
        poses = walking(start, speed, 12, seed=number)
        assert poses.image_id is not None
        image = poses.image_id * (2 if number == 1 else 1) + 10_000_000 * number
        clips.append(replace(poses, image_id=image, annotation_id=None))
    away = clips[2][np.isin(clips[2].image_id % 100, (0, 1, 2, 8, 9))]
    return [clips[0], clips[1], away]


def rows_of_clips(*, named: bool = True) -> list[dict[str, Any]]:
    """The rows of `three_clips`, with their videos' names in `file_name`."""
    return [
        row | ({"file_name": name} if named else {})
        for name, poses in zip(VIDEOS, three_clips(), strict=True)
        for row in poses.to_coco()
    ]


def same_partition(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two numberings put the same rows together."""
    pairs = {*zip(first.tolist(), second.tolist(), strict=True)}
    return len(pairs) == len(set(first.tolist())) == len(set(second.tolist()))
