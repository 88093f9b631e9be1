"""`Poses`: an estimator's predictions, the record that everything reads and returns.

Below the record: its conversion to COCO keypoint results with our extended fields, which loses nothing, and to
`supervision.KeyPoints`.
"""

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.extras import not_installed
from trustpose.files import write_json
from trustpose.poses.display import PosesDisplay, add_file_names
from trustpose.poses.error_model import ErrorModel
from trustpose.poses.rows import COLUMNS as KEYPOINT_COLUMNS
from trustpose.poses.rows import (
    MISSING_ID,
    Keypoint,
    PersonRows,
    Photo,
    box_size,
    check_columns,
    extent,
    find_missing,
    joined_photos,
    take,
)
from trustpose.skeletons.skeleton import Skeleton

Texts = Mapping[str, Mapping[int, str]]  # by field: the text of each text id


@dataclass(frozen=True, eq=False, repr=False)
class Poses(PersonRows, PosesDisplay):
    """N poses of K keypoints in image pixels, one row per person, with their trust where it is known.

    A field that nothing filled is None and is never guessed. In a float column NaN marks a row without a number, in an
    id column -1 (`MISSING_ID`). A slice, index or mask gives poses again (`poses[poses.pose_quality > 0.7]`).

    Args:
        xy: (N, K, 2), keypoints: x to the right and y down, as the file or network gave them.
        score: (N, K), the estimator's own number for each keypoint, unchanged, in any range.
        pose_score: (N,), its own number for each pose, unchanged.
        presence: (N,), 0–1: P(a labeller would have boxed this person with an IoU of .5 or more, and this is the one
            box for it); None in boxes from labels.
        quality: (N, K), 0–1: expected OPKS of each keypoint, given that the person is there.
        visibility: (N, K, 3), P(absent), P(occluded), P(visible), given the person; each triple sums to 1.
        visibility_label: (N, K), the decision of a rule where there is one: 0, 1 or 2 as in `Visibility`; -1: none.
        pose_quality: (N,), 0–1: expected OKS of the pose, given the person.
        box: (N, 4), xyxy.
        box_score: (N,), the detector's score of the box.
        suppressed_score: (N,), `ranking_score` as lowered by suppression.
        track_id: (N,), the same for one person in the frames of a clip.
        image_id: (N,), the photo or frame.
        annotation_id: (N,), the labelled person.
        missing: (N, K), keypoints without a position, whatever `xy` holds there (OpenPose writes 0, 0); None: all have
            one. Boxes, matching, features and drawing ignore them; OKS uses `xy`, as COCO evaluation does.
        skeleton: names of the K joints; None: unknown.
        photos: by image id, where each photo's pixels can be read again (`image`).
        error_model: which discs of `expected_error` held for people that `quality` was not fitted on; None: unknown.

    Raises:
        ValueError: naming the field, if a shape or dtype is wrong.

    Example:
        >>> poses = tp.Poses(xy=np.zeros((2, 17, 2)), score=np.ones((2, 17)), image_id=np.array([1, 1]))
        >>> len(poses), poses.keypoint_count, poses.quality is None
        (2, 17, True)
    """

    xy: Float[np.ndarray, "N K 2"]
    score: Float[np.ndarray, "N K"] | None = None
    pose_score: Float[np.ndarray, " N"] | None = None
    presence: Float[np.ndarray, " N"] | None = None
    quality: Float[np.ndarray, "N K"] | None = None
    visibility: Float[np.ndarray, "N K 3"] | None = None
    visibility_label: Int[np.ndarray, "N K"] | None = None
    pose_quality: Float[np.ndarray, " N"] | None = None
    box: Float[np.ndarray, "N 4"] | None = None
    box_score: Float[np.ndarray, " N"] | None = None
    suppressed_score: Float[np.ndarray, " N"] | None = None
    track_id: Int[np.ndarray, " N"] | None = None
    image_id: Int[np.ndarray, " N"] | None = None  # type: ignore[bad-override] read-only here
    annotation_id: Int[np.ndarray, " N"] | None = None
    missing: Bool[np.ndarray, "N K"] | None = None
    skeleton: Skeleton | None = None
    photos: Mapping[int, Photo] | None = None  # type: ignore[bad-override]
    error_model: ErrorModel | None = None

    def __post_init__(self) -> None:
        per_keypoint: dict[str, tuple[str, tuple[int, ...]]] = {
            "xy": ("float", (2,)),
            "score": ("float", ()),
            "quality": ("float", ()),
            "visibility": ("float", (3,)),
            "visibility_label": ("int", ()),
            "missing": ("bool", ()),
        }
        per_row = {
            "pose_score": "float",
            "presence": "float",
            "pose_quality": "float",
            "box": "float",
            "box_score": "float",
            "suppressed_score": "float",
            "track_id": "int",
            "image_id": "int",
            "annotation_id": "int",
        }
        check_columns(self, per_keypoint, per_row)

    @property
    def keypoint_count(self) -> int:
        """The number of keypoints of each pose, K."""
        return self.xy.shape[1]

    @overload
    def __getitem__(self, rows: str) -> Keypoint: ...
    @overload
    def __getitem__(self, rows: slice | np.ndarray | list[int] | list[bool] | int) -> "Poses": ...
    def __getitem__(self, rows: Any) -> Any:
        """Return some people: a slice, indices, or a mask such as `poses.pose_quality > 0.7`; a number gives one
        person. A joint's name gives its column for all people, a `Keypoint`: `poses["left_wrist"].xy` is (N, 2).

        Raises KeyError for a name that the skeleton lacks, ValueError for a name if the poses have no skeleton.
        """
        if not isinstance(rows, str):
            return super().__getitem__(rows)
        if self.skeleton is None:
            raise ValueError(f"Poses[{rows!r}]: Poses.skeleton is None, the joints' names are unknown")
        index = self.skeleton.index(rows)
        columns: dict[str, Any] = {name: getattr(self, name) for name in KEYPOINT_COLUMNS}
        columns = {name: None if column is None else column[:, index] for name, column in columns.items()}
        return Keypoint(rows, index, **columns)

    @classmethod
    def _further_fields(cls, parts: Sequence[Any]) -> dict[str, Any]:
        """The photos and the error model of concatenated poses.

        An image id that stands for different photos in two parts has no photo, and there is no error model if two
        parts have different ones.
        """
        joined: dict[str, Any] = {}
        error_models = {part.error_model for part in parts if len(part)}
        if len(error_models) == 1:
            joined["error_model"] = error_models.pop()
        photos = [part.photos for part in parts]
        if any(mapping is not None for mapping in photos):
            joined["photos"] = joined_photos(photos)
        return joined

    @property
    def ranking_score(self) -> Float[np.ndarray, " N"]:
        """The score (N,) that poses are ranked by: `suppressed_score`, else `presence × pose_quality`; without
        presence `pose_quality × box_score`, with `pose_score` if there is no quality.

        Many detected boxes contain no person, which the keypoints' own scores do not show; the product with the box's
        score is the usual top-down ranking (SimpleBaseline, HRNet), and presence knows that score. Without a box score
        the other factor is used alone, and so is a pose score that equals its box's score (single-stage networks).
        Raises ValueError without any score.
        """
        if self.suppressed_score is not None:
            return self.suppressed_score
        if self.pose_quality is None and self.pose_score is None:
            raise ValueError("Poses has neither pose_quality nor pose_score to rank by")
        pose_score = np.full(len(self), np.nan) if self.pose_score is None else self.pose_score.astype(np.float64)
        quality = np.full(len(self), np.nan) if self.pose_quality is None else self.pose_quality.astype(np.float64)
        box_score = np.ones(len(self)) if self.box_score is None else np.nan_to_num(self.box_score, nan=1.0)
        is_box_score = np.ones(len(self), np.bool_) if self.box_score is None else pose_score == box_score
        without_quality = np.where(is_box_score, pose_score, pose_score * box_score)
        is_person = box_score
        if self.presence is not None:
            is_person = np.where(np.isnan(self.presence), box_score, self.presence)
        return np.where(np.isnan(quality), without_quality, quality * is_person)

    @property
    def decided_visibility(self) -> Int[np.ndarray, "N K"] | None:
        """`visibility_label`, or the likeliest of `visibility` where it has none; -1 where neither is known, None if no
        row has either."""
        label = self.visibility_label
        if self.visibility is None:
            return label
        is_known = np.isfinite(self.visibility).all(axis=2)
        likeliest = np.where(is_known, np.nan_to_num(self.visibility).argmax(axis=2), MISSING_ID)
        return likeliest if label is None else np.where(label == MISSING_ID, likeliest, label)

    def keypoint_box(self) -> Float[np.ndarray, "N 4"]:
        """Return the tight xyxy box around the keypoints of each pose that are not missing, image pixels; NaN without
        any."""
        return np.ascontiguousarray(extent(self.xy, self.missing).T)

    def person_box(self) -> Float[np.ndarray, "N 4"]:
        """Return `box`, or `keypoint_box` for a row without one."""
        if self.box is None:
            return self.keypoint_box()
        unknown = np.isnan(self.box)
        return np.where(unknown, self.keypoint_box(), self.box) if unknown.any() else self.box

    def take_keypoints(self, index: Int[np.ndarray, " L"], skeleton: Skeleton | None = None) -> "Poses":
        """Return the same people with keypoints selected by `index`, as from `Skeleton.index_in` for another skeleton.

        Where the index is -1 the source has no such joint: its coordinates, score, quality and visibility are NaN, its
        label is -1, and it is missing. `skeleton` names the new joints; `to_skeleton` does all of it.
        """
        columns = {name: take(getattr(self, name), index) for name in ("xy", "score", "quality", "visibility")}
        columns["visibility_label"] = take(self.visibility_label, index, fill=MISSING_ID)
        missing = self.missing
        if missing is None and (np.asarray(index) < 0).any():
            missing = np.zeros(self.xy.shape[:2], np.bool_)
        return replace(self, **columns, missing=take(missing, index, fill=True), skeleton=skeleton)

    def to_skeleton(self, skeleton: Skeleton, missing: Literal["raise", "mark"] = "raise") -> "Poses":
        """Return the same people with the keypoints of another skeleton, matched by name.

        A joint that these poses lack raises ValueError naming it; with missing="mark" it becomes a missing keypoint,
        NaN. Also raises ValueError if these poses have no skeleton.
        """
        if self.skeleton is None:
            raise ValueError("Poses.to_skeleton: Poses.skeleton is None, the joints are unknown")
        return self.take_keypoints(self.skeleton.index_in(skeleton, missing), skeleton)

    def to_coco(
        self,
        *,
        score: Float[np.ndarray, " N"] | None = None,
        category_id: Int[np.ndarray, " N"] | int = 1,
        texts: Texts | None = None,
    ) -> list[dict[str, Any]]:
        """Return COCO keypoint results with every filled field, the same rows that `trustpose predict` writes
        (https://trustpose.github.io/trustpose/files.html).

        `score` (N,), by which evaluation ranks, is `ranking_score` unless given; `texts` holds, by field, the texts of
        text ids. Raises ValueError if image_id, keypoint scores or all pose scores are missing, or if a number is not
        finite.
        """
        return _coco_rows(self, score=score, category_id=category_id, texts=texts)

    def to_arrow(self, *, tidy: bool = False) -> Any:
        """Return a `pyarrow.Table` of `to_coco`'s rows, with the photos' `file_name` if known; or tidy,
        one row per keypoint with its name (needs the extra `tables`)."""
        from trustpose.poses.tables import arrow_table, tidy_rows

        rows = add_file_names(self.to_coco(), self.image_id, self.photos)
        return arrow_table(tidy_rows(self, rows) if tidy else rows)

    def to_pandas(self, *, tidy: bool = False) -> Any:
        """Return a `pandas.DataFrame` of `to_coco`'s rows, with the photos' `file_name` if known; or tidy,
        one row per keypoint with its name (needs the extra `tables`)."""
        from trustpose.poses.tables import data_frame, tidy_rows

        rows = add_file_names(self.to_coco(), self.image_id, self.photos)
        return data_frame(tidy_rows(self, rows) if tidy else rows)

    @classmethod
    def from_pandas(cls, frame: Any, skeleton: Skeleton | None = None) -> "Poses":
        """Build poses from a frame with one row per pose, as from `to_pandas`; `skeleton` names the joints.

        Raises ValueError if a column is missing or has another shape.
        """
        from trustpose.poses.tables import columns_of_frame

        return cls(**columns_of_frame(frame), skeleton=skeleton)  # type: ignore[arg-type]

    def to_supervision(self) -> Any:
        """Return `supervision.KeyPoints` of these poses (needs the extra `supervision`): `score` as keypoint
        confidence, every other filled field in its `data` under our names. Missing keypoints are not `visible`
        there."""
        return _key_points_of(self)

    @classmethod
    def from_supervision(cls, key_points: Any) -> "Poses":
        """Build poses from `supervision.KeyPoints`, including columns of its `data` that have our names."""
        return cls(**_columns_of_key_points(key_points, {field.name for field in fields(cls)}))


