"""Match each result to a labelled person, however bad its pose is."""

import numpy as np
from jaxtyping import Bool, Int

from trustpose.geometry.boxes import paired_iou
from trustpose.metrics.matching import same_image_pairs
from trustpose.poses import MISSING_ID, Poses, Truth, check_same_skeleton

MINIMUM_IOU = 0.1  # minimum box overlap for a match
_MAJORITY = 0.5  # share of a pose's keypoints that must lie in a person's box


def pair_with_people(poses: Poses, truth: Truth, minimum_iou: float = MINIMUM_IOU) -> Int[np.ndarray, " N"]:
    """Return the matched truth row of each pose (N,), or -1.

    A pose with an `annotation_id` belongs to that person. The others are matched greedily by box IoU within their
    image, highest first, one-to-one, without crowds, down to `minimum_iou`. A pose without a box uses that of its
    keypoints, missing ones left out. If keypoints are missing, that box can be much smaller than the person's (a face
    alone): such a pose, if unmatched, is then matched to an unmatched person whose box contains most of its other
    keypoints, the largest share first. Unlike matching by OKS this keeps a bad pose with its person, so that it counts
    in a correlation. Raises ValueError if image_id or, for matching by box, Truth.box is None, and if both skeletons
    are known and differ.
    """
    check_same_skeleton(poses, truth)
    if poses.image_id is None or truth.image_id is None:
        raise ValueError("pair_with_people: image_id is needed in both poses and truth, one of them is None")
    person = np.full(len(poses), -1)
    if poses.annotation_id is not None and truth.annotation_id is not None and len(truth):
        order = np.argsort(truth.annotation_id, kind="stable")
        ids = truth.annotation_id[order]
        rank = np.minimum(np.searchsorted(ids, poses.annotation_id), len(ids) - 1)
        named = (ids[rank] == poses.annotation_id) & (poses.annotation_id != MISSING_ID)
        person[named] = order[rank[named]]
    if (person >= 0).all():
        return person
    if truth.box is None:
        raise ValueError("pair_with_people: poses without annotation_id are matched by Truth.box, which is None")
    box = poses.person_box()
    pose, people = _left_over(poses, truth, person)
    iou = paired_iou(box[pose], truth.box[people])
    near = np.flatnonzero(iou >= minimum_iou)
    first = near[np.lexsort((people[near], pose[near], -iou[near]))]
    take_best_first(pose[first], people[first], person)
    if poses.missing is not None:
        pose, people = _left_over(poses, truth, person)
        has_box = np.zeros(len(poses), dtype=bool) if poses.box is None else ~np.isnan(poses.box).any(axis=1)
        partial = (np.any(poses.missing, axis=1) & ~has_box)[pose]
        pose, people = pose[partial], people[partial]
        share, iou = _share_inside(poses, pose, truth.box[people]), paired_iou(box[pose], truth.box[people])
        near = np.flatnonzero(share > _MAJORITY)
        first = near[np.lexsort((people[near], pose[near], -iou[near], -share[near]))]
        take_best_first(pose[first], people[first], person)
    return person


def unpaired_on_people(poses: Poses, truth: Truth, person: Int[np.ndarray, " N"]) -> Bool[np.ndarray, " N"]:
    """Return the unmatched poses (N,) with most of their keypoints, missing ones left out, in the box of a labelled
    person, no crowd, who is unmatched too.

    `person` is the result of `pair_with_people`. Such a pose has a wrong box, or one distorted by joints written to
    another placeholder than (0, 0). Raises ValueError if image_id or Truth.box is None.
    """
    if truth.box is None:
        raise ValueError("unpaired_on_people: Truth.box is needed, it is None")
    pose, people = _left_over(poses, truth, person)
    labelled = np.any(truth.v > 0, axis=1)[people]
    pose, people = pose[labelled], people[labelled]
    is_on_person = np.zeros(len(poses), dtype=bool)
    is_on_person[pose[_share_inside(poses, pose, truth.box[people]) > _MAJORITY]] = True
    return is_on_person


def _left_over(poses: Poses, truth: Truth, person: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs (P,) within an image of unmatched poses and unmatched people, without crowds."""
    if poses.image_id is None or truth.image_id is None:
        raise ValueError("matching needs image_id in both poses and truth, one of them is None")
    is_free = np.ones(len(truth), dtype=bool) if truth.iscrowd is None else ~truth.iscrowd
    is_free[person[person >= 0]] = False
    open_pose, open_person = np.flatnonzero(person < 0), np.flatnonzero(is_free)
    pose, people = same_image_pairs(poses.image_id[open_pose], truth.image_id[open_person])
    return open_pose[pose], open_person[people]


def _share_inside(poses: Poses, pose: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return the share (P,) of each pose's keypoints, missing ones left out, inside its pair's box; 0 without any."""
    has_position = np.ones(poses.xy.shape[:2], dtype=bool) if poses.missing is None else ~poses.missing
    inside = np.zeros(len(pose), dtype=np.int64)
    for k in range(poses.keypoint_count):  # one by one: a crowd has many pairs
        xy = poses.xy[pose, k]
        inside += has_position[pose, k] & (xy >= box[:, :2]).all(axis=1) & (xy <= box[:, 2:]).all(axis=1)
    return inside / np.maximum(has_position.sum(axis=1), 1)[pose]


def take_best_first(pose: np.ndarray, people: np.ndarray, person: np.ndarray) -> None:
    """Assign pairs, sorted best first, greedily and one-to-one, into `person`.

    A pair that comes first for both its pose and its person is one that sequential greedy matching would take, so all
    such pairs are taken at once, until none is left.
    """
    while len(pose):
        first_of_pose, first_of_person = np.zeros(len(pose), dtype=bool), np.zeros(len(pose), dtype=bool)
        first_of_pose[np.unique(pose, return_index=True)[1]] = True
        first_of_person[np.unique(people, return_index=True)[1]] = True
        is_best = first_of_pose & first_of_person
        person[pose[is_best]] = people[is_best]
        is_free = ~np.isin(pose, pose[is_best]) & ~np.isin(people, people[is_best])
        pose, people = pose[is_free], people[is_free]
