"""`Images`: the photos or frames of `Poses` and `Truth`, which refer to them by `image_id`; folds and draws by id."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped, UInt64

from trustpose.notebook import html_line, html_table

_MOST_ROWS = 10  # listed in a notebook
_TEXTS = ("file_name", "camera", "clip")
_NUMBERS = ("width", "height")
_MEASURED = ("time", "crowd_index")
_UNKNOWN = {**dict.fromkeys(_TEXTS), **dict.fromkeys(_NUMBERS, 0), **dict.fromkeys(_MEASURED, np.nan)}
_UNKNOWN |= {"all_people_boxed": False}


@dataclass(frozen=True, eq=False, repr=False)
class Images:
    """I photos or frames, one row each; a column that is not filled is None and is never guessed.

    `width` and `height` are in pixels; `camera` and `clip` are names of the camera and of the video or sequence; `time`
    is in seconds since the clip's start; `crowd_index` is CrowdPose's `crowdIndex`; `all_people_boxed` says that every
    person of the photo has a box in the ground truth. In a column that other rows fill, a row without a value has None
    for text, 0 for a size, NaN for a time or crowd index, and False for `all_people_boxed`. A slice is a view of the
    same arrays. Raises ValueError naming the column if a shape or dtype is wrong, or if an id occurs twice.
    """

    id: Int[np.ndarray, " I"]
    file_name: Shaped[np.ndarray, " I"] | Sequence[str | None] | None = None
    width: Int[np.ndarray, " I"] | None = None
    height: Int[np.ndarray, " I"] | None = None
    crowd_index: Float[np.ndarray, " I"] | None = None
    camera: Shaped[np.ndarray, " I"] | Sequence[str | None] | None = None
    time: Float[np.ndarray, " I"] | None = None
    clip: Shaped[np.ndarray, " I"] | Sequence[str | None] | None = None
    all_people_boxed: Bool[np.ndarray, " I"] | None = None

    def __post_init__(self) -> None:
        ids = np.asarray(self.id)
        if ids.ndim != 1 or (ids.dtype.kind not in "iu" and ids.size):
            raise ValueError(f"Images.id: expected whole numbers (I,), got {ids.shape} of {ids.dtype}")
        object.__setattr__(self, "id", ids.astype(np.int64, copy=False))
        for name, value in self.columns().items():
            if value is None:
                continue
            kind, dtype = ("texts", object) if name in _TEXTS else ("numbers", None)
            column = np.array(list(value), dtype=object) if dtype is object else np.asarray(value)
            if column.shape != ids.shape or (name in _NUMBERS and column.dtype.kind not in "iu" and column.size):
                raise ValueError(f"Images.{name}: expected {len(ids)} {kind}, got {column.shape} of {column.dtype}")
            object.__setattr__(self, name, column)
        order = np.argsort(self.id, kind="stable")
        twice = np.flatnonzero(np.diff(self.id[order]) == 0)
        if len(twice):
            raise ValueError(f"Images.id: {self.id[order[twice[0]]]} occurs twice")

    def __len__(self) -> int:
        return len(self.id)

    def __repr__(self) -> str:
        """One line: how many, and which columns are filled."""
        filled = [name for name, column in self.columns().items() if column is not None]
        photos = f"{len(self):,} {'image' if len(self) == 1 else 'images'}"
        return f"Images({photos}; filled: {', '.join(('id', *filled))})"

    def _repr_html_(self) -> str:
        """Return what notebooks show: the line, and a table of the first images."""
        first = self[:_MOST_ROWS].to_json()
        names = list(dict.fromkeys(name for row in first for name in row))
        table = html_table(names, [[row.get(name, "") for name in names] for row in first]) if first else ""
        return html_line(repr(self)) + table

    def columns(self) -> dict[str, Any]:
        """Return the columns other than `id` by name; None for those not filled."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "id"}

    def __getitem__(self, rows: slice | np.ndarray | list[int]) -> "Images":
        picked = {name: None if column is None else column[rows] for name, column in self.columns().items()}
        return replace(self, id=self.id[rows], **picked)

    def rows_of(self, ids: Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
        """Return the row of each of N ids; -1 for unknown ones."""
        if not len(self):
            return np.full(len(ids), -1)
        order = self._order
        rows = order[np.minimum(np.searchsorted(self.id, ids, sorter=order), len(order) - 1)]
        return np.where(self.id[rows] == ids, rows, -1)

    def by_id(self, ids: Int[np.ndarray, " N"]) -> "Images":
        """Return the images with these ids, in their order. Raises KeyError naming the first unknown one."""
        rows = self.rows_of(np.asarray(ids))
        if (rows < 0).any():
            raise KeyError(f"image {np.asarray(ids)[rows < 0][0]} is not among the {len(self)} images")
        return self[rows]

    def sizes(self, image_id: Int[np.ndarray, " N"]) -> Int[np.ndarray, "N 2"]:
        """Return width and height of the image of each of N rows; 0, 0 if unknown."""
        rows = self.rows_of(image_id)
        if self.width is None or self.height is None or not len(self):
            return np.zeros((len(rows), 2), dtype=np.int64)
        return np.where((rows >= 0)[:, None], np.stack([self.width[rows], self.height[rows]], axis=1), 0)

    def names(self) -> dict[int, str]:
        """Return file names by id, of the images that have one."""
        texts: Any = () if self.file_name is None else self.file_name
        return {int(image_id): name for image_id, name in zip(self.id, texts, strict=False) if name is not None}

    def to_json(self) -> list[dict[str, Any]]:
        """Return one object per image, as in the `images` of a COCO ground truth, with the known fields."""
        cells = {name: _cells(name, column) for name, column in self.columns().items() if column is not None}
        spelled = {"crowdIndex" if name == "crowd_index" else name: column for name, column in cells.items()}
        rows = [dict(zip(spelled, row, strict=True)) for row in zip(*spelled.values(), strict=True)]
        rows = rows or [{} for _ in self.id]
        return [
            {"id": image_id} | {name: cell for name, cell in row.items() if cell is not None}
            for image_id, row in zip(self.id.tolist(), rows, strict=True)
        ]

    @cached_property
    def _order(self) -> np.ndarray:
        return np.argsort(self.id, kind="stable")


def _cells(name: str, column: np.ndarray) -> list[Any]:
    """Return the cells of a column, None for unknown ones."""
    unknown = _UNKNOWN[name]
    return [None if cell == unknown or cell != cell else cell for cell in column.tolist()]


def fold_of(image_id: Int[np.ndarray, " N"], folds: int) -> Int[np.ndarray, " N"]:
    """Return the fold (N,) of each image: the SHA-256 of its id, modulo `folds`. The same in every data set, and the
    same for all people of a photo."""
    images, inverse = np.unique(image_id, return_inverse=True)
    digests = (hashlib.sha256(str(image).encode()).digest() for image in images.tolist())
    return np.array([int.from_bytes(digest[:8], "big") % folds for digest in digests], dtype=np.int64)[inverse]


def draw_number(image_id: Int[np.ndarray, " N"]) -> UInt64[np.ndarray, " N"]:
    """Return a number (N,) for each image that is as good as drawn at random, and independent of its fold: the
    finalizer of SplitMix64 (Steele, Lea & Flood, "Fast splittable pseudorandom number generators", 2014)."""
    mixed = image_id.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
