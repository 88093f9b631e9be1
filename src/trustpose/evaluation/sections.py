"""The sections of an audit, each with its 95 % intervals and notes that explain what could not be computed."""

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from trustpose.evaluation.paired_results import PairedResults
from trustpose.evaluation.record import KeypointTrust, Number, PoseTrust, known
from trustpose.evaluation.sums import KeypointSums, PoseSums, keypoint_source
from trustpose.metrics import bootstrap, reliability
from trustpose.metrics.correlation import spearman
from trustpose.metrics.pairing import unpaired_on_people
from trustpose.metrics.reliability import scale_to_unit
from trustpose.poses import Truth


@dataclass
class Findings:
    """Results that sections collect: draws and their intervals by dotted name, and notes."""

    draws: dict[str, Float[np.ndarray, " B"]] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def interval(self, name: str, replicates: Float[np.ndarray, " B"]) -> None:
        """Store a number's draws, and their 95 % interval if it is defined in any draw."""
        self.draws[name] = replicates
        if len(replicates) and not np.isnan(replicates).all():
            self.intervals[name] = bootstrap.interval(replicates)


def pairing_counts(measured: PairedResults) -> tuple[int, int, int, int, int]:
    """Count what `notes.pairing_notes` tells of: results, unmatched ones, those of them on people, missing keypoints
    and all keypoints."""
    poses, person = measured.poses, measured.person
    unpaired = int((person < 0).sum())
    on_people = int(unpaired_on_people(poses, measured.truth, person).sum()) if unpaired else 0
    missing = 0 if poses.missing is None else int(poses.missing.sum())
    return len(poses), unpaired, on_people, missing, poses.xy[..., 0].size


def keypoint_number_counts(truth: Truth) -> tuple[int, int, int]:
    """Count what `notes.keypoint_number_notes` tells of: people, those whose `num_keypoints` is not the number of their
    labelled keypoints, and those for whom only one of both is 0."""
    number, labelled = truth.num_keypoints, np.count_nonzero(truth.v > 0, axis=1)
    return len(truth), int((number != labelled).sum()), int(((number == 0) != (labelled == 0)).sum())


def pose_trust(measured: PairedResults, pose_field: str, findings: Findings) -> PoseTrust:
    """Compare the pose score with the true OKS."""
    sums = PoseSums()
    sums.add(measured)
    trust = sums.trust(pose_field, findings.notes)
    score, oks = measured.pose_score[measured.rows], measured.oks[measured.rows]
    counts, image = measured.counts, measured.image
    findings.interval("pose.pearson", bootstrap.pearson_replicates(counts, score, oks, image))
    findings.interval("pose.spearman", bootstrap.spearman_replicates(counts, score, oks, image))
    scaled = scale_to_unit(score)
    if scaled is not None:
        findings.interval("pose.ece", bootstrap.ece_replicates(counts, scaled, oks, image))
    return replace(trust, spearman=known(spearman(score, oks)), ece_equal_mass=_equal_mass(scaled, oks))


def keypoint_trust(
    measured: PairedResults, sums: KeypointSums, score: Float[np.ndarray, "n K"], findings: Findings
) -> KeypointTrust:
    """Compare keypoint scores (`audited_score`) with OPKS; unlabelled keypoints count as 0. `sums` are of the same."""
    trust = sums.trust(keypoint_source(measured), findings.notes)
    counts, image, opks = measured.counts, measured.image, measured.opks
    flat_image = np.repeat(image, score.shape[1])
    flat_score, flat_opks = score.ravel(), opks.ravel()
    mean_score, mean_opks = score.mean(axis=1), opks.mean(axis=1)
    findings.interval("keypoint.pearson", bootstrap.pearson_replicates(counts, flat_score, flat_opks, flat_image))
    findings.interval("keypoint.pearson_pose_mean", bootstrap.pearson_replicates(counts, mean_score, mean_opks, image))
    scaled = scale_to_unit(flat_score)
    if scaled is not None:
        findings.interval("keypoint.ece", bootstrap.ece_replicates(counts, scaled, flat_opks, flat_image))
        findings.interval("keypoint.brier", bootstrap.brier_replicates(counts, scaled, flat_opks, flat_image))
    return replace(trust, ece_equal_mass=_equal_mass(scaled, flat_opks))


def _equal_mass(score: np.ndarray | None, target: np.ndarray) -> Number:
    if score is None:
        return None
    return known(reliability.expected_calibration_error(score, target, binning="equal-mass"))
