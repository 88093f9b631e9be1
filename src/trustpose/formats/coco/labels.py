"""Read the keypoints of annotations and results: their fields, their number and their names."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from trustpose.files import InputError
from trustpose.formats.columns import Rows
from trustpose.skeletons import COCO_WHOLEBODY_133, HALPE_136, Skeleton, find_skeleton

_BY_COUNT = {len(skeleton): skeleton for skeleton in (COCO_WHOLEBODY_133, HALPE_136)}  # no other data set has as many
_WHOLE_BODY = (("keypoints", 17), ("foot_kpts", 6), ("face_kpts", 68), ("lefthand_kpts", 21), ("righthand_kpts", 21))


@dataclass(frozen=True, eq=False)
class Labels:
    """x, y, v of N people, zeros for those with only a box; the names of the K keypoints and their skeleton.
    `num_keypoints` is the file's own count for these keypoints, if it has one. `note` states assumptions."""

    keypoints: Float[np.ndarray, "N K 3"]
    names: tuple[str, ...]
    skeleton: Skeleton | None
    num_keypoints: Int[np.ndarray, " N"] | None
    note: str | None = None


def read_labels(rows: Rows, names: tuple[str, ...], skeleton_override: Skeleton | None) -> Labels:
    """Read the labels of annotations whose category names keypoints `names` (possibly none).

    `skeleton_override` is used instead of the category's names. Without it, if a category names more keypoints than its
    annotations have, the first ones are used if they form a known skeleton (Human-Art). Raises InputError.
    """
    note = None
    if skeleton_override is None:
        skeleton, names, note = _name(rows, names)
    else:
        skeleton, names = skeleton_override, skeleton_override.keypoints
    count = len(names)
    field, counted = _fields(rows, count)
    table = keypoint_table(rows, count, "v", field=field)
    keypoints = np.zeros((len(rows), count, 3)) if table is None else np.nan_to_num(table).reshape(-1, count, 3)
    if _in_parts(rows, count):
        keypoints[..., 2] = np.ceil(keypoints[..., 2])  # its authors count any v above 0, even fractions, as labelled
    wrong = ~np.isin(keypoints[:, :, 2], (0, 1, 2)).all(axis=1)
    if wrong.any():
        row = int(np.argmax(wrong))
        value = next(v for v in keypoints[row, :, 2] if v not in (0, 1, 2))
        raise rows.fail(row, field, "v in 0, 1, 2", float(value))
    return Labels(keypoints, names, skeleton, _num_keypoints(rows, counted, keypoints), note)


def keypoint_table(
    rows: Rows, count: int, third: Literal["v", "score"], *, field: str = "keypoints"
) -> Float[np.ndarray, "N _"] | None:
    """Return x, y, `third` of `count` keypoints, flat (N, 3 · count); optional for labels, as some people have only a
    box.

    133 keypoints may be in COCO-WholeBody's five fields instead. Raises InputError.
    """
    is_optional = third == "v"
    parts = _WHOLE_BODY if _in_parts(rows, count) else ((field, count),)
    tables = [
        rows.lists(name, 3 * part, optional=is_optional, description=f" (x, y, {third} of {part} keypoints)")
        for name, part in parts
    ]
    if len(tables) == 1:
        return tables[0]
    empty = [
        np.zeros((len(rows), 3 * part)) if table is None else table
        for table, (_, part) in zip(tables, parts, strict=True)
    ]
    return np.concatenate(empty, axis=1)


def _name(rows: Rows, names: tuple[str, ...]) -> tuple[Skeleton | None, tuple[str, ...], str | None]:
    """Return the annotations' skeleton, the keypoint names, and the assumptions made."""
    lists = [row["keypoints"] for row in rows.rows if isinstance(row.get("keypoints"), list)]
    lengths = set(map(len, lists))
    count, rest = divmod(lengths.pop() if len(lengths) == 1 else 3 * len(names), 3)
    if rest or not count:
        if not names:
            raise InputError(f"{rows.path}: field 'keypoints': no category names any, no annotation has 3K numbers")
        count = len(names)  # mismatches are reported by row
    if count == len(names):
        skeleton = find_skeleton(names)
        return skeleton, names if skeleton is None else skeleton.keypoints, None
    skeleton = _BY_COUNT.get(count) or find_skeleton(names[:count] if count < len(names) else ())
    if skeleton is None and names:
        raise InputError(
            f"{rows.path}: field 'keypoints': annotations have {count}, the category names {len(names)}; "
            "name them with --skeleton"
        )
    if skeleton is None:
        return None, tuple(f"keypoint_{i}" for i in range(count)), None
    named = f"the category names {len(names)}" if names else "the category names none"
    return skeleton, skeleton.keypoints, f"annotations have {count} keypoints, {named}: treated as {skeleton.name}"


def _fields(rows: Rows, count: int) -> tuple[str, str | None]:
    """Return the field with `count` keypoints, and the one with their labelled number (Human-Art: keypoints_21)."""
    if f"keypoints_{count}" in rows.fields:
        return f"keypoints_{count}", f"num_keypoints_{count}"
    return "keypoints", None if _in_parts(rows, count) else "num_keypoints"


def has_whole_body(rows: Rows) -> bool:
    """Return whether rows have the fields of COCO-WholeBody's 133 keypoints in addition to those of the body."""
    return {field for field, _ in _WHOLE_BODY} <= rows.fields


def _in_parts(rows: Rows, count: int) -> bool:
    return count == len(COCO_WHOLEBODY_133) and "foot_kpts" in rows.fields


def _num_keypoints(rows: Rows, field: str | None, keypoints: np.ndarray) -> np.ndarray | None:
    """Return the file's own count, computed from v if a row lacks it."""
    counts = None if field is None else rows.integers(field, optional=True)
    if counts is None:
        return None
    return np.where(counts < 0, np.count_nonzero(keypoints[:, :, 2] > 0, axis=1), counts)