def write_results(
    path: str | Path,
    poses: Poses,
    *,
    score: Float[np.ndarray, " N"] | None = None,
    category_id: Int[np.ndarray, " N"] | int = 1,
    texts: Texts | None = None,
) -> None:
    """Write poses as a COCO keypoint results file, every filled field included, atomically.

    `score` (N,), by which evaluation ranks, is `Poses.ranking_score` unless given. Numbers survive writing and reading
    exactly (a box's far corner to the last bit); `keypoint_missing` is written in rows whose missing keypoints are not
    those at (0, 0) with score 0. Ids for which `texts` has a text, by field ("image_id", "annotation_id"), are written
    as text. Raises ValueError if image_id, the keypoint scores or all pose scores are missing, or if a number is not
    finite.
    """
    write_json(path, poses.to_coco(score=score, category_id=category_id, texts=texts))


def _coco_rows(
    poses: Poses,
    *,
    score: np.ndarray | None,
    category_id: np.ndarray | int,
    texts: Mapping[str, Mapping[int, str]] | None,
) -> list[dict[str, Any]]:
    """See `Poses.to_coco`."""
    columns = coco_columns(poses, score=score, category_id=category_id)
    cells_by_field = {name: column.cells() for name, column in columns.items()}
    for name, text_of in (texts or {}).items():
        if text_of and name in cells_by_field:
            cells_by_field[name] = [text_of.get(number, number) for number in cells_by_field[name]]
    rows = [dict(zip(cells_by_field, cells, strict=True)) for cells in zip(*cells_by_field.values(), strict=True)]
    return [{name: cell for name, cell in row.items() if cell is not None} for row in rows]


