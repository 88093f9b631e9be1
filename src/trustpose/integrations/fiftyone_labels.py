"""Poses as `fiftyone.Keypoints` of a photo, and back.

FiftyOne has positions as fractions of the photo's width and height, one list of numbers per attribute of keypoints, NaN
for a missing point, and None for an unknown number.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from trustpose.files import InputError
from trustpose.poses import MISSING_ID, Poses

PIXELS = ("x_pixels", "y_pixels")
CHANCES = ("p_absent", "p_occluded", "p_visible")
_BY_KEYPOINT = {"score": "confidence", "quality": "quality", "visibility_label": "visibility_label"}
_BY_POSE = ("pose_score", "presence", "pose_quality", "box_score", "suppressed_score")
_IDS = {"track_id": "index", "annotation_id": "annotation_id"}
_MOVED = 1e-6  # pixels: a point further from the pixels beside it was moved in FiftyOne


def keypoints_of(
    package: Any,
    poses: Poses,
    size: tuple[int, int],
    label: str,
    ranking: Float[np.ndarray, " N"] | None,
    **attributes: Any,
) -> Any:
    """Return `fiftyone.Keypoints` of the people of one photo, `size` its width and height in pixels.

    `ranking` is the score that they are ranked by, None if unknown; `attributes` are set on each of them.
    """
    columns = _columns(poses, size) | ({} if ranking is None else {"ranking_score": _cells(ranking)})
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    people = [{name: cell for name, cell in row.items() if cell is not None} | attributes for row in rows]
    return package.Keypoints(keypoints=[package.Keypoint(label=label, **person) for person in people])


def _columns(poses: Poses, size: tuple[int, int]) -> dict[str, list[Any]]:
    """Return the values of each attribute, one per person."""
    points = poses.xy.astype(np.float64) / np.array(size, dtype=np.float64)
    if poses.missing is not None:
        points[poses.missing] = np.nan
    columns: dict[str, list[Any]] = {"points": points.tolist()}
    columns |= {name: _cells(poses.xy[:, :, axis]) for axis, name in enumerate(PIXELS)}
    columns |= {
        theirs: _cells(column) for ours, theirs in _BY_KEYPOINT.items() if (column := getattr(poses, ours)) is not None
    }
    if poses.visibility is not None:
        columns |= {name: _cells(poses.visibility[:, :, state]) for state, name in enumerate(CHANCES)}
    columns |= {name: _cells(column) for name in _BY_POSE if (column := getattr(poses, name)) is not None}
    columns |= {theirs: _ids(column) for ours, theirs in _IDS.items() if (column := getattr(poses, ours)) is not None}
    return columns | ({} if poses.box is None else {"box": _cells(poses.box)})


def _cells(column: np.ndarray) -> list[Any]:
    """Return a column as nested lists; NaN is None, and so is a row that is NaN throughout."""
    cells = column.astype(object)
    if column.dtype.kind == "f":
        cells = column.astype(np.float64).astype(object)
        cells[np.isnan(column)] = None
    return [None if _is_empty(row) else row for row in cells.tolist()]


def _is_empty(row: Any) -> bool:
    return all(_is_empty(cell) for cell in row) if isinstance(row, list) else row is None


def _ids(column: np.ndarray) -> list[int | None]:
    return [None if number == MISSING_ID else number for number in column.tolist()]


def poses_of(
    keypoints: Sequence[Any], size: Float[np.ndarray, "N 2"], names: Sequence[str]
) -> dict[str, np.ndarray | None]:
    """Return the columns of `Poses` of `fiftyone.Keypoint`s, without image ids.

    size: width and height of each one's photo, pixels; names: how error messages call each. Where a point still is
    where `keypoints_of` put it, its pixels are those that `Poses` had, to the last bit. Raises InputError if numbers of
    points differ or an attribute has another length.
    """
    count = len(keypoints[0].points)
    points = _table(keypoints, names, "points", (count, 2))
    assert points is not None
    missing = np.isnan(points[..., 0]) | np.isnan(points[..., 1])
    xy, exact = points * size[:, None], _tables(keypoints, names, PIXELS, (count,))
    if exact is not None:
        still = missing | (np.abs(xy - exact).max(axis=2) <= _MOVED)
        xy = np.where(still[:, :, None], exact, xy)
    by_keypoint = {ours: _table(keypoints, names, theirs, (count,)) for ours, theirs in _BY_KEYPOINT.items()}
    label = by_keypoint.pop("visibility_label")
    return {
        "xy": xy,
        "missing": missing if missing.any() else None,
        "visibility": _tables(keypoints, names, CHANCES, (count,)),
        "visibility_label": None if label is None else np.nan_to_num(label, nan=MISSING_ID).astype(np.int8),
        "box": _table(keypoints, names, "box", (4,)),
        **by_keypoint,
        **{name: _table(keypoints, names, name, ()) for name in _BY_POSE},
        **{ours: id_column(keypoints, names, theirs) for ours, theirs in _IDS.items()},
    }


def number_column(keypoints: Sequence[Any], names: Sequence[str], attribute: str) -> Float[np.ndarray, " N"] | None:
    """Return an attribute that has one number per person (N,); NaN where it is unknown, None if it always is."""
    return _table(keypoints, names, attribute, ())


def id_column(keypoints: Sequence[Any], names: Sequence[str], attribute: str) -> np.ndarray | None:
    """Return an attribute that holds ids (N,), int64; -1 where there is none, None if there is none at all."""
    column = _table(keypoints, names, attribute, ())
    return None if column is None else np.nan_to_num(column, nan=MISSING_ID).astype(np.int64)


def _tables(
    keypoints: Sequence[Any], names: Sequence[str], attributes: Sequence[str], shape: tuple[int, ...]
) -> np.ndarray | None:
    """Return attributes that belong together (N, *shape, A). Raises InputError as `_table`, and if only some of
    them are set."""
    tables = [_table(keypoints, names, attribute, shape) for attribute in attributes]
    columns = [table for table in tables if table is not None]
    if columns and len(columns) < len(tables):
        raise InputError(f"{names[0]}: keypoints have some of {', '.join(attributes)}, expected all or none")
    return np.stack(columns, axis=-1) if columns else None


def _table(keypoints: Sequence[Any], names: Sequence[str], attribute: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return an attribute (N, *shape), NaN where it is unknown; None if no person has it. Raises InputError."""
    values = [_value(keypoint, attribute) for keypoint in keypoints]
    if all(value is None for value in values):
        return None
    table = np.full((len(values), *shape), np.nan)
    for row_index, value in enumerate(values):
        if value is None:
            continue
        try:
            row = np.array(value, dtype=np.float64)  # None becomes NaN
        except (TypeError, ValueError):
            row = np.empty(0)
        if row.shape != shape:
            expected = " × ".join(map(str, shape)) + " numbers" if shape else "a number"
            raise InputError(
                f"{names[row_index]}: a keypoint's {attribute!r} is {str(value)[:40]}, expected {expected}"
            )
        table[row_index] = row
    return table


def _value(keypoint: Any, attribute: str) -> Any:
    """Return an attribute's value, None if it has none; an empty list is none, as FiftyOne declares some so."""
    value = keypoint[attribute] if keypoint.has_field(attribute) else None
    return None if value is None or (isinstance(value, (list, tuple)) and not len(value)) else value
