"""People in the world over time: poses of several cameras joined, tracked and triangulated.

people = triangulate([cam1, cam2, cam3, cam4], cameras)         # Poses of each camera -> Poses3D
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from trustpose.geometry.cameras import Cameras
from trustpose.geometry.expected_error import expected_error
from trustpose.io.cameras.recognise import cameras_of
from trustpose.io.read_poses import PosesSource, poses_of
from trustpose.multiview.association import AGREEMENT, TOLERANCE, Detections, Rig, associate
from trustpose.multiview.camera_error import camera_error, with_camera_error
from trustpose.multiview.frames import Moments, match_frames, positions_of, sizes_of, weights_of
from trustpose.multiview.triangulation import Method, triangulate_points
from trustpose.poses import ExpectedError, Poses, Poses3D

PATIENCE = 15  # frames that a person may be unseen and keep the track id
MIN_FRAMES = 5  # moments; people seen in fewer, of a longer clip, are chance agreements of false detections
_NEAR = 0.5  # metres of a joint, on average, between a lost person and one who turns up
_FASTEST = 1.0  # metres a frame; no person is that fast at 25 frames a second


@dataclass(frozen=True, eq=False)
class Group:
    """N people at moments: `moment` (N,) into `Moments.frame`, `rows` (N, V) of each camera's poses, -1 for none, and
    `track_id` (N,), which begins with 1."""

    moment: Int[np.ndarray, " N"]
    rows: Int[np.ndarray, "N V"]
    track_id: Int[np.ndarray, " N"]


@dataclass
class _Person:
    number: int
    xyz: np.ndarray  # (K, 3), where each joint was last
    velocity: np.ndarray  # (3,), metres a frame
    frame: int  # in which the person was last seen

    def predicted(self, frame: int) -> np.ndarray:
        return self.xyz + self.velocity * (frame - self.frame)


def triangulate(
    views: Sequence[PosesSource],
    cameras: Cameras | str | Path,
    *,
    method: Method = "robust",
    weight: str = "auto",
    fps: Sequence[float] | None = None,
    offset: Sequence[float] | None = None,
    people: int | None = None,
    min_frames: int = MIN_FRAMES,
    min_cameras: int = 2,
    watch: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Poses3D:
    """Reconstruct in 3D all people that two or more calibrated cameras see.

    Args:
        views: the poses of each camera, or the path of its results file, in the order of `cameras`; `image_id` is the
            frame's number.
        cameras: calibrated cameras, or the path of their file.
        method: "linear" weighs all views alike, "weighted" by trust, "ransac" takes those that agree, "robust"
            maximises the likelihood of the reprojection errors (`triangulation`).
        weight: how far to trust each view's keypoints: "trust" uses `quality` and, with a skeleton that has sigmas, the
            expected errors in pixels and the cameras' own (`camera_error`); "scores" the estimator's own; "none"
            neither; "auto" the first of these that all views have.
        fps: frames a second of each camera; without, frames of the same number show the same moment.
        offset: seconds to add to each camera's times; needs `fps`.
        people: keep so many people, those seen at the most moments.
        min_frames: leave out people seen in fewer frames; in a shorter clip, those not seen in every frame.
        min_cameras: number of cameras that a joint needs.
        watch: iterates over the moments, for a progress bar.

    Returns:
        One row per person and moment, in metres, with a `track_id` that is the same at all moments; a joint seen by
        fewer than `min_cameras` cameras is NaN.

    Raises:
        ValueError: naming the view that lacks a field, or the argument that is wrong.
        InputError: if a file cannot be read.

    Example:
        >>> world = tp.triangulate(["cam1.json", "cam2.json", "cam3.json", "cam4.json"], "cameras.json")
        >>> len(world), sorted(set(world.track_id.tolist()))
        (60, [1, 2])
    """
    cameras = cameras_of(cameras)
    poses = [poses_of(view, f"views[{index}]") for index, view in enumerate(views)]
    if len(poses) != len(cameras):
        raise ValueError(f"views: expected the poses of {len(cameras)} cameras, got {len(poses)}")
    weight = _available_weight(poses) if weight == "auto" else weight
    moments = match_frames(poses, fps, offset)
    positions = [positions_of(view) for view in poses]
    weights = [weights_of(view, weight, index) for index, view in enumerate(poses)]
    group = group_people(poses, cameras, moments, weights, watch)
    group = _most_seen(group, people, min(min_frames, len(moments)))
    xy, chosen, quality = (_gathered(parts, group) for parts in (positions, weights, _qualities(poses)))
    assert xy is not None
    error = _errors(poses, group) if weight == "trust" else None
    if error is not None:
        error = with_camera_error(error, camera_error(xy, cameras, error))
    frame = moments.frame[group.moment]
    return triangulate_points(
        xy,
        cameras,
        weight=None if weight == "none" else chosen,
        deviation=error,
        quality=quality,
        method=method,
        min_cameras=min_cameras,
        frame=frame,
        time=None if fps is None else frame / fps[0],
        track_id=group.track_id,
        skeleton=poses[0].skeleton,
    )


def _available_weight(views: Sequence[Poses]) -> str:
    """Return the most informative weight that all views have."""
    columns = {"trust": [view.quality for view in views], "scores": [view.score for view in views]}
    return next((name for name, column in columns.items() if all(values is not None for values in column)), "none")


def group_people(
    views: Sequence[Poses],
    cameras: Cameras,
    moments: Moments,
    weights: Sequence[Float[np.ndarray, "N K"]],
    watch: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Group:
    """Return the people of all views, tracked from moment to moment; `weights` are 0 for joints that are not there."""
    rig = Rig(cameras)
    ideal = [camera.undistort(pixels) for camera, pixels in zip(cameras, map(positions_of, views), strict=True)]
    sizes = [sizes_of(view) for view in views]
    sightings, tracked, count = [], [], 0
    for moment in watch(range(len(moments))):
        frame = int(moments.frame[moment])
        tracked = [person for person in tracked if frame - person.frame <= PATIENCE]
        detections = _detections(moments, moment, ideal, weights, sizes)
        predicted = np.array([person.predicted(frame) for person in tracked]).reshape(-1, *ideal[0].shape[1:2], 3)
        members = associate(rig, detections, predicted, AGREEMENT)
        xyz = rig.triangulate(detections, members) if len(members) else np.zeros((0, ideal[0].shape[1], 3))
        members, xyz = _rejoin_lost(predicted, members, xyz)
        for index in np.flatnonzero((members >= 0).sum(axis=1) >= 2):
            if index >= len(predicted):
                count += 1
                tracked.append(_Person(count, xyz[index], np.zeros(3), frame))
            owner = tracked[index] if index < len(predicted) else tracked[-1]
            _move(owner, xyz[index], frame)
            sightings.append((moment, owner.number, np.where(members[index] >= 0, detections.row[members[index]], -1)))
    rows = np.array([row for *_, row in sightings], dtype=np.int64).reshape(-1, len(views))
    numbers = np.array([number for _, number, _ in sightings], dtype=np.int64)
    return Group(np.array([moment for moment, *_ in sightings], dtype=np.int64), rows, numbers)


def _rejoin_lost(predicted: np.ndarray, members: np.ndarray, xyz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return members and positions in which a new person near a lost one continues that person."""
    lost = [index for index in range(len(predicted)) if (members[index] >= 0).sum() < 2]
    new = list(range(len(predicted), len(members)))
    if lost and new:
        gap = np.array([[_distance(predicted[a], xyz[b]) for b in new] for a in lost])
        for a, b in zip(*linear_sum_assignment(np.minimum(gap, 1e3)), strict=True):
            if gap[a, b] < _NEAR:
                members[lost[a]], xyz[lost[a]] = members[new[b]], xyz[new[b]]
                members[new[b]] = -1
    return members, xyz


