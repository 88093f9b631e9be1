"""The common base of `Poses` and `Truth`: checked columns, slicing, iteration by image, concatenation, skeleton.

`Keypoint` is one joint of all poses, and `Photo` a photo whose pixels are read on demand.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from trustpose.skeletons.skeleton import Skeleton, difference

MISSING_ID = -1  # marks a row without an id, in a column that other rows fill
_NO_COLUMNS = ("skeleton", "photos", "images", "error_model")  # fields of the records that have no row per person


def box_size(box: Float[np.ndarray, "*N 4"]) -> Float[np.ndarray, "*N 2"]:
    """Return width and height of xyxy boxes.

    Files give widths in decimals, and x0 + width − x0 is not exactly width in binary. Of the sizes that give exactly
    the same far corner, this is the one with the fewest decimals, so a file's value survives reading and writing.
    """
    low, high = box[..., :2], box[..., 2:]
    exact = high - low
    size, open_ = exact.copy(), np.ones(exact.shape, dtype=bool)
    for decimals in range(15):
        power = 10.0**decimals
        rounded = np.rint(exact * power) / power  # np.round, without its overhead for few boxes
        hits = open_ & (low + rounded == high)
        if hits.any():
            size[hits] = rounded[hits]
            open_ &= ~hits
            if not open_.any():
                break
    return size


_BOXES_AT_A_TIME = 2**10  # whose keypoints fit into the processor's cache


def extent(xy: Float[np.ndarray, "N K 2"], missing: Bool[np.ndarray, "N K"] | None = None) -> Float[np.ndarray, "4 N"]:
    """Return the tight boxes around keypoints that are not missing, x0, y0, x1, y1; NaN where all are."""
    people, keypoints = xy.shape[:2]
    box = np.empty((4, people), xy.dtype)
    for start in range(0, people, _BOXES_AT_A_TIME):
        rows = slice(start, start + _BOXES_AT_A_TIME)
        by_keypoint = np.ascontiguousarray(xy[rows].reshape(-1, 2 * keypoints).T).reshape(keypoints, 2, -1)
        counts = True if missing is None else ~missing[rows].T[:, None]  # (K, 1, n)
        by_keypoint.min(axis=0, out=box[:2, rows], where=counts, initial=np.inf)  # ten times faster than the last axes
        by_keypoint.max(axis=0, out=box[2:, rows], where=counts, initial=-np.inf)
    if missing is not None:
        box[:, missing.all(axis=1)] = np.nan
    return box


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


def check_columns(record: Any, keypoints: dict[str, tuple[str, tuple[int, ...]]], rows: dict[str, str]) -> None:
    """Check and convert the filled columns of a record: those with one value per keypoint (N, K, …) and the others,
    which are (N,), or boxes (N, 4)."""
    name, xy = type(record).__name__, np.asarray(record.xy)
    if xy.ndim != 3 or xy.shape[2] != 2:
        raise ValueError(f"{name}.xy: expected shape (N, K, 2), got {xy.shape}")
    n, k = xy.shape[:2]
    skeleton: Skeleton | None = record.skeleton
    if skeleton is not None and len(skeleton.keypoints) != k:
        joints = len(skeleton.keypoints)
        raise ValueError(f"{name}.skeleton: {skeleton.name!r} has {joints} keypoints, {name}.xy has {k}")
    shapes = {column: ((n, k, *tail), kind) for column, (kind, tail) in keypoints.items()}
    shapes |= {column: ((n, 4) if column == "box" else (n,), kind) for column, kind in rows.items()}
    for column, (shape, kind) in shapes.items():
        value = getattr(record, column)
        if value is not None:
            object.__setattr__(record, column, _check_array(name, column, value, shape, kind))


_R = TypeVar("_R", bound="PersonRows")  # instead of typing.Self, which the run-time checker does not support on methods


class PersonRows:
    """Common methods of both records: length, slicing, iteration by image, concatenation, skeleton.

    A slice is a view of the same arrays.
    """

    def columns(self) -> dict[str, np.ndarray | None]:
        """Return the arrays by field name, one row per person; None for fields that are not filled."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in _NO_COLUMNS}  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self.xy)  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        """One line: people, keypoints, skeleton, photos, and which fields are filled."""
        people, keypoints = self.xy.shape[:2]  # type: ignore[attr-defined]
        skeleton, image_id = _skeleton(self), self.image_id  # type: ignore[attr-defined]
        named = "no skeleton" if skeleton is None else skeleton.name
        parts = [counted(people, "person", "people"), f"{counted(keypoints, 'keypoint')} ({named})"]
        parts += [] if image_id is None or not people else [counted(len(np.unique(image_id)), "photo")]
        filled = [name for name, column in self.columns().items() if column is not None]
        return f"{type(self).__name__}({', '.join(parts)}; filled: {', '.join(filled)})"

    def __getitem__(self: _R, rows: slice | np.ndarray | list[int] | int) -> _R:
        if isinstance(rows, (int, np.integer)):
            if not -len(self) <= rows < len(self):
                raise IndexError(f"row {rows} of {len(self)}")
            rows = slice(int(rows) % len(self), int(rows) % len(self) + 1)
        picked = {name: None if column is None else column[rows] for name, column in self.columns().items()}
        return replace(self, **picked)  # type: ignore[type-var]

    def by_image(self: _R) -> Iterator[tuple[int, _R]]:
        """Yield (image_id, its people), images in ascending order of id, people in row order.

        Raises ValueError if image_id is None.
        """
        image_id: np.ndarray | None = self.image_id  # type: ignore[attr-defined]
        if image_id is None:
            raise ValueError(f"{type(self).__name__}.by_image: image_id is None, the rows' images are unknown")
        if not len(image_id):
            return
        order = np.argsort(image_id, kind="stable")
        ids, starts = np.unique(image_id[order], return_index=True)
        for photo_id, rows in zip(ids, np.split(order, starts[1:]), strict=True):
            is_run = rows[-1] - rows[0] + 1 == len(rows)  # consecutive rows stay a view
            yield int(photo_id), self[slice(rows[0], rows[-1] + 1) if is_run else rows]  # type: ignore[invalid-yield]

    @classmethod
    def concatenate(cls: type[_R], parts: list[_R]) -> _R:
        """Concatenate the rows of all parts. All fields except `missing` must be filled in every part or in none.

        The result has no skeleton if one of the parts has none. Raises ValueError if filled fields differ, or naming
        both skeletons if two parts have different ones.
        """
        if not parts:
            raise ValueError(f"{cls.__name__}.concatenate: expected at least one part, got none")
        skeleton = _skeleton_of_all(cls.__name__, parts)
        columns = [part.columns() for part in parts]
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
        return cls(**joined, skeleton=skeleton, **cls._further_fields(parts))  # type: ignore[arg-type]

    @classmethod
    def _further_fields(cls, parts: Sequence[Any]) -> dict[str, Any]:  # noqa: ARG003
        """Return further fields of the concatenation, which have no row per person."""
        return {}


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """Return a number with its noun, in the singular or plural."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def check_same_skeleton(first: PersonRows, second: PersonRows) -> None:
    """Raise ValueError, naming both, if two records are known to have different skeletons."""
    if differ := difference(_skeleton(first), _skeleton(second)):
        names = f"{type(first).__name__} and {type(second).__name__}"
        raise ValueError(f"{names} have different skeletons, {differ}")


