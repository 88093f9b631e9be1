"""The sections of an audit, each with its 95 % intervals and notes that explain what could not be computed."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from trustpose.audit.paired_results import PairedResults
from trustpose.audit.record import (
    KeypointTrust,
    KeypointType,
    Number,
    PoseTrust,
    known,
)
from trustpose.metrics import bootstrap, reliability
from trustpose.metrics.correlation import average_opks_pearson, pearson, spearman
from trustpose.metrics.keypoint_average_precision import keypoint_average_precision
from trustpose.metrics.pairing import unpaired_on_people
from trustpose.metrics.reliability import scale_to_unit

UNPAIRED_ON_PEOPLE = 0.05  # share of the results above which the file's boxes or joints are suspect


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


def pairing_notes(measured: PairedResults, findings: Findings) -> None:
    """Note the number of unmatched results, a warning if it suggests a faulty file, and the number of missing
    keypoints."""
    poses, person = measured.poses, measured.person
    unpaired = int((person < 0).sum())
    if unpaired:
        findings.notes.append(f"{unpaired} of {len(poses)} results are matched to no labelled or boxed person")
        on_people = int(unpaired_on_people(poses, measured.truth, person).sum())
        if on_people > UNPAIRED_ON_PEOPLE * len(poses):
            findings.notes.append(
                f"{on_people} of {len(poses)} results ({on_people / len(poses):.0%}) are unmatched although most of "
                "their keypoints lie in the box of a labelled person without a result: pose.* and keypoint.* "
                "leave them out, a calibrator treats them as errors. Check that `bbox` is x, y, width, height in "
                "pixels, and that missing keypoints are 0, 0, 0"
            )
    if poses.missing is not None and poses.missing.any():
        findings.notes.append(
            f"{poses.missing.sum()} of {poses.missing.size} keypoints are missing (not found by the estimator): "
            "matching ignores them; OKS, OPKS and AP use them at the written position, as pycocotools does"
        )


def pose_trust(measured: PairedResults, score_field: str, findings: Findings) -> PoseTrust:
    """Compare the pose score with the true OKS."""
    score, oks = measured.score[measured.rows], measured.oks[measured.rows]
    counts, image = measured.counts, measured.image
    findings.interval("pose.pearson", bootstrap.pearson_replicates(counts, score, oks, image))
    findings.interval("pose.spearman", bootstrap.spearman_replicates(counts, score, oks, image))
    scaled = _scaled(score, f"pose.ece: '{score_field}'", findings)
    if scaled is not None:
        findings.interval("pose.ece", bootstrap.ece_replicates(counts, scaled, oks, image))
    return PoseTrust(
        pearson=known(pearson(score, oks)),
        spearman=known(spearman(score, oks)),
        n=len(oks),
        ece=_ece(scaled, oks, "equal-width"),
        ece_equal_mass=_ece(scaled, oks, "equal-mass"),
    )


def keypoint_score(measured: PairedResults, findings: Findings) -> tuple[Float[np.ndarray, "n K"], str]:
    """Return the audited keypoint scores (n, K): `keypoint_quality` if the file has it, else the third number."""
    quality, rows = measured.poses.quality, measured.rows
    third = measured.poses.score
    assert third is not None
    if quality is None:
        return third[rows], "keypoints[2::3]"
    missing = np.isnan(quality[rows])
    if missing.any():
        count = int(missing.any(axis=1).sum())
        findings.notes.append(f"keypoint.*: {count} results have no keypoint_quality; their third numbers are used")
    return np.where(missing, third[rows], quality[rows]), "keypoint_quality"


def keypoint_trust(
    measured: PairedResults, score: Float[np.ndarray, "n K"], source: str, findings: Findings
) -> KeypointTrust:
    """Compare keypoint scores with OPKS; unlabelled keypoints count as 0."""
    counts, image, opks = measured.counts, measured.image, measured.opks
    flat_image = np.repeat(image, score.shape[1])
    flat_score, flat_opks = score.ravel(), opks.ravel()
    mean_score, mean_opks = score.mean(axis=1), opks.mean(axis=1)
    findings.interval("keypoint.pearson", bootstrap.pearson_replicates(counts, flat_score, flat_opks, flat_image))
    findings.interval("keypoint.pearson_pose_mean", bootstrap.pearson_replicates(counts, mean_score, mean_opks, image))
    scaled = _scaled(flat_score, f"keypoint.ece and keypoint.brier: '{source}'", findings)
    if scaled is not None:
        findings.interval("keypoint.ece", bootstrap.ece_replicates(counts, scaled, flat_opks, flat_image))
        findings.interval("keypoint.brier", bootstrap.brier_replicates(counts, scaled, flat_opks, flat_image))
    return KeypointTrust(
        pearson=known(pearson(flat_score, flat_opks)),
        pearson_pose_mean=known(average_opks_pearson(score, opks)),
        ece=_ece(scaled, flat_opks, "equal-width"),
        ece_equal_mass=_ece(scaled, flat_opks, "equal-mass"),
        brier=None if scaled is None else known(reliability.brier_score(scaled, flat_opks)),
        n=len(flat_opks),
        source=source,
    )


def keypoint_types(
    measured: PairedResults, score: Float[np.ndarray, "n K"], names: tuple[str, ...]
) -> dict[str, KeypointType]:
    """Compute the numbers of each keypoint of the skeleton, with AP and AR over keypoints (mAPK)."""
    table = keypoint_average_precision(measured.opks, measured.labelled, score) if len(score) else None
    types = {}
    for k, name in enumerate(names):
        labelled, column, opks = measured.labelled[:, k], score[:, k], measured.opks[:, k]
        scaled = scale_to_unit(column)
        types[name] = KeypointType(
            n=int(labelled.sum()),
            mean_opks=known(opks[labelled].mean()) if labelled.any() else None,
            pearson=known(pearson(column, opks)),
            ece=_ece(scaled, opks, "equal-width"),
            AP=None if table is None else known(table.AP[k]),
            AR=None if table is None else known(table.AR[k]),
        )
    return types


def _scaled(score: np.ndarray, what: str, findings: Findings) -> np.ndarray | None:
    """Apply `scale_to_unit`, with a note if it clips or gives up."""
    scaled = scale_to_unit(score)
    if not len(score):
        return None
    low, high, outside = score.min(), score.max(), int(((score < 0) | (score > 1)).sum())
    if scaled is None:
        findings.notes.append(f"{what}: null, scores run from {low:.4g} to {high:.4g}, expected 0 to 1")
    elif outside:
        findings.notes.append(
            f"{what}: {outside} of {len(score)} scores lie outside 0 to 1 (highest {high:.4g}), clipped"
        )
    return scaled


def _ece(score: np.ndarray | None, target: np.ndarray, binning: reliability.Binning) -> Number:
    return None if score is None else known(reliability.expected_calibration_error(score, target, binning=binning))
