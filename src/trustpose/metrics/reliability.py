"""How well scores predict outcomes: calibration error and Brier score, then correlation.

Each comes as a function of arrays; as a class of exact sums that batches of a stream add up to, in any order
(`CalibrationSums`, `PearsonSums`); and as sums of each photo, from which draws of photos follow (`…_sums` and
`…_from_sums`). At the end the exact summation itself.

Scores and targets are real numbers in 0–1: the target is a true OKS or OPKS, or 0/1 for a binary question. A score is
calibrated if people with score 0.7 have a mean target of 0.7.

    ECE = Σ_bins (n_bin / N) · |mean(score) − mean(target)|        Brier = mean((score − target)²)

ECE as in Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017, Eq. 3), with real-valued targets. Bins
are (low, high], the first one closed at both ends, as in that paper and in scikit-learn's `calibration_curve`.

Pearson's and Spearman's correlation, plain, weighted and from sums. The HPCVNet poster and the OKS-Net paper report
the correlation of a printed score with the true OKS or OPKS. An integer weight w means that a row occurs w times, as
in a bootstrap over images. An undefined correlation (fewer than two rows, one side constant, a value that is not
finite) is NaN, without a warning.

Exact sums of floating-point numbers: the same to the last bit in any order and in any pieces. A double is a whole
number times a power of two, so that sums are kept as Python integers in units of 2^−1126, and are rounded once, where
a number is reported. So an audit in batches gives the numbers of an audit at once. The technique is the
superaccumulator of Kulisch, "Computer Arithmetic and Validity" (2008), chapter 8; products are split without error as
in Dekker, "A floating-point technique for extending the available precision" (1971).
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, Real

from trustpose.metrics.rank_correlation import RankedPairs
from trustpose.names import expected_one_of

Binning = Literal["equal-width", "equal-mass"]
BINNINGS: tuple[Binning, ...] = ("equal-width", "equal-mass")
UNIT = 1126  # exact sums are in units of 2^-UNIT: the last bit of the smallest double, 2^-1074, written with 53 bits
_NUMBERS_AT_A_TIME = 2**16  # they fit into the processor's cache, and sums of halves into a double
_HALF = 26  # bits of the lower half of a mantissa
_SPLIT = 2.0**27 + 1  # Dekker's: divides a double into two halves whose products are exact


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
    """Compute ECE of scores (N,) against targets (N,), 0 (calibrated) to 1; NaN without rows. Raises as
    `reliability_curve`."""
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


class CalibrationSums:
    """The sums behind ECE and Brier score in each of G groups, exact; batches add up in any order.

    Bins are those of `reliability_curve`: (low, high], cut at `inner` (bins − 1,). Scores are clipped to 0–1; whether
    they are on that scale is known only when all have been added (`is_on_scale`).
    """

    def __init__(self, inner: Float[np.ndarray, " b"], groups: int = 1) -> None:
        self._inner, self._bins = inner, len(inner) + 1
        self.count = np.zeros(groups, np.int64)
        self.outside = np.zeros(groups, np.int64)
        self.lowest, self.highest = np.full(groups, np.inf), np.full(groups, -np.inf)
        self._gaps = [0] * (groups * self._bins)  # Σ score − Σ target of each group and bin
        self._squares = [0] * groups

    def add(
        self, score: Real[np.ndarray, " N"], target: Real[np.ndarray, " N"], group: Int[np.ndarray, " N"] | None = None
    ) -> None:
        """Count scores (N,) with their targets (N,) in their groups, all in the first if None."""
        groups = len(self.count)
        group_index = np.zeros(len(score), np.int64) if group is None else group
        score = np.asarray(score, np.float64)
        self.count += np.bincount(group_index, minlength=groups)
        self.outside += np.bincount(group_index[(score < 0) | (score > 1)], minlength=groups)
        np.minimum.at(self.lowest, group_index, score)
        np.maximum.at(self.highest, group_index, score)
        score = np.clip(score, 0.0, 1.0)
        bins = group_index * self._bins + np.searchsorted(self._inner, score, side="left")
        for sign, column in ((1, score), (-1, np.asarray(target, np.float64))):
            for index, total in enumerate(exact_sums(column, bins, len(self._gaps))):
                self._gaps[index] += sign * total
        for index, total in enumerate(exact_sums((score - target) ** 2, group_index, groups)):
            self._squares[index] += total

    def together(self) -> "CalibrationSums":
        """Return the sums of all groups as one."""
        sums = CalibrationSums(self._inner)
        sums.count, sums.outside = self.count.sum(keepdims=True), self.outside.sum(keepdims=True)
        sums.lowest, sums.highest = self.lowest.min(keepdims=True), self.highest.max(keepdims=True)
        sums._gaps = [sum(self._gaps[bin_index :: self._bins]) for bin_index in range(self._bins)]
        sums._squares = [sum(self._squares)]
        return sums

    def ece(self, group: int = 0) -> float:
        """Return the expected calibration error of a group, 0–1; NaN without rows."""
        gaps = self._gaps[group * self._bins : (group + 1) * self._bins]
        return mean_of(sum(map(abs, gaps)), int(self.count[group]))

    def brier(self, group: int = 0) -> float:
        """Return the mean squared difference of a group, 0–1; NaN without rows."""
        return mean_of(self._squares[group], int(self.count[group]))

    def is_on_scale(self, group: int = 0) -> bool:
        """Return whether the scores are on the scale 0–1, as `scale_to_unit` decides."""
        n = int(self.count[group])
        return (
            n > 0
            and bool(self.lowest[group] >= -0.1 and self.highest[group] <= 1.1)
            and bool(self.outside[group] / n <= 0.01)
        )


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
    # side left: an edge belongs to the bin below it
    bin_index = group * bins + np.searchsorted(inner, score, side="left")
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
    pairs = RankedPairs()
    pairs.add(x, y, np.arange(len(x)))
    return pairs.spearman(weight.astype(np.int64))


def average_opks_pearson(score: Real[np.ndarray, "N K"], opks: Real[np.ndarray, "N K"]) -> float:
    """Compute the HPCVNet poster's "Avg. OPKS Corr Coe": r of a pose's mean keypoint score with its mean OPKS.

    Both means run over all K keypoints; an unlabelled one counts with its score and with OPKS 0. The poster does not
    state this; on real predictions this interpretation agrees with the poster's 0.897.
    """
    return pearson(score.mean(axis=1), opks.mean(axis=1))


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


class PearsonSums:
    """The sums behind Pearson's r of pairs (x, y) in each of G groups, exact; batches add up in any order."""

    def __init__(self, groups: int = 1) -> None:
        self.count = np.zeros(groups, np.int64)
        self._sums = [[0] * 5 for _ in range(groups)]  # x, y, xx, yy, xy; products in units of 2^-UNIT too
        self._is_finite = np.ones(groups, dtype=bool)

    def add(
        self, x: Real[np.ndarray, " N"], y: Real[np.ndarray, " N"], group: Int[np.ndarray, " N"] | None = None
    ) -> None:
        """Count pairs (N,), |x| and |y| at most 1e140, in their groups, all in the first if None."""
        groups = len(self.count)
        group_index = np.zeros(len(x), np.int64) if group is None else group
        self.count += np.bincount(group_index, minlength=groups)
        is_finite = np.isfinite(x) & np.isfinite(y)
        if not is_finite.all():
            self._is_finite[np.unique(group_index[~is_finite])] = False
            x, y, group_index = x[is_finite], y[is_finite], group_index[is_finite]
        for start in range(0, len(x), _NUMBERS_AT_A_TIME):
            part = slice(start, start + _NUMBERS_AT_A_TIME)
            x_part, y_part = np.asarray(x[part], np.float64), np.asarray(y[part], np.float64)
            terms = (
                [x_part],
                [y_part],
                exact_products(x_part, x_part),
                exact_products(y_part, y_part),
                exact_products(x_part, y_part),
            )
            for term, columns in enumerate(terms):
                for column in columns:
                    for number, total in enumerate(exact_sums(column, group_index[part], groups)):
                        self._sums[number][term] += total

    def together(self) -> "PearsonSums":
        """Return the sums of all groups as one."""
        sums = PearsonSums()
        sums.count = self.count.sum(keepdims=True)
        sums._sums = [[sum(column) for column in zip(*self._sums, strict=True)]]
        sums._is_finite = np.array([bool(self._is_finite.all())])
        return sums

    def pearson(self) -> Float[np.ndarray, " G"]:
        """Return r of each group, −1 to 1; NaN where undefined, as of the function `pearson`."""
        return np.array([
            _pearson(int(n), *sums) if n >= 2 and is_finite else np.nan
            for n, sums, is_finite in zip(self.count, self._sums, self._is_finite, strict=True)
        ])  # fmt: skip


