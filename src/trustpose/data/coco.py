"""COCO's files: ground truth in, keypoint results in and out, with our extended fields.

What a file says is checked once, here; an `InputError` names the file, the entry, the field and what was expected.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from trustpose.data.columns import Rows
from trustpose.files import InputError, parse_json, read_bytes, write_json
from trustpose.geometry.boxes import xywh_to_xyxy, xyxy_to_xywh
from trustpose.poses import MISSING_ID, Poses, Truth
from trustpose.skeletons import Skeleton, find_skeleton


@dataclass(frozen=True)
class Images:
    """The I photos of a ground truth file; a name or size that the file does not give is None or 0."""

    id: Int[np.ndarray, " I"]
    file_name: list[str | None]
    width: Int[np.ndarray, " I"]
    height: Int[np.ndarray, " I"]

    def __len__(self) -> int:
        return len(self.id)


@dataclass(frozen=True)
class TruthFile:
    """A COCO ground truth file: its people of one category, its photos, and what identifies it."""

    truth: Truth
    images: Images
    skeleton: Skeleton | None
    keypoint_names: tuple[str, ...]
    category_id: int
    category_ids: tuple[int, ...]
    path: str
    sha256: str


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


def read_truth(path: str | Path, category: str | int | None = None) -> TruthFile:
    """Read a COCO keypoint ground truth file.

    All annotations of the category are rows, people with only a box too (xy and v are 0). `category`, a name or id, is
    needed only where several have keypoints. `area` and `box` are None where no annotation has them.
    Raises InputError.
    """
    content = read_bytes(path)
    value = _parse(content, path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected an object with images, annotations and categories")
    for field in ("images", "annotations", "categories"):
        if field not in value:
            raise InputError(f"{path}: field '{field}' is missing, expected a COCO ground truth file")
    images = _read_images(Rows.of(value["images"], str(path), "image"))
    categories = Rows.of(value["categories"], str(path), "category")
    chosen, ids = _choose_category(categories, category)
    annotations = Rows.of(value["annotations"], str(path), "annotation")
    truth, names = _read_annotations(annotations, images, ids, chosen)
    return TruthFile(
        truth=truth,
        images=images,
        skeleton=find_skeleton(names),
        keypoint_names=names,
        category_id=chosen["id"],
        category_ids=tuple(ids.tolist()),
        path=str(path),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def read_results(
    path: str | Path, *, truth: TruthFile | None = None, keypoint_count: int | None = None, score_field: str = "score"
) -> ResultsFile:
    """Read a COCO keypoint results file with its extended fields, ranked by `score_field`.

    With `truth`, ids must be found there, K must fit, and rows of its other categories are left out. Raises InputError.
    """
    content = read_bytes(path)
    rows = Rows.of(_parse(content, path), str(path), "result")
    if not len(rows):
        raise InputError(f"{path}: holds no results (an empty list)")
    count = truth.truth.keypoint_count if truth is not None else keypoint_count
    if count is None:
        first = rows.rows[0].get("keypoints")
        if not isinstance(first, list) or not first or len(first) % 3:
            raise rows.fail(0, "keypoints", "a list of x, y, score for each keypoint", first)
        count = len(first) // 3
    poses = _read_poses(rows, count)
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


def _parse(content: bytes, path: str | Path) -> Any:
    """JSON, with a clear word for the NaN and Infinity that Python's own writer leaves in files."""
    try:
        return parse_json(content, path)
    except InputError as error:
        if b"NaN" in content or b"Infinity" in content:

            def refuse(constant: str) -> None:
                raise InputError(f"{path}: holds {constant}, expected finite numbers")

            try:
                json.loads(content, parse_constant=refuse)
            except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
                raise error from None
        raise


def _read_images(rows: Rows) -> Images:
    if not len(rows):
        raise InputError(f"{rows.path}: field 'images': expected at least one image, got an empty list")
    ids = rows.integers("id")
    assert ids is not None
    rows.unique("id", ids)
    names = [row.get("file_name") for row in rows.rows]
    for at, name in enumerate(names):
        if name is not None and not isinstance(name, str):
            raise rows.fail(at, "file_name", "a text", name)
    sizes = [rows.integers(side, optional=True) for side in ("width", "height")]
    width, height = (np.zeros(len(rows), dtype=np.int64) if side is None else np.maximum(side, 0) for side in sizes)
    return Images(ids, names, width, height)


