"""Convert poses to pandas and Arrow (the extra `tables`): rows of COCO results, or tidy, one row per keypoint."""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from trustpose.extras import not_installed
from trustpose.poses.rows import MISSING_ID, find_missing

if TYPE_CHECKING:
    from trustpose.poses.poses import CocoColumn, Poses

_IDS = ("image_id", "category_id", "annotation_id", "track_id")


def tidy_rows(poses: "Poses", rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Convert rows of `Poses.to_coco` to one object per keypoint: the pose's index and fields, then the keypoint's
    index, name (if the skeleton is known), x, y, score, and, if known, quality, visibility, its label and missing."""
    names = None if poses.skeleton is None else poses.skeleton.keypoints
    part_names = [] if poses.skeleton is None else [name for name, _ in poses.skeleton.parts]
    lists = ("keypoints", "keypoint_quality", "visibility", "visibility_label", "keypoint_missing", "bbox", *part_names)
    tidy = []
    for pose, row in enumerate(rows):
        whole = {"pose": pose} | {name: cell for name, cell in row.items() if name not in lists}
        whole["pose_rank_score"] = whole.pop("score")
        whole |= dict(zip(("box_x", "box_y", "box_width", "box_height"), row.get("bbox", ()), strict=False))
        missing = None if poses.missing is None else poses.missing[pose]
        body_count = len(row["keypoints"]) // 3
        numbers = [*row["keypoints"], *(number for name in part_names for number in row[name])]
        for k in range(poses.keypoint_count):
            keypoint: dict[str, Any] = {"keypoint": k} | ({} if names is None else {"name": names[k]})
            keypoint |= dict(zip(("x", "y", "score"), numbers[3 * k : 3 * k + 3], strict=True))
            trust_row = row if k < body_count else {}  # trust is the body's
            if "keypoint_quality" in trust_row:
                keypoint["quality"] = trust_row["keypoint_quality"][k]
            if "visibility" in trust_row:
                keypoint |= dict(zip(("p_absent", "p_occluded", "p_visible"), trust_row["visibility"][k], strict=True))
            if "visibility_label" in trust_row:
                keypoint["visibility_label"] = trust_row["visibility_label"][k]
            if missing is not None:
                keypoint["missing"] = bool(missing[k])
            tidy.append(whole | keypoint)
    return tidy


def arrow_table(rows: list[dict[str, Any]]) -> Any:
    """Return a `pyarrow.Table` of rows, null for absent fields. Raises ImportError with the install line."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    arrow = package("pyarrow")
    return arrow.table({name: arrow.array([row.get(name) for row in rows]) for name in names})


def results_table(
    columns: Mapping[str, "CocoColumn"], schema: Any, texts: Mapping[str, Mapping[int, str]] | None = None
) -> Any:
    """Return a `pyarrow.Table` of the fields of results, the same as of `Poses.to_coco`'s rows, without Python objects
    for them.

    Args:
        columns: The fields, from `coco_columns`.
        schema: Of the table; columns that it does not have are left out, those that are not given are null.
        texts: By field, the texts of text ids.
    """
    arrow, arrays = package("pyarrow"), []
    count = len(next(iter(columns.values())).is_unknown)
    for field in schema:
        column, text_of = columns.get(field.name), (texts or {}).get(field.name, {})
        if column is None:
            arrays.append(arrow.nulls(count, field.type))
        elif arrow.types.is_string(field.type):
            arrays.append(arrow.array([text_of.get(number, number) for number in column.cells()], field.type))
        else:
            arrays.append(_array(column.values, field.type, column.is_unknown))
    return arrow.Table.from_arrays(arrays, schema=schema)


def _array(values: np.ndarray, kind: Any, is_null: np.ndarray | None) -> Any:
    """Return an Arrow array of numbers (N,), or of lists (N, m, …)."""
    arrow = package("pyarrow")
    if values.ndim == 1:
        return arrow.array(values, kind, mask=is_null)
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    inner = _array(values.reshape(-1, *values.shape[2:]), kind.value_type, None)
    mask = None if is_null is None or not is_null.any() else arrow.array(is_null)
    return arrow.ListArray.from_arrays(offsets, inner, type=kind, mask=mask)


def data_frame(rows: list[dict[str, Any]]) -> Any:
    """Return a `pandas.DataFrame` of rows; ids stay integers. Raises ImportError with the install line."""
    pandas = package("pandas")
    frame = pandas.DataFrame(rows)
    for name in _IDS:
        if name in frame and not any(isinstance(cell, str) for cell in frame[name]):
            frame[name] = frame[name].astype("Int64" if frame[name].isna().any() else "int64")
    return frame


def columns_of_frame(frame: Any) -> dict[str, np.ndarray | None]:
    """Return the columns of `Poses` in a frame with one row per pose. Raises ValueError naming a missing column."""
    for name in ("image_id", "keypoints"):
        if name not in frame:
            raise ValueError(f"from_pandas: column {name!r} is missing, expected one row per pose (not tidy)")
    table = np.array([np.asarray(cell, dtype=np.float64) for cell in frame["keypoints"]])
    keypoints = table.reshape(len(frame), -1, 3)
    xy, score = keypoints[..., :2], keypoints[..., 2]
    box = _lists(frame, "bbox", (4,))
    count = keypoints.shape[1]
    pose_score = _numbers(frame, "pose_score")
    missing, stated_missing = find_missing(xy, score), _lists(frame, "keypoint_missing", (count,))
    if stated_missing is not None:
        by_rule = np.zeros(score.shape, dtype=np.bool_) if missing is None else missing
        missing = np.where(np.isnan(stated_missing[:, :1]), by_rule, stated_missing == 1)
    return {
        "xy": xy,
        "score": score,
        "pose_score": _numbers(frame, "score") if pose_score is None else pose_score,
        "quality": _lists(frame, "keypoint_quality", (count,)),
        "visibility": _lists(frame, "visibility", (count, 3)),
        "visibility_label": _labels(frame, count),
        "presence": _numbers(frame, "presence"),
        "pose_quality": _numbers(frame, "pose_quality"),
        "box": None if box is None else np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], axis=1),
        "box_score": _numbers(frame, "bbox_score"),
        **{name: _whole(frame, name) for name in ("track_id", "image_id", "annotation_id")},
        "missing": missing,
    }


def package(name: str) -> Any:
    """Return pandas or pyarrow. Raises ImportError with the install line."""
    try:
        return import_module(name)
    except ImportError:
        raise ImportError(not_installed(name, "tables")) from None


def _numbers(frame: Any, name: str) -> np.ndarray | None:
    return frame[name].to_numpy(dtype=np.float64, na_value=np.nan) if name in frame else None


def _whole(frame: Any, name: str) -> np.ndarray | None:
    return frame[name].to_numpy(dtype=np.int64, na_value=MISSING_ID) if name in frame else None


def _labels(frame: Any, count: int) -> np.ndarray | None:
    label = _lists(frame, "visibility_label", (count,))
    return None if label is None else np.nan_to_num(label, nan=MISSING_ID).astype(np.int8)


def _lists(frame: Any, name: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return a column of lists, (N, *shape); NaN in rows without one."""
    if name not in frame:
        return None
    filled = np.full((len(frame), *shape), np.nan)
    for row, cell in enumerate(frame[name]):
        if isinstance(cell, (list, np.ndarray)):
            filled[row] = np.array([np.asarray(part, dtype=np.float64) for part in cell]).reshape(shape)
    return filled
