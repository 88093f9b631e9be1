"""A detector's boxes as training data: some contain a labelled person, some a person without labelled keypoints, some
no person."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.datasets.people import People
from trustpose.datasets.photo_people import photo_people
from trustpose.files import InputError
from trustpose.geometry.boxes import paired_iou, paired_overlap
from trustpose.geometry.crops import Boxes
from trustpose.io.coco.truth import TruthFile
from trustpose.poses import SEGMENT, Truth
from trustpose.skeletons import Skeleton

PRESENT = 0.5
"""IoU with a labelled person's box from which on a box holds that person, as in COCO's box AP50."""
_IN_CROWD = 0.5  # share of a box inside a crowd's above which it is left out: its people are not labelled one by one
_AREA_SHARE = 0.53  # of the box: an area for boxes without labels, which have no OKS


def detected_people(file: TruthFile, folder: Path, boxes: Boxes) -> People:
    """Return one person per box of a detector: with the labels of the person that it overlaps most (`PRESENT`), in the
    detector's box.

    A box that overlaps no person by that much has no labels and unknown visibility (`has_joint` false), and so has one
    around a person without labelled keypoints; `PersonLabels.overlap` distinguishes them. Boxes inside crowds are left
    out. Raises InputError if the ground truth lacks people's boxes, or a box is in a photo that it does not list.
    """
    truth, names = file.truth, file.images.names()
    if truth.box is None or truth.iscrowd is None or not len(truth):
        raise InputError(f"{file.path}: field 'bbox': expected one for each person")
    unknown = np.setdiff1d(boxes.image_id, file.images.id)
    if len(unknown):
        raise InputError(f"{boxes.source}: image {unknown[0]}: is not a photo of {file.path}")
    boxes = boxes[np.flatnonzero(_best(boxes, truth, truth.iscrowd, paired_overlap)[1] <= _IN_CROWD)]
    person, overlap = _best(boxes, truth, ~truth.iscrowd, paired_iou)
    is_labelled = (overlap >= PRESENT) & (truth.v[person] > 0).any(axis=1)
    area = np.full(len(truth), np.nan) if truth.area is None else truth.area
    sources = np.full(len(truth), SEGMENT) if truth.area_source is None else truth.area_source
    size = boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]
    labels = Truth(
        xy=np.where(is_labelled[:, None, None], truth.xy[person], 0.0),
        v=np.where(is_labelled[:, None], truth.v[person], 0),
        area=np.where(is_labelled, area[person], _AREA_SHARE * size.prod(axis=1)),
        area_source=np.where(is_labelled, sources[person], f"box*{_AREA_SHARE}"),
        box=boxes.xyxy,
        image_id=boxes.image_id,
        annotation_id=None if truth.annotation_id is None else np.where(is_labelled, truth.annotation_id[person], 0),
    )
    skeleton = file.skeleton or Skeleton(Path(file.path).stem, file.keypoint_names, ())
    has_joint = np.repeat(is_labelled[:, None], labels.keypoint_count, axis=1)
    people = photo_people(labels, skeleton, folder, names, has_joint=has_joint)
    return replace(people, labels=replace(people.labels, overlap=overlap))


def _best(
    boxes: Boxes, truth: Truth, chosen: Bool[np.ndarray, " M"], measure: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> tuple[Int[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """Return for each box the `chosen` person of its photo with the highest `measure` (box, person's box), a row of
    `truth`, and that measure; row 0 and 0 where there is none."""
    assert truth.box is not None and truth.image_id is not None
    chosen = chosen & np.isfinite(truth.box).all(axis=1)
    row, best = np.zeros(len(boxes), np.int64), np.zeros(len(boxes))
    for image in np.unique(boxes.image_id):
        people = np.flatnonzero(chosen & (truth.image_id == image))
        if not len(people):
            continue
        rows = np.flatnonzero(boxes.image_id == image)
        measured = measure(boxes.xyxy[rows, None], truth.box[None, people])  # (n, m)
        row[rows], best[rows] = people[measured.argmax(axis=1)], measured.max(axis=1)
    return row, best
