"""Checks on reading annotations and results for errors that would otherwise only show in the numbers."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int

from trustpose.files import InputError
from trustpose.formats.columns import Rows
from trustpose.geometry.box_checks import centre_fault, xywh_fault
from trustpose.geometry.boxes import xyxy_to_xywh
from trustpose.poses import MISSING_ID, Poses, Truth


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
