"""People in the world over time: poses of several cameras joined, tracked and triangulated.

people = triangulate([cam1, cam2, cam3, cam4], cameras)         # Poses of each camera -> Poses3D
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from trustpose.geometry.cameras import Cameras
from trustpose.geometry.expected_error import expected_error
from trustpose.io.cameras.recognise import cameras_of
from trustpose.io.read_poses import PosesSource, poses_of
from trustpose.multiview.association import AGREEMENT, TOLERANCE, Detections, Rig, associate
from trustpose.multiview.camera_error import camera_error, with_camera_error
from trustpose.multiview.frames import Moments, gather_rows, match_frames, positions_of, sizes_of, weights_of
from trustpose.multiview.triangulation import Method, triangulate_points
from trustpose.poses import MISSING_ID, ExpectedError, Poses, Poses3D
from trustpose.tracking.tracker import Tracker, metre_distance

PATIENCE = 15  # frames that a person may be unseen and keep the track id
MIN_FRAMES = 5  # moments; people seen in fewer, of a longer clip, are chance agreements of false detections
_NEAR = 0.5  # metres of a joint, on average, between a lost person and one who turns up
_DOUBLE = 0.2  # metres, the same between two people of one moment below which they are one
_FASTEST = 1.0  # metres a frame; no person is that fast at 25 frames a second


@dataclass(frozen=True, eq=False)
class Group:
    """N people at moments: `moment` (N,) into `Moments.frame`, `rows` (N, V) of each camera's poses, -1 for none, and
    `track_id` (N,), which begins with 1."""

    moment: Int[np.ndarray, " N"]
    rows: Int[np.ndarray, "N V"]
    track_id: Int[np.ndarray, " N"]


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
            frame's number. If all have `track_id`, tracks decide who is the same person at different moments.
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
    if has_tracks(poses):
        group = _identified_by_tracks(group, poses)
    group = _most_seen(group, people, min(min_frames, len(moments)))
    xy, chosen = (gather_rows(parts, group.rows) for parts in (positions, weights))
    qualities = _qualities(poses)
    quality = None if qualities is None else gather_rows(qualities, group.rows)
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
    rig, motion = Rig(cameras), _SteadyMotion(views[0].keypoint_count)
    tracker = Tracker(distance=motion.distance, max_distance=_NEAR, memory=PATIENCE, start_score=None, weigh=False)
    ideal = [camera.undistort(pixels) for camera, pixels in zip(cameras, map(positions_of, views), strict=True)]
    sizes = [sizes_of(view) for view in views]
    moment_of_row, rows, ids = [np.zeros(0, np.int64)], [np.zeros((0, len(views)), np.int64)], [np.zeros(0, np.int64)]
    for moment in watch(range(len(moments))):
        motion.frame = int(moments.frame[moment])
        detections = _detections(moments, moment, ideal, weights, sizes)
        members = associate(rig, detections, motion.expected(tracker.living(motion.frame)), AGREEMENT)
        members = members[(members >= 0).sum(axis=1) >= 2]
        if not len(members):
            continue
        members = _without_doubles(members, rig.triangulate(detections, members))
        people = tracker(Poses3D(rig.triangulate(detections, members), frame=np.full(len(members), motion.frame)))
        motion.observe(people)
        moment_of_row.append(np.full(len(members), moment))
        rows.append(np.where(members >= 0, detections.row[members], -1))
        ids.append(people.track_id)  # type: ignore[arg-type]
    return Group(*map(np.concatenate, (moment_of_row, rows, ids)))


def _without_doubles(members: Int[np.ndarray, "P V"], xyz: Float[np.ndarray, "P K 3"]) -> Int[np.ndarray, "Q V"]:
    """Return members in which two people in one place, each seen by other cameras, are one."""
    distance = metre_distance(Poses3D(xyz), Poses3D(xyz))
    members = members.copy()
    for first, second in zip(*np.nonzero(np.triu(distance < _DOUBLE, 1)), strict=True):
        if not ((members[first] >= 0) & (members[second] >= 0)).any():
            members[first] = np.maximum(members[first], members[second])
            members[second] = -1
    return members[(members >= 0).any(axis=1)]


class _SteadyMotion:
    """Where tracked people are expected: at a steady velocity, the mean of the last ones with halving weights. Joints
    that no views agree on move along."""

    def __init__(self, keypoints: int) -> None:
        self.keypoints, self.frame = keypoints, 0
        self._last: dict[int, tuple[int, np.ndarray, np.ndarray]] = {}  # frame, xyz (K, 3), velocity (3,) a frame

    def expected(self, past: Poses3D | None) -> Float[np.ndarray, "P K 3"]:
        """Return where the joints of earlier poses are expected in this frame."""
        xyz = []
        for track in () if past is None else past.track_id.tolist():  # type: ignore[union-attr]
            last_frame, last_xyz, velocity = self._last[track]
            xyz.append(last_xyz + velocity * (self.frame - last_frame))
        return np.array(xyz).reshape(len(xyz), self.keypoints, 3)

    def distance(self, past: Poses3D, current: Poses3D) -> Float[np.ndarray, "P n"]:
        """Return `metre_distance` of people from where they are expected in this frame."""
        return metre_distance(replace(past, xyz=self.expected(past)), current)

    def observe(self, people: Poses3D) -> None:
        """Remember where a frame's people are."""
        for track, xyz in zip(people.track_id.tolist(), people.xyz, strict=True):  # type: ignore[union-attr]
            last_frame, last_xyz, velocity = self._last.get(track, (self.frame - 1, xyz, np.zeros(3)))
            elapsed_frames, is_in_both = self.frame - last_frame, np.isfinite((xyz - last_xyz)[:, 0])
            step = np.median((xyz - last_xyz)[is_in_both], axis=0) / elapsed_frames if is_in_both.any() else np.zeros(3)
            step = step if np.linalg.norm(step) < _FASTEST else np.zeros(3)
            xyz = np.where(np.isfinite(xyz), xyz, last_xyz + step * elapsed_frames)
            self._last[track] = (self.frame, xyz, 0.5 * velocity + 0.5 * step)


