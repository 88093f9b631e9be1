"""The counts behind an audit's numbers on visibility, to which batches of whole photos add."""

from typing import Literal

import numpy as np

from trustpose.evaluation.paired_results import PairedResults
from trustpose.evaluation.record import F1, LabelledVisibility, Number, TernaryVisibility, known
from trustpose.metrics.visibility import LabelledScores, TernaryScores, confusion, labelled_scores, ternary_scores
from trustpose.poses import MISSING_ID, Visibility

Source = Literal["visibility_label", "visibility", "score"]
NOT_TERNARY = (
    "visibility.ternary and visibility.occluded: null, the ground truth says whether a keypoint is labelled, not "
    "whether it is occluded or visible"
)
LABELLED = ("precision", "recall", "f1", "accuracy")


class VisibilitySums:
    """Confusion of true and predicted visibility, by `visibility_label` and by the likeliest of `visibility`."""

    def __init__(self) -> None:
        self._rows = 0
        self._has: dict[Source, bool] = {"visibility_label": False, "visibility": False}
        self._without: dict[Source, int] = {"visibility_label": 0, "visibility": 0}
        self._labelled: dict[Source, np.ndarray] = {name: np.zeros((2, 2), np.int64) for name in self._has}
        self._ternary: dict[Source, np.ndarray] = {name: np.zeros((3, 3), np.int64) for name in self._has}

    def add(self, measured: PairedResults) -> None:
        """Count the keypoints of poses whose person has labels."""
        poses, rows = measured.poses, measured.rows
        self._rows += len(rows)
        if poses.visibility is not None:
            visibility = poses.visibility[rows]
            there = ~np.any(np.isnan(visibility), axis=(1, 2))
            likeliest = np.argmax(np.nan_to_num(visibility), axis=2)
            self._count("visibility", measured, there, likeliest, visibility[..., Visibility.ABSENT] < 0.5)
        if poses.visibility_label is not None:
            label = poses.visibility_label[rows].astype(np.int64)
            there = ~(label == MISSING_ID).any(axis=1)
            self._count("visibility_label", measured, there, label, label != Visibility.ABSENT)

    def _count(
        self, name: Source, measured: PairedResults, there: np.ndarray, predicted: np.ndarray, is_labelled: np.ndarray
    ) -> None:
        self._has[name] = True
        self._without[name] += int((~there).sum())
        self._ternary[name] += confusion(measured.v[there], predicted[there])
        truly, found = (one[there].astype(np.int64) for one in (measured.labelled, is_labelled))
        self._labelled[name] += confusion(truly, found, classes=2)

    def source(self, notes: list[str]) -> Source | None:
        """Return what visibility is predicted by, with notes: `visibility_label` or `visibility`, if every row has it;
        "score", the third number, if the file has neither; None if it cannot be evaluated."""
        if not self._rows:
            notes.append("visibility.*: null, no result is matched to a labelled person")
            return None
        if self._has["visibility"] and self._without["visibility"]:
            what = "visibility.occluded" if self._has["visibility_label"] else "visibility.*"
            notes.append(f"{what}: null, {self._without['visibility']} results have no visibility while others do")
        if self._has["visibility_label"]:
            missing = self._without["visibility_label"]
            notes.append(
                f"visibility.*: visibility_label is not used, {missing} results have none while others do"
                if missing
                else "visibility.labelled and visibility.ternary: evaluate the file's visibility_label, chosen by a "
                "decision rule"
            )
        if not any(self._has.values()):
            return "score"
        return next((name for name, has in self._has.items() if has and not self._without[name]), None)

    @property
    def has_probabilities(self) -> bool:
        """Whether every row has `visibility`."""
        return self._has["visibility"] and not self._without["visibility"]

    def labelled(self, source: Source) -> LabelledVisibility:
        """Return how well labelled keypoints are separated from others by a source that is not the score."""
        return labelled_visibility(labelled_scores(self._labelled[source]), None)

    def ternary(self, source: Source) -> TernaryVisibility:
        """Return the F1 of absent, occluded and visible by a source that is not the score."""
        return ternary_visibility(ternary_scores(self._ternary[source]))


def labelled_visibility(scores: LabelledScores, threshold: Number) -> LabelledVisibility:
    """Return the section of these scores."""
    return LabelledVisibility(*(known(float(getattr(scores, name))) for name in LABELLED), threshold=threshold)


def ternary_visibility(scores: TernaryScores) -> TernaryVisibility:
    """Return the section of these scores."""
    return TernaryVisibility(*(F1(known(value)) for value in scores.f1), total=F1(known(float(scores.total_f1))))
