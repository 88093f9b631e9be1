"""Exact sums of floating-point numbers: the same to the last bit in any order and in any pieces.

A double is a whole number times a power of two, so that sums are kept as Python integers in units of 2^−1126, and are
rounded once, where a number is reported. So an audit in batches gives the numbers of an audit at once. The technique is
the superaccumulator of Kulisch, "Computer Arithmetic and Validity" (2008), chapter 8; products are split without error
as in Dekker, "A floating-point technique for extending the available precision" (1971).
"""

from fractions import Fraction

import numpy as np
from jaxtyping import Float, Int, Real

UNIT = 1126  # sums are in units of 2^-UNIT: the last bit of the smallest double, 2^-1074, written with 53 bits
_HALF = 26  # bits of the lower half of a mantissa
_AT_ONCE = 2**16  # numbers at a time: they fit into the processor's cache, and sums of halves into a double
_SPLIT = 2.0**27 + 1


def exact_sums(
    values: Real[np.ndarray, " N"], group: Int[np.ndarray, " N"] | None = None, groups: int = 1
) -> list[int]:
    """Return the sum of finite values (N,) in each group, 0..groups−1 (all in one if None), in units of 2^-`UNIT`."""
    totals = [0] * groups
    for start in range(0, len(values), _AT_ONCE):
        part = np.asarray(values[start : start + _AT_ONCE], dtype=np.float64)
        group_index = np.zeros(len(part), np.int64) if group is None else group[start : start + _AT_ONCE]
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
        for start in range(0, len(x), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            a, b = np.asarray(x[part], np.float64), np.asarray(y[part], np.float64)
            terms = [[a], [b], exact_products(a, a), exact_products(b, b), exact_products(a, b)]
            for column_index, columns in enumerate(terms):
                for column in columns:
                    for total, more in zip(self._sums, exact_sums(column, group_index[part], groups), strict=True):
                        total[column_index] += more

    def together(self) -> "PearsonSums":
        """Return the sums of all groups as one."""
        sums = PearsonSums()
        sums.count = self.count.sum(keepdims=True)
        sums._sums = [[sum(column) for column in zip(*self._sums, strict=True)]]
        sums._is_finite = np.array([bool(self._is_finite.all())])
        return sums

    def pearson(self) -> Float[np.ndarray, " G"]:
        """Return r of each group, −1 to 1; NaN where undefined, as for `correlation.pearson`."""
        return np.array([
            _pearson(int(n), *sums) if n >= 2 and is_finite else np.nan
            for n, sums, is_finite in zip(self.count, self._sums, self._is_finite, strict=True)
        ])  # fmt: skip


def _pearson(n: int, x: int, y: int, xx: int, yy: int, xy: int) -> float:
    """Return r from exact sums, rounded twice: its square, and the root of that."""
    covariance = n * (xy << UNIT) - x * y
    variances = (n * (xx << UNIT) - x * x) * (n * (yy << UNIT) - y * y)
    if variances <= 0:
        return float("nan")
    size = float(Fraction(covariance * covariance, variances)) ** 0.5
    return float(np.clip(size if covariance >= 0 else -size, -1, 1))


class CalibrationSums:
    """The sums behind ECE and Brier score in each of G groups, exact; batches add up in any order.

    Bins are those of `reliability`: (low, high], cut at `inner` (bins − 1,). Scores and targets are clipped to 0–1:
    whether the scores are on that scale is known when all are, by `highest`, `lowest` and `outside`.
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
            for index, more in enumerate(exact_sums(column, bins, len(self._gaps))):
                self._gaps[index] += sign * more
        for index, more in enumerate(exact_sums((score - target) ** 2, group_index, groups)):
            self._squares[index] += more

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
        """Return whether the scores are on the scale 0–1, as `reliability.scale_to_unit` decides."""
        n = int(self.count[group])
        return (
            n > 0
            and bool(self.lowest[group] >= -0.1 and self.highest[group] <= 1.1)
            and bool(self.outside[group] / n <= 0.01)
        )
