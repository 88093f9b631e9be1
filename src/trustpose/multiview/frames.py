"""Synchronisation: which rows of several cameras' results show the same moment."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.names import expected_one_of
from trustpose.poses import MISSING_ID, Poses


@dataclass(frozen=True, eq=False)
class Moments:
    """F moments that one or more of V cameras saw: `frame` (F,) counts as the first camera does, `rows[view][moment]`
    are the rows of that camera's poses, `frames_of` (V, F) its own frame's number, -1 where it has none."""

    frame: Int[np.ndarray, " F"]
    rows: tuple[tuple[Int[np.ndarray, " n"], ...], ...]
    frames_of: Int[np.ndarray, "V F"]

    def __len__(self) -> int:
        return len(self.frame)


def match_frames(
    views: Sequence[Poses], fps: Sequence[float] | None = None, offset: Sequence[float] | None = None
) -> Moments:
    """Return the moments of several cameras' poses, whose `image_id` is the number of the frame in that camera's clip.

    fps: frames a second of each camera, offset: seconds to add to the times of each; by default frames of the same
    number are the same moment. With them a frame belongs to the first camera's nearest; where two do, the nearer one.
    Raises ValueError if a view has no image_id, or `fps` and `offset` are not one a camera.
    """
    numbers = [_numbers(view, index) for index, view in enumerate(views)]
    counted = [_in_first(number, index, fps, offset, len(views)) for index, number in enumerate(numbers)]
    frame = np.unique(np.concatenate([np.round(times) for times in counted] or [np.zeros(0)])).astype(np.int64)
    rows, frames_of = [], np.full((len(views), len(frame)), MISSING_ID)
    for index, (number, time) in enumerate(zip(numbers, counted, strict=True)):
        nearest = np.round(time).astype(np.int64)
        order = np.lexsort((number, np.abs(time - nearest), nearest))  # the nearest frame of a moment first
        moment, first = np.unique(nearest[order], return_index=True)
        chosen = number[order][first]  # (moments of this view,)
        slots = np.searchsorted(frame, moment)
        frames_of[index, slots] = chosen
        slot_of = dict(zip(chosen.tolist(), slots.tolist(), strict=True))
        rows_of: list[list[int]] = [[] for _ in frame]
        for row, frame_number in enumerate(number.tolist()):
            if frame_number in slot_of and nearest[row] == frame[slot_of[frame_number]]:
                rows_of[slot_of[frame_number]].append(row)
        rows.append(tuple(np.array(moment_rows, dtype=np.int64) for moment_rows in rows_of))
    return Moments(frame, tuple(rows), frames_of)


def _numbers(view: Poses, index: int) -> Int[np.ndarray, " N"]:
    if view.image_id is None:
        raise ValueError(f"view {index}: Poses.image_id is None, the frames' numbers are unknown")
    return view.image_id


def _in_first(
    number: np.ndarray, camera: int, fps: Sequence[float] | None, offset: Sequence[float] | None, count: int
) -> Float[np.ndarray, " N"]:
    """Return the frame numbers of this camera as the first camera would count them, with fractions."""
    for name, values in (("fps", fps), ("offset", offset)):
        if values is not None and len(values) != count:
            raise ValueError(f"{name}: expected one number for each of {count} cameras, got {len(values)}")
    if fps is None:
        if offset is not None and any(offset):
            raise ValueError("offset: needs fps too, since frames have numbers and no times")
        return number.astype(np.float64)
    seconds = number / fps[camera] + (0.0 if offset is None else offset[camera] - offset[0])
    return seconds * fps[0]


def own_frame(view: int, frame: int, fps: Sequence[float] | None = None, offset: Sequence[float] | None = None) -> int:
    """Return the number of the frame of camera `view` that is nearest to frame `frame` of the first camera; fps and
    offset are as for `match_frames`."""
    if fps is None:
        return frame
    seconds = frame / fps[0] - (0.0 if offset is None else offset[view] - offset[0])
    return round(seconds * fps[view])


def missing_of(view: Poses) -> Bool[np.ndarray, "N K"]:
    """Return which joints have no position."""
    blank = ~np.isfinite(view.xy).all(axis=2)
    return np.asarray(blank if view.missing is None else blank | view.missing)


def positions_of(view: Poses) -> Float[np.ndarray, "N K 2"]:
    """Return image pixels, NaN for a joint without a position."""
    return np.where(missing_of(view)[..., None], np.nan, view.xy).astype(np.float64)


def gather_rows(columns: Sequence[np.ndarray], rows: Int[np.ndarray, "N V"]) -> Float[np.ndarray, "V N ..."]:
    """Return each view's rows of its column as one array (V, N, …); NaN for -1, where a view has none."""
    gathered = np.full((len(columns), len(rows), *columns[0].shape[1:]), np.nan)
    for view, column in enumerate(columns):
        is_seen = rows[:, view] >= 0
        gathered[view, is_seen] = column[rows[is_seen, view]]
    return gathered


def sizes_of(view: Poses) -> Float[np.ndarray, " N"]:
    """Return the people's sizes, image pixels: the square root of the area of the keypoints' boxes, 1 or more."""
    box = replace(view, missing=missing_of(view)).keypoint_box()
    return np.sqrt(np.maximum(np.nan_to_num(np.prod(box[:, 2:] - box[:, :2], axis=1)), 1.0))


def weights_of(view: Poses, weight: str, index: int) -> Float[np.ndarray, "N K"]:
    """Return the weights of the joints of view number `index`, 0 for those without a position: "trust", "scores" or
    "none".

    Raises ValueError if the poses lack that field.
    """
    columns = {"trust": view.quality, "scores": view.score, "none": np.ones(view.xy.shape[:2])}
    if weight not in columns:
        raise ValueError(f"weight: {expected_one_of(('auto', *columns), weight)}")
    column = columns[weight]
    if column is None:
        lacks = "expected OPKS (quality)" if weight == "trust" else "scores"
        raise ValueError(
            f"view {index}: the poses have no {lacks}; weight by {'scores' if weight == 'trust' else 'none'}"
        )
    return np.where(missing_of(view), 0.0, np.maximum(np.nan_to_num(column.astype(np.float64)), 0.0))
