"""Tables of papers that an audit adds on request: AP at single OKS thresholds, scoring errors, mAPK with "non-0"."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from trustpose.evaluation.categories import Group, evaluate_groups
from trustpose.evaluation.paired_results import PairedResults
from trustpose.evaluation.record import Number, known
from trustpose.evaluation.sections import Findings
from trustpose.files import InputError
from trustpose.formats.coco import TruthFile
from trustpose.metrics.average_precision import OKS_THRESHOLDS, Evaluation, mean_of_counted
from trustpose.metrics.correct_joints import table_groups
from trustpose.metrics.diagnosis_scores import ScoreDiagnosis, diagnose_scores
from trustpose.metrics.keypoint_average_precision import KeypointAveragePrecision, keypoint_average_precision
from trustpose.poses import Visibility

TABLES = ("thresholds", "scoring-errors", "non-0")
_BINS = 19  # coco-analyze's


@dataclass(frozen=True)
class ThresholdPrecision:
    """AP at one OKS threshold, ranked by the score and by the true OKS (OKS-Net, tables XII and XIII)."""

    AP: Number
    oracle_AP: Number


@dataclass(frozen=True)
class CompetingScores:
    """Histograms of the poses within OKS 0.1 of people whom several are near: of each person's closest pose, and of the
    others. `overlap` is the sum of the smaller of both heights, the red bars of OKS-Net's figure 11."""

    edges: tuple[float, ...]
    closest: tuple[int, ...]
    others: tuple[int, ...]
    overlap: int


@dataclass(frozen=True)
class ScoringErrors:
    """Scoring errors (Ronchi & Perona, section 3.2) by the score, and by the optimal one: people whose closest pose
    another pose within OKS 0.5 outranks, and histograms. The optimal score reorders `reordered_images` of `images`."""

    errors: int
    errors_by_optimal_score: int
    reordered_images: int
    images: int
    score: CompetingScores
    optimal_score: CompetingScores


@dataclass(frozen=True)
class KeypointPrecision:
    """mAPK of one group of joints (metamodel paper, tables 3 and 4): with all keypoints, and without those that the
    estimator takes for absent."""

    AP: Number
    AR: Number
    non_0_AP: Number
    non_0_AR: Number


def parse_tables(texts: Sequence[str]) -> dict[str, float | None]:
    """Return the tables of texts NAME or non-0@SCORE, comma-separated or apart, with their scores. Raises
    InputError."""
    parsed: dict[str, float | None] = {}
    for text in (one.strip() for several in texts for one in several.split(",")):
        name, _, limit = text.partition("@")
        if name not in TABLES or (limit and name != "non-0"):
            raise InputError(f"--table: expected {', '.join(TABLES)} or non-0@SCORE, got {text[:40]!r}")
        try:
            parsed[name] = float(limit) if limit else None
        except ValueError:
            raise InputError(f"--table {text[:40]}: expected a number after @") from None
    return parsed


def paper_tables(
    parsed: Mapping[str, float | None],
    truth: TruthFile,
    measured: PairedResults,
    groups: list[Group],
    findings: Findings,
) -> dict[str, Any]:
    """Compute the tables of `parse_tables` by name."""
    result: dict[str, Any] = {}
    if "thresholds" in parsed:
        result["thresholds"] = threshold_precisions(measured, groups)
    if "scoring-errors" in parsed:
        result["scoring-errors"] = scoring_errors(measured)
    if "non-0" in parsed:
        result["non-0"] = keypoint_precisions(truth, measured, parsed["non-0"], findings)
    return result


def threshold_precisions(measured: PairedResults, groups: list[Group]) -> dict[str, ThresholdPrecision]:
    """Return AP at each of COCO's ten OKS thresholds, "AP50" to "AP95"; the mean over categories, if several."""
    own, oracle = (
        _at_thresholds(evaluate_groups(measured, groups, score)) for score in (measured.score, measured.oracle_score())
    )
    return {
        f"AP{round(100 * threshold)}": ThresholdPrecision(known(own[at]), known(oracle[at]))
        for at, threshold in enumerate(OKS_THRESHOLDS)
    }


