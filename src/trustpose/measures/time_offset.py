"""How late one recording's clock is against another's: the shift at which their curves correlate best."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_GAP = 3.0  # of the usual steps: no value is interpolated across a longer gap
_FEWEST = 8  # readings of a curve
_SMALLEST_SHARE = 0.5  # of a curve's readings that a shift must leave

Curve = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float | None]
"""Times and values of a reference, times and values that are measured, and the full turn of an angle."""


@dataclass(frozen=True)
class TimeOffset:
    """How late the measured clock is.

    Attributes:
        seconds: by which the measured curves are late, after what `agree` was told; None where curves are too short or
            constant.
        correlation: Pearson's, mean over the curves, at that shift; None as before.
        correlation_unshifted: the same without a shift.
        is_at_edge: whether the best shift is the largest that was searched, so that it may be farther off.
        applied: the seconds by which the measured times were moved back.
    """

    seconds: float | None
    correlation: float | None
    correlation_unshifted: float | None
    is_at_edge: bool = False
    applied: float = 0.0


def interpolated(
    time: Float[np.ndarray, " R"], value: Float[np.ndarray, " R"], instants: Float[np.ndarray, " N"], turn: float | None
) -> Float[np.ndarray, " N"]:
    """Return values at other times, linearly between neighbours; NaN outside and in gaps of more than three steps.

    Args:
        time: (R,) seconds, ascending.
        value: (R,), NaN where there is none.
        instants: (N,) seconds.
        turn: of an angle, whose jumps by a turn are undone first; None for other values.
    """
    rows = np.isfinite(value)
    if rows.sum() < 2:
        return np.full(len(instants), np.nan)
    seconds, values = time[rows], value[rows]
    values = values if turn is None else np.unwrap(values, period=turn)
    step = float(np.median(np.diff(time)))
    inside = np.clip(instants, seconds[0], seconds[-1])
    right = np.clip(np.searchsorted(seconds, inside), 1, len(seconds) - 1)
    is_near = (np.abs(inside - instants) <= 0.01 * step) & (seconds[right] - seconds[right - 1] <= _GAP * step)
    return np.where(is_near, np.interp(inside, seconds, values), np.nan)


def find_time_offset(curves: Sequence[Curve], largest: float) -> TimeOffset:
    """Find the shift at which measured curves correlate best with their references.

    The mean of Pearson's correlations is computed for shifts of the finer step, and its peak refined by a parabola.

    Args:
        curves: of one clip, all on the same two clocks.
        largest: shift to search, either way, seconds.
    """
    curves = [curve for curve in curves if len(curve[0]) >= _FEWEST and len(curve[2]) >= _FEWEST]
    if not curves or largest <= 0:
        return TimeOffset(None, None, None)
    step = min(float(np.median(np.diff(time))) for curve in curves for time in (curve[0], curve[2]))
    count = int(largest / step)
    shifts = step * np.arange(-count, count + 1)
    scores = np.array([_mean_correlation(curves, shift) for shift in shifts])
    if not np.isfinite(scores).any():
        return TimeOffset(None, None, None)
    best = int(np.nanargmax(scores))
    is_at_edge = best in (0, len(scores) - 1)
    seconds, correlation = float(shifts[best]), float(scores[best])
    if not is_at_edge and np.isfinite(scores[best - 1 : best + 2]).all():
        before, peak, after = scores[best - 1 : best + 2]
        bend = before - 2 * peak + after
        if bend < 0:
            seconds += step * float(0.5 * (before - after) / bend)
    unshifted = float(scores[count]) if np.isfinite(scores[count]) else None
    return TimeOffset(seconds, correlation, unshifted, is_at_edge)


def _mean_correlation(curves: Sequence[Curve], shift: float) -> float:
    correlations = []
    for time, reference, instants, measured, turn in curves:
        shifted = interpolated(time, reference, instants - shift, turn)
        value = measured
        if turn is not None:
            value = measured - turn * np.round((measured - shifted) / turn)
        rows = np.isfinite(shifted) & np.isfinite(value)
        if rows.sum() < max(_FEWEST, _SMALLEST_SHARE * np.isfinite(measured).sum()):
            continue
        x, y = shifted[rows] - shifted[rows].mean(), value[rows] - value[rows].mean()
        scale = np.sqrt((x @ x) * (y @ y))
        if scale > 0:
            correlations.append(float(x @ y / scale))
    return float(np.mean(correlations)) if correlations else float("nan")
