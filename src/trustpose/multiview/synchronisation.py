"""How far the cameras' clips are shifted in time, from how fast each keypoint moves up and down in each view.

A joint that rises in the world rises in every upright camera, by its own number of pixels. So for each joint, and each
shift, the vertical speeds of two views are correlated, weighted by the trust of both; the shift with the highest mean
over joints wins, between frames by a parabola. All pairs of cameras together give one offset a camera (weighted least
squares). Needs neither the cameras' intrinsics nor their poses. Nobody has to be the same person everywhere, only the
most trusted one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

from trustpose.files import InputError
from trustpose.multiview.frames import positions_of, weights_of
from trustpose.multiview.recordings import read_recordings
from trustpose.poses import Poses

_FEWEST = 10  # speeds that two views have in common at a shift
_NEAR = 0.15  # of the people's height: farther nobody's joints move on average in a frame
_SMOOTH = 0.035  # seconds, σ: keypoints tremble from frame to frame
_PEAK = 0.3  # correlation below which nothing is known


@dataclass(frozen=True, eq=False)
class Shifts:
    """`offset` (V,): seconds to add to each camera's times, 0 for the first; `correlation` (V,): the highest of each
    with any other camera, -1 to 1; `pairs` (V, V): the shift of each pair alone, seconds, NaN where none was found."""

    offset: Float[np.ndarray, " V"]
    correlation: Float[np.ndarray, " V"]
    pairs: Float[np.ndarray, "V V"]


def synchronise(
    views: Sequence[Poses], fps: Sequence[float], weight: str = "trust", longest: float | None = None
) -> Shifts:
    """Return the shifts between cameras from their poses, `image_id` being the number of the frame.

    fps: frames a second of each camera; weight: "trust", "scores" or "none"; longest: shift to consider, seconds; by
    default half of the shortest clip. Raises ValueError naming the camera that fits no other.
    """
    rate = float(max(fps))
    signals = [
        _speeds(view, float(f), rate, weight, index) for index, (view, f) in enumerate(zip(views, fps, strict=True))
    ]
    count = len(views)
    max_lag = min(len(speed) for speed, _ in signals) / 2 if longest is None else longest * rate
    pairs, height = np.full((count, count), np.nan), np.full((count, count), np.nan)
    for a, b in combinations(range(count), 2):
        shift, peak = _shift(signals[a], signals[b], int(max_lag))
        if peak >= _PEAK:
            pairs[a, b], pairs[b, a] = shift / rate, -shift / rate
        height[a, b] = height[b, a] = peak
    correlation = np.array([np.nanmax(row) if np.isfinite(row).any() else np.nan for row in height])
    for camera in range(count):
        if not np.isfinite(pairs[camera]).any():
            raise ValueError(
                f"camera {camera + 1}: its people move differently from those of every other (correlation "
                f"{correlation[camera]:.2f}, expected above {_PEAK}); does it show the same scene?"
            )
    return Shifts(_offsets(pairs, height), correlation, pairs)


def _offsets(pairs: Float[np.ndarray, "V V"], height: Float[np.ndarray, "V V"]) -> Float[np.ndarray, " V"]:
    """Return the offset of each camera against the first that agrees best with the pairs. Raises ValueError if the
    pairs do not connect all cameras."""
    count = len(pairs)
    rows, values = [], []
    for a, b in combinations(range(count), 2):
        if np.isfinite(pairs[a, b]):
            row = np.zeros(count)
            row[b], row[a] = height[a, b], -height[a, b]
            rows.append(row)
            values.append(pairs[a, b] * height[a, b])
    system = np.array(rows)[:, 1:]
    if np.linalg.matrix_rank(system) < count - 1:
        raise ValueError("the people of some cameras move alike, but differently from those of the rest")
    return np.concatenate([[0.0], np.linalg.lstsq(system, np.array(values), rcond=None)[0]])


def _speeds(
    view: Poses, fps: float, rate: float, weight: str, index: int
) -> tuple[Float[np.ndarray, "T K"], Float[np.ndarray, "T K"]]:
    """Return the vertical speeds (T, K), in people's sizes a second, and weights, at the times 0, 1/rate, 2/rate …"""
    if view.image_id is None:
        raise ValueError(f"view {index}: Poses.image_id is None, the frames' numbers are unknown")
    positions, trust = positions_of(view), weights_of(view, weight, index)
    frames = int(view.image_id.max()) + 1 if len(view) else 0
    size = (
        np.nanmedian(np.nanmax(positions[..., 1], axis=1) - np.nanmin(positions[..., 1], axis=1)) if len(view) else 1.0
    )
    size = max(float(size), 1.0)
    rows = [np.flatnonzero(view.image_id == frame) for frame in range(frames)]
    speed, both = np.zeros((max(frames - 1, 0), positions.shape[1])), np.zeros((max(frames - 1, 0), positions.shape[1]))
    for frame in range(frames - 1):
        for row, earlier in _linked(positions, rows[frame + 1], rows[frame], size):
            step = positions[row, :, 1] - positions[earlier, :, 1]
            weights = np.where(np.isfinite(step), np.minimum(trust[row], trust[earlier]), 0.0)
            speed[frame] += weights * np.nan_to_num(step)
            both[frame] = np.maximum(both[frame], weights)
    speed = speed / np.maximum(both, 1e-9) * fps / size
    spread = _SMOOTH * fps  # frames
    smooth = gaussian_filter1d(both, spread, axis=0)
    speed = gaussian_filter1d(speed * both, spread, axis=0) / np.maximum(smooth, 1e-9)
    own_times = (np.arange(len(speed)) + 0.5) / fps
    times = np.arange(int(frames / fps * rate)) / rate + 0.5 / rate
    columns = range(speed.shape[1])
    return (
        np.stack([np.interp(times, own_times, speed[:, k], 0.0, 0.0) for k in columns], axis=1),
        np.stack([np.interp(times, own_times, smooth[:, k], 0.0, 0.0) for k in columns], axis=1),
    )