@dataclass(frozen=True, eq=False)
class CocoColumn:
    """A field of COCO results: whole numbers or float64 `values` (N, …), which rows `is_unknown` (N,) do not have."""

    values: np.ndarray
    is_unknown: Bool[np.ndarray, " N"]

    def cells(self) -> list[Any]:
        """Return one JSON value per row; None if the row does not have this field."""
        cells: list[Any] = self.values.tolist()
        for row in np.flatnonzero(self.is_unknown):
            cells[row] = None
        return cells


def coco_columns(
    poses: Poses, *, score: np.ndarray | None = None, category_id: np.ndarray | int = 1
) -> dict[str, CocoColumn]:
    """Return the fields of `Poses.to_coco`, by name in their order, with numbers for text ids. Raises ValueError as it
    does."""
    if poses.image_id is None or poses.score is None:
        raise ValueError("COCO results need Poses.image_id and Poses.score, one of them is None")
    ranking = poses.ranking_score if score is None else score
    if not (np.isfinite(poses.xy).all() and np.isfinite(poses.score).all() and np.isfinite(ranking).all()):
        raise ValueError("COCO results need finite coordinates, keypoint scores and scores")
    keypoints = np.concatenate([poses.xy, poses.score[..., None]], axis=2, dtype=np.float64)  # (N, K, 3)
    part_fields = _part_fields(poses, keypoints)
    body_count = poses.keypoint_count if poses.skeleton is None else poses.skeleton.body_count
    box = None if poses.box is None else poses.box.astype(np.float64)
    columns: dict[str, np.ndarray | None] = {
        "image_id": poses.image_id,
        "category_id": np.broadcast_to(np.asarray(category_id), len(poses)),
        "keypoints": keypoints[:, :body_count].reshape(len(poses), 3 * body_count),
        "score": ranking,
        "annotation_id": poses.annotation_id,
        "track_id": poses.track_id,
        "bbox": None if box is None else np.concatenate([box[:, :2], box_size(box)], axis=1),
        "bbox_score": poses.box_score,
        "pose_score": _pose_score_to_write(poses, ranking),
        "presence": poses.presence,
        "pose_quality": poses.pose_quality,
        "keypoint_quality": None if poses.quality is None else poses.quality[:, :body_count],
        "visibility": None if poses.visibility is None else poses.visibility[:, :body_count],
        "visibility_label": None if poses.visibility_label is None else poses.visibility_label[:, :body_count],
        **part_fields,
    }
    fields_of_rows = {name: _coco_column(name, column) for name, column in columns.items() if column is not None}
    stated_missing = _stated_missing(poses, body_count)
    return fields_of_rows | ({} if stated_missing is None else {"keypoint_missing": stated_missing})


