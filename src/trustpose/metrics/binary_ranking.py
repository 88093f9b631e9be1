"""How well a score ranks one class above all others: average precision and the area under the ROC curve.

Both look at every threshold at once, so that a class that is rarely the likeliest of several, such as an occluded
keypoint, can be compared between estimators. Equal scores count as one step, as in scikit-learn. Average precision is
Σ (recall gained) × precision, without interpolation, and its value for a random score is the share of positives.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Real


@dataclass(frozen=True, eq=False)
class BinaryRanking:
    """Average precision and AUROC, one number or one for each draw; NaN without positives, AUROC also without
    negatives."""

    average_precision: Float[np.ndarray, "*B"]
    auroc: Float[np.ndarray, "*B"]


def binary_ranking(score: Real[np.ndarray, " N"], positive: Bool[np.ndarray, " N"]) -> BinaryRanking:
    """Rank N scores of any range, the highest first. Equal to scikit-learn's `average_precision_score` and
    `roc_auc_score`. Raises ValueError if a score is NaN or the shapes differ."""
    draws = binary_ranking_replicates(np.ones((1, 1), np.int8), score, positive, np.zeros(len(score), np.int64))
    return BinaryRanking(draws.average_precision.reshape(()), draws.auroc.reshape(()))


def binary_ranking_replicates(
    counts: Int[np.ndarray, "B I"],
    score: Real[np.ndarray, " N"],
    positive: Bool[np.ndarray, " N"],
    image: Int[np.ndarray, " N"],
) -> BinaryRanking:
    """Compute both numbers (B,) in every draw of images; `image` (N,) is the image, 0..I−1, of a row. Exact: sorted
    once, then linear in N per draw. Raises ValueError as `binary_ranking` does."""
    if positive.shape != score.shape:
        raise ValueError(f"positive: expected the score's shape {score.shape}, got {positive.shape}")
    if np.isnan(score).any():
        raise ValueError(f"score: expected numbers, got {int(np.isnan(score).sum())} NaN")
    order = np.argsort(-score, kind="stable")
    draws = BinaryRankingDraws(len(counts))
    draws.add(counts, score[order], positive[order], image[order])
    return draws.result()


class BinaryRankingDraws:
    """Both numbers in b draws of images, over blocks of rows, the highest scores first."""

    def __init__(self, draws: int) -> None:
        self._seen, self._hits = np.zeros((2, draws), np.int64)  # rows and positives so far
        self._seen_before, self._hits_before = np.zeros((2, draws), np.int64)  # above the last score so far
        self._precision, self._above = np.zeros(draws), np.zeros(draws, np.int64)
        self._last = np.nan

    def add(
        self,
        counts: Int[np.ndarray, "b I"],
        score: Float[np.ndarray, " D"],
        positive: Bool[np.ndarray, " D"],
        image: Int[np.ndarray, " D"],
    ) -> None:
        """Count the next D rows by descending score; `image` (D,) is a row's, 0..I−1, in the draws `counts`."""
        if not len(score):
            return
        ends = np.flatnonzero(np.diff(score)) + 1  # before which a score ends
        if self._last != score[0]:
            ends = np.concatenate([[0], ends])
        self._last = score[-1]
        hits = np.flatnonzero(positive)
        upto = np.searchsorted(hits, ends)
        # the first score may have begun in the last block; of the others, only those with positives change a number
        chosen = np.flatnonzero(np.diff(upto, prepend=-1))
        starts, above, upto_chosen = np.concatenate([[0], ends])[chosen], ends[chosen], upto[chosen]
        row_count, hit_count = (np.zeros(count + 1, np.int64) for count in (len(score), len(hits)))
        for draw, count in enumerate(counts):
            weight = count[image]
            np.cumsum(weight, dtype=np.int64, out=row_count[1:])
            np.cumsum(weight[hits], dtype=np.int64, out=hit_count[1:])
            if len(ends):
                self._count_scores(draw, row_count[starts], row_count[above], hit_count[upto_chosen])
                self._seen_before[draw] = self._seen[draw] + row_count[ends[-1]]
                self._hits_before[draw] = self._hits[draw] + hit_count[upto[-1]]
            self._seen[draw] += row_count[-1]
            self._hits[draw] += hit_count[-1]

    def _count_scores(self, draw: int, starts: np.ndarray, ends: np.ndarray, upto: np.ndarray) -> None:
        starts, ends, upto = self._seen[draw] + starts, self._seen[draw] + ends, self._hits[draw] + upto
        starts[0] = self._seen_before[draw]
        gained = np.diff(upto, prepend=self._hits_before[draw])
        self._precision[draw] += (gained * upto / np.maximum(ends, 1)).sum()
        self._above[draw] += (gained * (2 * (starts - upto + gained) + ends - starts - gained)).sum()

    def result(self) -> BinaryRanking:
        """Return the numbers of all rows."""
        gained, upto = self._hits - self._hits_before, self._hits
        negatives = self._seen - self._hits
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = self._precision + gained * upto / np.maximum(self._seen, 1)
            above = self._above + gained * (
                2 * (self._seen_before - self._hits_before) + self._seen - self._seen_before - gained
            )
            pairs = self._hits * negatives
            return BinaryRanking(
                np.where(self._hits > 0, precision / self._hits, np.nan),
                np.where(pairs > 0, (pairs - above / 2) / pairs, np.nan),
            )