def _skeleton(rows: PersonRows) -> Skeleton | None:
    return rows.skeleton  # type: ignore[attr-defined]


def _skeleton_of_all(record: str, parts: Sequence[PersonRows]) -> Skeleton | None:
    """Return the common skeleton of the parts; None if one of them is unknown."""
    skeletons = [skeleton for part in parts if (skeleton := _skeleton(part)) is not None]
    for skeleton in skeletons[1:]:
        if differ := difference(skeletons[0], skeleton):
            raise ValueError(f"{record}.concatenate: the parts have different skeletons, {differ}")
    is_unknown = any(_skeleton(part) is None and len(part) for part in parts)
    return None if is_unknown or not skeletons else skeletons[0]


def take(column: np.ndarray | None, index: np.ndarray, fill: bool | int | float = np.nan) -> Any:
    """Take columns along axis 1 by index; `fill` where the index is -1."""
    if column is None:
        return None
    selected = column[:, index]
    selected[:, index < 0] = fill
    return selected


def find_missing(
    xy: Float[np.ndarray, "N K 2"],
    score: Float[np.ndarray, "N K"] | None,
    *,
    dropped_below: float = 0.0,
    anywhere: bool = False,
) -> Bool[np.ndarray, "N K"] | None:
    """Return which keypoints (N, K) are NaN, or at exactly (0, 0) with score 0; None if there are none.

    OpenPose and others write (0, 0) with score 0 for a joint that they did not find. A tool that moves joints with a
    low score to (0, 0) but keeps the score has its own rule: `dropped_below` is the threshold of the score
    (Ultralytics: 0.5). `anywhere`: a score of 0 is enough, for a tool that rescales (0, 0) with the rest (OpenPifPaf).
    Without scores, (0, 0) is enough.
    """
    x, y = xy[..., 0], xy[..., 1]
    missing = np.isnan(x) | np.isnan(y)
    at_zero = x == 0
    if at_zero.any():  # rare in most files
        at_zero &= y == 0
        if score is not None:
            at_zero &= (score == 0) | (score < dropped_below) | np.isnan(score)
        missing |= at_zero
    if anywhere and score is not None:
        missing |= score == 0
    return missing if missing.any() else None


