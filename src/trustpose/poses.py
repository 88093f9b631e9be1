"""The records that flow through the house: `Poses` (what an estimator says) and `Truth` (what people labelled).

Arrays beside each other, one row a person; a field that nothing filled is None and is never guessed.
"""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import Any, Literal, TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.extras import not_installed

_BOXES_AT_A_TIME = 2**15  # the arrays on the way to keypoint boxes stay small
MISSING_ID = -1  # an id that this row does not have, in a column that other rows fill

Area = Literal["segment", "box", "box*0.53"]
AREAS: tuple[Area, ...] = ("segment", "box", "box*0.53")


class Visibility(IntEnum):
    """COCO's v: 0 absent (not labelled), 1 occluded (labelled, not visible), 2 visible."""

    ABSENT = 0
    OCCLUDED = 1
    VISIBLE = 2


def box_size(box: Float[np.ndarray, "*N 4"]) -> Float[np.ndarray, "*N 2"]:
    """Width and height of xyxy boxes.

    Files give widths in decimals, and x0 + width − x0 is not width in binary. Of the sizes that lead back to exactly
    the same far corner, this is the one with the fewest decimals, so what a file said survives the way there and back.
    """
    low, high = box[..., :2], box[..., 2:]
    size = high - low
    open_ = np.ones(size.shape, dtype=bool)
    for decimals in range(15):
        rounded = np.round(high - low, decimals)
        hits = open_ & (low + rounded == high)
        size[hits] = rounded[hits]
        open_ &= ~hits
        if not open_.any():
            break
    return size


def _check_array(record: str, name: str, value: Any, shape: tuple[int, ...], kind: str) -> np.ndarray:
    array = np.asarray(value)
    if array.shape != shape:
        raise ValueError(f"{record}.{name}: expected shape {shape}, got {array.shape}")
    kinds = {"float": "f", "int": "iu", "bool": "b"}[kind]
    if array.dtype.kind not in kinds:
        if kind == "float" and array.dtype.kind in "iu":
            return array.astype(np.float64)
        if array.size == 0:
            return array.astype({"float": np.float64, "int": np.int64, "bool": np.bool_}[kind])
        raise ValueError(f"{record}.{name}: expected {kind} numbers, got dtype {array.dtype}")
    return array


def _check_columns(record: Any, keypoints: dict[str, tuple[str, tuple[int, ...]]], rows: dict[str, str]) -> None:
    """Check and convert the filled columns of a record: those of one value a keypoint (N, K, …) and the others, which
    are (N,), a box (N, 4)."""
    name, xy = type(record).__name__, np.asarray(record.xy)
    if xy.ndim != 3 or xy.shape[2] != 2:
        raise ValueError(f"{name}.xy: expected shape (N, K, 2), got {xy.shape}")
    n, k = xy.shape[:2]
    shapes = {column: ((n, k, *tail), kind) for column, (kind, tail) in keypoints.items()}
    shapes |= {column: ((n, 4) if column == "box" else (n,), kind) for column, kind in rows.items()}
    for column, (shape, kind) in shapes.items():
        value = getattr(record, column)
        if value is not None:
            object.__setattr__(record, column, _check_array(name, column, value, shape, kind))


_R = TypeVar("_R", bound="_Rows")  # typing.Self, which the run-time checker does not know on methods


