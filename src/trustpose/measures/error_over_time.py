"""How far the difference of two readings of a track can be off: quantiles of differences of errors.

An error e of a reading stays in part from frame to frame. A row of a table is a distance h in frames; a cell is the
quantile, over held-out people and frames, of

    first:    |e(t + h) − e(t)| / √(s(t + h)² + s(t)²)
    second:   |e(t + h) − 2 e(t) + e(t − h)| / √(s(t + h)² + 4 s(t)² + s(t − h)²)

where s is the reading's own `sd`, half its interval of 68.27 %. With independent Gaussian errors the quantile of .6827
would be 1. Between the stored distances they are interpolated along log h; beyond the last one they stay. They were
counted as jitter per frame: a camera of more frames a second has as much of it from frame to frame.

Source: the bundled model on clips with known truth, in which a camera moves over labelled photos of `train`, with
noise, blur, an object that passes and trembling boxes (`python benchmarks/measures_over_time.py --fit --photos 60`).
What the intervals hold on other photos: https://trustpose.github.io/trustpose/benchmarks/measures.html. They are of
one network and of made-up movement: another estimator's jitter may be larger.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

LAGS = (1, 2, 3, 5, 8, 12)
SHARES = (0.5, 0.6827, 0.8, 0.9, 0.95)
TABLES: dict[str, list[list[float]]] = {  # by kind of reading and difference: rows by LAGS, columns by SHARES
    "as found, measure, first": [
        [0.231, 0.373, 0.529, 0.826, 1.276],
        [0.239, 0.389, 0.557, 0.892, 1.387],
        [0.246, 0.401, 0.578, 0.944, 1.493],
        [0.261, 0.429, 0.626, 1.058, 1.664],
        [0.279, 0.463, 0.682, 1.168, 1.817],
        [0.287, 0.476, 0.716, 1.22, 1.88],
    ],
    "as found, measure, second": [
        [0.239, 0.388, 0.552, 0.859, 1.287],
        [0.252, 0.409, 0.588, 0.948, 1.438],
        [0.263, 0.429, 0.626, 1.028, 1.554],
        [0.288, 0.482, 0.721, 1.219, 1.827],
        [0.318, 0.533, 0.806, 1.354, 2.012],
        [0.324, 0.546, 0.818, 1.37, 2.006],
    ],
    "as found, point, first": [
        [0.204, 0.34, 0.499, 0.835, 1.365],
        [0.215, 0.361, 0.537, 0.929, 1.549],
        [0.225, 0.379, 0.571, 1.015, 1.711],
        [0.248, 0.418, 0.64, 1.159, 1.942],
        [0.272, 0.467, 0.721, 1.305, 2.144],
        [0.286, 0.49, 0.758, 1.359, 2.196],
    ],
    "as found, point, second": [
        [0.211, 0.353, 0.522, 0.867, 1.381],
        [0.224, 0.38, 0.574, 0.993, 1.617],
        [0.237, 0.409, 0.631, 1.134, 1.835],
        [0.27, 0.475, 0.755, 1.363, 2.156],
        [0.309, 0.546, 0.871, 1.573, 2.438],
        [0.323, 0.564, 0.884, 1.543, 2.36],
    ],
    "smoothed, measure, first": [
        [0.088, 0.144, 0.202, 0.296, 0.398],
        [0.139, 0.223, 0.307, 0.45, 0.61],
        [0.163, 0.258, 0.36, 0.533, 0.738],
        [0.182, 0.292, 0.411, 0.622, 0.906],
        [0.203, 0.326, 0.462, 0.712, 1.052],
        [0.209, 0.34, 0.489, 0.765, 1.14],
    ],
    "smoothed, measure, second": [
        [0.055, 0.093, 0.135, 0.202, 0.279],
        [0.12, 0.194, 0.271, 0.39, 0.521],
        [0.155, 0.248, 0.344, 0.503, 0.68],
        [0.188, 0.302, 0.423, 0.644, 0.914],
        [0.215, 0.35, 0.504, 0.778, 1.141],
        [0.227, 0.366, 0.527, 0.82, 1.217],
    ],
    "smoothed, point, first": [
        [0.08, 0.13, 0.185, 0.276, 0.378],
        [0.127, 0.206, 0.289, 0.43, 0.597],
        [0.152, 0.246, 0.347, 0.522, 0.747],
        [0.177, 0.289, 0.412, 0.644, 0.946],
        [0.202, 0.334, 0.483, 0.76, 1.152],
        [0.218, 0.361, 0.522, 0.824, 1.263],
    ],
    "smoothed, point, second": [
        [0.046, 0.079, 0.115, 0.175, 0.242],
        [0.105, 0.172, 0.242, 0.354, 0.476],
        [0.14, 0.226, 0.318, 0.47, 0.65],
        [0.175, 0.287, 0.414, 0.643, 0.937],
        [0.211, 0.353, 0.515, 0.823, 1.235],
        [0.235, 0.387, 0.559, 0.891, 1.345],
    ],
}


def difference_quantiles(
    shares: Sequence[float],
    frames: Int[np.ndarray, " M"],
    *,
    of_point: bool = False,
    is_double: bool = False,
    smoothed: bool = False,
) -> Float[np.ndarray, "P M"]:
    """Return the quantiles of differences over so many frames, in units of √(Σ s²).

    Args:
        shares: of differences that are at most that, between 0 and 1.
        frames: (M,), between the readings.
        of_point: whether the readings are coordinates of a point, whose errors have heavier tails than angles and
            lengths.
        is_double: whether they are second differences.
        smoothed: whether the positions were smoothed.
    """
    name = ", ".join(
        ("smoothed" if smoothed else "as found", "point" if of_point else "measure", "second" if is_double else "first")
    )
    table = np.array(TABLES[name])  # (lags, shares)
    depth, asked = -np.log1p(-np.array(SHARES)), -np.log1p(-np.array(shares))
    by_lag = np.array([_quantile(asked, depth, row) for row in table])  # (lags, P)
    place = np.interp(np.log(np.maximum(frames, 1)), np.log(LAGS), np.arange(len(LAGS)))
    below = np.minimum(place.astype(np.int64), len(LAGS) - 2)
    part = (place - below)[:, None]
    return (by_lag[below] * (1 - part) + by_lag[below + 1] * part).T


def _quantile(asked: np.ndarray, depth: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Return a row's quantiles at other depths −log(1 − share): straight lines from 0, and beyond the last one."""
    slope = (row[-1] - row[-2]) / (depth[-1] - depth[-2])
    inside = np.interp(asked, np.r_[0.0, depth], np.r_[0.0, row])
    return np.where(asked > depth[-1], row[-1] + slope * (asked - depth[-1]), inside)