@dataclass(frozen=True, eq=False, repr=False)
class Keypoint:
    """One joint of N poses, as `poses["left_wrist"]` gives it: views of the columns of `Poses`, one row per person.

    Attributes:
        name: of the joint.
        index: its number in the skeleton.
        xy: (N, 2), image pixels.
        score, quality, visibility, visibility_label, missing: as in `Poses`, without the axis of the joints; None where
            the poses do not have them.

    Example:
        >>> poses = tp.read_poses("results.json")
        >>> poses["nose"].xy.shape == (len(poses), 2)
        True
    """

    name: str
    index: int
    xy: Float[np.ndarray, "N 2"]
    score: Float[np.ndarray, " N"] | None = None
    quality: Float[np.ndarray, " N"] | None = None
    visibility: Float[np.ndarray, "N 3"] | None = None
    visibility_label: Int[np.ndarray, " N"] | None = None
    missing: Bool[np.ndarray, " N"] | None = None

    def __len__(self) -> int:
        return len(self.xy)

    def __repr__(self) -> str:
        filled = [field.name for field in fields(self)[2:] if getattr(self, field.name) is not None]
        return f"Keypoint({self.name}, number {self.index}, of {len(self)} poses; filled: {', '.join(filled)})"


COLUMNS = tuple(field.name for field in fields(Keypoint)[2:])
"""The columns that it takes from `Poses`."""


@runtime_checkable
class Photo(Protocol):
    """A photo or video frame that poses came from. Its pixels are not kept: `read` reads them again.

    Attributes:
        name: for people: a file's path, an address, "clip.mp4, frame 7".
    """

    @property
    def name(self) -> str: ...

    def read(self) -> UInt8[np.ndarray, "H W 3"]:
        """Return the pixels, RGB. Raises InputError if they can no longer be read."""
        ...


def joined_photos(parts: Sequence[Mapping[int, Photo] | None]) -> dict[int, Photo]:
    """Return the photos of all parts by image id, without ids that stand for different photos in two parts."""
    distinct = {id(part): part for part in parts if part is not None}  # slices share their mapping
    joined: dict[int, Photo] = {}
    twice: set[int] = set()
    for part in distinct.values():
        for image_id, photo in part.items():
            if joined.setdefault(image_id, photo) != photo:
                twice.add(image_id)
    return {image_id: photo for image_id, photo in joined.items() if image_id not in twice}
