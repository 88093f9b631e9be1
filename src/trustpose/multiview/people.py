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

from trustpose.formats.cameras.recognise import cameras_of
from trustpose.formats.records import PosesSource, poses_of
from trustpose.geometry.cameras import Cameras
from trustpose.geometry.expected_error import expected_error
from trustpose.multiview.association import AGREEMENT, TOLERANCE, Detections, Rig, associate
from trustpose.multiview.camera_error import camera_error, with_camera_error
from trustpose.multiview.frames import Moments, match_frames
from trustpose.multiview.triangulation import Method, triangulate_points
from trustpose.multiview.views import places_of, sizes_of, weights_of
from trustpose.poses import ExpectedError, Poses, Poses3D

PATIENCE = 15  # frames that a person may be unseen and keep the track id
SHORTEST = 5  # moments; people seen in fewer, of a longer clip, are chance agreements of false detections
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
    shortest: int = SHORTEST,
    least: int = 2,
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
        shortest: leave out people seen at fewer moments, in a clip of at least so many.
        least: number of cameras that a joint needs.
        watch: iterates over the moments, for a progress bar.

    Returns:
        One row per person and moment, in metres, with a `track_id` that is the same at all moments; a joint seen by
        fewer than `least` cameras is NaN.

    Raises:
        ValueError: naming the view that lacks a field, or the argument that is wrong.
        InputError: if a file cannot be read.

    Example:
        >>> world = tp.triangulate(["cam1.json", "cam2.json", "cam3.json", "cam4.json"], "cameras.json")
        >>> len(world), sorted(set(world.track_id.tolist()))
        (60, [1, 2])
    """
    cameras = cameras_of(cameras)
    poses = [poses_of(view, f"views[{at}]") for at, view in enumerate(views)]
    if len(poses) != len(cameras):
        raise ValueError(f"views: expected the poses of {len(cameras)} cameras, got {len(poses)}")
    weight = _available_weight(poses) if weight == "auto" else weight
    moments = match_frames(poses, fps, offset)
    places = [places_of(view) for view in poses]
    weights = [weights_of(view, weight, at) for at, view in enumerate(poses)]
    group = group_people(poses, cameras, moments, weights, watch)
    group = _most_seen(group, people, min(shortest, len(moments)))
    xy, chosen, quality = (_gathered(parts, group) for parts in (places, weights, _qualities(poses)))
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
        least=least,
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
    ideal = [camera.undistort(one) for camera, one in zip(cameras, map(places_of, views), strict=True)]
    sizes = [sizes_of(view) for view in views]
    found, known, count = [], [], 0
    for moment in watch(range(len(moments))):
        frame = int(moments.frame[moment])
        known = [one for one in known if frame - one.frame <= PATIENCE]
        here = _detections(moments, moment, ideal, weights, sizes)
        predicted = np.array([one.predicted(frame) for one in known]).reshape(-1, *ideal[0].shape[1:2], 3)
        members = associate(rig, here, predicted, AGREEMENT)
        xyz = rig.triangulate(here, members) if len(members) else np.zeros((0, ideal[0].shape[1], 3))
        members, xyz = _found_again(predicted, members, xyz)
        for at in np.flatnonzero((members >= 0).sum(axis=1) >= 2):
            if at >= len(predicted):
                count += 1
                known.append(_Person(count, xyz[at], np.zeros(3), frame))
            owner = known[at] if at < len(predicted) else known[-1]
            _move(owner, xyz[at], frame)
            found.append((moment, owner.number, np.where(members[at] >= 0, here.row[members[at]], -1)))
    rows = np.array([row for *_, row in found], dtype=np.int64).reshape(-1, len(views))
    numbers = np.array([number for _, number, _ in found], dtype=np.int64)
    return Group(np.array([moment for moment, *_ in found], dtype=np.int64), rows, numbers)


def _found_again(predicted: np.ndarray, members: np.ndarray, xyz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return people and their places, where a new person near one who was lost is that one."""
    lost = [at for at in range(len(predicted)) if (members[at] >= 0).sum() < 2]
    new = list(range(len(predicted), len(members)))
    if lost and new:
        gap = np.array([[_distance(predicted[a], xyz[b]) for b in new] for a in lost])
        for a, b in zip(*linear_sum_assignment(np.minimum(gap, 1e3)), strict=True):
            if gap[a, b] < _NEAR:
                members[lost[a]], xyz[lost[a]] = members[new[b]], xyz[new[b]]
                members[new[b]] = -1
    return members, xyz


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    apart = np.linalg.norm(one - other, axis=1)
    apart = apart[np.isfinite(apart)]
    return float(np.median(apart)) if len(apart) else np.inf