def _distance(first: np.ndarray, second: np.ndarray) -> float:
    distance = np.linalg.norm(first - second, axis=1)
    distance = distance[np.isfinite(distance)]
    return float(np.median(distance)) if len(distance) else np.inf


def _move(person: _Person, xyz: np.ndarray, frame: int) -> None:
    """Put a person where the frame's joints are; those without a position move along."""
    has_position = np.isfinite(xyz[:, 0])
    is_in_both, elapsed_frames = has_position & np.isfinite(person.xyz[:, 0]), max(frame - person.frame, 1)
    step = np.median((xyz - person.xyz)[is_in_both], axis=0) / elapsed_frames if is_in_both.any() else np.zeros(3)
    step = step if np.linalg.norm(step) < _FASTEST else np.zeros(3)
    person.xyz = np.where(has_position[:, None], xyz, person.xyz + step * elapsed_frames)
    person.velocity, person.frame = 0.5 * person.velocity + 0.5 * step, frame


def _detections(
    moments: Moments, moment: int, ideal: list[np.ndarray], weights: Sequence[np.ndarray], sizes: list[np.ndarray]
) -> Detections:
    rows = [moments.rows[view][moment] for view in range(len(ideal))]
    view = np.repeat(np.arange(len(rows)), [len(view_rows) for view_rows in rows])
    return Detections(
        view,
        np.concatenate(rows),
        np.concatenate([column[row] for column, row in zip(ideal, rows, strict=True)]),
        np.concatenate([column[row] for column, row in zip(weights, rows, strict=True)]),
        TOLERANCE * np.concatenate([column[row] for column, row in zip(sizes, rows, strict=True)]),
    )


def _most_seen(group: Group, people: int | None, min_frames: int) -> Group:
    """Return the people seen in `min_frames` moments or more, the `people` most seen of them, numbered from 1 again."""
    numbers, counts = np.unique(group.track_id, return_counts=True)
    numbers, counts = numbers[counts >= min_frames], counts[counts >= min_frames]
    chosen = np.sort(numbers[np.argsort(-counts, kind="stable")[:people]])
    is_kept = np.isin(group.track_id, chosen)
    renumbered = np.searchsorted(chosen, group.track_id[is_kept]) + 1
    return Group(group.moment[is_kept], group.rows[is_kept], renumbered.astype(np.int64))


def _qualities(views: Sequence[Poses]) -> list[np.ndarray] | None:
    qualities = [view.quality for view in views]
    if any(quality is None for quality in qualities):
        return None
    return [quality.astype(np.float64) for quality in qualities if quality is not None]


def _errors(views: Sequence[Poses], group: Group) -> ExpectedError | None:
    """Return the expected errors (V, N, K) in pixels, None if a view's are unknown."""
    parts = [expected_error(view) for view in views]
    known_parts = [part for part in parts if part is not None]
    if len(known_parts) < len(views):
        return None
    fields = [_gathered([getattr(part, name) for part in known_parts], group) for name in ("std", "gross", "gross_std")]
    return ExpectedError(*[field for field in fields if field is not None])


def _gathered(columns: Sequence[np.ndarray] | None, group: Group) -> Any:
    """Return columns of the views' rows for every person of the group (V, N, …); NaN where a view has none."""
    if columns is None:
        return None
    tail = columns[0].shape[1:]
    gathered = np.full((len(columns), len(group.moment), *tail), np.nan)
    for view, column in enumerate(columns):
        is_seen = group.rows[:, view] >= 0
        gathered[view, is_seen] = column[group.rows[is_seen, view]]
    return gathered
