"""AP and AR of every bootstrap draw from one evaluation: images are weighted 0, 1, 2, …, without new matching."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from trustpose.metrics.average_precision import AREA_RANGES, RECALL_THRESHOLDS, Evaluation
from trustpose.metrics.bootstrap import replicate_sums


@dataclass(frozen=True)
class _Curve:
    """Data of one area range and OKS threshold for all draws; rows are indices into `Evaluation.order`.

    `rows` are the ignored or the counted poses, whichever are fewer, and `before` (H,) is their number up to each true
    positive: summing the shorter list makes a draw cheap.
    """

    hits: Int[np.ndarray, " H"]
    rows: Int[np.ndarray, " r"]
    before: Int[np.ndarray, " H"]
    rows_are_ignored: bool

    def of(self, weight: np.ndarray, counted_all: np.ndarray, people: float) -> tuple[float, float]:
        """Return mean interpolated precision and highest recall of one draw; `weight` (D,) with its running sum
        (D,)."""
        found = np.cumsum(weight[self.hits], dtype=np.int32)  # (H,)
        if not len(found) or not found[-1]:
            return 0.0, 0.0
        running = np.zeros(len(self.rows) + 1, dtype=np.int32)
        np.cumsum(weight[self.rows], dtype=np.int32, out=running[1:])
        tried = running[self.before]
        if self.rows_are_ignored:
            tried = counted_all[self.hits] - tried
        share = found / np.maximum(tried, 1)  # (H,)
        at = np.searchsorted(found / people, RECALL_THRESHOLDS, side="left")
        at = at[: np.searchsorted(at, len(found), side="left")]  # recalls that are reached
        best = np.maximum.accumulate(np.maximum.reduceat(share, at)[::-1]) if len(at) else at
        return float(best.sum() / len(RECALL_THRESHOLDS)), float(found[-1] / people)


def average_precision_replicates(
    evaluation: Evaluation,
    counts: Int[np.ndarray, "B I"],
    pose_image: Int[np.ndarray, " N"],
    person_image: Int[np.ndarray, " M"],
    area_names: tuple[str, ...] = tuple(AREA_RANGES),
) -> dict[str, Float[np.ndarray, " B"]]:
    """Compute the COCO numbers of the named area ranges in every draw, each (B,), NaN where no person counts.

    `counts`: how often each of I images is drawn (`bootstrap.resample_counts`). `pose_image` (N,) and
    `person_image` (M,) give the image, 0..I−1, of every pose and person of the evaluation. An image drawn twice counts
    its poses and people twice, at the same score. Matching happens within an image, so it does not change. Raises
    ValueError for an evaluation with other ranges or thresholds than COCO's.
    """
    evaluation.summary()  # raises for other ranges and thresholds
    image = pose_image[evaluation.order]
    chosen = [evaluation.area_names.index(name) for name in area_names]
    curves = [[_curve(evaluation, a, t) for t in range(len(evaluation.oks_thresholds))] for a in chosen]
    counted = [np.bincount(person_image[~evaluation.person_ignored[a]], minlength=counts.shape[1]) for a in chosen]
    people = replicate_sums(counts, np.array(counted).T)  # (B, areas)
    precision, recall = np.full((2, len(chosen), len(evaluation.oks_thresholds), len(counts)), np.nan)
    for draw, count in enumerate(counts):
        weight = count[image].astype(np.int32)  # (D,)
        running = np.cumsum(weight, dtype=np.int32)
        for a in np.flatnonzero(people[draw]):
            for t, curve in enumerate(curves[a]):
                precision[a, t, draw], recall[a, t, draw] = curve.of(weight, running, float(people[draw, a]))
    numbers = {}
    for a, area in enumerate(area_names):
        suffix = {"all": "", "medium": "m", "large": "l"}[area]
        for name, values in (("AP", precision[a]), ("AR", recall[a])):
            numbers[f"{name}{suffix}"] = values.mean(axis=0)
            if area == "all":
                numbers[f"{name}50"], numbers[f"{name}75"] = values[0], values[5]
    return numbers


def _curve(evaluation: Evaluation, a: int, t: int) -> _Curve:
    ignored = evaluation.pose_ignored[a, :, t]
    rows_are_ignored = 2 * np.count_nonzero(ignored) < len(ignored)
    rows = np.flatnonzero(ignored if rows_are_ignored else ~ignored)
    hits = np.flatnonzero(evaluation.true_positive[a, :, t])
    return _Curve(hits, rows, np.searchsorted(rows, hits, side="right"), bool(rows_are_ignored))
