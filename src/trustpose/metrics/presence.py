"""Presence: which results are the one box for a person whom the labellers boxed."""

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.geometry.boxes import paired_iou, paired_overlap
from trustpose.metrics.matching import same_image_pairs
from trustpose.metrics.pairing import take_best_first
from trustpose.poses import Poses, Truth

PRESENT_IOU = 0.5  # least box overlap with the person
_INSIDE_CROWD = 0.5  # share of a result's box inside a crowd region, whose people have no boxes of their own


def presence_targets(
    poses: Poses, truth: Truth, score: Float[np.ndarray, " N"], complete_images: Int[np.ndarray, " I"]
) -> tuple[Int[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    """Return the truth row of the person for whom each pose is the one box (N,), or -1, and which poses count (N,).

    As in COCO's evaluation of boxes, poses take people in the order of `score` (N,), the highest first: each the free
    person of its photo, labelled keypoints or not, but no crowd, whose box has the highest IoU with its own, of at
    least .5. Poses count in the photos `complete_images`, by id, whose people all have
    boxes, unless they have no person and half or more of their box lies in a crowd region. Raises ValueError if
    image_id or Truth.box is None.
    """
    if poses.image_id is None or truth.image_id is None or truth.box is None:
        raise ValueError("presence_targets: image_id and Truth.box are needed, one of them is None")
    box = poses.person_box()
    is_crowd = np.zeros(len(truth), bool) if truth.iscrowd is None else truth.iscrowd
    crowds = np.flatnonzero(is_crowd)
    pose, person = same_image_pairs(poses.image_id, truth.image_id)
    overlap = paired_iou(box[pose], truth.box[person])
    near = np.flatnonzero((overlap >= PRESENT_IOU) & ~is_crowd[person])
    order = near[np.lexsort((person[near], -overlap[near], pose[near], -score[pose[near]]))]
    match = np.full(len(poses), -1)
    take_best_first(pose[order], person[order], match)
    pose, crowd = same_image_pairs(poses.image_id, truth.image_id[crowds])
    inside = paired_overlap(box[pose], truth.box[crowds[crowd]]) >= _INSIDE_CROWD
    in_crowd = np.zeros(len(poses), bool)
    in_crowd[pose[inside]] = True
    return match, np.isin(poses.image_id, complete_images) & ((match >= 0) | ~in_crowd)
