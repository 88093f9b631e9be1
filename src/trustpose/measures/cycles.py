"""Cycles of a movement, such as strides and repetitions: where they begin, and their curves over 0–100 %."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from scipy.signal import find_peaks

from trustpose.files import InputError
from trustpose.measures.paired_readings import PairedReadings
from trustpose.measures.time_offset import interpolated

POINTS = 101
"""Points of a cycle's curve: every percent from 0 to 100."""
_SHORTEST = 0.25  # seconds of a cycle that is looked for
_REPEATS = 0.3  # autocorrelation from which a curve is said to repeat
_PROMINENCE = 0.35  # of a curve's range between the 5th and the 95th percentile
_FEWEST = 20  # readings of a curve
_CLOSEST = 0.6  # of the period, between the beginnings of two cycles

Starts = dict[int, np.ndarray]
"""Beginnings of the cycles of each series, seconds on the reference's clock, the last one's end included."""


@dataclass(frozen=True, eq=False)
class Cycles:
    """C cycles of one measure, of all series.

    Attributes:
        reference, measured: (C, 101), the curves at 0, 1, … 100 % of each cycle.
        series: (C,), of which each is.
    """

    reference: Float[np.ndarray, "C 101"]
    measured: Float[np.ndarray, "C 101"]
    series: np.ndarray

    def __len__(self) -> int:
        return len(self.reference)


def cycle_starts(measures: Sequence[PairedReadings], cycles: str | Sequence[float]) -> tuple[Starts, str]:
    """Find where the cycles of each series begin.

    Args:
        measures: the pairs of each measure.
        cycles: "auto" cuts at the peaks of the reference's curve that repeats best, another name at those of that
            measure; or the seconds at which cycles begin, and the last one ends, on the reference's clock.

    Returns:
        The beginnings, and how they were found, in words.

    Raises:
        InputError: for an unknown measure, for fewer than two seconds, or where no curve repeats.
    """
    timed = [pairs for pairs in measures if np.isfinite(pairs.time).all() and len(pairs)]
    if not timed:
        raise InputError("cycles: expected files that pair by time")
    if not isinstance(cycles, str):
        seconds = np.unique(np.asarray(cycles, dtype=np.float64))
        if len(seconds) < 2 or not np.isfinite(seconds).all():
            raise InputError("cycles: expected at least two seconds, where the first cycle begins and ends")
        numbers = np.unique(np.concatenate([pairs.series for pairs in timed]))
        return dict.fromkeys(numbers.tolist(), seconds), f"{len(seconds) - 1} cycles at times that were named"
    names = [pairs.name for pairs in timed]
    if cycles == "auto":
        chosen = max(timed, key=_repetition)
    elif cycles in names:
        chosen = timed[names.index(cycles)]
    else:
        raise InputError(f"cycles: unknown measure {cycles!r}, expected auto, seconds, or one of {', '.join(names)}")
    starts = {}
    for number in np.unique(chosen.series).tolist():
        rows = chosen.series == number
        peaks = _peaks(chosen.time[rows], chosen.reference[rows])
        if len(peaks) > 1:
            starts[number] = peaks
    if not starts:
        raise InputError(f"cycles: the reference's {chosen.name} does not repeat, expected seconds or another measure")
    count = sum(len(seconds) - 1 for seconds in starts.values())
    return starts, f"{count} cycles between peaks of the reference's {chosen.name}"


def cut(pairs: PairedReadings, starts: Starts) -> Cycles:
    """Return a measure's cycles: those without a gap in either curve."""
    references, measurements, series = [], [], []
    share = np.linspace(0, 1, POINTS)
    for number, seconds in starts.items():
        rows = pairs.series == number
        for start, end in pairwise(seconds):
            instants = start + share * (end - start)
            curves = [
                interpolated(pairs.time[rows], value[rows], instants, None)
                for value in (pairs.reference, pairs.measured)
            ]
            if np.isfinite(curves).all():
                references.append(curves[0])
                measurements.append(curves[1])
                series.append(number)
    empty = np.zeros((0, POINTS))
    return Cycles(
        np.array(references) if references else empty,
        np.array(measurements) if measurements else empty,
        np.array(series, int),
    )


def _repetition(pairs: PairedReadings) -> float:
    """Return the highest autocorrelation of the reference after its first zero, mean over series."""
    scores = []
    for number in np.unique(pairs.series):
        rows = pairs.series == number
        _, _, height = _period(pairs.time[rows], pairs.reference[rows])
        scores.append(height)
    return float(np.mean(scores))


def _period(time: np.ndarray, value: np.ndarray) -> tuple[float, int, float]:
    """Return step, period in steps and its autocorrelation; 0 and 0 where the curve does not repeat."""
    if len(time) < _FEWEST:
        return 0.0, 0, 0.0
    step = float(np.median(np.diff(time)))
    grid = np.arange(time[0], time[-1] + step / 2, step)
    curve = np.interp(grid, time, value)
    curve = curve - curve.mean()
    power = float(curve @ curve)
    if power <= 0:
        return step, 0, 0.0
    size = len(curve)
    correlation = np.fft.irfft(np.abs(np.fft.rfft(curve, 2 * size)) ** 2)[:size]
    correlation *= size / power / (size - np.arange(size))  # a mean over the overlap
    negative = np.flatnonzero(correlation < 0)
    first = max(int(negative[0]) if len(negative) else size, int(_SHORTEST / step))
    inside = correlation[first : size // 2 + 1]
    if not len(inside) or inside.max() < _REPEATS:
        return step, 0, 0.0
    best = int(np.flatnonzero(inside >= 0.9 * inside.max())[0])
    while best + 1 < len(inside) and inside[best + 1] > inside[best]:
        best += 1
    return step, first + best, float(inside[best])


def _peaks(time: np.ndarray, value: np.ndarray) -> np.ndarray:
    step, period, _ = _period(time, value)
    if not period:
        return np.zeros(0)
    grid = np.arange(time[0], time[-1] + step / 2, step)
    curve = np.interp(grid, time, value)
    spread = float(np.diff(np.percentile(curve, (5, 95)))[0])
    peaks, _ = find_peaks(curve, distance=max(1, int(_CLOSEST * period)), prominence=_PROMINENCE * spread)
    return grid[peaks]
