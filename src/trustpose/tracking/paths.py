"""The poses of each track in order, with a row for every frame in which the track was not found."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from trustpose.images import Images
from trustpose.poses import MISSING_ID, Poses
from trustpose.tracking.frames import Frames, order_frames

_CELLS = 2**21  # rows × keypoints of a block of tracks: bounds the smoother's memory to a few hundred MB


@dataclass(frozen=True, eq=False)
class Paths:
    """M rows of tracks, one track after the other and each in order: the row of the poses, or -1 for a frame in which
    the track was not found, the track and its clip, from 0, the time in frames, and the frame's image id."""

    row: Int[np.ndarray, " M"]
    track: Int[np.ndarray, " M"]
    clip: Int[np.ndarray, " M"]
    time: Float[np.ndarray, " M"]
    image_id: Int[np.ndarray, " M"]

    def __len__(self) -> int:
        return len(self.row)

    def blocks(self, keypoints: int) -> Iterator[Int[np.ndarray, "T S"]]:
        """Yield the tracks in blocks of S, with the indices of their rows, -1 after a track's end; tracks of a block
        are of one clip and of similar length."""
        starts = np.flatnonzero(np.r_[True, np.diff(self.track) != 0]) if len(self) else np.zeros(0, np.int64)
        lengths = np.diff(np.r_[starts, len(self)])
        clip = self.clip[starts]
        order = np.lexsort((-lengths, clip))
        while len(order):
            longest = int(lengths[order[0]])
            alike = int(((2 * lengths[order] >= longest) & (clip[order] == clip[order[0]])).sum())
            take, order = np.split(order, [min(alike, max(1, _CELLS // (longest * keypoints)))])
            index = starts[take] + np.arange(longest)[:, None]
            yield np.where(np.arange(longest)[:, None] < lengths[take], index, -1)


def paths_of(
    poses: Poses, images: Images | None = None, *, fill: int = 0, groups: Int[np.ndarray, " N"] | None = None
) -> Paths:
    """Return the tracks of poses. Frames are ordered by `order_frames`; where a track was not found for at most `fill`
    frames, it gets rows for them: without `images` for all of these, with `images` for those listed.

    Poses without `track_id` are one track in each clip; those of track -1 are in none. `groups` (N,): rows with
    different numbers, such as categories, are never of one track. Raises ValueError without `image_id`, and if a track
    has two poses in one frame.
    """
    if poses.image_id is None:
        raise ValueError("Poses.image_id is None, it is unknown which poses are of one frame")
    frames = order_frames(poses.image_id, images)
    times = _times(frames, images)
    by_id = np.argsort(frames.image_id, kind="stable")
    frame_of_pose = by_id[np.searchsorted(frames.image_id[by_id], poses.image_id)]  # (N,) the row of each pose's frame
    ids = np.zeros(len(poses), np.int64) if poses.track_id is None else poses.track_id
    kind = np.zeros(len(poses), np.int64) if groups is None else groups
    rows = np.flatnonzero(ids != MISSING_ID) if poses.track_id is not None else np.arange(len(poses))
    rows = rows[np.lexsort((frame_of_pose[rows], ids[rows], kind[rows], frames.clip[frame_of_pose[rows]]))]
    key = np.stack([frames.clip[frame_of_pose[rows]], kind[rows], ids[rows]])
    is_new = np.r_[True, (np.diff(key, axis=1) != 0).any(axis=0)] if len(rows) else np.zeros(0, bool)
    frame_of_row = frame_of_pose[rows]
    twice = np.flatnonzero(~is_new[1:] & (np.diff(frame_of_row) == 0)) if len(rows) else []
    if len(twice):
        raise ValueError(_duplicate_message(poses, int(rows[twice[0] + 1])))
    paths = Paths(rows, np.cumsum(is_new) - 1, frames.clip[frame_of_row], times[frame_of_row], poses.image_id[rows])
    return _filled(paths, frames, frame_of_row, times, fill, is_all_known=images is None) if fill else paths


def _duplicate_message(poses: Poses, row: int) -> str:
    assert poses.image_id is not None
    message = f"image {poses.image_id[row]} has two poses of"
    if poses.track_id is None:
        return (
            f"{message} the same category and no row has a track_id, so people cannot be told apart: track them first"
        )
    return f"{message} track {poses.track_id[row]}, expected one"


def _times(frames: Frames, images: Images | None) -> Float[np.ndarray, " F"]:
    """Return the time of each frame, in units of the usual time between two frames of its clip; steps without times."""
    step = frames.step.astype(np.float64)
    if images is None or images.time is None:
        return step
    seconds = images.time[images.rows_of(frames.image_id)]
    for clip in range(len(frames.names)):
        rows = np.flatnonzero(frames.clip == clip)
        if len(rows) > 1 and np.isfinite(seconds[rows]).all():
            usual = float(np.median(np.diff(seconds[rows])))
            step[rows] = (seconds[rows] - seconds[rows[0]]) / usual
    return step


def _filled(
    paths: Paths, frames: Frames, frame_of_row: np.ndarray, times: np.ndarray, fill: int, *, is_all_known: bool
) -> Paths:
    """Add the rows of frames in which a track was not found, between two in which it was."""
    step = frames.step[frame_of_row]
    within = np.flatnonzero((np.diff(paths.track) == 0) & (np.diff(step) > 1) & (np.diff(step) <= fill + 1))
    parts = [paths]
    for row_before in within.tolist():
        missing = np.arange(step[row_before] + 1, step[row_before + 1])
        if is_all_known:  # ids are frame numbers
            stride = (paths.image_id[row_before + 1] - paths.image_id[row_before]) // (
                step[row_before + 1] - step[row_before]
            )
            ids, missing_times = (
                paths.image_id[row_before] + stride * (missing - step[row_before]),
                missing.astype(np.float64),
            )
        else:
            missing_frames = np.arange(frame_of_row[row_before] + 1, frame_of_row[row_before + 1])
            ids, missing_times = frames.image_id[missing_frames], times[missing_frames]
        count = len(ids)
        track, clip = (np.full(count, column[row_before]) for column in (paths.track, paths.clip))
        parts.append(Paths(np.full(count, -1), track, clip, missing_times, ids))
    joined = Paths(*(np.concatenate([getattr(part, name) for part in parts]) for name in Paths.__annotations__))
    order = np.lexsort((joined.time, joined.track))
    return Paths(*(getattr(joined, name)[order] for name in Paths.__annotations__))


def add_filled_rows(poses: Poses, paths: Paths) -> tuple[Poses, Int[np.ndarray, " M"], Int[np.ndarray, " N"]]:
    """Append the filled rows to the poses.

    Boxes, their scores, expected OPKS and OKS and visibility of a filled row are interpolated between the track's rows
    before and after; its keypoints are missing, with score 0.

    Returns:
        The poses; for each row of the paths (M,), its row in these poses; and for each of these poses (N',), its row in
        the input, or that of the track's pose before it if it was filled."""

    new = np.flatnonzero(paths.row < 0)
    row = paths.row.copy()
    row[new] = len(poses) + np.arange(len(new))
    if not len(new):
        return poses, row, np.arange(len(poses))
    found_rows = np.flatnonzero(paths.row >= 0)
    after = found_rows[np.searchsorted(found_rows, new)]
    before = found_rows[np.searchsorted(found_rows, new) - 1]
    share = (paths.time[new] - paths.time[before]) / (paths.time[after] - paths.time[before])
    earlier, later = poses[paths.row[before]], poses[paths.row[after]]
    columns: dict[str, Any] = {
        name: None if column is None else column.copy() for name, column in earlier.columns().items()
    }
    for name in ("xy", "box", "box_score", "quality", "visibility", "presence", "pose_quality"):
        low, high = getattr(earlier, name), getattr(later, name)
        if low is not None:
            columns[name] = low + (high - low) * share.reshape(-1, *[1] * (low.ndim - 1))
    columns["image_id"] = paths.image_id[new]
    columns["score"] = None if earlier.score is None else np.zeros(earlier.score.shape)
    columns["pose_score"] = None if earlier.pose_score is None else np.zeros(len(new))
    columns["missing"] = np.ones(earlier.xy.shape[:2], np.bool_)
    for name in ("visibility_label", "annotation_id"):
        columns[name] = None if columns[name] is None else np.full_like(columns[name], MISSING_ID)
    columns["suppressed_score"] = None if earlier.suppressed_score is None else np.zeros(len(new))
    filled = replace(earlier, **columns)
    return Poses.concatenate([poses, filled]), row, np.concatenate([np.arange(len(poses)), paths.row[before]])
