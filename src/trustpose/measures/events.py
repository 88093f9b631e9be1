"""Jump heights and release angles: measures of one frame of a track, the top of a jump or the moment of a release.

A jump is a time in which both ankles are higher than where they stand, by more than a tenth of the usual height of the
centre of mass above them, and by three standard deviations. They stand at the median height of the frames around the
flight. The way of the ankles in flight is a parabola, fitted to its frames by least squares; where it crosses the
height of standing, the flight begins and ends. The camera must not move.

jump height: the highest centre of mass of the flight above where it stood, which is where a quarter of the frames of
the two seconds before are higher. So it holds the rise onto the toes, about a tenth of a metre, which heights by force
plates do not. Pixels, or metres with a scale.

jump height by flight: g T² / 8 with the time T of the flight; metres, without any scale. It holds if the body lands as
it left, with legs as straight (Linthorne, Analysis of standing vertical jumps using a force platform, American Journal
of Physics 2001, who compares both heights). Landing with bent knees makes it too large.

release angle: the direction of a point's velocity above the horizontal, −90 to 90, in the frame of its highest speed
in the track. The picture's horizontal is taken for the true one.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int, Shaped

from trustpose.measures.error_over_time import difference_quantiles
from trustpose.measures.measurements import Measured, Measurements
from trustpose.measures.motions import FLIGHT, RELEASE, SPEED, Motion
from trustpose.measures.over_time import ONE_SIGMA, WINDOW, read_motion
from trustpose.measures.track_rows import TrackRows

GRAVITY = 9.81  # m/s²
_LOWEST = 90  # percentile of y near which ankles stand: a tenth of the frames is below
_AROUND = 0.5  # seconds before and after a flight in which they stand
_SHARE = 0.1  # of the height of the centre of mass above the ankles
_FRAMES = 4  # of a flight at least
_BEFORE = 2.0  # seconds before the flight in which the body stands
_NOT_TOP, _NOT_RELEASE = "not the top of a jump", "not the frame of the highest speed"


def read_event(
    motion: Motion, base: Measurements, tracks: TrackRows, *, window: float = WINDOW, smoothed: bool = False
) -> Measured:
    """Return a jump height or release angle: N rows, all but those of the event without a value. Arguments as for
    `read_motion`."""
    if motion.kind == RELEASE:
        return _release(motion, base, tracks, window, smoothed=smoothed)
    columns = _Columns.blank(motion, base, _NOT_TOP)
    ankles, centre = (base[part.name] for part in motion.parts)
    for start, end in zip(tracks.bounds[:-1], tracks.bounds[1:], strict=True):
        inside = slice(start, end)
        rows, seconds = tracks.row[inside], tracks.seconds[inside]
        for first, last in _flights(ankles, centre, rows):
            ground = _ground(ankles.value[rows], seconds, first, last)
            flight = np.arange(first, last)
            seen = flight[np.isfinite(ankles.value[rows[flight]]) & np.isfinite(centre.value[rows[flight]])]
            top = int(seen[np.argmin(centre.value[rows[seen]])])
            if motion.kind == FLIGHT:
                value, sd = _by_flight(ground - ankles.value[rows[seen]], ankles.sd[rows[seen]], seconds[seen])
            else:
                value, sd = _by_rise(centre, rows, seconds, first, top, smoothed=smoothed)
            columns.put(int(rows[top]), value, sd)
    return columns.measured()


class _Columns:
    """The columns of an event, filled row by row."""

    def __init__(self, motion: Motion, base: Measurements, reason: Shaped[np.ndarray, " N"]) -> None:
        self._motion, self._levels, self.reason = motion, base.levels, reason
        self._value, self._sd = np.full(len(base), np.nan), np.full(len(base), np.nan)

    @classmethod
    def blank(cls, motion: Motion, base: Measurements, reason: str) -> "_Columns":
        return cls(motion, base, np.full(len(base), reason, dtype=object))

    def put(self, row: int, value: float, sd: float) -> None:
        self._value[row], self._sd[row] = value, sd
        self.reason[row] = "" if np.isfinite(value) else "the flight is no parabola"

    def measured(self) -> Measured:
        from scipy.stats import norm

        half = norm.ppf((1 + np.array(self._levels)) / 2) * self._sd[:, None]
        low, high = self._value[:, None] - half, self._value[:, None] + half
        readable = self.reason == ""
        return Measured(self._motion, self._value, self._sd, np.maximum(low, 0), high, readable, self.reason)


def _ground(y: Float[np.ndarray, " T"], seconds: Float[np.ndarray, " T"], first: int, last: int) -> float:
    """Return the y at which the ankles stand, before and after a flight."""
    before = (seconds < seconds[first]) & (seconds >= seconds[first] - _AROUND)
    after = (seconds >= seconds[last]) & (seconds < seconds[last] + _AROUND)
    return float(np.mean([np.nanmedian(y[rows]) for rows in (before, after) if np.isfinite(y[rows]).any()]))


def _flights(ankles: Measured, centre: Measured, rows: Int[np.ndarray, " T"]) -> list[tuple[int, int]]:
    """Return first and last + 1 frame of each flight that has ground on both sides."""
    y = ankles.value[rows]
    if not np.isfinite(y).any():
        return []
    ground = float(np.nanpercentile(y, _LOWEST))
    height = np.nanmedian(y - centre.value[rows])
    noise = np.nanmedian(ankles.sd[rows]) * np.sqrt(2) if np.isfinite(ankles.sd[rows]).any() else 0.0
    jitter = noise * float(difference_quantiles([ONE_SIGMA], np.array([3]), of_point=True)[0, 0])
    is_up = np.nan_to_num(ground - y, nan=0.0) > max(_SHARE * height, 3 * jitter)
    edges = np.flatnonzero(np.diff(is_up.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    return [(start, end) for start, end in edges.tolist() if start > 0 and end < len(rows) and end - start >= _FRAMES]


def _by_flight(
    height: Float[np.ndarray, " F"], sd: Float[np.ndarray, " F"], seconds: Float[np.ndarray, " F"]
) -> tuple[float, float]:
    """Return g T² / 8 in metres and its standard deviation, from heights in flight, pixels, and their times."""
    middle = float(seconds.mean())
    powers = np.vander(seconds - middle, 3)  # t², t, 1
    solve = np.linalg.pinv(powers)
    a, b, c = solve @ height
    square = b * b - 4 * a * c
    if a >= 0 or square <= 0:
        return np.nan, np.nan
    root = np.sqrt(square)
    time = root / -a
    by_coefficient = np.array([2 * c / (a * root) + root / a**2, -b / (a * root), 2 / root])
    residual = height - powers @ (a, b, c)
    scatter = np.sqrt((residual**2).sum() / max(len(height) - 3, 1))
    jitter = sd * float(difference_quantiles([ONE_SIGMA], np.array([1]), of_point=True)[0, 0])
    each = np.maximum(np.nan_to_num(jitter), scatter)  # what changes from frame to frame
    of_time = float(np.sqrt(((by_coefficient @ solve * each) ** 2).sum()))
    return GRAVITY * time**2 / 8, GRAVITY * time / 4 * of_time if np.isfinite(sd).any() else np.nan


def _by_rise(
    centre: Measured, rows: np.ndarray, seconds: np.ndarray, first: int, top: int, *, smoothed: bool
) -> tuple[float, float]:
    """Return the rise of the centre of mass from where it stood, and its standard deviation, pixels."""
    standing = np.flatnonzero((seconds[:first] < seconds[first]) & (seconds[:first] > seconds[first] - _BEFORE))
    standing = standing[np.isfinite(centre.value[rows[standing]])]
    if not len(standing):
        return np.nan, np.nan
    # before it bends its knees: the upper half of the heights of that time
    level = float(np.percentile(centre.value[rows[standing]], 25))
    apart = np.array([max(1, top - int(standing[len(standing) // 2]))])
    sd = np.hypot(centre.sd[rows[top]], np.median(centre.sd[rows[standing]]))
    factor = float(difference_quantiles([ONE_SIGMA], apart, of_point=True, smoothed=smoothed)[0, 0])
    return level - float(centre.value[rows[top]]), float(sd * factor)


def _release(motion: Motion, base: Measurements, tracks: TrackRows, window: float, *, smoothed: bool) -> Measured:
    """Return the release angle in the frame of the highest speed of each track."""
    options = {"window": window, "smoothed": smoothed}
    speed = read_motion(replace(motion, kind=SPEED), base, tracks, **options)
    along, down = (
        read_motion(replace(motion, kind="velocity", parts=(part,)), base, tracks, **options) for part in motion.parts
    )
    columns = _Columns(motion, base, np.where(speed.reason == "", np.array(_NOT_RELEASE, dtype=object), speed.reason))
    angle = np.degrees(np.arctan2(-down.value, np.abs(along.value)))
    with np.errstate(divide="ignore", invalid="ignore"):
        sd = np.degrees(speed.sd / speed.value)
    for start, end in zip(tracks.bounds[:-1], tracks.bounds[1:], strict=True):
        rows = tracks.row[start:end]
        rows = rows[speed.readable[rows]]
        if len(rows):
            row = int(rows[np.argmax(speed.value[rows])])
            columns.put(row, float(angle[row]), float(sd[row]))
    measured = columns.measured()
    half = measured.high - measured.value[:, None]
    low = np.maximum(measured.value[:, None] - half, -90)
    return replace(measured, low=low, high=np.minimum(measured.high, 90))
