"""People's boxes from a COCO ground truth or from a COCO detections file."""

from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from trustpose.files import InputError, read_json
from trustpose.formats.coco import TruthFile
from trustpose.formats.coco.ids import IdColumn, number_texts
from trustpose.formats.columns import Rows
from trustpose.geometry.box_checks import box_fault, xywh_fault
from trustpose.geometry.boxes import xywh_to_xyxy, xyxy_to_xywh
from trustpose.geometry.crops import Boxes
from trustpose.poses import Truth

TruthSelection = Literal["labelled", "boxed"]


@runtime_checkable
class Detector(Protocol):
    """A person detector: takes a photo's pixels, RGB, returns the boxes of its people. Called from many threads."""

    def __call__(self, pixels: UInt8[np.ndarray, "H W 3"]) -> Boxes: ...


def whole_photo(pixels: UInt8[np.ndarray, "H W 3"]) -> Boxes:
    """Return one box around the whole photo: the detector for photos with one person each."""
    height, width = pixels.shape[:2]
    return Boxes(np.array([[0.0, 0.0, width, height]]), np.zeros(1, np.int64))


def boxes_from_truth(truth: Truth, people: TruthSelection = "labelled") -> Boxes:
    """Return the boxes of labelled people, without crowds, with their annotation ids.

    "labelled": people with at least one labelled keypoint, the usual protocol for ground-truth boxes (HRNet, mmpose):
    COCO evaluation ignores the others. "boxed": everyone with a box. Raises InputError if there are no boxes.
    """
    if truth.box is None or truth.image_id is None:
        raise InputError("the ground truth has no boxes: field 'bbox' is missing in all annotations")
    assert truth.iscrowd is not None and truth.num_keypoints is not None  # Truth computes them if a file lacks them
    keep = np.isfinite(truth.box).all(axis=1) & ~truth.iscrowd
    if people == "labelled":
        keep &= truth.num_keypoints > 0
    return Boxes(truth.box, truth.image_id, annotation_id=truth.annotation_id)[np.flatnonzero(keep)]


def boxes_from_detections(
    path: str | Path, category_id: int = 1, min_score: float | None = None, truth: TruthFile | None = None
) -> Boxes:
    """Return the boxes of one category in a COCO detections file: a list of {image_id, category_id, bbox, score}.

    Boxes with a score below `min_score` are dropped. Text image ids are those of `truth`, or numerals. Raises
    InputError naming the entry and the field.
    """
    rows = Rows.of(read_json(path), str(path), "detection")
    if not len(rows):
        raise InputError(f"{path}: holds no detections (an empty list)")
    image_id, category = _image_ids(rows, truth), rows.integers("category_id")
    bbox = rows.lists("bbox", 4, what=" (x, y, width, height)")
    score = rows.numbers("score")
    assert category is not None and bbox is not None and score is not None
    fault = xywh_fault(bbox, np.zeros((len(bbox), 2), np.int64))
    if fault is not None:
        raise InputError(f"{path}: detection {fault[0]}: field 'bbox': {fault[1]}")
    keep = category == category_id
    if not keep.any():
        raise InputError(f"{path}: holds no detections of category {category_id}")
    if min_score is not None:
        keep &= score >= min_score
    return Boxes(xywh_to_xyxy(bbox), image_id, score, source=str(path))[np.flatnonzero(keep)]


def _image_ids(rows: Rows, truth: TruthFile | None) -> np.ndarray:
    column = IdColumn("image_id")
    places = column.read(rows)
    assert places is not None
    if truth is not None:
        where = f"the images of {truth.path}"
        return column.resolve(rows.path, places, truth.images.id, truth.image_texts, where)[0]
    texts = number_texts(column.texts)
    if not texts.are_numbers:
        at = int(np.argmax(places == 0))
        raise rows.fail(at, "image_id", "a whole number, or a text that --gt has", next(iter(column.texts)))
    return column.numbers(places, texts)


def check_boxes(boxes: Boxes, width: int, height: int, photo: str) -> None:
    """Raise InputError, naming the box and the fault, if a box is invalid in its photo of that size."""
    size = np.tile(np.array([width, height], np.int64), (len(boxes), 1))
    if boxes.source is None:
        fault = box_fault(boxes.xyxy, size)
    else:
        fault = xywh_fault(xyxy_to_xywh(boxes.xyxy), size, margin=0.0)
    if fault is not None:
        row, what = fault
        raise InputError(f"{photo if boxes.source is None else f'{boxes.source}: {photo}'}: boxes[{row}]: {what}")
