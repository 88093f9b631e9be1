"""Audit two files: how good the poses are and how reliable their scores."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from trustpose.datasets.ground_truth import read_ground_truth
from trustpose.evaluation.benchmarks import crowd_levels, occlusion_benchmarks
from trustpose.evaluation.categories import (
    Group,
    category_precisions,
    evaluate_groups,
    mean_draws,
    mean_summary,
    measure_by_category,
)
from trustpose.evaluation.details import Details, Draws
from trustpose.evaluation.inputs import inputs
from trustpose.evaluation.joints_only import JointsAudit, audit_joints, has_joints_only
from trustpose.evaluation.localisation import Asked, asked_metrics, localisation
from trustpose.evaluation.notes import convention_notes, id_notes, keypoint_number_notes, pairing_notes
from trustpose.evaluation.paired_results import PairedResults
from trustpose.evaluation.pixels import pixels
from trustpose.evaluation.presence import presence_trust
from trustpose.evaluation.record import Audit, AuditNumbers, CategoryPrecision, Errors, known
from trustpose.evaluation.sections import (
    Findings,
    keypoint_number_counts,
    keypoint_trust,
    pairing_counts,
    pose_trust,
)
from trustpose.evaluation.sums import RANKED_BY, KeypointSums, audited_pose_score, audited_score
from trustpose.evaluation.tables import paper_tables, parse_tables
from trustpose.evaluation.tracking_record import Tracking
from trustpose.evaluation.visibility import visibility_trust
from trustpose.files import InputError
from trustpose.formats.coco import ResultsFile, TruthFile, read_results
from trustpose.formats.coco.together import common_photos, left_out_notes
from trustpose.metrics.average_precision import AREA_RANGES, AveragePrecision
from trustpose.metrics.bootstrap import REPLICATES
from trustpose.metrics.diagnosis import diagnose
from trustpose.metrics.diagnosis_impact import error_impact
from trustpose.poses import Area
from trustpose.skeletons import Skeleton, difference


def audit(
    ground_truth: str | Path | TruthFile,
    results: str | Path | ResultsFile,
    *,
    area: str = "auto",
    score: str | None = None,
    category: str | int | None = None,
    skeleton: Skeleton | str | Path | None = None,
    sigmas: Float[np.ndarray, " L"] | None = None,
    common: bool = False,
    metrics: Sequence[str] = (),
    tables: Sequence[str] = (),
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Audit | JointsAudit:
    """Audit a COCO keypoint results file against a ground truth (`datasets.ground_truth`).

    `area` names the convention for OKS and the area ranges ("auto": see `TruthFile.area_convention`), `score` the field
    by which results are ranked and which is compared with OKS; None: "score" ranks, and `pose_quality`, if the file has
    it, is compared. `sigmas`, (K,) or one for all, replace the skeleton's. `skeleton`, a Skeleton, name or
    file, overrides the ground truth's. `metrics` are names of `localisation.METRICS`, each with @FRACTION if
    wished; without, the data set's own. `tables` are names of `tables.TABLES`. `common` uses only photos that
    both files have; without it, results for other photos are an error. `replicates` resamplings of images give the 95 %
    intervals (0: none).

    The skeletons of MPII and FLIC have no published sigmas: without `sigmas` the result is a `JointsAudit`, which has
    the data set's own metrics and no OKS. Raises InputError if a file or field is invalid.
    """
    truth = ground_truth if isinstance(ground_truth, TruthFile) else read_ground_truth(ground_truth, category, skeleton)
    asked = asked_metrics(metrics, truth)
    named_tables = parse_tables(tables)
    convention = truth.area_convention(area)
    if not isinstance(results, ResultsFile):
        results = read_results(results, truth=truth, score_field=score or RANKED_BY, common=common)
    if differ := difference(results.poses.skeleton, truth.truth.skeleton):
        raise InputError(f"{results.path} and {truth.path} have different skeletons, {differ}")
    if common:
        truth, (results,) = common_photos(truth, [results])
    if has_joints_only(truth, asked, sigmas):
        if named_tables:
            raise InputError(f"{truth.path}: --table needs OKS: give --sigmas")
        return audit_joints(truth, results, asked, score=score or RANKED_BY, replicates=replicates, seed=seed)
    findings = Findings(notes=_notes(truth, results, area, convention, sigmas))
    with np.errstate(over="ignore"):  # a keypoint at 1e300 overflows to infinity, and its OKS is 0
        options: dict[str, Any] = {"area": convention, "replicates": replicates, "seed": seed}
        pose_score, pose_field = audited_pose_score(results, score)
        measured, groups = measure_by_category(
            truth, results, sigmas=truth.sigmas(sigmas), pose_score=pose_score, **options
        )
        findings.notes += pairing_notes(*pairing_counts(measured))
        further = paper_tables(named_tables, truth, measured, groups, findings)
        fields = (score or RANKED_BY, pose_field)
        return replace(_assemble(truth, results, measured, groups, fields, asked, findings), tables=further)


def audit_numbers(ground_truth: TruthFile, results: ResultsFile, *, area: str = "auto") -> AuditNumbers:
    """Compute an audit's first numbers alone, without intervals and notes: those of `audit` for the same arguments, in
    a fraction of the time. Raises InputError as it does."""
    with np.errstate(over="ignore"):
        pose_score, pose_field = audited_pose_score(results, None)
        measured, groups = measure_by_category(
            ground_truth,
            results,
            pose_score=pose_score,
            sigmas=ground_truth.sigmas(None),
            area=ground_truth.area_convention(area),
            replicates=0,
            seed=0,
        )
        unread = Findings()
        keypoint = KeypointSums(len(measured.sigmas))
        keypoint.add(measured)
        ap, oracle_ap, _ = _average_precision(measured, groups, measured.oracle_score(), unread)
        return AuditNumbers(
            ap=ap,
            oracle_ap=oracle_ap,
            headroom=_headroom(ap, oracle_ap),
            pose=pose_trust(measured, pose_field, unread),
            keypoint=keypoint_trust(measured, keypoint, audited_score(measured)[0], unread),
            visibility=visibility_trust(measured, unread, is_ternary=ground_truth.has_visibility),
        )


def _notes(truth: TruthFile, results: ResultsFile, asked: str, area: Area, sigmas: np.ndarray | None) -> list[str]:
    """Return notes on assumptions about the files, rows left out, and differences from COCO."""
    notes = [*truth.notes, *results.notes, *left_out_notes(truth, results)]
    notes += convention_notes(area, asked, truth.area_sources(), truth.skeleton, has_sigmas=sigmas is not None)
    if truth.categories is not None:
        count = len(np.unique(truth.categories.of_row))
        notes.append(f"ap, oracle_ap, headroom: means over {count} categories; all other numbers pool them")
    notes += keypoint_number_notes(*keypoint_number_counts(truth.truth))
    ids = truth.truth.annotation_id
    return [*notes, *id_notes(0 if ids is None else int((ids == 0).sum()))]


def _assemble(
    truth: TruthFile,
    results: ResultsFile,
    measured: PairedResults,
    groups: list[Group],
    score_fields: tuple[str, str],
    asked: Sequence[Asked],
    findings: Findings,
) -> Audit:
    errors = _errors(measured, truth)  # first, as it takes the most memory, before the draws exist
    keypoint, (score_of_keypoints, _) = KeypointSums(len(measured.sigmas)), audited_score(measured)
    keypoint.add(measured)
    score_field, pose_field = score_fields
    oracle = measured.oracle_score()
    ap, oracle_ap, categories = _average_precision(measured, groups, oracle, findings)
    benchmarks, precision_75 = occlusion_benchmarks(measured, oracle)
    crowd = crowd_levels(measured, truth.images, findings)
    followed = _tracking(truth, results, measured, findings)  # before the findings are read
    located = localisation(
        *(truth, results.poses, measured.person, asked),
        *(measured.counts, measured.person_image, findings),
    )
    return Audit(
        ap=ap,
        oracle_ap=oracle_ap,
        headroom=_headroom(ap, oracle_ap),
        pose=pose_trust(measured, pose_field, findings),
        keypoint=keypoint_trust(measured, keypoint, score_of_keypoints, findings),
        visibility=visibility_trust(measured, findings, is_ternary=truth.has_visibility),
        presence=presence_trust(truth, measured, results.poses, findings),
        pixels=pixels(measured, findings),
        errors=errors,
        occlusion=benchmarks,
        crowd=crowd,
        categories=categories,
        keypoint_types=keypoint.types(truth.keypoint_names),
        intervals=findings.intervals,
        area=measured.area,
        score_field=score_field,
        pose_field=pose_field,
        inputs=inputs(truth, results, measured.person),
        notes=tuple(findings.notes),
        details=_details(truth, results, measured, score_of_keypoints, precision_75, findings),
        tracking=followed,
        localisation=located,
    )


def _tracking(truth: TruthFile, results: ResultsFile, measured: PairedResults, findings: Findings) -> Tracking | None:
    if truth.truth.track_id is None or results.poses.track_id is None:
        return None
    from trustpose.evaluation.tracking import tracking  # its assignments import scipy, as long as a small audit takes

    return tracking(
        truth, results, measured.sigmas, measured.area, findings, replicates=measured.replicates, seed=measured.seed
    )


def _average_precision(
    measured: PairedResults, groups: list[Group], oracle: np.ndarray, findings: Findings
) -> tuple[AveragePrecision, AveragePrecision, dict[str, CategoryPrecision]]:
    """Compute the ten numbers by score and by the true OKS, with intervals of both and of their difference. With
    several categories, returns their means and the numbers of each."""
    summaries, draws = [], []
    for name, score, ranges in (
        ("ap", measured.score, tuple(AREA_RANGES)),
        ("oracle_ap", oracle, ("all",)),  # headroom needs only AP, and draws take the time
    ):
        evaluations = evaluate_groups(measured, groups, score)
        summaries.append([evaluation.summary() for evaluation in evaluations])
        draws.append(mean_draws(measured, groups, evaluations, ranges))
        for number, values in draws[-1].items():
            findings.interval(f"{name}.{number}", values)
    findings.interval("headroom", draws[1]["AP"] - draws[0]["AP"])
    own, ideal = summaries
    return mean_summary(own), mean_summary(ideal), category_precisions(measured, groups, own, ideal)


def _headroom(ap: AveragePrecision, oracle_ap: AveragePrecision) -> float | None:
    return None if ap.AP == -1 else oracle_ap.AP - ap.AP


def _errors(measured: PairedResults, truth: TruthFile) -> Errors:
    flip_index = np.arange(len(truth.keypoint_names)) if truth.skeleton is None else truth.skeleton.flip_index
    diagnosis = diagnose(
        measured.poses,
        measured.truth,
        measured.score,
        sigmas=measured.sigmas,
        flip_index=flip_index,
        area=measured.area,
        pairs=measured.pairs,
    )
    impact = error_impact(
        measured.poses, measured.truth, measured.score, diagnosis, sigmas=measured.sigmas, area=measured.area
    )
    gain = {name: known(value) for name, value in impact.ap_gain().items()}
    return Errors(**diagnosis.counts(), ap_gain=gain)


def _details(
    truth: TruthFile,
    results: ResultsFile,
    measured: PairedResults,
    keypoint: np.ndarray,
    precision_75: dict[str, tuple[np.ndarray, np.ndarray]],
    findings: Findings,
) -> Details:
    return Details(
        poses=results.poses,
        truth=truth.truth,
        pose_score=measured.pose_score,
        person=measured.person,
        oks=measured.oks,
        measured=measured.rows,
        keypoint_score=keypoint,
        opks=measured.opks,
        labelled=measured.labelled,
        sigmas=measured.sigmas,
        keypoint_names=truth.keypoint_names,
        edges=() if truth.skeleton is None else truth.skeleton.edges,
        flip_pairs=() if truth.skeleton is None else truth.skeleton.flip_pairs,
        file_names=truth.images.names(),
        precision_75=precision_75,
        draws=Draws(findings.draws, measured.image_ids, measured.seed),
    )
