"""The rows of each track in order, with their times in seconds, and each row's neighbours before and after."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from trustpose.files import InputError
from trustpose.images import Images
from trustpose.poses import Poses
from trustpose.tracking.paths import paths_of

_NEAR = 0.25  # of the time between two frames: a frame that far off counts as the one at that time
_APART = 1e7  # frames between two tracks on one axis


@dataclass(frozen=True, eq=False)
class TrackRows:
    """M rows of tracks, one track after the other, each in order.

    Attributes:
        row: (M,), the row of the poses.
        track: (M,), number of the track, from 0, never falling.
        frame: (M,), time in frames of the track's clip.
        seconds: (M,), time in seconds.
        interval: (T,), usual seconds from a frame to the next, of each track; NaN for one with a single row.
    """

    row: Int[np.ndarray, " M"]
    track: Int[np.ndarray, " M"]
    frame: Float[np.ndarray, " M"]
    seconds: Float[np.ndarray, " M"]
    interval: Float[np.ndarray, " T"]

    def __len__(self) -> int:
        return len(self.row)

    @property
    def bounds(self) -> Int[np.ndarray, " T1"]:
        """Where each track begins, and the number of rows."""
        return np.searchsorted(self.track, np.arange(len(self.interval) + 1))

    def neighbours(self, frames: Int[np.ndarray, " M"]) -> Int[np.ndarray, " M"]:
        """Return the index of each row's neighbour so many frames later (earlier if negative) in its track; −1 if there
        is none."""
        axis = self.track * _APART + self.frame
        target = axis + frames
        after = np.minimum(np.searchsorted(axis, target - _NEAR), max(len(axis) - 1, 0))
        return np.where(np.abs(axis[after] - target) <= _NEAR, after, -1) if len(axis) else after


def track_rows(poses: Poses, images: Images) -> TrackRows:
    """Return the rows of tracks in order.

    Args:
        poses: with `track_id`, or one person a frame.
        images: the frames, with their times.

    Raises:
        InputError: for frames without a time; for several people in a frame without `track_id`.
    """
    seconds_of = np.full(0, np.nan) if images.time is None else images.time
    if images.time is None or poses.image_id is None:
        raise InputError(
            "measures over time need the time of each frame: expected frames with time (--images), or --fps"
        )
    rows = images.rows_of(poses.image_id)
    if (rows < 0).any() or not np.isfinite(seconds_of[rows]).all():
        without = poses.image_id[(rows < 0) | ~np.isfinite(seconds_of[rows])][0]
        raise InputError(f"measures over time: frame {without} has no time")
    try:
        paths = paths_of(poses, images)
    except ValueError as error:
        raise InputError(f"measures over time: {error}") from None
    seconds = seconds_of[images.rows_of(paths.image_id)]
    inside = np.diff(paths.track) == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.diff(seconds) / np.diff(paths.time)
    count = int(paths.track[-1]) + 1 if len(paths) else 0
    interval = np.full(count, np.nan)
    for track, part in zip(*_split(paths.track[1:][inside], each[inside]), strict=True):
        interval[track] = np.median(part)
    return TrackRows(paths.row, paths.track, paths.time, seconds, interval)


def _split(group: np.ndarray, values: np.ndarray) -> tuple[list[int], list[np.ndarray]]:
    """Return the numbers of the groups, which never fall, and the values of each."""
    numbers, starts = np.unique(group, return_index=True)
    return numbers.tolist(), np.split(values, starts[1:]) if len(numbers) else []
