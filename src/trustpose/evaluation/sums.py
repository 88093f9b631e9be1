"""The sums behind an audit's trust numbers, to which batches of whole photos add: counts, and exact sums of scores.

An audit in memory adds one batch, so that an audit in batches has the same numbers to the last digit.
"""

import numpy as np
from jaxtyping import Float

from trustpose.evaluation.paired_results import PairedResults
from trustpose.evaluation.record import KeypointTrust, KeypointType, PoseTrust, known
from trustpose.formats.coco import ResultsFile
from trustpose.metrics.exact_sums import CalibrationSums, PearsonSums, exact_sums, mean_of
from trustpose.metrics.keypoint_average_precision import THRESHOLDS, hit_levels, precision_of_counts
from trustpose.metrics.reliability import bin_edges

RANKED_BY = "score"  # the field that ranks, unless another is asked for
UNIT_BINS = bin_edges(np.zeros(0))[1:-1]  # of the 15 bins of equal width


class PoseSums:
    """Of the pose score and OKS."""

    def __init__(self) -> None:
        self._pearson, self._calibration = PearsonSums(), CalibrationSums(UNIT_BINS)

    def add(self, measured: PairedResults) -> None:
        """Count the poses whose person has labels."""
        score, oks = measured.pose_score[measured.rows], measured.oks[measured.rows]
        self._pearson.add(score, oks)
        self._calibration.add(score, oks)

    def trust(self, pose_field: str, notes: list[str]) -> PoseTrust:
        """Return the numbers that sums give, and append a note on a score that is not on the scale 0–1."""
        is_on_scale = note_scale(self._calibration, f"pose.ece: '{pose_field}'", notes)
        ece = known(self._calibration.ece()) if is_on_scale else None
        pearson = known(float(self._pearson.pearson()[0]))
        return PoseTrust(pearson, None, int(self._pearson.count[0]), ece, None)


class KeypointSums:
    """Of keypoint scores and OPKS, unlabelled keypoints counting 0, for each of K keypoints of the skeleton."""

    def __init__(self, keypoints: int) -> None:
        self._pearson, self._mean = PearsonSums(keypoints), PearsonSums()
        self._calibration = CalibrationSums(UNIT_BINS, keypoints)
        self._opks = [0] * keypoints  # exact, over labelled ones
        self._labelled, self._level = np.zeros((2, keypoints), np.int64)
        self._without_quality = 0

    def add(self, measured: PairedResults) -> None:
        """Count the poses whose person has labels."""
        score, without = audited_score(measured)
        self._without_quality += without
        opks = np.ascontiguousarray(measured.opks)
        n, k = score.shape
        group = np.tile(np.arange(k), n)
        self._pearson.add(score.ravel(), opks.ravel(), group)
        self._calibration.add(score.ravel(), opks.ravel(), group)
        self._mean.add(score.mean(axis=1), opks.mean(axis=1))
        labelled = measured.labelled
        for at, more in enumerate(exact_sums(opks[labelled], group.reshape(n, k)[labelled], k)):
            self._opks[at] += more
        self._labelled += labelled.sum(axis=0)
        self._level += hit_levels(opks, labelled).sum(axis=0)

    def trust(self, source: str, notes: list[str]) -> KeypointTrust:
        """Return the numbers that sums give, and append notes on scores without quality or off the scale 0–1."""
        if self._without_quality:
            notes.append(
                f"keypoint.*: {self._without_quality} results have no keypoint_quality; their third numbers are used"
            )
        together, pearson = self._calibration.together(), self._pearson.together()
        is_on_scale = note_scale(together, f"keypoint.ece and keypoint.brier: '{source}'", notes)
        return KeypointTrust(
            pearson=known(float(pearson.pearson()[0])),
            pearson_pose_mean=known(float(self._mean.pearson()[0])),
            ece=known(together.ece()) if is_on_scale else None,
            ece_equal_mass=None,
            brier=known(together.brier()) if is_on_scale else None,
            n=int(pearson.count[0]),
            source=source,
        )

    def types(self, names: tuple[str, ...]) -> dict[str, KeypointType]:
        """Return the numbers of each keypoint of the skeleton, with AP and AR over keypoints (mAPK)."""
        count, pearson = self._pearson.count, self._pearson.pearson()
        table = precision_of_counts(self._level, self._labelled, count, len(THRESHOLDS))
        return {
            name: KeypointType(
                n=int(self._labelled[k]),
                mean_opks=known(mean_of(self._opks[k], int(self._labelled[k]))),
                pearson=known(float(pearson[k])),
                ece=known(self._calibration.ece(k)) if self._calibration.is_on_scale(k) else None,
                AP=known(table.AP[k]),
                AR=known(table.AR[k]),
            )
            for k, name in enumerate(names)
        }


def audited_pose_score(results: ResultsFile, score_field: str | None) -> tuple[Float[np.ndarray, " N"], str]:
    """Return the pose scores (N,) that are compared with OKS, and their field: `pose_quality` if the file has it, with
    `score` in rows that lack it; or the score that ranks, where its field was asked for."""
    quality = results.poses.pose_quality
    if score_field is not None or quality is None:
        return results.score, score_field or RANKED_BY
    return np.where(np.isnan(quality), results.score, quality), "pose_quality"


def audited_score(measured: PairedResults) -> tuple[Float[np.ndarray, "n K"], int]:
    """Return the audited keypoint scores (n, K): `keypoint_quality` if the file has it, else the third number, and the
    number of results that lack a quality which others have."""
    quality, third = measured.poses.quality, measured.poses.score
    assert third is not None
    third = np.ascontiguousarray(third[measured.rows])
    if quality is None:
        return third, 0
    quality = quality[measured.rows]
    missing = np.isnan(quality)
    return np.ascontiguousarray(np.where(missing, third, quality)), int(missing.any(axis=1).sum())


def keypoint_source(measured: PairedResults) -> str:
    """Return the field of `audited_score`."""
    return "keypoints[2::3]" if measured.poses.quality is None else "keypoint_quality"


def note_scale(sums: CalibrationSums, what: str, notes: list[str]) -> bool:
    """Return whether scores are on the scale 0–1, with a note if some were clipped or all are off it."""
    if not sums.count[0]:
        return False
    low, high, outside = sums.lowest[0], sums.highest[0], int(sums.outside[0])
    if not sums.is_on_scale():
        notes.append(f"{what}: null, scores run from {low:.4g} to {high:.4g}, expected 0 to 1")
        return False
    if outside:
        notes.append(f"{what}: {outside} of {sums.count[0]} scores lie outside 0 to 1 (highest {high:.4g}), clipped")
    return True
