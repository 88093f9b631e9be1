"""How well visibility is predicted: labelled or not (HPCVNet poster), and absent, occluded or visible (metamodel
paper).

All functions take confusion counts (…, C, C), truth along rows and prediction along columns, so that a bootstrap can
sum them. A ratio of 0/0 is NaN, never 0.

The metamodel paper does not define its "total F1" (Tables 1, 2, 7, 8). It agrees with the mean of the three classes' F1
weighted by their support: with the shares of COCO val2017 (36.8 % absent, 7.7 % occluded, 55.4 % visible of 6,352
people) this gives the six COCO rows within .007, except for one (EfficientNet B6, Table 7: .746 for a printed .76),
where rounding alone allows .01; the plain mean of the classes misses every row by .09 or more. The DriPE rows agree:
one set of shares (30 %, 19 %, 51 %) gives all five within .005. These numbers cannot exclude accuracy (micro F1), which
is the same mean weighted by half the true and half the predicted shares. Here total is the weighted mean, and accuracy
is reported next to it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Real

Scores = Float[np.ndarray, "*B"]


@dataclass(frozen=True, eq=False)
class LabelledScores:
    """Scores of "this keypoint is labelled", the positive class being v > 0; (…) each, NaN where 0/0."""

    precision: Scores
    recall: Scores
    f1: Scores
    accuracy: Scores


@dataclass(frozen=True, eq=False)
class TernaryScores:
    """Per class (…, C) in the order of v, absent, occluded, visible; totals (…).

    `total_f1` is the mean of F1 weighted by support, `accuracy` the share of correct predictions (micro F1).
    """

    precision: Float[np.ndarray, "*B C"]
    recall: Float[np.ndarray, "*B C"]
    f1: Float[np.ndarray, "*B C"]
    support: Float[np.ndarray, "*B C"]
    total_f1: Scores
    accuracy: Scores


@dataclass(frozen=True)
class LabelledThreshold:
    """The best single threshold: a keypoint counts as labelled if its score is `threshold` or more."""

    threshold: float
    f1: float


def confusion(v_true: Int[np.ndarray, "*S"], v_pred: Int[np.ndarray, "*S"], classes: int = 3) -> Int[np.ndarray, "C C"]:
    """Return confusion counts (C, C): how many keypoints of class i were predicted as class j.

    v_true and v_pred, of one shape, are in 0..classes−1 (COCO's v for three classes). Raises ValueError otherwise.
    """
    return confusion_by_group(v_true, v_pred, np.zeros(v_true.shape, dtype=np.int64), 1, classes)[0]


def confusion_by_group(
    v_true: Int[np.ndarray, "*S"],
    v_pred: Int[np.ndarray, "*S"],
    group: Int[np.ndarray, "*S"],
    groups: int,
    classes: int = 3,
) -> Int[np.ndarray, "G C C"]:
    """Return confusion counts of every group (G, C, C), such as an image; `group` is in 0..groups−1, shaped as
    v_true."""
    for name, v in (("v_true", v_true), ("v_pred", v_pred)):
        if v.size and not (v.min() >= 0 and v.max() < classes):
            raise ValueError(f"{name}: expected classes 0 to {classes - 1}, got {v.min()} to {v.max()}")
        if v.shape != group.shape:
            raise ValueError(f"{name}: expected the groups' shape {group.shape}, got {v.shape}")
    cell = (group.astype(np.int64) * classes + v_true) * classes + v_pred
    return np.bincount(cell.ravel(), minlength=groups * classes**2).reshape(groups, classes, classes)


def labelled_scores(counts: Real[np.ndarray, "*B C C"]) -> LabelledScores:
    """Compute precision, recall, F1 and accuracy of labelled (class 1 and up) against absent (class 0), from counts (…,
    C, C).

    Source: HPCVNet poster (precision 87.6, recall 97.0, F1 92.1, accuracy 89.4 there). F1 is 2·TP / (2·TP + FP + FN).
    """
    hit = counts[..., 1:, 1:].sum(axis=(-2, -1))
    false_alarm = counts[..., 0, 1:].sum(axis=-1)
    missed = counts[..., 1:, 0].sum(axis=-1)
    return LabelledScores(
        precision=_ratio(hit, hit + false_alarm),
        recall=_ratio(hit, hit + missed),
        f1=_ratio(2 * hit, 2 * hit + false_alarm + missed),
        accuracy=_ratio(hit + counts[..., 0, 0], counts.sum(axis=(-2, -1))),
    )


def ternary_scores(counts: Real[np.ndarray, "*B C C"]) -> TernaryScores:
    """Compute per-class precision, recall and F1 with their totals, from counts (…, C, C) of any C, three for COCO's v.

    Source: metamodel paper, Tables 1, 2, 7, 8; the module's docstring defines the "total". F1 is 2·TP / (true +
    predicted); a class that neither occurs nor is predicted has none (NaN) and no weight in the total.
    """
    hit = np.diagonal(counts, axis1=-2, axis2=-1)  # (…, C)
    support, predicted = counts.sum(axis=-1), counts.sum(axis=-2)
    f1 = _ratio(2 * hit, support + predicted)
    weighted = np.where(support > 0, f1, 0) * support
    return TernaryScores(
        precision=_ratio(hit, predicted),
        recall=_ratio(hit, support),
        f1=f1,
        support=support.astype(np.float64),
        total_f1=_ratio(weighted.sum(axis=-1), support.sum(axis=-1)),
        accuracy=_ratio(hit.sum(axis=-1), support.sum(axis=-1)),
    )


class ThresholdSearch:
    """The threshold on raw scores, of any range, that separates labelled from unlabelled keypoints with the best F1.

    Exact: blocks of keypoints are added with the highest scores first, and every distinct score is tried; ties prefer
    the highest. `labelled` of all keypoints are labelled; both numbers are NaN if none is. The threshold is chosen on
    the evaluated data, so it is an upper bound for thresholds.
    """

    def __init__(self, labelled: int) -> None:
        self._labelled = labelled
        self._rows, self._hits, self._last = 0, 0, float("nan")
        self._best = LabelledThreshold(float("nan"), float("nan"))

    def add(self, score: Real[np.ndarray, " D"], labelled: Bool[np.ndarray, " D"]) -> None:
        """Try the scores of the next D keypoints but for the last, which may go on in the next block."""
        if not len(score):
            return
        if self._rows and self._last != score[0]:
            self._try(np.array([self._last]), np.array([self._rows]), np.array([self._hits]))
        ends = np.flatnonzero(score[1:] != score[:-1])  # equal scores pass together
        hits = self._hits + np.cumsum(labelled)
        self._try(score[ends], self._rows + ends + 1, hits[ends])
        self._rows, self._hits, self._last = self._rows + len(score), int(hits[-1]), float(score[-1])

    def _try(self, score: np.ndarray, rows: np.ndarray, hits: np.ndarray) -> None:
        if not (self._labelled and len(score)):
            return
        f1 = 2 * hits / (rows + self._labelled)  # 2·TP / (predicted + labelled)
        best = int(np.argmax(f1))
        if not f1[best] <= self._best.f1:
            self._best = LabelledThreshold(float(score[best]), float(f1[best]))

    def best(self) -> LabelledThreshold:
        """Return the best threshold of all keypoints."""
        self._try(np.array([self._last]), np.array([self._rows]), np.array([self._hits]))
        return self._best


def _ratio(part: Any, whole: Any) -> np.ndarray:
    """Return part / whole, NaN where whole is 0; an array also for single numbers."""
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
