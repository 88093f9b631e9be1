"""Tables of papers that an audit adds on request: AP at single OKS thresholds, scoring errors, mAPK with "non-0"."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from trustpose.evaluation.batch import Batch
from trustpose.evaluation.record import KeypointPrecision, Number
from trustpose.evaluation.resampling import Findings
from trustpose.files import InputError
from trustpose.formats.coco import TruthFile
from trustpose.metrics.correct_joints import table_groups
from trustpose.metrics.keypoint_average_precision import (
    THRESHOLDS,
    KeypointAveragePrecision,
    hit_levels,
    precision_of_counts,
    predicted_keypoints,
)
from trustpose.poses import Visibility

TABLES = ("thresholds", "scoring-errors", "non-0")


def parse_tables(texts: Sequence[str]) -> dict[str, float | None]:
    """Return the tables of texts NAME or non-0@SCORE, comma-separated or apart, with their scores. Raises
    InputError."""
    parsed: dict[str, float | None] = {}
    for text in (name.strip() for names in texts for name in names.split(",")):
        name, _, limit = text.partition("@")
        if name not in TABLES or (limit and name != "non-0"):
            raise InputError(f"--table: expected {', '.join(TABLES)} or non-0@SCORE, got {text[:40]!r}")
        try:
            parsed[name] = float(limit) if limit else None
        except ValueError:
            raise InputError(f"--table {text[:40]}: expected a number after @") from None
    return parsed


class KeypointsNotAbsent:
    """mAPK of each group of joints and its mean over keypoints, of the poses whose person has labels: with all
    keypoints, and without those that the estimator takes for absent.

    Keypoints with a score below `score_threshold` count as not predicted either way.
    """

    def __init__(self, score_threshold: float | None, keypoints: int) -> None:
        self._score_threshold = score_threshold
        self._labelled = np.zeros(keypoints, np.int64)
        self._all, self._kept = np.zeros((2, 2, keypoints), np.int64)  # thresholds reached, and predicted keypoints
        self._has_visibility = False

    def add(self, batch: Batch) -> None:
        """Count a batch of whole photos."""
        scores, labelled = batch.poses.score, batch.labelled
        if scores is None and self._score_threshold is not None:
            raise InputError("--table non-0@SCORE: the keypoints have no scores")
        score = None if scores is None or self._score_threshold is None else scores[batch.rows]
        level = hit_levels(batch.opks, labelled)
        self._labelled += labelled.sum(axis=0)
        absent = _absent(batch)
        for counts, without in ((self._all, None), (self._kept, absent)):
            predicted = predicted_keypoints(labelled.shape, score, without, self._score_threshold)
            counts += np.stack([(level * predicted).sum(axis=0), predicted.sum(axis=0)])
        self._has_visibility |= absent is not None

    def result(self, truth: TruthFile, findings: Findings) -> dict[str, KeypointPrecision]:
        """Return the table by group of joints, with a note if the poses have no visibility."""
        if not self._has_visibility:
            findings.notes.append("tables.non-0: null without the poses' visibility")
        all_counts, not_absent = (
            precision_of_counts(level, self._labelled, predicted, len(THRESHOLDS))
            for level, predicted in (self._all, self._kept)
        )
        names, skeleton = truth.keypoint_names, truth.skeleton
        groups = {name: (k,) for k, name in enumerate(names)} if skeleton is None else table_groups(skeleton)
        return {
            name: KeypointPrecision(
                *_means(all_counts, joints), *_means(not_absent if self._has_visibility else None, joints)
            )
            for name, joints in {**groups, "mean": tuple(range(len(names)))}.items()
        }


def _absent(batch: Batch) -> Bool[np.ndarray, "n K"] | None:
    """Return which keypoints (n, K) the estimator takes for absent: by its labels, else as the likeliest class."""
    poses = batch.poses
    if poses.visibility_label is not None:
        return np.asarray(poses.visibility_label[batch.rows] == Visibility.ABSENT)
    if poses.visibility is None:
        return None
    return np.asarray(poses.visibility[batch.rows].argmax(axis=2) == Visibility.ABSENT)


def _means(table: KeypointAveragePrecision | None, joints: Sequence[int]) -> tuple[Number, Number]:
    """Return the means of AP and AR over these joints, without those that have none."""
    if table is None:
        return None, None
    columns = [column[list(joints)] for column in (table.AP, table.AR)]
    ap, ar = (float(values[~np.isnan(values)].mean()) if (~np.isnan(values)).any() else None for values in columns)
    return ap, ar
