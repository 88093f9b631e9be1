"""How crowded photos are, by their labels: the crowd index, and joints of other people in a person's box.

Li et al., CrowdPose, CVPR 2019, section 4.1.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from trustpose.poses import Truth


@dataclass(frozen=True, eq=False)
class Interference:
    """Joints of other people in the boxes of N people of a data set, K joints.

    own_joints (N, K): 1 where the person's own joint is labelled. other_joints (N, K): labelled joints of other people
    of the photo inside its box.
    """

    own_joints: Int[np.ndarray, "N K"]
    other_joints: Int[np.ndarray, "N K"]

    @property
    def ratio(self) -> Float[np.ndarray, " N"]:
        """Joints of others per own joint; NaN for a person without labelled joints."""
        joint_count = self.own_joints.sum(axis=1)
        return np.where(joint_count > 0, self.other_joints.sum(axis=1) / np.maximum(joint_count, 1), np.nan)

    @property
    def occupied(self) -> Float[np.ndarray, " K"]:
        """For each joint, the share of people with at least one of another person in the box; NaN without people."""
        return (
            (self.other_joints > 0).mean(axis=0)
            if len(self.other_joints)
            else np.full(self.other_joints.shape[1], np.nan)
        )

    @property
    def share(self) -> float:
        """Share of all labelled joints in boxes, own ones wherever they are, that are another person's."""
        total = self.own_joints.sum() + self.other_joints.sum()
        return float(self.other_joints.sum() / total) if total else float("nan")


def interference(truth: Truth) -> Interference:
    """Count the joints in each person's box, edges included. Raises ValueError without boxes or image ids."""
    if truth.box is None or truth.image_id is None:
        raise ValueError("interference: Truth.box and Truth.image_id are needed, one is None")
    labelled = truth.v > 0
    other_joints = np.zeros(truth.v.shape, np.int64)
    for image in np.unique(truth.image_id):
        rows = np.flatnonzero(truth.image_id == image)
        box = truth.box[rows, None, None]  # (n, 1, 1, 4), each one's box beside all joints (n, K)
        xy = truth.xy[rows]
        inside = ((xy >= box[..., :2]) & (xy <= box[..., 2:])).all(axis=-1) & labelled[rows]  # (n, n, K)
        inside[np.arange(len(rows)), np.arange(len(rows))] = False
        other_joints[rows] = inside.sum(axis=1)
    return Interference(labelled.astype(np.int64), other_joints)


def crowd_index(truth: Truth, image_ids: Int[np.ndarray, " I"]) -> Float[np.ndarray, " I"]:
    """Return the crowd index of photos: the mean over people of joints of others in the box per own joint, 0 or more.

    People without labelled joints have none and are left out; a photo without others has 0. Not limited to 1, as in
    CrowdPose's files.
    """
    ratio, index = interference(truth).ratio, np.zeros(len(image_ids))
    for row, image in enumerate(image_ids):
        ratios = ratio[truth.image_id == image]
        index[row] = np.nanmean(ratios) if np.isfinite(ratios).any() else 0.0
    return index
