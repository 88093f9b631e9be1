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
    found = binary_ranking_replicates(np.ones((1, 1), np.int8), score, positive, np.zeros(len(score), np.int64))
    return BinaryRanking(found.average_precision.reshape(()), found.auroc.reshape(()))


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
    place, hits = image[order].astype(np.int32), np.flatnonzero(positive[order])
    step = np.concatenate([[0], np.flatnonzero(np.diff(score[order])) + 1, [len(order)]])  # where a score starts
    of_hit = np.searchsorted(step, hits, side="right")
    steps, last = np.unique(of_hit, return_index=True)  # only steps with positives change a number
    last = np.append(last[1:], len(hits))  # positives up to the end of the step
    start, end = step[steps - 1], step[steps]
    average_precision, auroc = np.full((2, len(counts)), np.nan)
    seen, found = (np.zeros(count + 1, np.int32) for count in (len(order), len(hits)))
    for draw, count in enumerate(counts):
        weight = count[place]
        np.cumsum(weight, dtype=np.int32, out=seen[1:])
        np.cumsum(weight[hits], dtype=np.int32, out=found[1:])
        positives, negatives = int(found[-1]), int(seen[-1] - found[-1])
        if not positives:
            continue
        upto = found[last]
        gained = np.diff(upto, prepend=0)
        average_precision[draw] = (gained * upto / np.maximum(seen[end], 1)).sum() / positives
        if negatives:
            above, within = seen[start] - (upto - gained), seen[end] - seen[start] - gained  # negatives
            auroc[draw] = (gained * (negatives - above - within / 2)).sum() / (positives * negatives)
    return BinaryRanking(average_precision, auroc)
