"""People's boxes from a COCO ground truth or from a COCO detections file."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int, UInt8

from trustpose.files import InputError, read_json
from trustpose.geometry.boxes import box_fault, format_fault, xywh_fault, xywh_to_xyxy, xyxy_to_xywh
from trustpose.geometry.crops import Boxes
from trustpose.io.coco.truth import TruthFile
from trustpose.io.columns import IdColumn, Rows, number_texts
from trustpose.poses import Truth

LEAST_INSIDE = 0.5  # of a box's area; a warning names boxes with less of it in the photo
BOX_FORMATS = ("xyxy", "xywh")  # of boxes that users give to a predictor
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
    path: str | Path,
    category_id: int = 1,
    min_score: float | None = None,
    truth: TruthFile | None = None,
    sizes: Callable[[Int[np.ndarray, " N"]], Int[np.ndarray, "N 2"]] | None = None,
) -> Boxes:
    """Return the boxes of one category in a COCO detections file: a list of {image_id, category_id, bbox, score}.

    Boxes with a score below `min_score` are dropped. Text image ids are those of `truth`, or numerals. `sizes` returns
    the width and height (N, 2) of photos by id, 0 unknown, at which another format of the boxes shows; those of `truth`
    if it is given. Raises InputError naming the entry and the field.
    """
    rows = Rows.of(read_json(path), str(path), "detection")
    if not len(rows):
        raise InputError(f"{path}: holds no detections (an empty list)")
    image_id, category = _image_ids(rows, truth), rows.integers("category_id", numerals=True)
    bbox = rows.lists("bbox", 4, description=" (x, y, width, height)")
    score = rows.numbers("score")
    assert category is not None and bbox is not None and score is not None
    fault = xywh_fault(bbox, np.zeros((len(bbox), 2), np.int64))
    sizes = sizes if truth is None else truth.images.sizes
    if fault is None and sizes is not None:
        fault = format_fault(bbox, sizes(image_id))
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
    ids = column.read(rows)
    assert ids is not None
    if truth is not None:
        id_source = f"the images of {truth.path}"
        return column.resolve(rows.path, ids, truth.images.id, truth.image_texts, id_source)[0]
    texts = number_texts(column.texts)
    if not texts.are_numbers:
        row = int(np.argmax(ids == 0))
        raise rows.fail(row, "image_id", "a whole number, or a text that --gt has", next(iter(column.texts)))
    return column.numbers(ids, texts)


def check_boxes(boxes: Boxes, width: int, height: int, photo: str) -> None:
    """Raise InputError, naming the box and the fault, if a box is invalid in its photo of that size."""
    size = np.tile(np.array([width, height], np.int64), (len(boxes), 1))
    if boxes.source is None:
        fault = box_fault(boxes.xyxy, size)
    else:
        fault = xywh_fault(xyxy_to_xywh(boxes.xyxy), size, margin=0.0)
    if fault is not None:
        row, reason = fault
        raise InputError(f"{photo if boxes.source is None else f'{boxes.source}: {photo}'}: boxes[{row}]: {reason}")
    beyond = share_inside(boxes.xyxy, width, height) < LEAST_INSIDE
    if beyond.any():
        corners = ", ".join(f"{value:g}" for value in boxes.xyxy[np.argmax(beyond)])
        problem = f"{photo}: boxes[{np.argmax(beyond)}]: ({corners}) lies mostly outside the {width} x {height} photo"
        warnings.warn(f"{problem}; is it another format than xyxy, or another photo's?", stacklevel=2)


def share_inside(box: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return the share (N,) of each box's area that is inside the photo; 1 for an empty box."""
    inside = np.clip(box, 0, [width, height, width, height])
    area, part = (np.prod(corners[:, 2:] - corners[:, :2], axis=1) for corners in (box, inside))
    return np.divide(part, area, out=np.ones(len(box)), where=area > 0)


def check_box_format(box_format: str) -> None:
    """Raise ValueError if it is not one of `BOX_FORMATS`."""
    if box_format not in BOX_FORMATS:
        raise ValueError(f"box_format: expected 'xyxy' or 'xywh', got {box_format!r}")


def boxes_of(boxes: Any, count: int, is_one: bool, box_format: str = "xyxy") -> list[Boxes | None]:
    """Return each image's boxes, from any of the forms that `Predictor.__call__` takes."""
    check_box_format(box_format)
    if boxes is None:
        return [None] * count
    if isinstance(boxes, Boxes):
        if box_format != "xyxy":
            raise ValueError(f"box_format: `Boxes` are xyxy, got box_format={box_format!r} with them")
        if len(boxes) and (boxes.image_id.min() < 0 or boxes.image_id.max() >= count):
            raise ValueError(f"boxes: expected image_id from 0 to {count - 1}, the images' positions in the list")
        return list(boxes.of_images(np.arange(count)))
    if not isinstance(boxes, (Sequence, np.ndarray)):
        raise ValueError(f"boxes: expected an array or list (N, 4) for each image, got {type(boxes).__name__}")
    arrays = [boxes] if is_one and not any(_is_table(value) for value in boxes) else boxes
    if len(arrays) != count:
        raise ValueError(f"boxes: expected one array (N, 4) for each of the {count} images, got {len(arrays)}")
    return [
        None if image_boxes is None else _boxes(image_boxes, index, box_format)
        for index, image_boxes in enumerate(arrays)
    ]


def _is_table(value: Any) -> bool:
    """Return whether this is an image's boxes, or that it has none given, and not one box."""
    if isinstance(value, np.ndarray):
        return value.ndim > 1
    return value is None or (isinstance(value, Sequence) and len(value) > 0 and not np.isscalar(value[0]))


def _boxes(values: Any, image_index: int, box_format: str) -> Boxes:
    """Return the boxes of an image by its index. Raises ValueError for a wrong shape, InputError for empty boxes."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"boxes of image {image_index}: expected numbers (N, 4), got {values!r:.60}") from None
    array = array if array.size else array.reshape(0, 4)
    if array.ndim != 2 or array.shape[1] != 4 or not np.isfinite(array).all():
        raise ValueError(
            f"boxes of image {image_index}: expected finite {box_format} of shape (N, 4), got {array.shape}"
        )
    size = array[:, 2:] if box_format == "xywh" else array[:, 2:] - array[:, :2]
    if (size == 0).any():  # a negative one is reported with the photo's size
        row = int(np.argmax((size == 0).any(axis=1)))
        expected = "x1 > x0 and y1 > y0" if box_format == "xyxy" else "a width and height above 0"
        raise InputError(
            f"boxes of image {image_index}: boxes[{row}]: is empty, {array[row].tolist()}, expected {expected}"
        )
    numbers = np.full(len(array), image_index)
    return Boxes(xywh_to_xyxy(array), numbers, source="xywh") if box_format == "xywh" else Boxes(array, numbers)
