"""Spearman's correlation of pairs in many draws: sorted once, and then linear in the number of rows."""

from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Float, Int

from trustpose.metrics.spill import SortedRows, Spill
from trustpose.threads import in_order, worker_threads

_ROWS = 2**17  # read at a time
_PAIRED = 2**20  # rows in order of x that are paired with the ranks of y at a time
_THREADS = 2
_threads = worker_threads(_THREADS, "trustpose-ranks")
_SMALL = 2**16  # whose cube is a number of 64 bits


class RankedPairs:
    """Pairs (x, y) of N rows for Spearman's ρ with weights of G groups, such as how often photos are drawn.

    Rows are sorted once; each call is then linear in N. Sums are of whole numbers, exact in any order. The rows are in
    memory while they are few, and in temporary files otherwise; a call needs four bytes for each distinct x and y.
    """

    def __init__(self) -> None:
        self._rows = SortedRows(8)  # by y; x
        self._y, self._x = _RankedSide(), _RankedSide()
        # in pieces of the order of x, which is that of `_within`, and in each by y: a row's group, y's number among the
        # distinct ones, and its place in the piece
        self._group, self._level_y, self._within = Spill(np.int32), Spill(np.int32), Spill(np.int32)

    def add(self, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], group: Int[np.ndarray, " n"]) -> None:
        """Add rows of numbers without NaN. Raises DiskError if there is no space for temporary files."""
        self._rows.add(y, group, np.ascontiguousarray(x, np.float64).view(np.uint8).reshape(-1, 8))

    def spearman(self, weight: Int[np.ndarray, " G"]) -> float:
        """Return ρ with each row counted as often as its group; NaN where undefined. No rows may follow."""
        if len(self._rows):
            self._sort()
        (rank_x, sum_xx), (rank_y, sum_yy) = self._x.ranks(weight), self._y.ranks(weight)
        if not sum_xx or not sum_yy:
            return float("nan")
        # The first and the last are the largest ranks; a sum of `size` products is a number of 64 bits.
        largest = int(np.abs(rank_x[[0, -1]]).max()) * int(np.abs(rank_y[[0, -1]]).max()) * int(weight.max())
        size = max(1, min(_ROWS, 2**62 // largest))
        sum_xy, level = 0, 0
        for start in range(0, len(self._within), _PAIRED):
            rows = slice(start, start + _PAIRED)
            rank_of_row, level = self._x.of_rows(rank_x, rows, level)
            for first in range(start, min(rows.stop, len(self._within)), _ROWS):
                part = slice(first, min(first + _ROWS, rows.stop))
                product = np.take(rank_of_row, self._within[part]).astype(np.int64)
                product *= np.take(weight, self._group[part])
                product *= np.take(rank_y, self._level_y[part])
                sum_xy += sum(np.add.reduceat(product, np.arange(0, len(product), size)).tolist())
        return float(np.clip(sum_xy / (np.sqrt(float(sum_xx)) * np.sqrt(float(sum_yy))), -1, 1))

    def in_draws(self, weights: Iterable[Int[np.ndarray, " G"]]) -> Iterator[float]:
        """Yield ρ with each of some weights, such as those of draws, on two threads. No rows may follow."""
        if len(self._rows):
            self._sort()
        yield from in_order(_threads(), self.spearman, weights, 2 * _THREADS)

    def _sort(self) -> None:
        """Sort all rows by y, which numbers the distinct y, and then by x."""
        by_x = SortedRows(4)
        for y, group, x in self._rows.blocks():
            level = self._y.append(y, group)
            by_x.add(x.view(np.float64)[:, 0], group, level.view(np.uint8).reshape(-1, 4))
        self._rows = SortedRows(8)
        level_y = Spill(np.int32)
        for x, group, level in by_x.blocks():
            self._x.append(x, group)
            level_y.append(level.view(np.int32)[:, 0])
        for group, level in zip(self._x.group.blocks(_PAIRED), level_y.blocks(_PAIRED), strict=True):
            order = np.argsort(level, kind="stable").astype(np.int32)
            for spill, column in ((self._group, group[order]), (self._level_y, level[order]), (self._within, order)):
                spill.append(column)


class _RankedSide:
    """One side of pairs in its order: the group of each row, and whether its value differs from the row's before."""

    def __init__(self) -> None:
        self.group, self._is_new = Spill(np.int32), Spill(np.bool_)
        self._levels = 0  # distinct values
        self._last = np.nan

    def append(self, values: Float[np.ndarray, " n"], group: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """Append rows of ascending values; return the number of each row's value among the distinct ones."""
        is_new = np.concatenate([[self._last], values[:-1]]) != values
        level = self._levels - 1 + np.cumsum(is_new, dtype=np.int32)
        self._levels, self._last = int(level[-1]) + 1, values[-1]
        self.group.append(group)
        self._is_new.append(is_new)
        return level.astype(np.int32, copy=False)

    def ranks(self, weight: Int[np.ndarray, " G"]) -> tuple[Int[np.ndarray, " L"], int]:
        """Return twice the mid-rank of each distinct value about the mean rank, and the weighted sum of the squares of
        these, for which Kendall, "Rank Correlation Methods" (1948), chapter 3 has (n³ − Σ t³) / 3 with ties of t."""
        rank = np.empty(self._levels, np.int32)
        level, n, cubes = 0, 0, 0
        last = np.int32(0)  # rows before the last value
        for start in range(0, len(self.group), _ROWS):
            rows = slice(start, start + _ROWS)
            group = self.group[rows]
            before = np.empty(len(group) + 1, np.int32)  # rows before each row, and behind the last
            before[0] = n
            np.cumsum(np.take(weight, group), dtype=np.int32, out=before[1:])
            before[1:] += before[0]
            n, before = int(before[-1]), before[:-1]
            if self._levels < len(self.group):
                before = before[self._is_new[rows]]
            if not len(before):
                continue
            cubes += _sum_of_cubes(np.diff(before, prepend=last))
            rank[level : level + len(before)] = before
            # before + (count + 1) / 2 − (n + 1) / 2, doubled
            rank[max(level - 1, 0) : level + len(before) - 1] += before[int(level == 0) :]
            level, last = level + len(before), before[-1]
        if len(rank):
            rank[-1] += n
        rank -= np.int32(n)
        return rank, (n**3 - cubes - (n - int(last)) ** 3) // 3

    def of_rows(self, rank: Int[np.ndarray, " L"], rows: slice, level: int) -> tuple[Int[np.ndarray, " n"], int]:
        """Return the rank of each of some rows, where `level` values begin before them, and how many do behind them."""
        if self._levels == len(self.group):
            return rank[rows], level
        number = level - 1 + np.cumsum(self._is_new[rows], dtype=np.int32)
        return np.take(rank, number), int(number[-1]) + 1


def _sum_of_cubes(counts: Int[np.ndarray, " n"]) -> int:
    if counts.max(initial=0) >= _SMALL:
        return sum(count**3 for count in counts.tolist())
    counts = counts.astype(np.int64)
    return int(np.dot(counts * counts, counts))