def _move(person: _Person, xyz: np.ndarray, frame: int) -> None:
    """Put a person where the frame's joints are; those without a place move along."""
    there = np.isfinite(xyz[:, 0])
    both, passed = there & np.isfinite(person.xyz[:, 0]), max(frame - person.frame, 1)
    step = np.median((xyz - person.xyz)[both], axis=0) / passed if both.any() else np.zeros(3)
    step = step if np.linalg.norm(step) < _FASTEST else np.zeros(3)
    person.xyz = np.where(there[:, None], xyz, person.xyz + step * passed)
    person.velocity, person.frame = 0.5 * person.velocity + 0.5 * step, frame


def _detections(
    moments: Moments, moment: int, ideal: list[np.ndarray], weights: Sequence[np.ndarray], sizes: list[np.ndarray]
) -> Detections:
    rows = [moments.rows[view][moment] for view in range(len(ideal))]
    view = np.repeat(np.arange(len(rows)), [len(one) for one in rows])
    return Detections(
        view,
        np.concatenate(rows),
        np.concatenate([one[row] for one, row in zip(ideal, rows, strict=True)]),
        np.concatenate([one[row] for one, row in zip(weights, rows, strict=True)]),
        TOLERANCE * np.concatenate([one[row] for one, row in zip(sizes, rows, strict=True)]),
    )


def _most_seen(group: Group, people: int | None, shortest: int) -> Group:
    """Return the people seen in `shortest` moments or more, the `people` most seen of them, numbered from 1 again."""
    numbers, counts = np.unique(group.track_id, return_counts=True)
    numbers, counts = numbers[counts >= shortest], counts[counts >= shortest]
    chosen = np.sort(numbers[np.argsort(-counts, kind="stable")[:people]])
    kept = np.isin(group.track_id, chosen)
    renumbered = np.searchsorted(chosen, group.track_id[kept]) + 1
    return Group(group.moment[kept], group.rows[kept], renumbered.astype(np.int64))


def _qualities(views: Sequence[Poses]) -> list[np.ndarray] | None:
    found = [view.quality for view in views]
    return None if any(one is None for one in found) else [one.astype(np.float64) for one in found if one is not None]


def _errors(views: Sequence[Poses], group: Group) -> ExpectedError | None:
    """Return the expected errors (V, N, K) in pixels, None if a view's are unknown."""
    parts = [expected_error(view) for view in views]
    known = [part for part in parts if part is not None]
    if len(known) < len(views):
        return None
    fields = [_gathered([getattr(part, name) for part in known], group) for name in ("std", "gross", "gross_std")]
    return ExpectedError(*[field for field in fields if field is not None])


def _gathered(columns: Sequence[np.ndarray] | None, group: Group) -> Any:
    """Return columns of the views' rows for every person of the group (V, N, …); NaN where a view has none."""
    if columns is None:
        return None
    tail = columns[0].shape[1:]
    found = np.full((len(columns), len(group.moment), *tail), np.nan)
    for view, column in enumerate(columns):
        there = group.rows[:, view] >= 0
        found[view, there] = column[group.rows[there, view]]
    return found