def _linked(positions: np.ndarray, rows: np.ndarray, earlier_rows: np.ndarray, size: float) -> list[tuple[int, int]]:
    """Return the rows of people who are near where somebody was a frame earlier, and that row."""
    pairs = []
    for row in rows:
        with np.errstate(invalid="ignore"):
            away = np.linalg.norm(positions[earlier_rows] - positions[row], axis=2)
        is_known = np.isfinite(away)
        mean = np.where(is_known, away, 0).sum(axis=1) / np.maximum(is_known.sum(axis=1), 1)
        mean = np.where(is_known.sum(axis=1) >= 3, mean, np.inf)
        if len(mean) and mean.min() < _NEAR * size:
            pairs.append((int(row), int(earlier_rows[mean.argmin()])))
    return pairs


def _shift(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray], max_lag: int) -> tuple[float, float]:
    """Return how many samples to add to b's times, so that it fits a, and the correlation there; NaN without any."""
    lags = np.arange(-max_lag, max_lag + 1)
    score = np.array([_correlation(a, b, int(lag)) for lag in lags])
    if not np.isfinite(score).any():
        return np.nan, np.nan
    best = int(np.nanargmax(score))
    part = 0.0
    if 0 < best < len(lags) - 1 and np.isfinite(score[best - 1 : best + 2]).all():
        before, peak, after = score[best - 1 : best + 2]
        curve = before - 2 * peak + after
        part = float(0.5 * (before - after) / curve) if curve < 0 else 0.0
    return float(lags[best] + part), float(score[best])


def _correlation(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray], lag: int) -> float:
    """Return the weighted correlation of speeds, b's sample t being at a's t + lag; NaN with too few in common."""
    start, end = max(0, lag), min(len(a[0]), len(b[0]) + lag)
    if end - start < _FEWEST:
        return np.nan
    speeds_a, speeds_b = a[0][start:end], b[0][start - lag : end - lag]
    weight = a[1][start:end] * b[1][start - lag : end - lag]
    if (weight > 0).sum() < _FEWEST:
        return np.nan
    total = np.maximum(weight.sum(axis=0), 1e-12)
    speeds_a = speeds_a - (weight * speeds_a).sum(axis=0) / total
    speeds_b = speeds_b - (weight * speeds_b).sum(axis=0) / total
    power = np.sqrt((weight * speeds_a**2).sum() * (weight * speeds_b**2).sum())
    return float((weight * speeds_a * speeds_b).sum() / power) if power > 0 else np.nan


def synchronise_results(
    results: Sequence[Path],
    longest: float | None = None,
    *,
    fps: str | None,
    weight: str = "auto",
    skeleton: str | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> tuple[list[float], Shifts]:
    """Find the time between the clips of cameras that saw the same people move.

    Args:
        results: the poses of each camera.
        longest: shift that is considered, seconds; None: half a clip.
        fps, weight, skeleton: see `recordings.read_recordings`.
        note: is called with what the user should know of the files.

    Returns:
        The frames a second of each camera, and the shifts.

    Raises:
        InputError: naming the file or option at fault.
    """
    if len(results) < 2:
        raise InputError(f"RESULTS: expected the poses of two cameras or more, got {len(results)}")
    recordings = read_recordings(results, skeleton=skeleton, fps=fps, weight=weight)
    if recordings.fps is None:
        raise InputError("--fps: expected the cameras' frame rates, which offsets in seconds need")
    for text in recordings.notes:
        note(text)
    try:
        return recordings.fps, synchronise(recordings.views, recordings.fps, recordings.weight, longest)
    except ValueError as error:
        raise InputError(str(error)) from None
