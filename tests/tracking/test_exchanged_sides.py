"""Left and right that change over within a track are found, and what does not change over is left alone."""

import numpy as np
import pytest

from trustpose.poses import Poses
from trustpose.skeletons import COCO_17
from trustpose.tracking.exchanged_sides import GROUPS, exchanged_sides
from trustpose.tracking.paths import paths_of


def walking(count: int = 60, seed: int = 0) -> np.ndarray:
    """A person who walks to the right, seen from the side, whose legs and arms cross, (T, 17, 2) pixels."""
    generator = np.random.default_rng(seed)
    phase = np.arange(count) / 30 * 2 * np.pi + generator.uniform(0, 6)
    xy = np.zeros((count, 17, 2))
    xy[:] = [300, 200]
    xy[:, :, 0] += 4 * np.arange(count)[:, None]
    for side, sign in (("left", 1), ("right", -1)):
        swing = 0.5 * sign * np.sin(phase)
        for start, joint, length, angle in (
            ("hip", "knee", 90, swing),
            ("knee", "ankle", 90, 0.7 * swing - 0.3),
            ("shoulder", "elbow", 60, -swing),
            ("elbow", "wrist", 50, 0.4 - swing),
        ):
            first = xy[:, COCO_17.index(f"{side}_{start}")]
            first[:, 1] = 300 if start == "hip" else 160 if start == "shoulder" else first[:, 1]
            along = np.stack([np.sin(angle), np.cos(angle)], axis=1) * length
            xy[:, COCO_17.index(f"{side}_{joint}")] = first + along
    return xy + generator.normal(0, 1.0, xy.shape)


def exchanged(xy: np.ndarray, group: str, frames: slice) -> np.ndarray:
    changed = xy.copy()
    for joint in GROUPS[group]:
        left, right = (COCO_17.index(f"{side}_{joint}") for side in ("left", "right"))
        changed[frames, left], changed[frames, right] = xy[frames, right], xy[frames, left]
    return changed


def of_track(xy: np.ndarray, quality: float | None = 0.9) -> dict[str, np.ndarray]:
    count = len(xy)
    trust = None if quality is None else np.full((count, 17), quality)
    poses = Poses(xy, np.ones((count, 17)), quality=trust, image_id=np.arange(count), skeleton=COCO_17)
    return exchanged_sides(poses, paths_of(poses), COCO_17)


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_frames_with_exchanged_sides_are_found(group: str) -> None:
    """Where the sides lie apart: two legs at one place look the same both ways."""
    generator = np.random.default_rng(4)
    hits, false_alarms, count = 0, 0, 0
    for seed in range(40):
        xy, start, length = walking(seed=seed), generator.integers(10, 40), generator.integers(2, 13)
        frames = of_track(exchanged(xy, group, slice(start, start + length)))
        left, right = (xy[:, COCO_17.index(f"{side}_{GROUPS[group][-1]}")] for side in ("left", "right"))
        apart = np.linalg.norm(left - right, axis=1) > 25
        is_changed = np.zeros(60, bool)
        is_changed[start : start + length] = True
        hits += int((frames[group] & is_changed & apart).sum())
        false_alarms += int((frames[group] & ~is_changed & apart).sum())
        count += int((is_changed & apart).sum())
        other_group = next(name for name in GROUPS if name != group)
        assert not frames[other_group].any()
    assert hits > 0.95 * count > 100 and false_alarms < 0.05 * count, (hits, false_alarms, count)


@pytest.mark.parametrize("seed", range(5))
def test_limbs_that_cross_are_not_exchanged(seed: int) -> None:
    for quality in (0.9, None):
        assert not any(frames.any() for frames in of_track(walking(120, seed), quality).values())


def test_a_track_that_is_exchanged_for_most_of_its_frames_counts_as_right() -> None:
    frames = of_track(exchanged(walking(), "legs", slice(0, 50)))["legs"]
    assert frames[40:55].any() and frames[:40].sum() == 0 and frames[55:].all()


def test_short_tracks_and_skeletons_without_sides_have_none() -> None:
    assert not of_track(walking(3))["legs"].any()
