"""Poses as COCO keypoint results with our extended fields, loss-free; and which keypoints count as missing."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.files import write_json
from trustpose.poses.rows import MISSING_ID, box_size

if TYPE_CHECKING:
    from trustpose.poses.poses import Poses

Texts = Mapping[str, Mapping[int, str]]  # by field: the text of each id that is one


def write_results(
    path: str | Path,
    poses: "Poses",
    *,
    score: Float[np.ndarray, " N"] | None = None,
    category_id: Int[np.ndarray, " N"] | int = 1,
    texts: Texts | None = None,
) -> None:
    """Write poses as a COCO keypoint results file, every filled field included, atomically.

    `score` (N,), what evaluation ranks by, is `Poses.ranking_score`; give it to write another. Numbers survive the way
    there and back exactly (a box's far corner to the last bit); `keypoint_missing` stands in rows whose missing
    keypoints are not those at (0, 0) with score 0. Ids that `texts` has a text for, by field, are written as that
    ("image_id", "annotation_id"). Raises ValueError where image_id, the keypoint scores or all pose scores are missing,
    or where a number is not finite.
    """
    write_json(path, coco_rows(poses, score, category_id, texts))


def coco_rows(
    poses: "Poses",
    score: Float[np.ndarray, " N"] | None = None,
    category_id: Int[np.ndarray, " N"] | int = 1,
    texts: Texts | None = None,
) -> list[dict[str, Any]]:
    """One object a pose, as `write_results` writes them: see there. Raises ValueError."""
    if poses.image_id is None or poses.score is None:
        raise ValueError("write_results: COCO results need Poses.image_id and Poses.score, one of them is None")
    ranking = poses.ranking_score if score is None else score
    if not (np.isfinite(poses.xy).all() and np.isfinite(poses.score).all() and np.isfinite(ranking).all()):
        raise ValueError("write_results: coordinates, keypoint scores and scores must be finite")
    keypoints = np.concatenate([poses.xy, poses.score[..., None]], axis=2, dtype=np.float64)  # (N, K, 3)
    box = None if poses.box is None else poses.box.astype(np.float64)
    columns: dict[str, np.ndarray | None] = {
        "image_id": poses.image_id,
        "category_id": np.broadcast_to(np.asarray(category_id), len(poses)),
        "keypoints": keypoints.reshape(len(poses), -1),
        "score": ranking,
        "annotation_id": poses.annotation_id,
        "track_id": poses.track_id,
        "bbox": None if box is None else np.concatenate([box[:, :2], box_size(box)], axis=1),
        "bbox_score": poses.box_score,
        "pose_score": _pose_score_to_write(poses, ranking),
        "pose_quality": poses.pose_quality,
        "keypoint_quality": poses.quality,
        "visibility": poses.visibility,
    }
    named = {name: _cells(name, column) for name, column in columns.items() if column is not None}
    for name, text_of in (texts or {}).items():
        if text_of and name in named:
            named[name] = [text_of.get(number, number) for number in named[name]]
    named |= {"keypoint_missing": unsaid} if (unsaid := _unsaid_missing(poses)) is not None else {}
    rows = [dict(zip(named, cells, strict=True)) for cells in zip(*named.values(), strict=True)]
    return [{name: cell for name, cell in row.items() if cell is not None} for row in rows]


def _pose_score_to_write(poses: "Poses", ranking: np.ndarray) -> np.ndarray | None:
    """The estimator's own score, where `score` does not say it already."""
    if poses.pose_score is None or (poses.pose_quality is None and np.array_equal(poses.pose_score, ranking)):
        return None
    return poses.pose_score


def _unsaid_missing(poses: "Poses") -> list[list[int] | None] | None:
    """0 or 1 for each keypoint of a row whose missing ones do not follow from what stands there; None in other rows,
    and where there are no such rows."""
    assert poses.score is not None
    by_rule = find_missing(poses.xy, poses.score)
    if poses.missing is None and by_rule is None:
        return None
    missing, follows = (np.zeros(poses.score.shape, bool) if one is None else one for one in (poses.missing, by_rule))
    unsaid = (missing != follows).any(axis=1)
    return [row if is_unsaid else None for row, is_unsaid in zip(missing.astype(int).tolist(), unsaid, strict=True)]


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


def find_missing(
    xy: Float[np.ndarray, "N K 2"],
    score: Float[np.ndarray, "N K"] | None,
    *,
    dropped_below: float = 0.0,
    anywhere: bool = False,
) -> Bool[np.ndarray, "N K"] | None:
    """The keypoints (N, K) that are blank (NaN), or at exactly (0, 0) with score 0; None where there are none.

    (0, 0) with a score of 0 is what OpenPose and others write for a joint that they did not find. A tool that moves
    joints of low score to (0, 0) and keeps the score has a rule of its own: `dropped_below` is the score under which it
    does (Ultralytics: 0.5). `anywhere`: a score of 0 is enough, as of one that scales (0, 0) back with the rest
    (OpenPifPaf). Without scores, (0, 0) is enough.
    """
    x, y = xy[..., 0], xy[..., 1]
    missing = np.isnan(x) | np.isnan(y)
    at_zero = x == 0
    if at_zero.any():  # seldom: most files end here
        at_zero &= y == 0
        if score is not None:
            at_zero &= (score == 0) | (score < dropped_below) | np.isnan(score)
        missing |= at_zero
    if anywhere and score is not None:
        missing |= score == 0
    return missing if missing.any() else None
