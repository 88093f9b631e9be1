"""Compute the cost of each kind of error: the AP gained by correcting it.

Source: Ronchi & Perona, ICCV 2017 (Fig. 1: precision-recall curves after correcting one error after another), and
coco-analyze: `COCOanalyze.summarize` for the cumulative numbers, `errorsAPImpact` for the separate ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.metrics.average_precision import (
    OKS_THRESHOLDS,
    RECALL_THRESHOLDS,
    Evaluation,
    area_of_poses,
    evaluate,
)
from trustpose.metrics.diagnosis import Diagnosis, KeypointError, counted_people, highest_oks, optimal_score
from trustpose.metrics.matching import Pairs, best_in_image, pair_oks
from trustpose.poses import Area, Poses, Truth

KEYPOINT_STAGES = (KeypointError.MISS, KeypointError.SWAP, KeypointError.INVERSION, KeypointError.JITTER)
STAGES = (
    *(kind.name.lower() for kind in KEYPOINT_STAGES),
    "score",
    "background_false_positive",
    "background_false_negative",
)


@dataclass(frozen=True)
class Background:
    """Unmatched poses and unmatched people at each of T OKS thresholds.

    "Ignored" are those that COCO evaluation does not count: poses outside the area range; crowds, people without
    keypoints or outside the range. coco-analyze reports the sum of both.
    """

    false_positive: Int[np.ndarray, " T"]
    false_positive_ignored: Int[np.ndarray, " T"]
    false_negative: Int[np.ndarray, " T"]
    false_negative_ignored: Int[np.ndarray, " T"]


@dataclass(frozen=True)
class ErrorImpact:
    """AP (0–1, NaN if no person counts) at each of T OKS thresholds, before and after each correction in `STAGES`.

    `corrected` (7, T) is cumulative: a row has its own error and those of all rows before it corrected. With `separate`
    each row has only its own corrected, except for the last, which follows the one before it. `background` is counted
    after keypoints and scores are corrected or, with `separate`, before any correction.
    """

    oks_thresholds: Float[np.ndarray, " T"]
    baseline: Float[np.ndarray, " T"]
    corrected: Float[np.ndarray, "7 T"]
    background: Background
    separate: bool

    def gain_per_threshold(self) -> dict[str, Float[np.ndarray, " T"]]:
        """Return the AP gained at each OKS threshold by each stage; may be negative if a correction upsets the
        matching.

        Cumulative gains add up to 1 − baseline.
        """
        return stage_gains(self.baseline, self.corrected, separate=self.separate)

    def ap_gain(self) -> dict[str, float]:
        """Return `gain_per_threshold` averaged over the thresholds (for COCO's ten: the gain of AP itself)."""
        return {stage: float(gain.mean()) for stage, gain in self.gain_per_threshold().items()}


def error_impact(
    poses: Poses,
    truth: Truth,
    score: Float[np.ndarray, " N"],
    diagnosis: Diagnosis,
    *,
    sigmas: Float[np.ndarray, " K"],
    area: Area,
    oks_thresholds: Float[np.ndarray, " T"] = OKS_THRESHOLDS,
    separate: bool = False,
) -> ErrorImpact:
    """Compute AP after correcting misses, swaps, inversions, jitters, scores, background false positives and negatives.

    `diagnosis` is that of the same poses; its area range and number of detections are used. Scores become
    `optimal_score`; then poses, then people without a match at the threshold are ignored. After that AP is 1, by
    convention also if no person is left. Raises ValueError if `diagnosis` does not match the poses, or image_id or the
    area is missing.
    """
    evaluations = corrected_evaluations(
        poses,
        truth,
        score,
        diagnosis,
        sigmas=sigmas,
        area=area,
        oks_thresholds=oks_thresholds,
        separate=separate,
    )
    baseline, corrected = stage_precisions(
        [(evaluation.precision[0], evaluation.recall[0]) for evaluation in evaluations.by_score],
        (evaluations.rescored.precision[0], evaluations.rescored.recall[0]),
        separate=separate,
    )
    last = evaluations.by_score[0] if separate else evaluations.rescored
    return ErrorImpact(np.asarray(oks_thresholds), baseline, corrected, _background(last), separate)


@dataclass(frozen=True, eq=False)
class CorrectedEvaluations:
    """COCO's evaluations of the diagnosed poses `rows` (D,): `by_score` (D,) before and after each of
    `KEYPOINT_STAGES`, and `rescored`, ranked by the optimal score `best_score` (D,) of the corrected poses."""

    rows: Int[np.ndarray, " D"]
    score: Float[np.ndarray, " D"]
    by_score: list[Evaluation]
    best_score: Float[np.ndarray, " D"]
    rescored: Evaluation


def corrected_evaluations(
    poses: Poses,
    truth: Truth,
    score: Float[np.ndarray, " N"],
    diagnosis: Diagnosis,
    *,
    sigmas: Float[np.ndarray, " K"],
    area: Area,
    oks_thresholds: Float[np.ndarray, " T"] = OKS_THRESHOLDS,
    separate: bool = False,
    pairs: Pairs | None = None,
) -> CorrectedEvaluations:
    """Evaluate poses whose keypoint errors are corrected one kind after another, or each alone with `separate`.

    Arguments and errors are those of `error_impact`; `pairs` is the result of `pair_oks` for the same poses, if known.
    """
    rows = _diagnosed_rows(poses, score, diagnosis)
    placed = _taking_part(poses, rows)
    run = partial(
        evaluate,
        truth=truth,
        sigmas=sigmas,
        area=area,
        oks_thresholds=oks_thresholds,
        area_ranges={"diagnosed": diagnosis.area_range},
        max_detections=diagnosis.max_detections,
        pose_area=area_of_poses(placed),
    )
    if pairs is None:
        pairs = pair_oks(poses, truth, sigmas=sigmas, area=area)
    pairs = _among_rows(pairs, rows, len(poses))
    by_score = [run(placed, score=score[rows], pairs=pairs)]
    for kind in KEYPOINT_STAGES:
        corrected, moved = _corrected(placed, diagnosis, rows, kind)
        corrected_pairs = _with_moved(pairs, corrected, truth, moved, sigmas, area)
        by_score.append(run(corrected, score=score[rows], pairs=corrected_pairs))
        if not separate:
            placed, pairs = corrected, corrected_pairs
    best_score = _best_score(placed, truth, pairs, sigmas, area, diagnosis.area_range)
    return CorrectedEvaluations(rows, score[rows], by_score, best_score, run(placed, score=best_score, pairs=pairs))


def stage_precisions(
    by_score: Sequence[tuple[np.ndarray, np.ndarray]],
    rescored: tuple[np.ndarray, np.ndarray],
    *,
    separate: bool = False,
) -> tuple[Float[np.ndarray, " T"], Float[np.ndarray, "7 T"]]:
    """Return AP at each threshold before any correction, and after each of `STAGES`, from the interpolated precision
    (T, R) and recall (T,) of `CorrectedEvaluations`."""
    baseline, *levels = (_ap(*curves) for curves in (*by_score, rescored))
    without_background = _ap_without_background(by_score[0][1] if separate else rescored[1])
    return baseline, np.stack([*levels, *without_background])


def stage_gains(
    baseline: Float[np.ndarray, " T"], corrected: Float[np.ndarray, "7 T"], *, separate: bool = False
) -> dict[str, Float[np.ndarray, " T"]]:
    """Return the AP gained at each OKS threshold by each of `STAGES`, see `ErrorImpact`."""
    before = np.vstack([baseline, corrected[:-1]])
    if separate:
        before[:-1] = baseline
    return dict(zip(STAGES, corrected - before, strict=True))


def _diagnosed_rows(poses: Poses, score: Float[np.ndarray, " N"], diagnosis: Diagnosis) -> Int[np.ndarray, " D"]:
    """Return the evaluated poses, by image and then by descending score."""
    if diagnosis.xy.shape != poses.xy.shape:
        raise ValueError(f"diagnosis: expected keypoints of shape {poses.xy.shape}, got {diagnosis.xy.shape}")
    if poses.image_id is None:
        raise ValueError("error_impact: image_id is needed in poses, it is None")
    return best_in_image(poses.image_id, score, diagnosis.max_detections)


def _taking_part(poses: Poses, rows: Int[np.ndarray, " D"]) -> Poses:
    """Return these poses with only the columns that evaluation reads."""
    assert poses.image_id is not None
    missing = None if poses.missing is None else poses.missing[rows]
    return Poses(
        xy=poses.xy[rows], box=_box_before_correction(poses)[rows], image_id=poses.image_id[rows], missing=missing
    )


def _among_rows(pairs: Pairs, rows: Int[np.ndarray, " D"], count: int) -> Pairs:
    """Return the pairs of these of `count` poses, numbered among them."""
    number = np.full(count, -1)
    number[rows] = np.arange(len(rows))
    keep = number[pairs.pose] >= 0
    return Pairs(number[pairs.pose[keep]], pairs.person[keep], pairs.oks[keep])


def _with_moved(
    pairs: Pairs,
    poses: Poses,
    truth: Truth,
    moved: Bool[np.ndarray, " D"],
    sigmas: Float[np.ndarray, " K"],
    area: Area,
) -> Pairs:
    """Return the pairs with the OKS of the poses that were moved, in any order."""
    new = pair_oks(poses, truth, sigmas=sigmas, area=area, rows=np.flatnonzero(moved))
    keep = ~moved[pairs.pose]
    columns = ((getattr(pairs, name)[keep], getattr(new, name)) for name in ("pose", "person", "oks"))
    return Pairs(*map(np.concatenate, columns))


def _corrected(
    poses: Poses, diagnosis: Diagnosis, rows: Int[np.ndarray, " D"], kind: KeypointError
) -> tuple[Poses, Bool[np.ndarray, " D"]]:
    """Return the poses, `rows` of the diagnosis, with one more kind of error corrected, and which were moved; missing
    keypoints then have a position."""
    moved = (diagnosis.kind == kind)[rows]  # (D, K)
    missing = None if poses.missing is None else poses.missing & ~moved
    row, keypoint = np.nonzero(moved)
    xy = poses.xy.astype(np.float64)
    xy[row, keypoint] = diagnosis.corrected_xy[rows[row], keypoint]
    return replace(poses, xy=xy, missing=missing), moved.any(axis=1)


def _box_before_correction(poses: Poses) -> Float[np.ndarray, "N 4"]:
    """Return the box that decides whether a pose lies in an area range, which a correction must not change. It includes
    missing keypoints, as in `evaluate`."""
    keypoint_box = replace(poses, missing=None).keypoint_box().astype(np.float64, copy=False)
    return (
        keypoint_box
        if poses.box is None
        else np.where(np.isnan(poses.box).any(axis=1, keepdims=True), keypoint_box, poses.box)
    )


def _best_score(
    poses: Poses,
    truth: Truth,
    pairs: Pairs,
    sigmas: Float[np.ndarray, " K"],
    area: Area,
    area_range: tuple[float, float],
) -> Float[np.ndarray, " N"]:
    """Return the optimal score of poses at their current positions."""
    counted = counted_people(truth, area, area_range)[pairs.person]
    pairs = Pairs(pairs.pose[counted], pairs.person[counted], pairs.oks[counted])
    return optimal_score(poses, highest_oks(pairs, len(poses)), sigmas)


def _ap(precision: Float[np.ndarray, "T R"], recall: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
    """Return AP at each threshold, NaN if no person counts."""
    return np.where(recall < 0, np.nan, precision.mean(axis=1))


def _ap_without_background(recall: Float[np.ndarray, " T"]) -> tuple[Float[np.ndarray, " T"], Float[np.ndarray, " T"]]:
    """Return AP at each threshold without background false positives, and also without false negatives.

    Without false positives precision is 1 up to the highest recall, so AP is the share of recall thresholds reached;
    without unmatched people recall is 1 as well.
    """
    reached = (recall[:, None] >= RECALL_THRESHOLDS).mean(axis=1)
    without_positives = np.where(recall < 0, np.nan, np.where(recall > 0, reached, 0.0))
    return without_positives, np.where(recall < 0, np.nan, 1.0)


def _background(evaluation: Evaluation) -> Background:
    match, ignored = evaluation.match[0], evaluation.pose_ignored[0]  # (D, T)
    alone = match < 0
    people = len(evaluation.person_ignored[0])
    missed = np.stack([~np.isin(np.arange(people), matched) for matched in match.T])  # (T, M)
    counted = ~evaluation.person_ignored[0]
    return Background(
        false_positive=np.count_nonzero(alone & ~ignored, axis=0),
        false_positive_ignored=np.count_nonzero(alone & ignored, axis=0),
        false_negative=np.count_nonzero(missed & counted, axis=1),
        false_negative_ignored=np.count_nonzero(missed & ~counted, axis=1),
    )