def _pearson(n: int, x: int, y: int, xx: int, yy: int, xy: int) -> float:
    """Return r from exact sums, in which only its square and the root of that are rounded."""
    covariance = n * (xy << UNIT) - x * y
    variances = (n * (xx << UNIT) - x * x) * (n * (yy << UNIT) - y * y)
    if variances <= 0:
        return float("nan")
    magnitude = float(Fraction(covariance * covariance, variances)) ** 0.5
    return float(np.clip(magnitude if covariance >= 0 else -magnitude, -1, 1))


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


def _standardised(x: np.ndarray) -> np.ndarray:
    if x.min() == x.max():
        return np.zeros_like(x)  # exactly 0 for constants, despite the rounding of the mean
    x = _centred(x, np.ones_like(x))
    deviation = x.std()
    return x / deviation if deviation > 0 else x


def _centred(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return x minus its weighted mean, scaled to at most 1; scaled before summing too, so that nothing overflows."""
    x = x / np.abs(x).max()
    x = x - (weight @ x) / weight.sum()
    largest = np.abs(x).max()
    return x / largest if largest > 0 else x


def exact_sums(
    values: Real[np.ndarray, " N"], group: Int[np.ndarray, " N"] | None = None, groups: int = 1
) -> list[int]:
    """Return the sum of finite values (N,) in each group, 0..groups−1 (all in one if None), in units of 2^-`UNIT`."""
    totals = [0] * groups
    for start in range(0, len(values), _NUMBERS_AT_A_TIME):
        part = np.asarray(values[start : start + _NUMBERS_AT_A_TIME], dtype=np.float64)
        group_index = np.zeros(len(part), np.int64) if group is None else group[start : start + _NUMBERS_AT_A_TIME]
        mantissa, exponent = np.frexp(part)
        lowest = int(exponent.min())
        width = int(exponent.max()) - lowest + 1
        whole = np.ldexp(mantissa, 53)
        high = np.floor(np.ldexp(whole, -_HALF))
        low = whole - np.ldexp(high, _HALF)
        cell = group_index * width + (exponent - lowest)
        sums = [np.bincount(cell, weights=half, minlength=groups * width) for half in (high, low)]
        for index in np.flatnonzero((sums[0] != 0) | (sums[1] != 0)).tolist():
            power = index % width + lowest - 53 + UNIT
            totals[index // width] += ((int(sums[0][index]) << _HALF) + int(sums[1][index])) << power
    return totals


def exact_products(x: Float[np.ndarray, " N"], y: Float[np.ndarray, " N"]) -> tuple[np.ndarray, np.ndarray]:
    """Return x·y (N,) rounded, and what rounding left: their sum is the exact product, for numbers of 1e-140 to
    1e140."""
    product = x * y
    x_high, y_high = (_SPLIT * number - (_SPLIT * number - number) for number in (x, y))
    x_low, y_low = x - x_high, y - y_high
    remainder = ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low
    return product, remainder


def mean_of(total: int, count: int) -> float:
    """Return a sum in units of 2^-`UNIT` over a count, correctly rounded; NaN for a count of 0."""
    return float(Fraction(total, count << UNIT)) if count else float("nan")