def _at_thresholds(evaluations: list[Evaluation]) -> Float[np.ndarray, " T"]:
    values = np.array([[mean_of_counted(precision) for precision in one.precision[0]] for one in evaluations])
    counted = (values >= 0).all(axis=1)
    return values[counted].mean(axis=0) if counted.any() else np.full(values.shape[1], np.nan)


def scoring_errors(measured: PairedResults) -> ScoringErrors:
    """Return the scoring errors of people of 32² pixels and more, as coco-analyze counts them."""
    found = diagnose_scores(measured.poses, measured.truth, measured.score, sigmas=measured.sigmas, area=measured.area)
    return ScoringErrors(
        errors=int(found.misranked.sum()),
        errors_by_optimal_score=int(found.misranked_after.sum()),
        reordered_images=found.reordered_images,
        images=found.images,
        score=_competing(measured.score, found),
        optimal_score=_competing(found.optimal_score, found),
    )


def _competing(score: Float[np.ndarray, " N"], found: ScoreDiagnosis) -> CompetingScores:
    """Both histograms have the same bins, from the lowest to the highest of all these scores."""
    both = [score[found.closest], score[found.others]]
    edges = np.histogram_bin_edges(np.concatenate(both), _BINS)
    closest, others = (np.histogram(one, edges)[0] for one in both)
    counts = (tuple(one.tolist()) for one in (edges, closest, others))
    return CompetingScores(*counts, overlap=int(np.minimum(closest, others).sum()))


def keypoint_precisions(
    truth: TruthFile, measured: PairedResults, score_threshold: float | None, findings: Findings
) -> dict[str, KeypointPrecision]:
    """Return mAPK of each group of joints and its "mean" over keypoints, of the poses whose person has labels.

    Keypoints with a score below `score_threshold` count as not predicted either way.
    """
    absent, scores = _absent(measured), measured.poses.score
    if absent is None:
        findings.notes.append("tables.non-0: null without the poses' visibility")
    if scores is None and score_threshold is not None:
        raise InputError("--table non-0@SCORE: the keypoints have no scores")
    options = {
        "score": None if scores is None or score_threshold is None else scores[measured.rows],
        "score_threshold": score_threshold,
    }
    every = keypoint_average_precision(measured.opks, measured.labelled, **options)
    kept = None
    if absent is not None:
        kept = keypoint_average_precision(measured.opks, measured.labelled, predicted_absent=absent, **options)
    names = truth.keypoint_names
    groups = {name: (at,) for at, name in enumerate(names)} if truth.skeleton is None else table_groups(truth.skeleton)
    return {
        name: KeypointPrecision(*_means(every, joints), *_means(kept, joints))
        for name, joints in {**groups, "mean": tuple(range(len(names)))}.items()
    }


def _absent(measured: PairedResults) -> Bool[np.ndarray, "n K"] | None:
    """Return which keypoints (n, K) the estimator takes for absent: by its labels, else as the likeliest class."""
    poses = measured.poses
    if poses.visibility_label is not None:
        return np.asarray(poses.visibility_label[measured.rows] == Visibility.ABSENT)
    if poses.visibility is None:
        return None
    return np.asarray(poses.visibility[measured.rows].argmax(axis=2) == Visibility.ABSENT)


def _means(table: KeypointAveragePrecision | None, joints: Sequence[int]) -> tuple[Number, Number]:
    """Return the means of AP and AR over these joints, without those that have none."""
    if table is None:
        return None, None
    columns = [column[list(joints)] for column in (table.AP, table.AR)]
    ap, ar = (float(one[~np.isnan(one)].mean()) if (~np.isnan(one)).any() else None for one in columns)
    return ap, ar
