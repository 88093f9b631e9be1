"""Suppress the duplicate poses of a results file: what `trustpose suppress` does."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from trustpose.files import InputError, read_json, write_json
from trustpose.grouping.suppression import Suppressed, suppressor
from trustpose.io.coco.results import ResultsFile, read_results
from trustpose.skeletons import Skeleton, skeleton_of


@dataclass(frozen=True)
class SuppressedResults:
    """Numbers of poses that were read, kept, and kept with a lower score, the seconds without reading and writing, and
    notes on the file."""

    poses: int
    remaining: int
    lowered: int
    seconds: float
    notes: tuple[str, ...]


def suppress_results(
    results: Path,
    out: Path,
    *,
    method: str = "oks-nms",
    threshold: float | None = None,
    distance: str | None = None,
    score: str = "score",
    area: str = "crop",
    in_vis_threshold: float | None = None,
    skeleton: str = "coco17",
) -> SuppressedResults:
    """Drop or lower poses that overlap with a better one in the same photo, in COCO results of any estimator.

    Rows that are kept are unchanged except for `score`, by which they are ranked, and `pose_score`, which keeps the
    estimator's own score unless the file has one.

    Args:
        results: the results file.
        out: the file to write.
        method: one of `grouping.suppression.METHODS`; "none" only changes the ranking.
        threshold, distance, area, in_vis_threshold: see `grouping.suppression.suppressor`.
        score: field of a row by which poses are ranked, or a product such as "pose_score*bbox_score".
        skeleton: with the sigmas for OKS, NAME or FILE.json.

    Raises:
        InputError: for a file that cannot be read, a field that is missing, and options that do not fit.
    """
    joints = skeleton_of(skeleton)
    suppress = suppressor(method, threshold, area, joints, in_vis_threshold, distance)
    file, ranking = _read(results, score, joints)
    rows = read_json(results)
    started = time.perf_counter()
    try:
        suppressed = suppress(file.poses, ranking)
    except InputError as error:
        raise InputError(f"{results}: {error}") from None
    seconds = time.perf_counter() - started
    remaining_rows = _kept_rows(rows, suppressed)
    write_json(out, remaining_rows)
    lowered = int((suppressed.score < ranking).sum())
    return SuppressedResults(len(rows), len(remaining_rows), lowered, seconds, tuple(file.notes))


def _read(path: Path, score: str, skeleton: Skeleton) -> tuple[ResultsFile, Float[np.ndarray, " N"]]:
    """Return the file, and the score (N,) to rank by: the product of the named fields."""
    fields = [field.strip() for field in score.split("*")]
    if not all(fields):
        raise InputError(f"--score: expected the name of a field, or names with * between them, got {score!r}")
    files = [read_results(path, skeleton=skeleton, score_field=field) for field in fields]
    ranking = files[0].score
    for file in files[1:]:
        ranking = ranking * file.score
    return files[0], ranking


def _kept_rows(rows: list[dict[str, Any]], suppressed: Suppressed) -> list[dict[str, Any]]:
    """Return the kept rows with the score they are ranked by and the estimator's own."""
    scores = suppressed.score.tolist()
    is_changed = any(row["score"] != score for row, score in zip(rows, scores, strict=True))
    row_parts = []
    for row, score, is_kept in zip(rows, scores, suppressed.keep.tolist(), strict=True):
        if is_kept:
            printed = {"pose_score": row["score"]} if is_changed and row.get("pose_score") is None else {}
            row_parts.append(row | printed | {"score": score})
    return row_parts
