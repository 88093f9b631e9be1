"""What held-out people say of the errors of measures (joint angles, inclinations): the record that travels with
`ErrorModel`, in a calibrator, a model and beside results. `calibration.measure_errors` fits and reads it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

LARGEST_QUANTILE = 1e4  # in units of the expected error: stands for an interval without an end


@dataclass(frozen=True)
class Forest:
    """T boosted trees; each is a tuple in every field.

    Args:
        feature: of each split.
        threshold: of each split; a row goes left if its feature is at or below.
        left: number of the split, or ~number of the leaf, below each split on the left.
        right: the same on the right.
        value: of each leaf. The forest's value is the sum over its trees.

    Raises:
        ValueError: if the fields do not fit together.
    """

    feature: tuple[tuple[int, ...], ...]
    threshold: tuple[tuple[float, ...], ...]
    left: tuple[tuple[int, ...], ...]
    right: tuple[tuple[int, ...], ...]
    value: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        trees = (self.feature, self.threshold, self.left, self.right, self.value)
        if len({len(column) for column in trees}) > 1:
            raise ValueError("feature: expected as many trees as threshold, left, right and value have")
        for number, (feature, threshold, left, right, value) in enumerate(zip(*trees, strict=True)):
            splits = len(feature)
            if not splits == len(threshold) == len(left) == len(right) == len(value) - 1:
                raise ValueError(f"value: expected one more than the splits of tree {number}")
            below = sorted(
                [*left, *right]
            )  # every leaf and every split but the first hangs below one split, later ones
            leaves = [~leaf for leaf in range(splits, -1, -1)]
            if splits and below != [*leaves, *range(1, splits)]:
                raise ValueError(f"left: expected each leaf and split of tree {number} below one split")
            if any(0 <= child <= split for split, pair in enumerate(zip(left, right, strict=True)) for child in pair):
                raise ValueError(f"left: expected splits of tree {number} before those below them")


@dataclass(frozen=True)
class MeasureErrors:
    """How far values that are read off poses are expected to be from the labelled ones.

    A reading has an expected shift (of the labelled value from the read one) and an expected distance above and below
    that, by three forests; and quantiles that say, in units of these distances, how far labelled values of held-out
    people lay, in cells of one family of measures and one range of expected distance.

    Args:
        families: of fitted measures, such as "knee" for left and right.
        shares: the P shares of central intervals, ascending, between 0 and 1.
        shift: its forest, in degrees; lengths in pixels of a body of 100 pixels (√area).
        above: that of the logarithm of the expected distance above.
        below: the same below.
        borders: of each family, ascending, between its ranges of expected distance; b borders make b + 1 cells.
        upper: of each family and cell, P quantiles of the upper ends, that never fall.
        lower: the same of the lower ends.
        other_borders: between ranges of the probability of a gross error, for measures of no family.
        other: of each of these ranges, P half-widths in units of the propagated standard deviation.
        joints: the joints whose errors' correlation is known.
        correlation: of the errors of each two of them along an axis.
        people: number of people it was fitted on.
        readings: number of their readings.

    Raises:
        ValueError: naming the field that is wrong.
    """

    families: tuple[str, ...]
    shares: tuple[float, ...]
    shift: Forest
    above: Forest
    below: Forest
    borders: tuple[tuple[float, ...], ...]
    upper: tuple[tuple[tuple[float, ...], ...], ...]
    lower: tuple[tuple[tuple[float, ...], ...], ...]
    other_borders: tuple[float, ...]
    other: tuple[tuple[float, ...], ...]
    joints: tuple[str, ...]
    correlation: tuple[tuple[float, ...], ...]
    people: int
    readings: int

    def __post_init__(self) -> None:
        if not self.shares or not is_ascending((0.0, *self.shares, 1.0)):
            raise ValueError("shares: expected ascending numbers between 0 and 1")
        if not len(self.families) == len(self.borders) == len(self.upper) == len(self.lower):
            raise ValueError("families: expected as many as borders, upper and lower have")
        for name, cells in (("upper", self.upper), ("lower", self.lower)):
            for borders, quantiles in zip(self.borders, cells, strict=True):
                _check_cells(name, borders, quantiles, len(self.shares))
        _check_cells("other", self.other_borders, self.other, len(self.shares))
        if len(self.correlation) != len(self.joints) or any(len(row) != len(self.joints) for row in self.correlation):
            raise ValueError("correlation: expected a number for each two joints")
        if any(not -1 <= number <= 1 for row in self.correlation for number in row):
            raise ValueError("correlation: expected numbers from -1 to 1")


def _check_cells(name: str, borders: Sequence[float], cells: Sequence[Sequence[float]], count: int) -> None:
    if not is_ascending(borders):
        raise ValueError(f"{name}: expected ascending borders")
    if len(cells) != len(borders) + 1 or any(len(quantiles) != count for quantiles in cells):
        raise ValueError(f"{name}: expected a number for each share in each cell")
    for quantiles in cells:
        if not is_rising(quantiles):
            raise ValueError(f"{name}: expected numbers that never fall")
        if not all(abs(number) <= LARGEST_QUANTILE for number in quantiles):
            raise ValueError(f"{name}: expected numbers of at most {LARGEST_QUANTILE:g}")


def is_ascending(numbers: Sequence[float]) -> bool:
    """Return whether each number is larger than the one before, and none is NaN."""
    return all(low < high for low, high in pairwise(numbers)) and not np.isnan(numbers).any()


def is_rising(numbers: Sequence[float]) -> bool:
    """Return whether no number is smaller than the one before, and none is NaN."""
    return all(low <= high for low, high in pairwise(numbers)) and not np.isnan(numbers).any()