def has_tracks(views: Sequence[Poses]) -> bool:
    """Return whether the poses of every camera have tracks, which then decide who is who at different moments."""
    return all(view.track_id is not None and (view.track_id != MISSING_ID).any() for view in views)


def _identified_by_tracks(group: Group, views: Sequence[Poses]) -> Group:
    """Return the same people at the same moments, with the numbers that the cameras' tracks give them.

    Two tracks are together at each moment at which they are of one person, and apart at each at which they are of two.
    They are joined, those that are together most often first, unless they are apart more often or one camera has both
    at a moment. The numbers that people have in 3D count as one more camera's tracks.
    """
    labels = _track_labels(group, views)
    firsts = np.flatnonzero(np.diff(group.moment, prepend=-1))
    moments = [labels[first:end] for first, end in pairwise([*firsts.tolist(), len(labels)])]
    count = int(labels.max(initial=0)) + 1
    votes, are_rivals = np.zeros((count, count)), np.zeros((count, count), np.bool_)
    for people in moments:
        person, camera = np.nonzero(people >= 0)
        tracks = people[person, camera]
        votes[tracks[:, None], tracks] += np.where(person[:, None] == person, 1, -1)
        are_rivals[tracks[:, None], tracks] |= (camera[:, None] == camera) & (person[:, None] != person)
    cluster = np.arange(count)
    first, second = np.nonzero(np.triu(votes, 1) > 0)
    for pair in np.argsort(-votes[first, second], kind="stable"):
        a, b = cluster[first[pair]], cluster[second[pair]]
        if a != b and votes[a, b] > 0 and not are_rivals[a, b]:
            votes[a], are_rivals[a] = votes[a] + votes[b], are_rivals[a] | are_rivals[b]
            votes[:, a], are_rivals[:, a] = votes[a], are_rivals[a]
            cluster[cluster == b] = a
    numbers = []
    for people in moments:
        members = np.where(people >= 0, cluster[people], -1)
        clusters = np.unique(members[members >= 0])
        share = (members[:, :, None] == clusters).sum(axis=1)  # (people, clusters)
        _, chosen = linear_sum_assignment(share, maximize=True)
        numbers.append(clusters[chosen])
    track_id = np.unique(np.concatenate(numbers), return_inverse=True)[1] + 1 if numbers else group.track_id
    return Group(group.moment, group.rows, track_id)


def _track_labels(group: Group, views: Sequence[Poses]) -> Int[np.ndarray, "N W"]:
    """Return the track of each person in each view, and, last, in 3D, numbered through all; -1 for none."""
    columns, count = [], 0
    for rows, view in zip(group.rows.T, views, strict=True):
        assert view.track_id is not None
        tracks = np.where(rows >= 0, view.track_id[rows], MISSING_ID)
        ids = np.unique(tracks[tracks != MISSING_ID])
        columns.append(np.where(tracks == MISSING_ID, -1, count + np.searchsorted(ids, tracks)))
        count += len(ids)
    return np.stack([*columns, count + group.track_id], axis=1)


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
    std, gross, gross_std = (
        gather_rows([getattr(part, name) for part in known_parts], group.rows) for name in ("std", "gross", "gross_std")
    )
    return ExpectedError(std, gross, gross_std)
