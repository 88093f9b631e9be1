"""Pearson's and Spearman's correlation, plain, weighted and from sums.

The HPCVNet poster and the OKS-Net paper report the correlation of a printed score with the true OKS or OPKS. An integer
weight w means that a row occurs w times, as in a bootstrap over images. An undefined correlation (fewer than two rows,
one side constant, a value that is not finite) is NaN, without a warning.
"""

import numpy as np
from jaxtyping import Float, Int, Real

from trustpose.metrics.exact_sums import PearsonSums


def pearson(
    x: Real[np.ndarray, " N"], y: Real[np.ndarray, " N"], weights: Int[np.ndarray, " N"] | None = None
) -> float:
    """Compute Pearson's r of x and y, −1 to 1, each row counted `weights` times (once if None).

    NaN with fewer than two counted rows, if either side is constant over them, or if a counted value is not finite.
    Raises ValueError if the lengths differ or a weight is negative.
    """
    x, y, weight = _counted_rows(x, y, weights)
    if weight.sum() < 2 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return float("nan")
    if weights is not None:
        x, y = np.repeat(x, weight.astype(np.int64)), np.repeat(y, weight.astype(np.int64))
    sums = PearsonSums()
    sums.add(_within_range(x), _within_range(y))
    return float(sums.pearson()[0])


def spearman(
    x: Real[np.ndarray, " N"], y: Real[np.ndarray, " N"], weights: Int[np.ndarray, " N"] | None = None
) -> float:
    """Compute Spearman's ρ of x and y, −1 to 1: Pearson's r of their ranks, where ties get their mean rank.

    Weights, NaN and errors as in `pearson`, except that infinities have a rank and only NaN has none.
    """
    x, y, weight = _counted_rows(x, y, weights)
    if np.isnan(x).any() or np.isnan(y).any():
        return float("nan")
    return spearman_from_levels(levels(x), levels(y), weight)


def average_opks_pearson(score: Real[np.ndarray, "N K"], opks: Real[np.ndarray, "N K"]) -> float:
    """Compute the HPCVNet poster's "Avg. OPKS Corr Coe": r of a pose's mean keypoint score with its mean OPKS.

    Both means run over all K keypoints; an unlabelled one counts with its score and with OPKS 0. The poster does not
    state this; on real predictions this interpretation agrees with the poster's 0.897.
    """
    return pearson(score.mean(axis=1), opks.mean(axis=1))


def levels(x: Real[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
    """Return for every row the index of its value among the sorted distinct values, from which ranks follow."""
    return np.unique(x, return_inverse=True)[1].reshape(-1)


def spearman_from_levels(
    level_x: Int[np.ndarray, " N"], level_y: Int[np.ndarray, " N"], weight: Float[np.ndarray, " N"]
) -> float:
    """Compute Spearman's ρ with rows counted `weight` times (integers), from the `levels` of both sides.

    Sorting happens once, in `levels`; each call is linear in N, so a bootstrap of a thousand replicates is cheap.
    """
    n = weight.sum()
    if n < 2:
        return float("nan")
    rank_x, sum_xx = _centred_mid_ranks(level_x, weight, n)
    rank_y, sum_yy = _centred_mid_ranks(level_y, weight, n)
    if sum_xx == 0 or sum_yy == 0:
        return float("nan")
    # No matrix product here: for so little work its threads would wait longer than they compute.
    sum_xy = (weight * rank_x * rank_y).sum()
    return float(np.clip(sum_xy / (np.sqrt(sum_xx) * np.sqrt(sum_yy)), -1, 1))


def pearson_sums(
    x: Real[np.ndarray, " N"], y: Real[np.ndarray, " N"], group: Int[np.ndarray, " N"], groups: int
) -> Float[np.ndarray, "G 6"]:
    """Compute per group (such as an image) the sums of 1, x, y, x², y², xy over its rows (G, 6); `group` is in
    0..groups−1.

    x and y are first standardised by their overall mean and deviation, which does not change r but reduces rounding
    errors. Sums of groups, with any weights, give r by `pearson_from_sums`. NaN throughout if a value is not finite.
    """
    x, y, _ = _counted_rows(x, y, None)
    if len(x) == 0:
        return np.zeros((groups, 6))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return np.full((groups, 6), np.nan)
    x, y = _standardised(x), _standardised(y)
    columns = (np.ones_like(x), x, y, x * x, y * y, x * y)
    return np.stack([np.bincount(group, weights=column, minlength=groups) for column in columns], axis=1)


def pearson_from_sums(sums: Float[np.ndarray, "*B 6"]) -> Float[np.ndarray, "*B"]:
    """Compute Pearson's r (…) from sums of 1, x, y, x², y², xy (…, 6); NaN if undefined."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance_x, variance_y = xx / n - (x / n) ** 2, yy / n - (y / n) ** 2
        r = (xy / n - (x / n) * (y / n)) / np.sqrt(variance_x * variance_y)
        # The variance of a constant side is rounding only, a few 1e-16 of the mean square.
        defined = (n >= 2) & (variance_x > 1e-13 * xx / n) & (variance_y > 1e-13 * yy / n)
    return np.where(defined, np.clip(r, -1, 1), np.nan)


def _counted_rows(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x, y and weights as float64, without rows of weight 0."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"x and y: expected two arrays of one length, got shapes {x.shape} and {y.shape}")
    if weights is None:
        return x, y, np.ones(len(x))
    if weights.shape != x.shape:
        raise ValueError(f"weights: expected shape {x.shape}, got {weights.shape}")
    if (weights < 0).any():
        raise ValueError(f"weights: expected counts of 0 or more, got {weights.min()}")
    counted = weights > 0
    return x[counted], y[counted], weights[counted].astype(np.float64)


def _within_range(x: np.ndarray) -> np.ndarray:
    """Return x; divided by a power of two, which does not change r, if its squares would be no normal numbers."""
    largest = np.abs(x).max()
    if 1e-60 < largest < 1e60 or largest == 0:
        return x
    return np.ldexp(x, -int(np.frexp(largest)[1]))


def _centred(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return x minus its weighted mean, scaled to at most 1; scaled before summing too, so that nothing overflows."""
    x = x / np.abs(x).max()
    x = x - (weight @ x) / weight.sum()
    largest = np.abs(x).max()
    return x / largest if largest > 0 else x


def _standardised(x: np.ndarray) -> np.ndarray:
    if x.min() == x.max():
        return np.zeros_like(x)  # exactly 0 for constants, despite the rounding of the mean
    x = _centred(x, np.ones_like(x))
    deviation = x.std()
    return x / deviation if deviation > 0 else x


def _centred_mid_ranks(level: np.ndarray, weight: np.ndarray, n: float) -> tuple[np.ndarray, float]:
    """Return each row's mid-rank minus the mean rank (n+1)/2, and the weighted sum of squares; exact in halves."""
    count = np.bincount(level, weights=weight)  # rows at each level
    rank = np.cumsum(count) - count / 2 - n / 2  # before + (count + 1) / 2 − (n + 1) / 2
    return rank[level], float((count * rank * rank).sum())
