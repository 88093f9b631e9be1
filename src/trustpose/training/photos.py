"""Whole photos for training a detector, with boxes of an existing detector where labels are incomplete."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import nn

from trustpose.datasets.photo_boxes import BoxedPhotos, boxed_photos
from trustpose.files import InputError, read_json
from trustpose.formats.coco import TruthFile, read_truth
from trustpose.geometry.boxes import paired_iou
from trustpose.models.spec import BoxListOutput, BoxOutput, ModelSpec
from trustpose.networks.picodet import ListedBoxes
from trustpose.training.crops import normalise
from trustpose.training.people import COCO_LAYOUTS, coco_layout

_SAME = 0.4  # IoU of a detected and a labelled box above which they are one person
_PERSON, _PERHAPS = 0.4, 0.1  # minimum score of a pseudo-label, and of a box to ignore

Found = tuple[Float[np.ndarray, "N 4"], Float[np.ndarray, " N"]]


def open_photos(folder: Path) -> tuple[BoxedPhotos, np.ndarray]:
    """Return the training photos in one of COCO's layouts, and which have boxes of all people (I,). Raises
    InputError."""
    layout = coco_layout(folder)
    if layout is None:
        expected = f"{COCO_LAYOUTS[0][0]} with {COCO_LAYOUTS[0][1]}/"
        raise InputError(f"{folder}: holds no photos with boxes, expected {expected}")
    file = read_truth(layout[0])
    return boxed_photos(file, layout[1]), are_complete(file)


def are_complete(file: TruthFile) -> Bool[np.ndarray, " I"]:
    """Return which photos of a COCO ground truth have boxes of all people, in the file's order: all but those with
    `all_people_boxed` false. Raises InputError."""
    content = cast(Any, read_json(file.path))
    return np.array([bool(image.get("all_people_boxed", True)) for image in content["images"]])


def find_boxes(model: nn.Module, photos: BoxedPhotos, index: int, spec: ModelSpec, min_score: float) -> Found:
    """Detect boxes xyxy (N, 4) in a photo with a torch detector, in pixels of the photo, with their scores (N,)."""
    pixels, scale = photos.photo(index)
    ready, affine = spec.input.fit(pixels)
    blob = torch.from_numpy(ready[None]).to(next(model.parameters()).device)
    with torch.no_grad():
        answer = model(normalise(blob))
    if isinstance(answer, ListedBoxes):
        arrays = [answer.scores.float().cpu().numpy(), answer.boxes[0].float().cpu().numpy()]
    else:
        arrays = [answer[0].float().cpu().numpy()]
        arrays[0][0] = 1 / (1 + np.exp(-arrays[0][0]))
    output = replace(spec.expect(BoxOutput, BoxListOutput), min_score=min_score)
    box, score = output.codec(spec.input).decode(*arrays)
    return box / np.tile(np.diagonal(affine) * scale, 2), score


def with_pseudo_labels(photos: BoxedPhotos, rows: np.ndarray, model: nn.Module, spec: ModelSpec) -> BoxedPhotos:
    """Add pseudo-labels to the photos at `rows`, whose people do not all have boxes.

    Detections that match no labelled box count as people if their score is high, and are ignored if it is medium; the
    rest is background.
    """
    box, crowd = list(photos.box), list(photos.crowd)
    for row in rows:
        detected, score = find_boxes(model, photos, int(row), spec, _PERHAPS)
        labelled = np.concatenate([box[row], crowd[row]])
        iou = paired_iou(detected[:, None], labelled[None]).max(axis=1, initial=0)  # (N,)
        is_new = iou < _SAME
        box[row] = np.concatenate([box[row], detected[is_new & (score >= _PERSON)]])
        crowd[row] = np.concatenate([crowd[row], detected[is_new & (score < _PERSON)]])
    return replace(photos, box=box, crowd=crowd)