def _choose_category(rows: Rows, wanted: str | int | None) -> tuple[dict[str, Any], np.ndarray]:
    """The category to read and all category ids."""
    ids = rows.integers("id")
    if ids is None or not len(ids):
        raise InputError(f"{rows.path}: field 'categories': expected at least one category, got an empty list")
    rows.unique("id", ids)
    for at, row in enumerate(rows.rows):
        names = row.get("keypoints", [])
        if not isinstance(names, list) or any(not isinstance(name, str) for name in names):
            raise rows.fail(at, "keypoints", "a list of names", names)
    if wanted is not None:
        found = [row for row in rows.rows if wanted in (row["id"], row.get("name"), str(row["id"]))]
    else:
        found = [row for row in rows.rows if row.get("keypoints")] or rows.rows
    if len(found) != 1:
        names = ", ".join(str(row.get("name", row["id"])) for row in rows.rows[:5])
        asked = "several categories" if wanted is None else f"no category {wanted!r}"
        raise InputError(f"{rows.path}: field 'categories': {asked} ({names}), expected one, chosen by its name or id")
    return found[0], ids


def _read_annotations(
    rows: Rows, images: Images, category_ids: np.ndarray, category: dict[str, Any]
) -> tuple[Truth, tuple[str, ...]]:
    all_categories = rows.integers("category_id")
    assert all_categories is not None
    rows.known("category_id", all_categories, category_ids, "field 'categories'")
    ids, image_id = rows.integers("id"), rows.integers("image_id")
    assert ids is not None and image_id is not None
    rows.unique("id", ids)
    rows.known("image_id", image_id, images.id, "field 'images'")
    if (all_categories != category["id"]).any():
        keep = all_categories == category["id"]
        rows = Rows(rows.path, rows.noun, [row for row, is_kept in zip(rows.rows, keep, strict=True) if is_kept])
        ids, image_id = ids[keep], image_id[keep]
    names = tuple(category.get("keypoints", ()))
    keypoints = _read_labels(rows, names)
    names = names or tuple(f"keypoint_{i}" for i in range(keypoints.shape[1]))
    area, box = rows.numbers("area", optional=True), rows.lists("bbox", 4, optional=True, what=" (x, y, width, height)")
    for field, column in (("area", area), ("bbox", None if box is None else box[:, 2:].min(axis=1))):
        if column is not None and not (column >= 0).all():
            at = int(np.argmin(column >= 0))
            raise rows.fail(at, field, "a number of at least 0", None if np.isnan(column[at]) else column[at])
    iscrowd, num_keypoints = rows.integers("iscrowd", optional=True), rows.integers("num_keypoints", optional=True)
    v = keypoints[:, :, 2].astype(np.int64)
    if num_keypoints is not None:
        num_keypoints = np.where(num_keypoints < 0, np.count_nonzero(v > 0, axis=1), num_keypoints)
    truth = Truth(
        xy=keypoints[:, :, :2],
        v=v,
        area=area,
        area_source=np.array([str(row.get("area_source", "segment")) for row in rows.rows], dtype=object),
        box=None if box is None else xywh_to_xyxy(box),
        iscrowd=None if iscrowd is None else iscrowd > 0,
        image_id=image_id,
        annotation_id=ids,
        num_keypoints=num_keypoints,
    )
    return truth, names


def _read_labels(rows: Rows, names: tuple[str, ...]) -> np.ndarray:
    """x, y, v (N, K, 3); zeros for people with only a box."""
    count = len(names)
    if not count:
        first = next((row["keypoints"] for row in rows.rows if isinstance(row.get("keypoints"), list)), None)
        if first is None or len(first) == 0 or len(first) % 3:
            raise InputError(f"{rows.path}: field 'keypoints': no category names any, no annotation has 3K numbers")
        count = len(first) // 3
    table = rows.lists("keypoints", 3 * count, optional=True, what=f" (x, y, v of {count} keypoints)")
    if table is None:
        table = np.zeros((len(rows), 3 * count))
    keypoints = np.nan_to_num(table).reshape(-1, count, 3)
    wrong = ~np.isin(keypoints[:, :, 2], (0, 1, 2)).all(axis=1)
    if wrong.any():
        at = int(np.argmax(wrong))
        value = next(v for v in keypoints[at, :, 2] if v not in (0, 1, 2))
        raise rows.fail(at, "keypoints", "v in 0, 1, 2", float(value))
    return keypoints


def _read_poses(rows: Rows, count: int) -> Poses:
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
    if not missing.any():
        return column.tolist()
    return [None if is_missing else cell for cell, is_missing in zip(column.tolist(), missing, strict=True)]
