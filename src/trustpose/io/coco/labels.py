"""Keypoints of annotations and results: their fields, number and names, what v means, and checks for errors that
would otherwise only show in the numbers.

What v means in a ground truth: COCO's absent, occluded and visible, or only whether a keypoint is labelled.
PoseTrack18, FreiHAND, WFLW and 300-W write v = 1 for every labelled keypoint, in the layout in which COCO's v = 1
means occluded.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from trustpose.files import InputError
from trustpose.geometry.boxes import centre_fault, xywh_fault, xyxy_to_xywh
from trustpose.images import Images
from trustpose.io.columns import Rows
from trustpose.poses import MISSING_ID, Poses, Truth, Visibility
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
    keypoints = np.zeros((len(rows), count, 3)) if table is None else table.reshape(-1, count, 3)
    keypoints[np.isnan(keypoints)] = 0  # rows without the field
    if _in_parts(rows, count):
        keypoints[..., 2] = np.ceil(keypoints[..., 2])  # its authors count any v above 0, even fractions, as labelled
    v = keypoints[:, :, 2]
    is_valid = (v == 0) | (v == 1) | (v == 2)
    if not is_valid.all():
        row = int(np.argmin(is_valid.all(axis=1)))
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
    lengths = rows.lengths("keypoints")
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


def check_boxes(
    rows: Rows,
    box: Float[np.ndarray, "N 4"],
    size: Int[np.ndarray, "N 2"] | None,
) -> None:
    """Raise InputError if one of N xywh boxes is invalid in its photo of `size` (0, 0 or None: unknown); rows without a
    box are NaN."""
    with_box = np.flatnonzero(~np.isnan(box).any(axis=1))
    fault = xywh_fault(box[with_box], np.zeros((len(with_box), 2), np.int64) if size is None else size[with_box])
    if fault is not None:
        row, problem = fault
        raise InputError(f"{rows.place(int(with_box[row]))}: field 'bbox': {problem}")


def check_centres(rows: Rows, people: Poses | Truth) -> None:
    """Raise InputError if the people's keypoints show that x, y of their boxes was the centre."""
    if people.box is None:
        return
    if isinstance(people, Truth):
        located = people.v > 0
    else:
        located = np.ones(people.xy.shape[:2], np.bool_) if people.missing is None else ~people.missing
    fault = centre_fault(xyxy_to_xywh(people.box), people.xy, located)
    if fault is not None:
        raise InputError(f"{rows.place(fault[0])}: field 'bbox': {fault[1]}")


def check_result_boxes(rows: Rows, poses: Poses, size: Int[np.ndarray, "N 2"] | None) -> None:
    """Apply `check_boxes` and `check_centres` to the boxes of results, if they have any."""
    if poses.box is not None:
        check_boxes(rows, xyxy_to_xywh(poses.box), size)
        check_centres(rows, poses)


def check_annotation_ids(
    rows: Rows, poses: Poses, keep: np.ndarray, truth: Truth, path: str, texts: Mapping[int, str]
) -> None:
    """Check that each kept row with an annotation id names a person of its own photo, each person at most once; `texts`
    are the file's texts for numbers."""
    if poses.annotation_id is None:
        return
    named = np.flatnonzero((poses.annotation_id != MISSING_ID) & keep)
    assert poses.image_id is not None and truth.annotation_id is not None and truth.image_id is not None
    ids = truth.annotation_id
    rows.known("annotation_id", poses.annotation_id[named], ids, f"the annotations of {path}", texts)
    rows.unique("annotation_id", np.where(keep, poses.annotation_id, MISSING_ID), texts)
    order = np.argsort(ids)
    person = order[np.searchsorted(ids[order], poses.annotation_id[named])]
    elsewhere = np.flatnonzero(truth.image_id[person] != poses.image_id[named])
    if len(elsewhere):
        row = int(named[elsewhere[0]])
        image = int(truth.image_id[person[elsewhere[0]]])
        raise rows.fail(
            row, "annotation_id", f"a person of image {poses.image_id[row]}", int(poses.annotation_id[row])
        ) from (InputError(f"that person is in image {image}"))


TERNARY, LABELLED = "ternary", "labelled"  # values of a category's `visibility`
ASSUMED = (
    "v: is 0 or 1 in all annotations, so 1 is taken for labelled, not for occluded "
    '("visibility": "ternary" of the category says otherwise)'
)


def is_ternary(v: Int[np.ndarray, "N K"], stated: str | None) -> bool:
    """Return whether v has COCO's meaning: as the file states, else whether a 2 occurs or no keypoint is labelled."""
    if stated is not None:
        return stated == TERNARY
    return bool((v == Visibility.VISIBLE).any() or not (v == Visibility.OCCLUDED).any())


def without_occlusion(truth: Truth) -> Truth:
    """Return the people with v = 2 for every labelled keypoint, which is the v of all data sets without COCO's."""
    return replace(truth, v=np.where(truth.v > 0, int(Visibility.VISIBLE), 0))


def number_in_name(name: str | Path) -> int | None:
    """Return the number at the end of a file name: COCO_val2014_000000000042.jpg, frame42.png and cam01.0042 are image
    42.

    A suffix is ignored unless it is a number. None if the name ends in no number, or in one of over 18 digits.
    """
    path = Path(name)
    stem = path.name if path.suffix[1:].isdecimal() else path.stem
    match = re.search(r"(?<!\d)[0-9]{1,18}$", stem)
    return None if match is None else int(match[0])


def rows_by_name(images: Images) -> dict[str, int]:
    """Return the row of `images` for each file name, ignoring folders."""
    names = () if images.file_name is None else images.file_name
    return {Path(name).name: row for row, name in enumerate(names) if name}
