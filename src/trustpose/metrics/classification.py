"""Classification by a score or by probabilities: visibility of keypoints, presence of people, ROC curves.

All functions take confusion counts (…, C, C), truth along rows and prediction along columns, so that a bootstrap can
sum them. A ratio of 0/0 is NaN, never 0.

The metamodel paper does not define its "total F1" (Tables 1, 2, 7, 8). It agrees with the mean of the three classes'
F1 weighted by their support: with the shares of COCO val2017 (36.8 % absent, 7.7 % occluded, 55.4 % visible of 6,352
people) this gives the six COCO rows within .007, except for one (EfficientNet B6, Table 7: .746 for a printed .76),
where rounding alone allows .01; the plain mean of the classes misses every row by .09 or more. The DriPE rows agree:
one set of shares (30 %, 19 %, 51 %) gives all five within .005. These numbers cannot exclude accuracy (micro F1),
which is the same mean weighted by half the true and half the predicted shares. Here total is the weighted mean, and
accuracy is reported next to it.

How well a score ranks one class above all others: average precision and the area under the ROC curve. Both look at
every threshold at once, so that a class that is rarely the likeliest of several, such as an occluded keypoint, can be
compared between estimators. Equal scores count as one step, as in scikit-learn. Average precision is Σ (recall
gained) × precision, without interpolation, and its value for a random score is the share of positives.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from trustpose.geometry.boxes import paired_iou, paired_overlap
from trustpose.metrics.matching import same_image_pairs, take_best_first
from trustpose.poses import Poses, Truth

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


PRESENT_IOU = 0.5  # least box overlap with the person
_INSIDE_CROWD = 0.5  # share of a result's box inside a crowd region, whose people have no boxes of their own


def presence_targets(
    poses: Poses, truth: Truth, score: Float[np.ndarray, " N"], complete_images: Int[np.ndarray, " I"]
) -> tuple[Int[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    """Return the truth row of the person for whom each pose is the one box (N,), or -1, and which poses count (N,).

    As in COCO's evaluation of boxes, poses take people in the order of `score` (N,), the highest first: each the free
    person of its photo, labelled keypoints or not, but no crowd, whose box has the highest IoU with its own, of at
    least .5. Poses count in the photos `complete_images`, by id, whose people all have
    boxes, unless they have no person and half or more of their box lies in a crowd region. Raises ValueError if
    image_id or Truth.box is None.
    """
    if poses.image_id is None or truth.image_id is None or truth.box is None:
        raise ValueError("presence_targets: image_id and Truth.box are needed, one of them is None")
    box = poses.person_box()
    is_crowd = np.zeros(len(truth), bool) if truth.iscrowd is None else truth.iscrowd
    crowds = np.flatnonzero(is_crowd)
    pose, person = same_image_pairs(poses.image_id, truth.image_id)
    overlap = paired_iou(box[pose], truth.box[person])
    near = np.flatnonzero((overlap >= PRESENT_IOU) & ~is_crowd[person])
    order = near[np.lexsort((person[near], -overlap[near], pose[near], -score[pose[near]]))]
    match = np.full(len(poses), -1)
    take_best_first(pose[order], person[order], match)
    pose, crowd = same_image_pairs(poses.image_id, truth.image_id[crowds])
    inside = paired_overlap(box[pose], truth.box[crowds[crowd]]) >= _INSIDE_CROWD
    in_crowd = np.zeros(len(poses), bool)
    in_crowd[pose[inside]] = True
    return match, np.isin(poses.image_id, complete_images) & ((match >= 0) | ~in_crowd)


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