def _pose_score_to_write(poses: Poses, ranking: np.ndarray) -> np.ndarray | None:
    """Return the estimator's own score of each pose; None if `score` is that already."""
    if poses.pose_score is None or (poses.pose_quality is None and np.array_equal(poses.pose_score, ranking)):
        return None
    return poses.pose_score


def _part_fields(poses: Poses, keypoints: Float[np.ndarray, "N K 3"]) -> dict[str, np.ndarray]:
    """Return the fields of further parts than the body (`Skeleton.parts`): x, y and score of their joints."""
    if poses.skeleton is None or not poses.skeleton.parts:
        return {}
    names, counts = zip(*poses.skeleton.parts, strict=True)
    parts = np.split(keypoints, np.cumsum([poses.skeleton.body_count, *counts[:-1]]), axis=1)[1:]
    return {name: part.reshape(len(part), 3 * part.shape[1]) for name, part in zip(names, parts, strict=True)}


def _stated_missing(poses: Poses, body_count: int) -> CocoColumn | None:
    """Return what `keypoint_missing` states: 0 or 1 for each of the first `body_count` keypoints.

    Rows whose missing keypoints follow from the values, at (0, 0) with score 0, do not have it; None if there are no
    missing keypoints at all.
    """
    assert poses.score is not None
    at_origin = find_missing(poses.xy, poses.score)
    if poses.missing is None and at_origin is None:
        return None
    none_missing = np.zeros(poses.score.shape, np.bool_)
    missing = (none_missing if poses.missing is None else poses.missing)[:, :body_count]
    implied = (none_missing if at_origin is None else at_origin)[:, :body_count]
    must_state = (missing != implied).any(axis=1)
    return CocoColumn(missing.astype(np.int64), ~must_state)


