"""Precision and recall over a stream: curves of the same poses in the order of one score, and their draws."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.evaluation.batch import Batch
from trustpose.evaluation.ranking import Ranking
from trustpose.evaluation.resampling import PhotoTable, Resampling
from trustpose.metrics.average_precision import OKS_THRESHOLDS, Evaluation, PrecisionRecall
from trustpose.metrics.average_precision_bootstrap import PrecisionRecallDraws, numbers_of_draws

STEPS = len(OKS_THRESHOLDS)


class Curves:
    """G groups of curves, such as area ranges, each at every OKS threshold, over poses ranked by one score.

    Matching is within photos, so that a batch of whole photos says of each of its poses whether it is right at every
    threshold, and the poses of all batches in order give precision and recall.
    """

    def __init__(self, groups: int) -> None:
        self.groups = groups
        self._ranking = Ranking(2 * groups * STEPS)
        self._people = PhotoTable(groups)
        self._count = np.zeros(groups, np.int64)

    def add(
        self,
        batch: Batch,
        evaluations: Sequence[Evaluation],
        score: Float[np.ndarray, " N"],
        poses: Int[np.ndarray, " N"] | None = None,
        people: Int[np.ndarray, " M"] | None = None,
        within: Sequence[Bool[np.ndarray, " i"]] = (),
    ) -> None:
        """Count evaluations of the same poses by the same score, whose area ranges are the groups, and the first range
        once more for each `within`, in those photos of the batch alone. `poses` and `people` are their rows in the
        batch, all if None."""
        order = evaluations[0].order
        pose_image = batch.pose_image[order if poses is None else poses[order]]
        person_image = batch.person_image if people is None else batch.person_image[people]
        hits = [_by_pose(evaluation.true_positive) for evaluation in evaluations]
        ignored = [_by_pose(evaluation.pose_ignored) for evaluation in evaluations]
        counted = [~row for evaluation in evaluations for row in evaluation.person_ignored]
        for photos in within:
            inside = photos[pose_image][:, None]
            hits.append(hits[0][:, :STEPS] & inside)
            ignored.append(ignored[0][:, :STEPS] | ~inside)
            counted.append(counted[0] & photos[person_image])
        photos_of_people = [np.bincount(person_image[row], minlength=len(batch.image_id)) for row in counted]
        table = np.stack(photos_of_people, axis=1)
        self._people.append(table)
        self._count += table.sum(axis=0)
        self._ranking.add(score[order], batch.first + pose_image, np.concatenate([*hits, *ignored], axis=1))

    def precision_recall(self) -> tuple[Float[np.ndarray, "G T R"], Float[np.ndarray, "G T"]]:
        """Return interpolated precision and highest recall; −1 if no person counts."""
        curves = PrecisionRecall(np.repeat(self._count, STEPS))
        for _, _, flags in self._ranking.blocks():
            curves.add(*np.split(flags, 2, axis=1))
        return curves.precision().reshape(self.groups, STEPS, -1), curves.recall().reshape(self.groups, STEPS)

    def people(self) -> Int[np.ndarray, " G"]:
        """Return how many people count in each group."""
        return self._count

    def draws(self, resampling: Resampling, names: Sequence[str], groups: Sequence[int]) -> dict[str, np.ndarray]:
        """Return COCO's numbers of groups in every draw, each (B,), NaN where no person counts; `names` are those of
        area ranges."""
        people = resampling.sums(self._people)[:, list(groups)]
        columns = (np.array(groups)[:, None] * STEPS + np.arange(STEPS)).ravel()
        parts = []
        for draws, counts in resampling.blocks():
            curves = PrecisionRecallDraws(np.repeat(people[draws], STEPS, axis=1))
            for _, photo, flags in self._ranking.blocks():
                hits, ignored = np.split(flags, 2, axis=1)
                curves.add(counts, photo, hits[:, columns], ignored[:, columns])
            parts.append(numbers_of_draws(curves, tuple(names)))
        if not parts:
            return numbers_of_draws(PrecisionRecallDraws(np.zeros((0, len(columns)))), tuple(names))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _by_pose(flags: np.ndarray) -> np.ndarray:
    """Return flags (A, D, T) as (D, A · T)."""
    return np.moveaxis(flags, 1, 0).reshape(flags.shape[1], flags.shape[0] * flags.shape[2])
