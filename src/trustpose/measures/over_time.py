"""Speeds, rates of change and accelerations within tracks, with the errors of differences over time.

They are central differences over a window of w seconds, between the frames w / 2 before and after (the nearest whole
number of frames, one at least), or for accelerations those two and the frame itself:

    v(t) = (x(t + h) − x(t − h)) / 2h          a(t) = (x(t + h) − 2 x(t) + x(t − h)) / h²

with the frames' own times, also where these are not regular. A track's first and last frames have none, nor has a frame
whose neighbour at that time is missing.

Errors of successive frames go together: what an estimator gets wrong it gets wrong in the next frame, too. So the error
of a difference is far smaller than two independent errors would make it, and grows with the time between the frames.
`error_over_time` says by how much, for readings as they are and for smoothed ones.

Speeds are lengths of vectors, which errors across the way make longer: √(v² + s²) on average, to the first order, where
each axis has an error of s. Their intervals are about √(value² − s²), and end at 0 (Gudbjartsson and Patz, The Rician
distribution of noisy MRI data, Magnetic Resonance in Medicine 1995); the value is the reading.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from trustpose.geometry.measures import Measure
from trustpose.geometry.scene_options import WINDOW
from trustpose.measures.error_over_time import difference_quantiles
from trustpose.measures.measurements import Measured, Measurements
from trustpose.measures.motions import ACCELERATION, Motion
from trustpose.measures.track_rows import TrackRows

ONE_SIGMA = 0.6827
NO_TRACK = "not on a track"
_AT_END = "no frame of the track {half:.3g} s {side}"

Terms = tuple[Float[np.ndarray, " M"], Float[np.ndarray, " M"], Float[np.ndarray, " M"]]
"""Value, standard deviation of independent errors, and the frames between the differences."""


def read_motion(
    motion: Motion, base: Measurements, tracks: TrackRows, *, window: float = WINDOW, smoothed: bool = False
) -> Measured:
    """Return a speed, velocity or acceleration of each of N rows.

    Args:
        motion: of the kind "speed", "velocity" or "acceleration".
        base: readings of its parts in N rows.
        tracks: the rows in order.
        window: seconds between the first and the last frame of a difference.
        smoothed: whether the positions were smoothed, which makes their errors go together more.

    Returns:
        The columns, (N,); intervals are NaN where `base` has none.
    """
    frames = half_frames(tracks, window)
    before, after = tracks.neighbours(-frames), tracks.neighbours(frames)
    parts = [_Path.of(part, base[part.name], tracks) for part in motion.parts]
    reason = _reason(parts, tracks, before, after, frames, is_double=motion.kind == ACCELERATION)
    difference = _second if motion.kind == ACCELERATION else _first
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = [difference(part, tracks.seconds, before, after) for part in parts]
        if len(terms) == 1:
            value, sd = terms[0]
        else:  # the length of a vector
            value = np.hypot(terms[0][0], terms[1][0])
            along = [np.where(value > 0, of_axis[0] / value, np.sqrt(0.5)) for of_axis in terms]
            sd = np.hypot(along[0] * terms[0][1], along[1] * terms[1][1])
    is_readable = reason == ""
    value, sd = np.where(is_readable, value, np.nan), np.where(is_readable, sd, np.nan)
    is_double = motion.kind == ACCELERATION
    apart = frames if is_double else 2 * frames
    quantile = difference_quantiles(
        (*base.levels, ONE_SIGMA), apart, of_point=len(parts) > 1, is_double=is_double, smoothed=smoothed
    )  # (P + 1, M)
    half = quantile * sd
    centre = value if len(parts) == 1 else np.sqrt(np.maximum(value**2 - half[-1] ** 2, 0))
    low, high = centre - half[:-1], centre + half[:-1]
    if len(parts) > 1:
        low = np.maximum(low, 0)
    return _spread(motion, base, tracks, value, half[-1], low.T, high.T, reason)


def half_frames(tracks: TrackRows, window: float) -> Int[np.ndarray, " M"]:
    """Return the frames in half a window, one at least, for each row."""
    with np.errstate(divide="ignore", invalid="ignore"):
        frames = np.rint(window / 2 / tracks.interval)
    return np.maximum(np.nan_to_num(frames, nan=1.0, posinf=1.0), 1).astype(np.int64)[tracks.track]


class _Path:
    """The readings of a measure along tracks: value, sd, whether readable, and how two values differ."""

    def __init__(
        self, value: np.ndarray, sd: np.ndarray, readable: np.ndarray, difference: Callable[..., np.ndarray]
    ) -> None:
        self.value, self.sd, self.readable, self.difference = value, sd, readable, difference

    @classmethod
    def of(cls, measure: Measure, measured: Measured, tracks: TrackRows) -> "_Path":
        rows = tracks.row
        return cls(measured.value[rows], measured.sd[rows], measured.readable[rows], measure.difference)


def _first(path: _Path, seconds: np.ndarray, before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rate of change, and its standard deviation were errors independent."""
    time = seconds[after] - seconds[before]
    return path.difference(path.value[after], path.value[before]) / time, np.hypot(
        path.sd[after], path.sd[before]
    ) / np.abs(time)


def _second(path: _Path, seconds: np.ndarray, before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the second derivative, and its standard deviation were errors independent."""
    early, late = seconds - seconds[before], seconds[after] - seconds
    rise = path.difference(path.value[after], path.value) / late
    rise_before = path.difference(path.value, path.value[before]) / early
    span = (early + late) / 2
    by_before, by_after = 1 / (early * span), 1 / (late * span)
    squares = (by_before * path.sd[before]) ** 2 + (by_after * path.sd[after]) ** 2
    squares += ((by_before + by_after) * path.sd) ** 2
    return (rise - rise_before) / span, np.sqrt(squares)


def _reason(
    parts: list[_Path],
    tracks: TrackRows,
    before: np.ndarray,
    after: np.ndarray,
    frames: np.ndarray,
    *,
    is_double: bool,
) -> Shaped[np.ndarray, " M"]:
    """Return why each row has none, "" if it has one."""
    reason = np.full(len(tracks), "", dtype=object)
    half = frames * tracks.interval[tracks.track]
    for part in parts:
        for index, side in ((before, "before"), (after, "after")):
            is_read = part.readable[index] & np.isfinite(part.value[index])
            reason[~is_read] = f"cannot be read in the frame {side}"
        if is_double:
            reason[~(part.readable & np.isfinite(part.value))] = "cannot be read in this frame"
    for index, side in ((before, "before"), (after, "after")):
        rows = np.flatnonzero(index < 0)
        texts = {seconds: _AT_END.format(half=seconds, side=side) for seconds in np.unique(half[rows]).tolist()}
        reason[rows] = [texts.get(seconds, f"no frame of the track {side}") for seconds in half[rows].tolist()]
    return reason


def _spread(
    motion: Motion,
    base: Measurements,
    tracks: TrackRows,
    value: np.ndarray,
    sd: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    reason: np.ndarray,
) -> Measured:
    """Return columns of all N rows from those of M rows of tracks."""

    def of_all(of_tracks: np.ndarray) -> np.ndarray:
        column = np.full((len(base), *of_tracks.shape[1:]), np.nan)
        column[tracks.row] = of_tracks
        return column

    reasons = np.full(len(base), NO_TRACK, dtype=object)
    reasons[tracks.row] = reason
    readable: Bool[np.ndarray, " N"] = reasons == ""
    return Measured(motion, of_all(value), of_all(sd), of_all(low), of_all(high), readable, reasons)
