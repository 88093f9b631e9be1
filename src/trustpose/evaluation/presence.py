"""The section of an audit on presence: whether each result is the one box for a person that the labellers boxed."""

from dataclasses import replace

import numpy as np

from trustpose.evaluation.paired_results import PairedResults
from trustpose.evaluation.record import PresenceTrust, known
from trustpose.evaluation.sections import Findings
from trustpose.evaluation.sums import UNIT_BINS
from trustpose.formats.coco import TruthFile
from trustpose.metrics import bootstrap
from trustpose.metrics.binary_ranking import binary_ranking, binary_ranking_replicates
from trustpose.metrics.exact_sums import CalibrationSums
from trustpose.metrics.presence import presence_targets
from trustpose.poses import Poses

_NO_FIELD = "presence: null, the file has no presence"
_INCOMPLETE = (
    "presence: null, the ground truth does not say that all people of a photo have boxes (images' all_people_boxed, "
    "crowd regions, or people with a box and no keypoints), so an unmatched result may be a person"
)


class PresenceSums:
    """Counts and exact sums of the results' `presence` and of whether they are present."""

    def __init__(self) -> None:
        self._calibration = CalibrationSums(UNIT_BINS)
        self._has_field = self._has_complete_photos = False

    def add(self, truth: TruthFile, poses: Poses) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Count the results of whole photos; return presence and present, each (n,), and the rows (n,) that count."""
        is_complete = truth.all_people_boxed
        self._has_complete_photos |= bool(is_complete.any())
        self._has_field |= poses.presence is not None
        if poses.presence is None or not is_complete.any():
            return np.zeros(0), np.zeros(0, np.bool_), np.zeros(0, np.int64)
        order = np.nan_to_num(poses.presence.astype(np.float64), nan=-1.0)
        person, counts = presence_targets(poses, truth.truth, order, truth.images.id[is_complete])
        rows = np.flatnonzero(counts & ~np.isnan(poses.presence))
        presence, target = poses.presence[rows].astype(np.float64), person[rows] >= 0
        self._calibration.add(presence, target.astype(np.float64))
        return presence, target, rows

    def trust(self, notes: list[str]) -> PresenceTrust:
        """Return the numbers that sums give, and append a note where there are none."""
        count = int(self._calibration.count[0])
        if not self._has_field or not self._has_complete_photos:
            notes.append(_NO_FIELD if not self._has_field else _INCOMPLETE)
        if not count:
            return PresenceTrust(None, None, None, 0)
        return PresenceTrust(None, known(self._calibration.ece()), known(self._calibration.brier()), count)


def presence_trust(truth: TruthFile, measured: PairedResults, poses: Poses, findings: Findings) -> PresenceTrust:
    """Compare the results' `presence` with whether each is the one box for a person, whatever its category."""
    sums = PresenceSums()
    presence, target, rows = sums.add(truth, poses)
    trust = sums.trust(findings.notes)
    if not trust.n:
        return trust
    image, counts = measured.pose_image[rows], measured.counts
    findings.interval("presence.auroc", binary_ranking_replicates(counts, presence, target, image).auroc)
    findings.interval("presence.ece", bootstrap.ece_replicates(counts, presence, target.astype(np.float64), image))
    findings.interval("presence.brier", bootstrap.brier_replicates(counts, presence, target.astype(np.float64), image))
    return replace(trust, auroc=known(float(binary_ranking(presence, target).auroc)))
