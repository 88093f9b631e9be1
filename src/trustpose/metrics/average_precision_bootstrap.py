"""AP and AR of every bootstrap draw from one evaluation: images are weighted 0, 1, 2, …, without new matching."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from trustpose.metrics.average_precision import AREA_RANGES, RECALL_THRESHOLDS, Evaluation
from trustpose.metrics.bootstrap import replicate_sums

AT_ONCE = 1 << 15  # poses of several draws: that many fit into the processor's cache


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

    def of(
        self, weight: Int[np.ndarray, "b D"], counted_all: Int[np.ndarray, "b D"], needed: Int[np.ndarray, "b R"]
    ) -> tuple[Float[np.ndarray, " b"], Int[np.ndarray, " b"]]:
        """Return mean interpolated precision and the number of true positives of b draws. `counted_all` is the running
        sum of `weight`; from `needed` true positives on, each recall threshold is reached."""
        draws, hits = len(weight), len(self.hits)
        if not hits:
            return np.zeros(draws), np.zeros(draws, dtype=np.int64)
        if draws == 1:
            mean, most = self._of_one(weight[0], counted_all[0], needed[0])
            return np.array([mean]), np.array([most])
        found = np.cumsum(np.take(weight, self.hits, axis=1), axis=1, dtype=np.int32)  # (b, H)
        running = np.zeros((draws, len(self.rows) + 1), dtype=np.int32)
        np.cumsum(np.take(weight, self.rows, axis=1), axis=1, dtype=np.int32, out=running[:, 1:])
        tried = np.take(running, self.before, axis=1)
        if self.rows_are_ignored:
            tried = np.take(counted_all, self.hits, axis=1) - tried
        share = np.zeros((draws, hits + 1))  # precision at each hit, and 0 for recalls beyond the last
        np.divide(found, np.maximum(tried, 1, out=tried), out=share[:, :-1])
        # one search in all draws: each draw's numbers lie above those of the draw before
        draw = np.arange(draws)[:, None]
        apart = draw * (2 + max(int(found[:, -1].max()), int(needed.max())))
        at = np.searchsorted((found + apart).ravel(), needed + apart, side="left") + draw
        best = np.maximum.reduceat(share.ravel(), at.ravel()).reshape(at.shape)  # between neighbouring thresholds
        best = np.maximum.accumulate(best[:, ::-1], axis=1)
        return best.mean(axis=1), found[:, -1].astype(np.int64)

    def _of_one(self, weight: np.ndarray, counted_all: np.ndarray, needed: np.ndarray) -> tuple[float, int]:
        """Return the same of one draw, whose arrays are so long that fewer steps matter more than shared ones."""
        found = np.cumsum(weight[self.hits], dtype=np.int32)  # (H,)
        running = np.zeros(len(self.rows) + 1, dtype=np.int32)
        np.cumsum(weight[self.rows], dtype=np.int32, out=running[1:])
        tried = running[self.before]
        if self.rows_are_ignored:
            tried = counted_all[self.hits] - tried
        share = found / np.maximum(tried, 1)
        at = np.searchsorted(found, needed.astype(np.int32), side="left")
        at = at[: np.searchsorted(at, len(found), side="left")]  # recalls that are reached
        best = np.maximum.accumulate(np.maximum.reduceat(share, at)[::-1]) if len(at) else at
        return float(best.sum() / len(needed)), int(found[-1])


def _needed(people: Float[np.ndarray, " b"]) -> Int[np.ndarray, "b R"]:
    """Return the fewest true positives with which each recall threshold is reached, divided as COCO divides."""
    everyone = people[:, None]
    least = np.ceil(RECALL_THRESHOLDS * everyone)
    least -= (least - 1) / everyone >= RECALL_THRESHOLDS
    least += least / everyone < RECALL_THRESHOLDS
    return least.astype(np.int64)


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
    together = max(1, AT_ONCE // max(1, len(image)))
    for start in range(0, len(counts), together):
        weight = counts[start : start + together, image].astype(np.int32)  # (b, D)
        running = np.cumsum(weight, axis=1, dtype=np.int32)
        for a in range(len(chosen)):
            people_here = people[start : start + together, a]
            some = np.flatnonzero(people_here)
            if not len(some):
                continue
            own = weight[some], running[some], _needed(people_here[some])
            for t, curve in enumerate(curves[a]):
                mean, found = curve.of(*own)
                precision[a, t, start + some] = mean
                recall[a, t, start + some] = found / people_here[some]
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
