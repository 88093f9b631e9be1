"""Suppress the duplicate poses of a results file: what `trustpose suppress` does."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from trustpose.files import InputError
from trustpose.grouping.suppression import (
    DROPPING_METHODS,
    SOFT_METHODS,
    Suppressed,
    merge_dropped,
    suppressor,
)
from trustpose.io.columns import Rows
from trustpose.io.row_stream import open_rows, write_in_order
from trustpose.io.tables import with_columns
from trustpose.poses import Poses
from trustpose.skeletons import skeleton_of


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
    results: str | Path,
    out: str | Path,
    *,
    method: str = "oks-nms",
    threshold: float | None = None,
    distance: str | None = None,
    score: str = "score",
    area: str = "crop",
    in_vis_threshold: float | None = None,
    merge: bool = False,
    skeleton: str = "coco17",
    progress: Callable[..., Any] = lambda *_, **__: None,
) -> SuppressedResults:
    """Drop or lower poses that overlap with a better one in the same photo, in COCO results of any estimator.

    Rows that are kept are unchanged except for `score`, by which they are ranked. Where `score` names other fields, or
    the method lowers scores, `pose_score` keeps the estimator's own unless the file has it. Parquet is read and written
    in batches.

    Args:
        results: COCO results: JSON, CSV, Parquet, or a folder of Parquet parts.
        out: The file to write, in the format of its suffix; from Parquet, without a suffix, a new folder of parts.
        method: One of `grouping.suppression.METHODS`; "none" only changes the ranking.
        threshold, distance, area, in_vis_threshold: See `grouping.suppression.suppressor`.
        score: Field of a row by which poses are ranked, or a product such as "pose_score*bbox_score".
        merge: Merge the keypoints of dropped poses into those of the kept ones (`grouping.pose_nms.merge`).
        skeleton: With the sigmas for OKS, NAME or FILE.json.
        progress: Called with a number of rows that are done, and with a new `total`.

    Returns:
        Numbers of poses, the time, and notes.

    Raises:
        InputError: A file cannot be read, a field is missing, or options do not fit.
    """
    results, out = Path(results), Path(out)
    joints = skeleton_of(skeleton)
    suppress = suppressor(method, threshold, area, joints, in_vis_threshold, distance)
    fields = [field.strip() for field in score.split("*")]
    if not all(fields):
        raise InputError(f"--score: expected the name of a field, or names with * between them, got {score!r}")
    if merge and method not in DROPPING_METHODS:
        raise InputError(f"--merge: expected --method {' or '.join(DROPPING_METHODS)}, which drop poses, got {method}")
    is_changed = fields != ["score"] or method in SOFT_METHODS
    stream = open_rows(results, skeleton=joints)
    schema = None if stream.schema is None else _schema(stream.schema, is_changed=is_changed)
    kept = lowered = 0
    seconds, notes = 0.0, dict[str, None]()
    progress(0, total=stream.count)
    with write_in_order(out, schema, stream) as write:
        for batch in stream.batches():
            notes |= dict.fromkeys(batch.results.notes)
            ranking = _ranking(batch.rows, fields)
            started = time.perf_counter()
            try:
                suppressed = suppress(batch.results.poses, ranking)
                merged = merge_dropped(batch.results.poses, suppressed, area) if merge else None
            except (InputError, ValueError) as error:
                raise InputError(f"{results}: {error}") from None
            seconds += time.perf_counter() - started
            rows = batch.rows.rows if merged is None else _merged_rows(batch.rows.rows, merged)
            write(_kept_rows(rows, suppressed, is_changed=is_changed), batch.position[suppressed.keep])
            kept += int(suppressed.keep.sum())
            lowered += int((suppressed.score < ranking).sum())
            progress(len(ranking))
    return SuppressedResults(stream.count, kept, lowered, seconds, tuple(notes))


def _ranking(rows: Rows, fields: Sequence[str]) -> Float[np.ndarray, " N"]:
    """Return the product (N,) of the named fields. Raises InputError."""
    ranking = np.ones(len(rows))
    for field in fields:
        numbers = rows.numbers(field)
        assert numbers is not None
        ranking = ranking * numbers
    return ranking


def _schema(source_schema: Any, *, is_changed: bool) -> Any:
    """Return the Arrow schema of the rows that are kept."""
    kinds = {"score": "float64"}
    if is_changed and "pose_score" not in source_schema.names:
        kinds["pose_score"] = "float64"
    return with_columns(source_schema, **kinds)


def _merged_rows(rows: list[dict[str, Any]], merged: Poses) -> list[dict[str, Any]]:
    """Return rows with the keypoints x, y, score of merged poses."""
    assert merged.score is not None
    numbers = np.concatenate([merged.xy, merged.score[..., None]], axis=2)  # (N, K, 3)
    keypoints = numbers.reshape(len(rows), -1).tolist()
    return [row | {"keypoints": values} for row, values in zip(rows, keypoints, strict=True)]


def _kept_rows(rows: list[dict[str, Any]], suppressed: Suppressed, *, is_changed: bool) -> list[dict[str, Any]]:
    """Return the kept rows with the score that they are ranked by and, if that may be another, the estimator's own."""
    kept_rows = []
    for row, score, is_kept in zip(rows, suppressed.score.tolist(), suppressed.keep.tolist(), strict=True):
        if is_kept:
            pose_score = {"pose_score": row["score"]} if is_changed and row.get("pose_score") is None else {}
            kept_rows.append(row | pose_score | {"score": score})
    return kept_rows