class _Rows:
    """What both records share: length, slicing, walking by image, joining. A slice is a view of the same arrays."""

    def _columns(self) -> dict[str, np.ndarray | None]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self.xy)  # type: ignore[attr-defined]

    def __getitem__(self: _R, rows: slice | np.ndarray | list[int] | int) -> _R:
        if isinstance(rows, (int, np.integer)):
            if not -len(self) <= rows < len(self):
                raise IndexError(f"row {rows} of {len(self)}")
            rows = slice(int(rows) % len(self), int(rows) % len(self) + 1)
        picked = {name: None if column is None else column[rows] for name, column in self._columns().items()}
        return replace(self, **picked)  # type: ignore[type-var]

    def by_image(self: _R) -> Iterator[tuple[int, _R]]:
        """(image_id, the people in it), images in ascending order of id, people in the order of the rows.

        Raises ValueError where image_id is None.
        """
        image_id: np.ndarray | None = self.image_id  # type: ignore[attr-defined]
        if image_id is None:
            raise ValueError(f"{type(self).__name__}.by_image: image_id is None, nothing says which image a row is in")
        if not len(image_id):
            return
        order = np.argsort(image_id, kind="stable")
        ids, starts = np.unique(image_id[order], return_index=True)
        for one, rows in zip(ids, np.split(order, starts[1:]), strict=True):
            is_run = rows[-1] - rows[0] + 1 == len(rows)  # rows that stand together stay a view
            yield int(one), self[slice(rows[0], rows[-1] + 1) if is_run else rows]

    @classmethod
    def concatenate(cls: type[_R], parts: list[_R]) -> _R:
        """The rows of all parts, one after another. All fields but `missing` are filled in every part or in none."""
        if not parts:
            raise ValueError(f"{cls.__name__}.concatenate: expected at least one part, got none")
        columns = [part._columns() for part in parts]
        if any(column.get("missing") is not None for column in columns):
            for column, part in zip(columns, parts, strict=True):
                if column["missing"] is None:
                    column["missing"] = np.zeros(part.xy.shape[:2], dtype=np.bool_)  # type: ignore[attr-defined]
        joined: dict[str, np.ndarray | None] = {}
        for name in columns[0]:
            values = [column[name] for column in columns]
            filled = [value for value in values if value is not None]
            if filled and len(filled) != len(values):
                raise ValueError(f"{cls.__name__}.{name}: filled in {len(filled)} of {len(values)} parts")
            joined[name] = np.concatenate(filled) if filled else None
        return cls(**joined)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Poses(_Rows):
    """N poses of K keypoints with what is known of how far to trust them.

    Coordinates are image pixels, x to the right and y down, as the file or network gave them.
    `score` and `pose_score` are the estimator's own numbers, untouched, in any range. `quality` is the expected OPKS
    of each keypoint (0–1), `visibility` P(absent), P(occluded), P(visible) (each row of three sums to 1) and
    `pose_quality` the expected OKS (0–1). `suppressed_score` is what suppression lowered `ranking_score` to. Boxes are
    xyxy. In an id column, -1 (`MISSING_ID`) marks a row without one;
    in a float column NaN does. `missing` marks keypoints that the estimator gives no location for, whatever `xy` says
    (OpenPose writes 0, 0); None: it places all. Boxes, pairing, features and drawing leave them out; OKS measures what
    stands in `xy`, as COCO evaluation does. Raises ValueError naming the field where a shape or dtype is wrong.
    """

    xy: Float[np.ndarray, "N K 2"]
    score: Float[np.ndarray, "N K"] | None = None
    pose_score: Float[np.ndarray, " N"] | None = None
    quality: Float[np.ndarray, "N K"] | None = None
    visibility: Float[np.ndarray, "N K 3"] | None = None
    pose_quality: Float[np.ndarray, " N"] | None = None
    box: Float[np.ndarray, "N 4"] | None = None
    box_score: Float[np.ndarray, " N"] | None = None
    suppressed_score: Float[np.ndarray, " N"] | None = None
    track_id: Int[np.ndarray, " N"] | None = None
    image_id: Int[np.ndarray, " N"] | None = None
    annotation_id: Int[np.ndarray, " N"] | None = None
    missing: Bool[np.ndarray, "N K"] | None = None

    def __post_init__(self) -> None:
        number: dict[str, tuple[str, tuple[int, ...]]] = {"score": ("float", ()), "quality": ("float", ())}
        others = {"xy": ("float", (2,)), "visibility": ("float", (3,)), "missing": ("bool", ())}
        rows: dict[str, str] = dict.fromkeys(("track_id", "image_id", "annotation_id"), "int")
        rows |= dict.fromkeys(("pose_score", "pose_quality", "box", "box_score", "suppressed_score"), "float")
        _check_columns(self, number | others, rows)

    @property
    def keypoint_count(self) -> int:
        """K."""
        return self.xy.shape[1]

    @property
    def ranking_score(self) -> Float[np.ndarray, " N"]:
        """The score (N,) that poses are ranked by: `suppressed_score`, else `pose_quality × box_score`, `pose_score` in
        place of a quality that is not known.

        That is the usual top-down ranking (SimpleBaseline, HRNet): many boxes of a detector hold nobody, which the
        keypoints' own scores do not say. Without a box score the other factor stands alone, and so does a pose score
        that is its box's score too (networks that find people by themselves). Raises ValueError without any score.
        """
        if self.suppressed_score is not None:
            return self.suppressed_score
        if self.pose_quality is None and self.pose_score is None:
            raise ValueError("Poses has neither pose_quality nor pose_score to rank by")
        own = np.full(len(self), np.nan) if self.pose_score is None else self.pose_score.astype(np.float64)
        quality = np.full(len(self), np.nan) if self.pose_quality is None else self.pose_quality.astype(np.float64)
        if self.box_score is None:
            return np.where(np.isnan(quality), own, quality)
        box_score = np.nan_to_num(self.box_score, nan=1.0)
        by_own = np.where(own == box_score, own, own * box_score)
        return np.where(np.isnan(quality), by_own, quality * box_score)

    def keypoint_box(self) -> Float[np.ndarray, "N 4"]:
        """The tight xyxy box around the keypoints of each pose that are not missing, image pixels; NaN without any."""
        if len(self) > _BOXES_AT_A_TIME:
            starts = range(0, len(self), _BOXES_AT_A_TIME)
            return np.concatenate([self[start : start + _BOXES_AT_A_TIME].keypoint_box() for start in starts])
        by_keypoint = np.ascontiguousarray(self.xy.swapaxes(0, 1))  # (K, N, 2): reduces ten times faster than (N, K, 2)
        if self.missing is None:
            return np.concatenate([by_keypoint.min(axis=0), by_keypoint.max(axis=0)], axis=1)  # (N, 4)
        there = ~self.missing.T[..., None]  # (K, N, 1)
        low = by_keypoint.min(axis=0, where=there, initial=np.inf)
        high = by_keypoint.max(axis=0, where=there, initial=-np.inf)
        return np.where(np.all(self.missing, axis=1)[:, None], np.nan, np.concatenate([low, high], axis=1))

    def person_box(self) -> Float[np.ndarray, "N 4"]:
        """`box`, and for a row without one `keypoint_box`."""
        if self.box is None:
            return self.keypoint_box()
        unknown = np.isnan(self.box)
        return np.where(unknown, self.keypoint_box(), self.box) if unknown.any() else self.box

    def take_keypoints(self, index: Int[np.ndarray, " L"]) -> "Poses":
        """The same people with keypoints picked by `index`, as `Skeleton.index_in` gives it for another skeleton.

        Where the index is -1 the source has no such joint: its coordinates, score, quality and visibility are NaN, and
        it is missing.
        """
        picked = {name: _take(getattr(self, name), index) for name in ("xy", "score", "quality", "visibility")}
        lacks = np.asarray(index) < 0
        missing = np.zeros(self.xy.shape[:2], np.bool_) if self.missing is None and lacks.any() else self.missing
        return replace(self, **picked, missing=_take(missing, index, fill=True))

    def to_supervision(self) -> Any:
        """`supervision.KeyPoints` of these poses (needs the extra `supervision`): `score` as its keypoint confidence,
        every other filled field in its `data` under our names. Missing keypoints are not `visible` there."""
        supervision = _supervision()
        columns = self._columns()
        data = {name: value for name, value in columns.items() if name not in ("xy", "score") and value is not None}
        known = inspect.signature(supervision.KeyPoints).parameters
        name = "keypoint_confidence" if "keypoint_confidence" in known else "confidence"  # renamed in 0.28
        # releases before 0.29 have no `visible`, and leave out what stands at 0, 0
        visible = {} if self.missing is None or "visible" not in known else {"visible": ~self.missing}
        return supervision.KeyPoints(xy=self.xy, data=data, **{name: self.score}, **visible)

    @classmethod
    def from_supervision(cls, key_points: Any) -> "Poses":
        """Poses of a `supervision.KeyPoints`; columns in its `data` that have one of our names are taken along."""
        names = {field.name for field in fields(cls)} - {"xy", "score"}
        data = {name: np.asarray(value) for name, value in key_points.data.items() if name in names}
        scores = getattr(key_points, "keypoint_confidence", None)
        if scores is None:
            scores = getattr(key_points, "confidence", None)
        xy = np.asarray(key_points.xy)
        score = None if scores is None else np.asarray(scores).reshape(xy.shape[:2])
        return cls(xy=xy, score=score, **data)


