"""Spearman's correlation of pairs in many draws: sorted once, and then linear in the number of rows."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Real

_RANKS_AT_A_TIME = 2**14
_SMALL = 2**16  # whose cube is a number of 64 bits


class RankedPairs:
    """Pairs (x, y) of N rows for Spearman's ρ with weights of G groups, such as how often photos are drawn.

    Rows are sorted once; each call is then linear in N. Sums are of whole numbers, exact in any order.
    """

    def __init__(self, x: Real[np.ndarray, " N"], y: Real[np.ndarray, " N"], group: Int[np.ndarray, " N"]) -> None:
        group = group.astype(np.int32)
        self._y, order = _RankedSide.of(y, group)
        level = np.empty(len(y), np.int32)
        level[order] = self._y.levels()
        self._x, order = _RankedSide.of(x, group)
        self._level_x, self._level_y = self._x.levels(), level[order]  # in the order of x

    def spearman(self, weight: Int[np.ndarray, " G"]) -> float:
        """Return ρ with each row counted as often as its group; NaN where undefined."""
        (rank_x, sum_xx), (rank_y, sum_yy) = self._x.ranks(weight), self._y.ranks(weight)
        if not sum_xx or not sum_yy:
            return float("nan")
        # The first and the last are the largest ranks; a sum of `size` products is a number of 64 bits.
        product = int(np.abs(rank_x[[0, -1]]).max()) * int(np.abs(rank_y[[0, -1]]).max()) * int(weight.max())
        size = max(1, min(_RANKS_AT_A_TIME, 2**62 // product))
        sum_xy = 0
        for start in range(0, len(self._level_x), size):
            part = slice(start, start + size)
            product = np.take(rank_x, self._level_x[part]).astype(np.int64) * np.take(weight, self._x.group[part])
            sum_xy += int(np.dot(product, np.take(rank_y, self._level_y[part]).astype(np.int64)))
        return float(np.clip(sum_xy / (np.sqrt(float(sum_xx)) * np.sqrt(float(sum_yy))), -1, 1))


@dataclass(frozen=True, eq=False)
class _RankedSide:
    """One side of pairs in its order: the group of each row, the row behind each distinct value's last, and how many
    rows each group has."""

    group: Int[np.ndarray, " N"]
    ends: Int[np.ndarray, " L"]
    size: Int[np.ndarray, " G"]

    @classmethod
    def of(
        cls, values: Real[np.ndarray, " N"], group: Int[np.ndarray, " N"]
    ) -> tuple["_RankedSide", Int[np.ndarray, " N"]]:
        order = np.argsort(values, kind="stable")
        values = values[order]
        ends = np.flatnonzero(values[1:] != values[:-1]) + 1
        ends = np.append(ends, len(values)).astype(np.int32) if len(values) else np.zeros(0, np.int32)
        return cls(group[order], ends, np.bincount(group)), order

    def levels(self) -> Int[np.ndarray, " N"]:
        """Return the number of each row's value among the distinct ones."""
        return np.repeat(np.arange(len(self.ends), dtype=np.int32), np.diff(self.ends, prepend=0))

    def ranks(self, weight: Int[np.ndarray, " G"]) -> tuple[Int[np.ndarray, " L"], int]:
        """Return twice the mid-rank of each distinct value about the mean rank, and the weighted sum of the squares of
        these, for which Kendall, "Rank Correlation Methods" (1948), chapter 3 has (n³ − Σ t³) / 3 with ties of t."""
        upto = np.empty(len(self.group), np.int32)
        for start in range(0, len(upto), _SMALL):
            upto[start : start + _SMALL] = np.take(weight, self.group[start : start + _SMALL])
        np.cumsum(upto, dtype=np.int32, out=upto)
        if len(self.ends) < len(upto):
            upto = upto[self.ends - 1]
            tied = np.diff(upto, prepend=0).astype(np.int64)
            cubes = int((tied[tied < _SMALL] ** 3).sum()) + sum(t**3 for t in tied[tied >= _SMALL].tolist())
        else:
            cubes = int((self.size * weight[: len(self.size)].astype(np.int64) ** 3).sum())
        n = int(upto[-1]) if len(upto) else 0
        rank = upto - np.int32(n)
        rank[1:] += upto[:-1]  # before + (count + 1) / 2 − (n + 1) / 2, doubled
        return rank, (n**3 - cubes) // 3
