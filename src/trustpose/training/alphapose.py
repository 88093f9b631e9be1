"""AlphaPose's training: proposals like a detector's boxes, and the targets of its parallel branch."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trustpose.codecs.heatmaps import HeatmapCodec
from trustpose.codecs.joint_candidates import joint_candidate_targets
from trustpose.datasets.augment import TrainingCrop
from trustpose.datasets.detected_boxes import PRESENT
from trustpose.datasets.people import People
from trustpose.datasets.proposals import ProposalGenerator, fit_proposals
from trustpose.files import InputError
from trustpose.geometry.boxes import paired_iou
from trustpose.geometry.crops import Boxes, invert_affine, transform
from trustpose.predict.boxes import boxes_from_detections
from trustpose.training.interference import OtherPeople


def fit_detector_proposals(people: People, detections: str) -> ProposalGenerator:
    """Learn the errors of a detector from its boxes of these people, a file of COCO results.

    A person's box is the one that overlaps the labelled one most, and by half at least (IoU). Raises InputError.
    """
    rows, detected_boxes = matched_boxes(people, boxes_from_detections(Path(detections)))
    labels = people.labels[rows]
    try:
        return fit_proposals(labels.xy, labels.v > 0, labels.box, detected_boxes, people.skeleton)
    except ValueError as error:
        reason = str(error).removeprefix("fit_proposals: ")
        raise InputError(
            f"data.proposals: {detections}, whose boxes fit {len(rows)} of {len(people)} people: {reason}"
        ) from None


def matched_boxes(people: People, boxes: Boxes) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows (L,) of people whom a box overlaps by half, and the best box of each (L, 4), xyxy."""
    order = np.argsort(boxes.image_id, kind="stable")
    ids, xyxy = boxes.image_id[order], boxes.xyxy[order]
    rows, boxes_found = [], []
    for row, (image, box) in enumerate(zip(people.image_id, people.labels.box, strict=True)):
        near = xyxy[np.searchsorted(ids, image) : np.searchsorted(ids, image, side="right")]
        overlap = paired_iou(near, box[None])
        if overlap.max(initial=0) >= PRESENT:
            rows.append(row)
            boxes_found.append(near[overlap.argmax()])
    return np.array(rows, np.int64), np.array(boxes_found, np.float64).reshape(-1, 4)


def centred_targets(
    crops: list[TrainingCrop], codec: HeatmapCodec, other_people: OtherPeople, interference: float
) -> dict[str, Tensor]:
    """Return the parallel branch's targets, "centred" (B, K, h, w) with "centred_weights" (B, K): heatmaps of the crops
    as they would be by the labelled boxes alone."""
    xy, affines = [], []
    for crop in crops:
        assert crop.centred is not None  # `TrainingCrops` sets it
        xy.append(transform(crop.centred, transform(invert_affine(crop.affine), crop.xy)))
        affines.append(crop.centred)
    centred_xy, labelled = np.stack(xy), np.stack([crop.v for crop in crops]) > 0
    heatmaps = codec.encode(centred_xy, labelled)
    if interference:
        joints = [other_people.of(crop, affine) for crop, affine in zip(crops, affines, strict=True)]
        heatmaps = joint_candidate_targets(codec, heatmaps, joints, interference)
    return {
        "centred": torch.from_numpy(heatmaps),
        "centred_weights": torch.from_numpy(np.asarray(codec.weights(centred_xy, labelled))),
    }