def _coco_column(name: str, column: np.ndarray) -> CocoColumn:
    if column.dtype.kind not in "iu":
        column = column.astype(np.float64)
        is_unknown = np.isnan(column)
    elif name in ("annotation_id", "track_id", "visibility_label"):
        is_unknown = column == MISSING_ID
    else:
        is_unknown = np.zeros(column.shape, np.bool_)
    by_row = is_unknown.reshape(len(column), math.prod(column.shape[1:]))
    return CocoColumn(column, np.asarray(by_row.any(axis=1)))


def _key_points_of(poses: Poses) -> Any:
    """See `Poses.to_supervision`. Raises ImportError with the install line if supervision is missing."""
    supervision = _supervision()
    columns = poses.columns()
    data = {name: value for name, value in columns.items() if name not in ("xy", "score") and value is not None}
    parameters = inspect.signature(supervision.KeyPoints).parameters
    name = "keypoint_confidence" if "keypoint_confidence" in parameters else "confidence"  # renamed in 0.28
    # releases before 0.29 have no `visible`, and ignore keypoints at 0, 0
    visible = {} if poses.missing is None or "visible" not in parameters else {"visible": ~poses.missing}
    return supervision.KeyPoints(xy=poses.xy, data=data, **{name: poses.score}, **visible)


def _columns_of_key_points(key_points: Any, names: set[str]) -> dict[str, Any]:
    """Return the fields of `Poses`, which are called `names`, that a `supervision.KeyPoints` fills."""
    data = {name: np.asarray(value) for name, value in key_points.data.items() if name in names}
    scores = getattr(key_points, "keypoint_confidence", None)
    if scores is None:
        scores = getattr(key_points, "confidence", None)
    xy = np.asarray(key_points.xy)
    score = None if scores is None else np.asarray(scores).reshape(xy.shape[:2])
    return data | {"xy": xy, "score": score}


def _supervision() -> Any:
    try:
        import supervision
    except ImportError:
        raise ImportError(not_installed("supervision", "supervision")) from None
    return supervision
