"""How well a score is calibrated: reliability curves, expected calibration error, Brier score.

Scores and targets are real numbers in 0–1: the target is a true OKS or OPKS, or 0/1 for a binary question. A score is
calibrated if people with score 0.7 have a mean target of 0.7.

    ECE = Σ_bins (n_bin / N) · |mean(score) − mean(target)|        Brier = mean((score − target)²)

ECE as in Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017, Eq. 3), with real-valued targets. Bins are
(low, high], the first one closed at both ends, as in that paper and in scikit-learn's `calibration_curve`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, Real

from trustpose.metrics.exact_sums import CalibrationSums
from trustpose.names import expected_one_of

Binning = Literal["equal-width", "equal-mass"]
BINNINGS: tuple[Binning, ...] = ("equal-width", "equal-mass")


@dataclass(frozen=True, eq=False)
class ReliabilityCurve:
    """Scores sorted into bins: mean score and mean target of each. Means are NaN for an empty bin."""

    edges: Float[np.ndarray, " bins_and_1"]
    count: Int[np.ndarray, " bins"]
    mean_score: Float[np.ndarray, " bins"]
    mean_target: Float[np.ndarray, " bins"]


def reliability_curve(
    score: Real[np.ndarray, " N"], target: Real[np.ndarray, " N"], bins: int = 15, binning: Binning = "equal-width"
) -> ReliabilityCurve:
    """Compute the reliability curve of scores (N,) against targets (N,), both 0–1.

    "equal-width" divides 0–1 into `bins` equal parts; "equal-mass" uses the quantiles of the scores, so that bins hold
    about the same number of rows. Equal scores always share a bin, so with many ties edges coincide and some bins stay
    empty. Raises ValueError if a score or target lies outside 0–1 or is NaN: map raw scores to 0–1 first.
    """
    edges = bin_edges(score, bins, binning)
    sums = reliability_sums(score, target, np.zeros(len(score), dtype=np.int64), 1, bins, binning)[0]  # (bins, 3)
    count = sums[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        means = sums[:, 1:] / count[:, None]
    return ReliabilityCurve(edges, count.astype(np.int64), means[:, 0], means[:, 1])


def expected_calibration_error(
    score: Real[np.ndarray, " N"], target: Real[np.ndarray, " N"], bins: int = 15, binning: Binning = "equal-width"
) -> float:
    """Compute ECE of scores (N,) against targets (N,), 0 (calibrated) to 1; NaN without rows. Raises as above."""
    score, target = _checked(score, target)
    sums = CalibrationSums(bin_edges(score, bins, binning)[1:-1])
    sums.add(score, target)
    return sums.ece()


def calibration_error_by_chance(score: Real[np.ndarray, " N"], target: Real[np.ndarray, " N"], bins: int = 15) -> float:
    """Return the ECE that a calibrated score with these scores and this spread of targets rarely exceeds (about one
    sample in forty): a bin's mean target is off by chance alone, by a normal error of standard deviation s/√n.

    s is the standard deviation of the targets in their bins, pooled; the error's absolute value then has mean √(2/π)
    s/√n and variance (1 − 2/π) s²/n, and the limit is the mean of ECE plus two standard deviations. Rows count as
    independent. NaN with no more rows than bins in use. Raises as `reliability_curve`.
    """
    score, target = _checked(score, target)
    bin_index = np.searchsorted(bin_edges(score, bins)[1:-1], score, side="left")
    count = np.bincount(bin_index, minlength=bins)
    used = count > 0
    freedom = len(score) - int(used.sum())
    if freedom <= 0:
        return float("nan")
    mean = np.bincount(bin_index, weights=target, minlength=bins) / np.maximum(count, 1)
    spread = np.sqrt(np.sum((target - mean[bin_index]) ** 2) / freedom)
    error = spread * np.sqrt(count[used]) / len(score)  # n/N · s/√n of each bin
    return float(np.sqrt(2 / np.pi) * error.sum() + 2 * np.sqrt((1 - 2 / np.pi) * np.sum(error**2)))


def brier_score(score: Real[np.ndarray, " N"], target: Real[np.ndarray, " N"]) -> float:
    """Compute the mean squared difference of scores (N,) and targets (N,), 0–1; NaN without rows. Raises as
    `reliability_curve`."""
    sums = CalibrationSums(np.zeros(0))
    sums.add(*_checked(score, target))
    return sums.brier()


def bin_edges(
    score: Real[np.ndarray, " N"], bins: int = 15, binning: Binning = "equal-width"
) -> Float[np.ndarray, " bins_and_1"]:
    """Return the bins + 1 edges of `reliability_curve`. Equal-mass edges are NaN without rows."""
    if bins < 1:
        raise ValueError(f"bins: expected 1 or more, got {bins}")
    if binning not in BINNINGS:
        raise ValueError(f"binning: {expected_one_of(BINNINGS, binning)}")
    fractions = np.linspace(0, 1, bins + 1)
    if binning == "equal-width":
        return fractions
    if len(score) == 0:
        return np.full(bins + 1, np.nan)
    return np.percentile(score, fractions * 100)  # in percent: rounding as in scikit-learn, so bins are identical


def reliability_sums(
    score: Real[np.ndarray, " N"],
    target: Real[np.ndarray, " N"],
    group: Int[np.ndarray, " N"],
    groups: int,
    bins: int = 15,
    binning: Binning = "equal-width",
) -> Float[np.ndarray, "G bins 3"]:
    """Compute per group (such as an image) and bin: rows, Σ score, Σ target (G, bins, 3); `group` is in 0..groups−1.

    The bins are those of all rows together. Sums over groups, with any weights, give ECE by `ece_from_sums`.
    """
    score, target = _checked(score, target)
    inner = bin_edges(score, bins, binning)[1:-1]
    bin_index = group * bins + np.searchsorted(
        inner, score, side="left"
    )  # side left: an edge belongs to the bin below it
    columns = (None, score, target)
    sums = [np.bincount(bin_index, weights=column, minlength=groups * bins).reshape(groups, bins) for column in columns]
    return np.stack(sums, axis=-1).astype(np.float64)


def ece_from_sums(sums: Float[np.ndarray, "*B bins 3"]) -> Float[np.ndarray, "*B"]:
    """Compute ECE (…) from rows, Σ score, Σ target per bin (…, bins, 3); NaN without rows."""
    gap = np.abs(sums[..., 1] - sums[..., 2]).sum(axis=-1)  # n_bin · |mean − mean|
    count = sums[..., 0].sum(axis=-1)
    return np.divide(gap, count, out=np.full(count.shape, np.nan), where=count > 0)


def brier_sums(
    score: Real[np.ndarray, " N"], target: Real[np.ndarray, " N"], group: Int[np.ndarray, " N"], groups: int
) -> Float[np.ndarray, "G 2"]:
    """Compute per group rows and Σ (score − target)² (G, 2), for `brier_from_sums`."""
    score, target = _checked(score, target)
    columns = (None, (score - target) ** 2)
    sums = [np.bincount(group, weights=column, minlength=groups) for column in columns]
    return np.stack(sums, axis=-1).astype(np.float64)


def brier_from_sums(sums: Float[np.ndarray, "*B 2"]) -> Float[np.ndarray, "*B"]:
    """Compute the Brier score (…) from rows and Σ (score − target)² (…, 2); NaN without rows."""
    count = sums[..., 0]
    return np.divide(sums[..., 1], count, out=np.full(count.shape, np.nan), where=count > 0)


def scale_to_unit(score: Float[np.ndarray, "*S"]) -> Float[np.ndarray, "*S"] | None:
    """Return scores on the 0–1 scale that a calibration error needs, or None if they are on another scale.

    Heatmap peaks overshoot 1 a little; if at most 1 % of the scores lie outside, by at most 0.1, they are clipped.
    """
    if not score.size or score.min() < -0.1 or score.max() > 1.1 or ((score < 0) | (score > 1)).mean() > 0.01:
        return None
    return np.clip(score, 0.0, 1.0)


def _checked(score: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    score, target = np.asarray(score, dtype=np.float64), np.asarray(target, dtype=np.float64)
    if score.shape != target.shape:
        raise ValueError(f"target: expected the score's shape {score.shape}, got {target.shape}")
    for name, values in (("score", score), ("target", target)):
        if not ((values >= 0) & (values <= 1)).all():
            span = f"{values.min():.6g} to {values.max():.6g}"
            raise ValueError(f"{name}: expected numbers in 0–1, got {span}; calibration has no meaning outside")
    return score, target
