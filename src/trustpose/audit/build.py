"""An audit from two files: how good the poses are and how honest their scores."""

from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import Float

from trustpose.audit.measured import Measured, measure
from trustpose.audit.record import Audit, Details, Errors, Number, OcclusionBenchmark, known
from trustpose.audit.sections import (
    Findings,
    keypoint_score,
    keypoint_trust,
    keypoint_types,
    pose_trust,
    visibility_trust,
)
from trustpose.data.coco import ResultsFile, TruthFile, read_results, read_truth
from trustpose.files import InputError
from trustpose.metrics.average_precision import AREA_RANGES, AveragePrecision, evaluate
from trustpose.metrics.average_precision_bootstrap import average_precision_replicates
from trustpose.metrics.bootstrap import REPLICATES
from trustpose.metrics.diagnosis import diagnose
from trustpose.metrics.diagnosis_impact import error_impact
from trustpose.poses import AREAS, Area

OCCLUSION_BENCHMARKS = {"0-5": (1, 5), "6-10": (6, 10), "11-15": (11, 15), "16-17": (16, 10**6)}


def audit(
    ground_truth: str | Path | TruthFile,
    results: str | Path | ResultsFile,
    *,
    area: str = "segment",
    score: str = "score",
    category: str | int | None = None,
    sigmas: Float[np.ndarray, " K"] | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Audit:
    """Audit a COCO keypoint results file against a COCO ground truth file.

    `area` names the convention OKS and the area ranges go by, `score` the field that results are ranked by, `sigmas`
    (K,) replaces the skeleton's. `replicates` draws of images give the 95 % intervals (0: none). Raises InputError
    where a file or field is not as expected.
    """
    if area not in AREAS:
        raise InputError(f"area: expected one of {', '.join(AREAS)}, got {area!r}")
    convention = cast(Area, area)
    truth = ground_truth if isinstance(ground_truth, TruthFile) else read_truth(ground_truth, category)
    if not isinstance(results, ResultsFile):
        results = read_results(results, truth=truth, score_field=score)
    _check_columns(truth, convention)
    findings = Findings()
    if truth.truth.annotation_id is not None and (truth.truth.annotation_id == 0).any():
        findings.notes.append(
            "ap.*: an annotation has id 0; COCO's tools count a match with it as a miss, and so do these numbers "
            "(number annotations from 1)"
        )
    with np.errstate(over="ignore"):  # a keypoint at 1e300 is infinitely far off, which is what its OKS of 0 says
        measured = measure(
            results.poses,
            truth.truth,
            results.score,
            truth.images.id,
            sigmas=_sigmas(truth, sigmas),
            area=convention,
            replicates=replicates,
            seed=seed,
        )
        unpaired = int((measured.person < 0).sum())
        if unpaired:
            findings.notes.append(f"{unpaired} of {len(results.poses)} results belong to no labelled or boxed person")
        return _assemble(truth, results, measured, score, findings)


def _assemble(truth: TruthFile, results: ResultsFile, measured: Measured, score: str, findings: Findings) -> Audit:
    keypoint, source = keypoint_score(measured, findings)
    oracle = measured.oracle_score()
    ap, oracle_ap = _average_precision(measured, oracle, findings)
    headroom = None if ap.AP == -1 else oracle_ap.AP - ap.AP
    benchmarks, precision_75 = _occlusion(measured, oracle)
    return Audit(
        ap=ap,
        oracle_ap=oracle_ap,
        headroom=headroom,
        pose=pose_trust(measured, score, findings),
        keypoint=keypoint_trust(measured, keypoint, source, findings),
        visibility=visibility_trust(measured, findings),
        errors=_errors(measured, truth),
        occlusion=benchmarks,
        keypoint_types=keypoint_types(measured, keypoint, truth.keypoint_names),
        intervals=findings.intervals,
        area=measured.area,
        score_field=score,
        inputs=_inputs(truth, results, measured),
        notes=tuple(findings.notes),
        details=_details(truth, measured, keypoint, precision_75),
    )


def _average_precision(
    measured: Measured, oracle: np.ndarray, findings: Findings
) -> tuple[AveragePrecision, AveragePrecision]:
    """The ten numbers by the score at hand and by the true OKS, with intervals of both and of their difference."""
    draws, summaries = [], []
    for name, score, ranges in (
        ("ap", measured.score, tuple(AREA_RANGES)),
        ("oracle_ap", oracle, ("all",)),  # headroom needs no more, and draws are what takes time
    ):
        evaluation = evaluate(
            measured.poses,
            measured.truth,
            score,
            sigmas=measured.sigmas,
            area=measured.area,
            pairs=measured.pairs,
        )
        summaries.append(evaluation.summary())
        replicates = average_precision_replicates(
            evaluation, measured.counts, measured.pose_image, measured.person_image, ranges
        )
        draws.append(replicates)
        for number, values in replicates.items():
            findings.interval(f"{name}.{number}", values)
    findings.interval("headroom", draws[1]["AP"] - draws[0]["AP"])
    return summaries[0], summaries[1]


def _occlusion(
    measured: Measured, oracle: np.ndarray
) -> tuple[dict[str, OcclusionBenchmark], dict[str, tuple[np.ndarray, np.ndarray]]]:
    """AP on people with few to many labelled keypoints (as coco-analyze groups them), everyone else ignored."""
    count = measured.truth.num_keypoints
    assert count is not None and measured.truth.iscrowd is not None
    benchmarks, precision_75 = {}, {}
    for name, (low, high) in OCCLUSION_BENCHMARKS.items():
        inside = (count >= low) & (count <= high)
        evaluations = [
            evaluate(
                measured.poses,
                measured.truth,
                score,
                sigmas=measured.sigmas,
                area=measured.area,
                pairs=measured.pairs,
                ignore=~inside,
            )
            for score in (measured.score, oracle)
        ]
        ap, oracle_ap = (_or_none(evaluation.summary().AP) for evaluation in evaluations)
        benchmarks[name] = OcclusionBenchmark(ap, oracle_ap, int((inside & ~measured.truth.iscrowd).sum()))
        if ap is not None:
            precision_75[name] = tuple(evaluation.precision[0, 5] for evaluation in evaluations)
    return benchmarks, precision_75


def _errors(measured: Measured, truth: TruthFile) -> Errors:
    flip_index = np.arange(len(truth.keypoint_names)) if truth.skeleton is None else truth.skeleton.flip_index
    diagnosis = diagnose(
        measured.poses,
        measured.truth,
        measured.score,
        sigmas=measured.sigmas,
        flip_index=flip_index,
        area=measured.area,
    )
    impact = error_impact(
        measured.poses, measured.truth, measured.score, diagnosis, sigmas=measured.sigmas, area=measured.area
    )
    gain = {name: known(value) for name, value in impact.ap_gain().items()}
    return Errors(**diagnosis.counts(), ap_gain=gain)


def _inputs(truth: TruthFile, results: ResultsFile, measured: Measured) -> dict[str, Any]:
    counts = truth.truth.num_keypoints
    assert counts is not None
    return {
        "ground_truth": {
            "file": truth.path,
            "sha256": truth.sha256,
            "images": len(truth.images),
            "people": len(truth.truth),
            "people_with_keypoints": int((counts > 0).sum()),
        },
        "results": {
            "file": results.path,
            "sha256": results.sha256,
            "results": len(results.poses),
            "paired": int((measured.person >= 0).sum()),
        },
    }


def _details(
    truth: TruthFile,
    measured: Measured,
    keypoint: np.ndarray,
    precision_75: dict[str, tuple[np.ndarray, np.ndarray]],
) -> Details:
    names = {
        int(image): name
        for image, name in zip(truth.images.id, truth.images.file_name, strict=True)
        if name is not None
    }
    return Details(
        poses=measured.poses,
        truth=measured.truth,
        score=measured.score,
        person=measured.person,
        oks=measured.oks,
        measured=measured.rows,
        keypoint_score=keypoint,
        opks=measured.opks,
        labelled=measured.labelled,
        keypoint_names=truth.keypoint_names,
        edges=() if truth.skeleton is None else truth.skeleton.edges,
        file_names=names,
        precision_75=precision_75,
    )


def _sigmas(truth: TruthFile, given: np.ndarray | None) -> np.ndarray:
    count = truth.truth.keypoint_count
    if given is not None:
        if given.shape != (count,) or not (np.isfinite(given) & (given > 0)).all():
            raise InputError(f"sigmas: expected {count} numbers above 0, one a keypoint, got {given.tolist()}")
        return given.astype(np.float64)
    if truth.skeleton is None or not truth.skeleton.has_sigmas:
        raise InputError(
            f"{truth.path}: field 'categories': no published sigmas for these {count} keypoints, expected COCO's or "
            "CrowdPose's, or sigmas of your own"
        )
    return truth.skeleton.sigmas


def _check_columns(truth: TruthFile, area: Area) -> None:
    """Say in the file's words which field an audit lacks."""
    for field, column in (("bbox", truth.truth.box), ("area", truth.truth.area)):
        if column is None and (field == "bbox" or area == "segment"):
            hint = "; --area box*0.53 does without" if field == "area" and truth.truth.box is not None else ""
            raise InputError(f"{truth.path}: field '{field}' is missing in every annotation{hint}")


def _or_none(value: float) -> Number:
    return None if value == -1 else value
