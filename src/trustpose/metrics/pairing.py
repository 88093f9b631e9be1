"""Which labelled person each result is about, however bad its pose is."""

import numpy as np
from jaxtyping import Int

from trustpose.geometry.boxes import paired_iou
from trustpose.metrics.matching import same_image_pairs
from trustpose.poses import MISSING_ID, Poses, Truth

MINIMUM_IOU = 0.1  # below it a box has nothing to do with a person


def pair_with_people(poses: Poses, truth: Truth, minimum_iou: float = MINIMUM_IOU) -> Int[np.ndarray, " N"]:
    """The truth row of each pose (N,), or -1.

    A pose with an `annotation_id` belongs to that person. The others are paired greedily by box IoU within their image,
    highest first, each person once, crowds never, from `minimum_iou` on; a pose without a box takes its keypoints'
    box. Unlike matching by OKS this keeps a bad pose with its person, so that it counts in a correlation.
    Raises ValueError where image_id or, for pairing by box, Truth.box is missing.
    """
    if poses.image_id is None or truth.image_id is None:
        raise ValueError("pair_with_people: image_id is needed in both poses and truth, one of them is None")
    person = np.full(len(poses), -1)
    free_person = np.ones(len(truth), dtype=bool) if truth.iscrowd is None else ~truth.iscrowd
    if poses.annotation_id is not None and truth.annotation_id is not None and len(truth):
        order = np.argsort(truth.annotation_id, kind="stable")
        ids = truth.annotation_id[order]
        place = np.minimum(np.searchsorted(ids, poses.annotation_id), len(ids) - 1)
        named = (ids[place] == poses.annotation_id) & (poses.annotation_id != MISSING_ID)
        person[named] = order[place[named]]
        free_person[person[named]] = False
    open_pose = np.flatnonzero(person < 0)
    if not len(open_pose):
        return person
    if truth.box is None:
        raise ValueError("pair_with_people: poses without annotation_id are paired by Truth.box, which is None")
    open_person = np.flatnonzero(free_person)
    pose, people = same_image_pairs(poses.image_id[open_pose], truth.image_id[open_person])
    pose, people = open_pose[pose], open_person[people]
    box = poses.keypoint_box() if poses.box is None else np.where(np.isnan(poses.box), poses.keypoint_box(), poses.box)
    iou = paired_iou(box[pose], truth.box[people])
    near = np.flatnonzero(iou >= minimum_iou)
    first = near[np.lexsort((people[near], pose[near], -iou[near]))]
    _take_best_first(pose[first], people[first], person)
    return person


def _take_best_first(pose: np.ndarray, people: np.ndarray, person: np.ndarray) -> None:
    """Greedy one-to-one assignment of pairs that come best first, into `person`.

    A pair that comes first for both its pose and its person is what one-by-one greed would take too, so all such
    pairs are taken at once, until none is left.
    """
    while len(pose):
        first_of_pose, first_of_person = np.zeros(len(pose), dtype=bool), np.zeros(len(pose), dtype=bool)
        first_of_pose[np.unique(pose, return_index=True)[1]] = True
        first_of_person[np.unique(people, return_index=True)[1]] = True
        taken = first_of_pose & first_of_person
        person[pose[taken]] = people[taken]
        left = ~np.isin(pose, pose[taken]) & ~np.isin(people, people[taken])
        pose, people = pose[left], people[left]
