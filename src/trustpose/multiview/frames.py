"""Synchronisation: which rows of several cameras' results show the same moment."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

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
    numbers = [_numbers(view, at) for at, view in enumerate(views)]
    counted = [_in_first(one, at, fps, offset, len(views)) for at, one in enumerate(numbers)]
    frame = np.unique(np.concatenate([np.round(one) for one in counted] or [np.zeros(0)])).astype(np.int64)
    rows, own = [], np.full((len(views), len(frame)), MISSING_ID)
    for at, (number, place) in enumerate(zip(numbers, counted, strict=True)):
        nearest = np.round(place).astype(np.int64)
        order = np.lexsort((number, np.abs(place - nearest), nearest))  # the nearest frame of a moment first
        moment, first = np.unique(nearest[order], return_index=True)
        chosen = number[order][first]  # (moments of this view,)
        slots = np.searchsorted(frame, moment)
        own[at, slots] = chosen
        known = dict(zip(chosen.tolist(), slots.tolist(), strict=True))
        found: list[list[int]] = [[] for _ in frame]
        for row, one in enumerate(number.tolist()):
            if one in known and nearest[row] == frame[known[one]]:
                found[known[one]].append(row)
        rows.append(tuple(np.array(one, dtype=np.int64) for one in found))
    return Moments(frame, tuple(rows), own)


def _numbers(view: Poses, at: int) -> Int[np.ndarray, " N"]:
    if view.image_id is None:
        raise ValueError(f"view {at}: Poses.image_id is None, the frames' numbers are unknown")
    return view.image_id


def _in_first(
    number: np.ndarray, at: int, fps: Sequence[float] | None, offset: Sequence[float] | None, count: int
) -> Float[np.ndarray, " N"]:
    """Return frame numbers of camera `at` as the first camera would count them, with fractions."""
    for name, given in (("fps", fps), ("offset", offset)):
        if given is not None and len(given) != count:
            raise ValueError(f"{name}: expected one number for each of {count} cameras, got {len(given)}")
    if fps is None:
        if offset is not None and any(offset):
            raise ValueError("offset: needs fps too, since frames have numbers and no times")
        return number.astype(np.float64)
    seconds = number / fps[at] + (0.0 if offset is None else offset[at] - offset[0])
    return seconds * fps[0]


def own_frame(view: int, frame: int, fps: Sequence[float] | None = None, offset: Sequence[float] | None = None) -> int:
    """Return the number of the frame of camera `view` that is nearest to frame `frame` of the first camera; fps and
    offset are as for `match_frames`."""
    if fps is None:
        return frame
    seconds = frame / fps[0] - (0.0 if offset is None else offset[view] - offset[0])
    return round(seconds * fps[view])
