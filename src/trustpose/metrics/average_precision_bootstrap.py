"""AP and AR of every bootstrap draw without new matching: images are weighted 0, 1, 2, …."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.metrics.average_precision import AREA_RANGES, RECALL_THRESHOLDS, Evaluation
from trustpose.metrics.bootstrap import replicate_sums

AT_ONCE = 1 << 15  # poses of several draws: that many fit into the processor's cache


@dataclass(frozen=True)
class _Curve:
    """One curve's poses in a block, for all draws.

    `rows` are the ignored or the counted poses, whichever are fewer, and `before` (H,) is their number up to each true
    positive: summing the shorter list makes a draw cheap.
    """

    hits: Int[np.ndarray, " H"]
    rows: Int[np.ndarray, " r"]
    before: Int[np.ndarray, " H"]
    rows_are_ignored: bool

    @classmethod
    def of(cls, true_positive: Bool[np.ndarray, " D"], ignored: Bool[np.ndarray, " D"]) -> "_Curve":
        """Return the curve of poses in order."""
        rows_are_ignored = 2 * np.count_nonzero(ignored) < len(ignored)
        rows = np.flatnonzero(ignored if rows_are_ignored else ~ignored)
        hits = np.flatnonzero(true_positive)
        return cls(hits, rows, np.searchsorted(rows, hits, side="right"), bool(rows_are_ignored))


class PrecisionRecallDraws:
    """`average_precision.PrecisionRecall` of C curves in b draws, over blocks of poses, the best scores first.

    `people` (b, C) are those that count in each draw; a draw without any has no curve.
    """

    def __init__(self, people: Float[np.ndarray, "b C"]) -> None:
        self._people = people
        self._needed = [_needed(column) for column in people.T]
        self._found, self._tried = np.zeros((2, *people.shape), np.int64)
        self._highest = np.zeros((*people.shape, len(RECALL_THRESHOLDS)))

    def add(
        self,
        counts: Int[np.ndarray, "b I"],
        image: Int[np.ndarray, " D"],
        true_positive: Bool[np.ndarray, "D C"],
        pose_ignored: Bool[np.ndarray, "D C"],
    ) -> None:
        """Count the next D poses by descending score; `image` (D,) is a pose's, 0..I−1, in the draws `counts`."""
        curves = [_Curve.of(hits, ignored) for hits, ignored in zip(true_positive.T, pose_ignored.T, strict=True)]
        together = max(1, AT_ONCE // max(1, len(image)))
        for start in range(0, len(counts), together):
            draws = slice(start, start + together)
            weight = counts[draws][:, image].astype(np.int32)
            running = np.cumsum(weight, axis=1, dtype=np.int32)
            for number, curve in enumerate(curves if len(image) else []):
                self._add(draws, number, curve, weight, running)

    def _add(self, draws: slice, number: int, curve: _Curve, weight: np.ndarray, running: np.ndarray) -> None:
        of_rows = np.zeros((len(weight), len(curve.rows) + 1), dtype=np.int32)
        np.cumsum(np.take(weight, curve.rows, axis=1), axis=1, dtype=np.int32, out=of_rows[:, 1:])
        counted = running[:, -1] - of_rows[:, -1] if curve.rows_are_ignored else of_rows[:, -1]
        hits = len(curve.hits)
        if hits:
            hits_so_far = np.cumsum(np.take(weight, curve.hits, axis=1), axis=1, dtype=np.int64)  # (b, H)
            hits_so_far += self._found[draws, number, None]
            tried = np.take(of_rows, curve.before, axis=1)
            if curve.rows_are_ignored:
                tried = np.take(running, curve.hits, axis=1) - tried
            tried = tried + self._tried[draws, number, None]
            share = np.zeros((len(weight), hits + 1))  # precision at each hit, and 0 for recalls beyond the last
            np.divide(hits_so_far, np.maximum(tried, 1, out=tried), out=share[:, :-1])
            # one search in all draws: each draw's numbers lie above those of the draw before
            draw, needed = np.arange(len(weight))[:, None], self._needed[number][draws]
            offset = draw * (2 + max(int(hits_so_far[:, -1].max()), int(needed.max())))
            first = np.searchsorted((hits_so_far + offset).ravel(), (needed + offset).ravel(), side="left").reshape(
                needed.shape
            )
            first += draw
            best = np.maximum.reduceat(share.ravel(), first.ravel()).reshape(first.shape)  # up to the next threshold
            np.maximum(self._highest[draws, number], best, out=self._highest[draws, number])
            self._found[draws, number] = hits_so_far[:, -1]
        self._tried[draws, number] += counted

    def precision(self) -> Float[np.ndarray, "b C"]:
        """Return the mean of interpolated precision over the recall thresholds; NaN where no person counts."""
        best = np.maximum.accumulate(np.ascontiguousarray(self._highest[..., ::-1]), axis=2)
        return np.where(self._people > 0, best.mean(axis=2), np.nan)

    def recall(self) -> Float[np.ndarray, "b C"]:
        """Return the highest recall; NaN where no person counts."""
        share = np.divide(self._found, self._people, out=np.zeros(self._people.shape), where=self._people > 0)
        return np.where(self._people > 0, share, np.nan)


def _needed(people: Float[np.ndarray, " b"]) -> Int[np.ndarray, "b R"]:
    """Return the fewest true positives with which each recall threshold is reached, divided as COCO divides."""
    everyone = np.maximum(people, 1)[:, None]
    fewest = np.ceil(RECALL_THRESHOLDS * everyone)
    fewest -= (fewest - 1) / everyone >= RECALL_THRESHOLDS
    fewest += fewest / everyone < RECALL_THRESHOLDS
    return fewest.astype(np.int64)


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
    chosen, steps = [evaluation.area_names.index(name) for name in area_names], len(evaluation.oks_thresholds)
    counted = [np.bincount(person_image[~evaluation.person_ignored[a]], minlength=counts.shape[1]) for a in chosen]
    people = replicate_sums(counts, np.array(counted).T)  # (B, areas)
    draws = PrecisionRecallDraws(np.repeat(people, steps, axis=1))
    flags = (np.moveaxis(flag[chosen], 1, 0) for flag in (evaluation.true_positive, evaluation.pose_ignored))
    draws.add(counts, pose_image[evaluation.order], *(flag.reshape(len(flag), -1) for flag in flags))
    return numbers_of_draws(draws, area_names)


def numbers_of_draws(draws: PrecisionRecallDraws, area_names: tuple[str, ...]) -> dict[str, Float[np.ndarray, " b"]]:
    """Return the COCO numbers of curves of area ranges × OKS thresholds, each (b,)."""
    values = draws.precision(), draws.recall()
    shape = (len(values[0]), len(area_names), values[0].shape[1] // len(area_names))
    precision, recall = (
        np.ascontiguousarray(np.moveaxis(curve.reshape(shape), 0, 2)) for curve in values
    )  # (areas, T, b)
    numbers = {}
    for a, area in enumerate(area_names):
        suffix = {"all": "", "medium": "m", "large": "l"}[area]
        for name, values in (("AP", precision[a]), ("AR", recall[a])):
            numbers[f"{name}{suffix}"] = values.mean(axis=0)
            if area == "all":
                numbers[f"{name}50"], numbers[f"{name}75"] = values[0], values[5]
    return numbers
