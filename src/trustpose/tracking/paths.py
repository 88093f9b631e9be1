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
    the track was not found, the track, from 0, the time in frames, and the frame's image id."""

    row: Int[np.ndarray, " M"]
    track: Int[np.ndarray, " M"]
    time: Float[np.ndarray, " M"]
    image_id: Int[np.ndarray, " M"]

    def __len__(self) -> int:
        return len(self.row)

    def blocks(self, keypoints: int) -> Iterator[Int[np.ndarray, "T S"]]:
        """Yield the tracks in blocks of S, with the indices of their rows, -1 after a track's end; tracks of a block
        are of similar length."""
        starts = np.flatnonzero(np.r_[True, np.diff(self.track) != 0]) if len(self) else np.zeros(0, np.int64)
        lengths = np.diff(np.r_[starts, len(self)])
        order = np.argsort(-lengths, kind="stable")
        while len(order):
            longest = int(lengths[order[0]])
            alike = int((2 * lengths[order] >= longest).sum())
            take, order = np.split(order, [min(alike, max(1, _CELLS // (longest * keypoints)))])
            index = starts[take] + np.arange(longest)[:, None]
            yield np.where(np.arange(longest)[:, None] < lengths[take], index, -1)


def paths_of(
    poses: Poses, images: Images | None = None, *, fill: int = 0, apart: Int[np.ndarray, " N"] | None = None
) -> Paths:
    """Return the tracks of poses. Frames are ordered by `order_frames`; where a track was not found for at most `fill`
    frames, it gets rows for them: without `images` for all of these, with `images` for those listed.

    Poses without `track_id` are one track in each clip; those of track -1 are in none. `apart` (N,): rows with
    different numbers, such as categories, are never of one track. Raises ValueError without `image_id`, and if a track
    has two poses in one frame.
    """
    if poses.image_id is None:
        raise ValueError("Poses.image_id is None, nothing says which poses are of one frame")
    frames = order_frames(poses.image_id, images)
    times = _times(frames, images)
    by_id = np.argsort(frames.image_id, kind="stable")
    place = by_id[np.searchsorted(frames.image_id[by_id], poses.image_id)]  # (N,) the row of each pose's frame
    ids = np.zeros(len(poses), np.int64) if poses.track_id is None else poses.track_id
    kind = np.zeros(len(poses), np.int64) if apart is None else apart
    rows = np.flatnonzero(ids != MISSING_ID) if poses.track_id is not None else np.arange(len(poses))
    rows = rows[np.lexsort((place[rows], ids[rows], kind[rows], frames.clip[place[rows]]))]
    key = np.stack([frames.clip[place[rows]], kind[rows], ids[rows]])
    is_new = np.r_[True, (np.diff(key, axis=1) != 0).any(axis=0)] if len(rows) else np.zeros(0, bool)
    at = place[rows]
    twice = np.flatnonzero(~is_new[1:] & (np.diff(at) == 0)) if len(rows) else []
    if len(twice):
        raise ValueError(_two_in_a_frame(poses, int(rows[twice[0] + 1])))
    found = Paths(rows, np.cumsum(is_new) - 1, times[at], poses.image_id[rows])
    return _filled(found, frames, at, times, fill, is_all_known=images is None) if fill else found


def _two_in_a_frame(poses: Poses, row: int) -> str:
    assert poses.image_id is not None
    where = f"image {poses.image_id[row]} has two poses of"
    if poses.track_id is None:
        return f"{where} the same category and no row has a track_id, so people cannot be told apart: track them first"
    return f"{where} track {poses.track_id[row]}, expected one"


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


def _filled(found: Paths, frames: Frames, at: np.ndarray, times: np.ndarray, fill: int, *, is_all_known: bool) -> Paths:
    """Add the rows of frames in which a track was not found, between two in which it was."""
    step = frames.step[at]
    within = np.flatnonzero((np.diff(found.track) == 0) & (np.diff(step) > 1) & (np.diff(step) <= fill + 1))
    parts = [found]
    for one in within.tolist():
        missing = np.arange(step[one] + 1, step[one + 1])
        if is_all_known:  # ids are frame numbers
            stride = (found.image_id[one + 1] - found.image_id[one]) // (step[one + 1] - step[one])
            ids, when = found.image_id[one] + stride * (missing - step[one]), missing.astype(np.float64)
        else:
            between = np.arange(at[one] + 1, at[one + 1])
            ids, when = frames.image_id[between], times[between]
        count = len(ids)
        parts.append(Paths(np.full(count, -1), np.full(count, found.track[one]), when, ids))
    joined = Paths(*(np.concatenate([getattr(part, name) for part in parts]) for name in Paths.__annotations__))
    order = np.lexsort((joined.time, joined.track))
    return Paths(*(getattr(joined, name)[order] for name in Paths.__annotations__))


def with_rows(poses: Poses, paths: Paths) -> tuple[Poses, Int[np.ndarray, " M"], Int[np.ndarray, " N"]]:
    """Return the poses with the filled rows behind them, the row of each row of the paths in these, and the given row
    (N',) that each is or, if filled, comes after. Boxes, their
    scores, expected OPKS and OKS and visibility of a filled row lie between those of the track's rows before and after;
    its keypoints are missing, with score 0."""
    new = np.flatnonzero(paths.row < 0)
    row = paths.row.copy()
    row[new] = len(poses) + np.arange(len(new))
    if not len(new):
        return poses, row, np.arange(len(poses))
    known = np.flatnonzero(paths.row >= 0)
    after = known[np.searchsorted(known, new)]
    before = known[np.searchsorted(known, new) - 1]
    share = (paths.time[new] - paths.time[before]) / (paths.time[after] - paths.time[before])
    one, other = poses[paths.row[before]], poses[paths.row[after]]
    columns: dict[str, Any] = {
        name: None if column is None else column.copy() for name, column in one.columns().items()
    }
    for name in ("xy", "box", "box_score", "quality", "visibility", "presence", "pose_quality"):
        low, high = getattr(one, name), getattr(other, name)
        if low is not None:
            columns[name] = low + (high - low) * share.reshape(-1, *[1] * (low.ndim - 1))
    columns["image_id"] = paths.image_id[new]
    columns["score"] = None if one.score is None else np.zeros(one.score.shape)
    columns["pose_score"] = None if one.pose_score is None else np.zeros(len(new))
    columns["missing"] = np.ones(one.xy.shape[:2], np.bool_)
    for name in ("visibility_label", "annotation_id"):
        columns[name] = None if columns[name] is None else np.full_like(columns[name], MISSING_ID)
    columns["suppressed_score"] = None if one.suppressed_score is None else np.zeros(len(new))
    filled = replace(one, **columns)
    return Poses.concatenate([poses, filled]), row, np.concatenate([np.arange(len(poses)), paths.row[before]])
