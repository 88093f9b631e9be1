"""COCO keypoint results files in and out, with our extended fields, loss-free."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from trustpose.data.coco.truth import TruthFile
from trustpose.data.columns import Rows, parse_finite_json
from trustpose.files import InputError, read_bytes, write_json
from trustpose.geometry.boxes import xywh_to_xyxy, xyxy_to_xywh
from trustpose.poses import MISSING_ID, Poses


@dataclass(frozen=True)
class ResultsFile:
    """A COCO keypoint results file: the poses, the score that rows are ranked by, and what identifies it.

    `poses.pose_score` is the estimator's own number: the field `pose_score` where the file has it, else `score`.
    """

    poses: Poses
    score: Float[np.ndarray, " N"]
    category_id: Int[np.ndarray, " N"]
    path: str
    sha256: str


def read_results(
    path: str | Path, *, truth: TruthFile | None = None, keypoint_count: int | None = None, score_field: str = "score"
) -> ResultsFile:
    """Read a COCO keypoint results file with its extended fields, ranked by `score_field`.

    With `truth`, ids must be found there, K must fit, and rows of its other categories are left out. Raises InputError.
    """
    content = read_bytes(path)
    rows = Rows.of(parse_finite_json(content, path), str(path), "result")
    if not len(rows):
        raise InputError(f"{path}: holds no results (an empty list)")
    count = truth.truth.keypoint_count if truth is not None else keypoint_count
    if count is None:
        first = rows.rows[0].get("keypoints")
        if not isinstance(first, list) or not first or len(first) % 3:
            raise rows.fail(0, "keypoints", "a list of x, y, score for each keypoint", first)
        count = len(first) // 3
    poses = poses_of_rows(rows, count)
    score = rows.numbers(score_field)
    category_id = rows.integers("category_id")
    assert score is not None and category_id is not None and poses.image_id is not None
    if truth is not None:
        rows.known("image_id", poses.image_id, truth.images.id, f"the images of {truth.path}")
        rows.known("category_id", category_id, np.array(truth.category_ids), f"the categories of {truth.path}")
        _check_annotation_ids(rows, poses, truth)
    if poses.pose_score is None:
        own = score if score_field == "score" else rows.numbers("score")
        poses = replace(poses, pose_score=own)
    if truth is not None and (category_id != truth.category_id).any():
        keep = category_id == truth.category_id
        if not keep.any():
            raise InputError(f"{path}: holds no results of category {truth.category_id}")
        poses, score, category_id = poses[keep], score[keep], category_id[keep]
    return ResultsFile(poses, score, category_id, str(path), hashlib.sha256(content).hexdigest())


def write_results(
    path: str | Path,
    poses: Poses,
    *,
    score: Float[np.ndarray, " N"] | None = None,
    category_id: Int[np.ndarray, " N"] | int = 1,
) -> None:
    """Write poses as a COCO keypoint results file, every filled field included, atomically.

    `score` (N,), what evaluation ranks by, is `pose_quality × box_score` (1 where there is none) once `pose_quality` is
    known, else `pose_score`; give it to write another. Numbers survive the way there and back exactly (a box's far
    corner to the last bit). Raises ValueError where image_id, the keypoint scores or all pose scores are missing, or
    where a number is not finite.
    """
    if poses.image_id is None or poses.score is None:
        raise ValueError("write_results: COCO results need Poses.image_id and Poses.score, one of them is None")
    ranking = ranking_score(poses) if score is None else score
    if not (np.isfinite(poses.xy).all() and np.isfinite(poses.score).all() and np.isfinite(ranking).all()):
        raise ValueError("write_results: coordinates, keypoint scores and scores must be finite")
    keypoints = np.concatenate([poses.xy, poses.score[..., None]], axis=2, dtype=np.float64)  # (N, K, 3)
    columns: dict[str, np.ndarray | None] = {
        "image_id": poses.image_id,
        "category_id": np.broadcast_to(np.asarray(category_id), len(poses)),
        "keypoints": keypoints.reshape(len(poses), -1),
        "score": ranking,
        "annotation_id": poses.annotation_id,
        "track_id": poses.track_id,
        "bbox": None if poses.box is None else xyxy_to_xywh(poses.box.astype(np.float64)),
        "bbox_score": poses.box_score,
        "pose_score": _pose_score_to_write(poses, ranking),
        "pose_quality": poses.pose_quality,
        "keypoint_quality": poses.quality,
        "visibility": poses.visibility,
    }
    named = {name: _cells(name, column) for name, column in columns.items() if column is not None}
    rows = [dict(zip(named, cells, strict=True)) for cells in zip(*named.values(), strict=True)]
    write_json(path, [{name: cell for name, cell in row.items() if cell is not None} for row in rows])


def ranking_score(poses: Poses) -> Float[np.ndarray, " N"]:
    """The score (N,) to rank by: `pose_quality × box_score` (1 where there is none), else `pose_score`."""
    if poses.pose_quality is not None:
        box_score = np.ones(len(poses)) if poses.box_score is None else np.nan_to_num(poses.box_score, nan=1.0)
        ranked = poses.pose_quality.astype(np.float64) * box_score
        unknown = np.isnan(ranked)
        if unknown.any() and poses.pose_score is not None:
            ranked = np.where(unknown, poses.pose_score, ranked)
        return ranked
    if poses.pose_score is None:
        raise ValueError("write_results: Poses has neither pose_quality nor pose_score to rank by")
    return poses.pose_score.astype(np.float64)


def poses_of_rows(rows: Rows, count: int) -> Poses:
    """The poses of checked results rows, `count` keypoints each. Raises InputError."""
    table = rows.lists("keypoints", 3 * count, what=f" (x, y, score of {count} keypoints)")
    assert table is not None
    keypoints = table.reshape(-1, count, 3)
    box = rows.lists("bbox", 4, optional=True, what=" (x, y, width, height)")
    quality = rows.lists("keypoint_quality", count, optional=True, what=f" (one of each of {count} keypoints)")
    pose_quality = rows.numbers("pose_quality", optional=True)
    for field, column in (("keypoint_quality", quality), ("pose_quality", pose_quality)):
        if column is not None and ((column < 0) | (column > 1)).any():
            at = int(np.argmax(((column < 0) | (column > 1)).reshape(len(rows), -1).any(axis=1)))
            value = next(v for v in np.atleast_1d(column[at]) if not 0 <= v <= 1)
            raise rows.fail(at, field, "numbers from 0 to 1", float(value))
    return Poses(
        xy=keypoints[:, :, :2],
        score=keypoints[:, :, 2],
        pose_score=rows.numbers("pose_score", optional=True),
        quality=quality,
        visibility=_read_visibility(rows, count),
        pose_quality=pose_quality,
        box=None if box is None else xywh_to_xyxy(box),
        box_score=rows.numbers("bbox_score", optional=True),
        track_id=rows.integers("track_id", optional=True),
        image_id=rows.integers("image_id"),
        annotation_id=rows.integers("annotation_id", optional=True),
    )


def _read_visibility(rows: Rows, count: int) -> np.ndarray | None:
    """P(absent), P(occluded), P(visible) (N, K, 3); NaN where a row has none."""
    expected = f"{count} lists of three probabilities that sum to 1"
    if "visibility" not in rows.fields:
        return None
    flat: list[dict[str, Any]] = []
    for at, row in enumerate(rows.rows):
        value = row.get("visibility")
        if value is not None and (
            not isinstance(value, list)
            or len(value) != count
            or any(not isinstance(three, list) or len(three) != 3 for three in value)
        ):
            raise rows.fail(at, "visibility", expected, value)
        flat.append({"visibility": None if value is None else [p for three in value for p in three]})
    table = Rows(rows.path, rows.noun, flat).lists("visibility", 3 * count, optional=True)
    if table is None:
        return None
    visibility = table.reshape(-1, count, 3)
    wrong = (visibility < 0) | (visibility > 1)
    wrong |= np.abs(visibility.sum(axis=2, keepdims=True) - 1) > 1e-3
    if wrong.any():
        at = int(np.argmax(wrong.any(axis=(1, 2))))
        raise rows.fail(at, "visibility", expected, float(visibility[at][wrong[at]][0]))
    return visibility


def _check_annotation_ids(rows: Rows, poses: Poses, truth: TruthFile) -> None:
    """A row that names a labelled person must name one of its own photo, and each person at most once."""
    if poses.annotation_id is None:
        return
    named = np.flatnonzero(poses.annotation_id != MISSING_ID)
    assert poses.image_id is not None and truth.truth.annotation_id is not None and truth.truth.image_id is not None
    ids = truth.truth.annotation_id
    rows.known("annotation_id", poses.annotation_id[named], ids, f"the annotations of {truth.path}")
    rows.unique("annotation_id", poses.annotation_id)
    order = np.argsort(ids)
    person = order[np.searchsorted(ids[order], poses.annotation_id[named])]
    elsewhere = np.flatnonzero(truth.truth.image_id[person] != poses.image_id[named])
    if len(elsewhere):
        at = int(named[elsewhere[0]])
        image = int(truth.truth.image_id[person[elsewhere[0]]])
        raise rows.fail(
            at, "annotation_id", f"a person of image {poses.image_id[at]}", int(poses.annotation_id[at])
        ) from (InputError(f"that person is in image {image}"))


def _pose_score_to_write(poses: Poses, ranking: np.ndarray) -> np.ndarray | None:
    """The estimator's own score, where `score` does not say it already."""
    if poses.pose_score is None or (poses.pose_quality is None and np.array_equal(poses.pose_score, ranking)):
        return None
    return poses.pose_score


def _cells(name: str, column: np.ndarray) -> list[Any]:
    """One JSON value a row; None where the row does not have this field."""
    if column.dtype.kind in "iu":
        missing = column == MISSING_ID if name in ("annotation_id", "track_id") else np.zeros(len(column), dtype=bool)
    else:
        column = column.astype(np.float64)
        missing = np.isnan(column).reshape(len(column), -1).any(axis=1) if len(column) else np.zeros(0, dtype=bool)
    cells: list[Any] = column.tolist()
    for row in np.flatnonzero(missing):
        cells[row] = None
    return cells