@dataclass(frozen=True, eq=False)
class Truth(_Rows):
    """N labelled people: keypoints in image pixels, COCO's v in {0, 1, 2}, and the areas OKS may be measured with.

    `area` is square pixels with its source in `area_source` ("segment" or what the file says); `box` is xyxy.
    `num_keypoints` is the file's own count, which COCO evaluation goes by (people with 0 are ignored); it is counted
    from v where not given. Raises ValueError naming the field where a shape, dtype or value is wrong.
    """

    xy: Float[np.ndarray, "N K 2"]
    v: Int[np.ndarray, "N K"]
    area: Float[np.ndarray, " N"] | None = None
    area_source: np.ndarray | None = None
    box: Float[np.ndarray, "N 4"] | None = None
    iscrowd: Bool[np.ndarray, " N"] | None = None
    image_id: Int[np.ndarray, " N"] | None = None
    annotation_id: Int[np.ndarray, " N"] | None = None
    num_keypoints: Int[np.ndarray, " N"] | None = None

    def __post_init__(self) -> None:
        rows = {"area": "float", "box": "float", "iscrowd": "bool"}
        rows |= dict.fromkeys(("image_id", "annotation_id", "num_keypoints"), "int")
        _check_columns(self, {"xy": ("float", (2,)), "v": ("int", ())}, rows)
        n = len(self)
        if n and not np.isin(self.v, (0, 1, 2)).all():
            raise ValueError("Truth.v: expected 0 (absent), 1 (occluded) or 2 (visible), got other values")
        if self.num_keypoints is None:
            object.__setattr__(self, "num_keypoints", np.count_nonzero(self.v > 0, axis=1).astype(np.int64))
        if self.iscrowd is None:
            object.__setattr__(self, "iscrowd", np.zeros(n, dtype=np.bool_))

    @property
    def keypoint_count(self) -> int:
        """K."""
        return self.xy.shape[1]

    def area_by(self, convention: Area) -> Float[np.ndarray, " N"]:
        """The area (N,) in square pixels that OKS is measured with, by a named convention.

        "segment" is the file's `area` (COCO evaluation), "box" the box's area (HPCVNet's targets), "box*0.53" the
        box's area times 0.53 (data sets without segments, as in xtcocotools). Raises ValueError for another name or
        where the column is missing.
        """
        if convention not in AREAS:
            raise ValueError(f"area: expected one of {', '.join(AREAS)}, got {convention!r}")
        column = "area" if convention == "segment" else "box"
        if getattr(self, column) is None:
            raise ValueError(f"area {convention!r} needs Truth.{column}, which is None")
        if self.area is not None and convention == "segment":
            return self.area
        assert self.box is not None
        width, height = box_size(self.box).T
        return width * height if convention == "box" else width * height * 0.53

    def take_keypoints(self, index: Int[np.ndarray, " L"]) -> "Truth":
        """The same people with keypoints picked by `index`; a joint that the source lacks (-1) is absent: v = 0, x = y
        = 0, and `num_keypoints` is counted anew."""
        xy, v = np.nan_to_num(_take(self.xy, index)), _take(self.v, index, fill=0)
        return replace(self, xy=xy, v=v, num_keypoints=None)


def _take(column: np.ndarray | None, index: np.ndarray, fill: bool | int | float = np.nan) -> Any:
    """Columns along axis 1 by index; `fill` where the index is -1."""
    if column is None:
        return None
    taken = column[:, index]
    taken[:, index < 0] = fill
    return taken


def _supervision() -> Any:
    try:
        import supervision
    except ImportError:
        raise ImportError(not_installed("supervision", "supervision")) from None
    return supervision
