"""Features that relate a grouped person to the other people of its photo: whether it duplicates one, or is part of one.

A bottom-up network's false people are often the second half of somebody whose limb between the halves was not found, or
the same joints once more. Both show in the relation to other people, not in the group itself.
"""

import numpy as np
from jaxtyping import Bool, Float

from trustpose.geometry.boxes import paired_iou, paired_overlap

RELATIONS = 11
"""Of any other person: the largest IoU of both boxes, and the largest share of this box in one. The share of its joints
that stand on the same joint of a better person, and of any other. The distance to the nearest better person's box, and
to any other's, in diagonals of that box, at most 3. How well another completes it, and a better one: the share of its
joints that the other lacks, times e^(−4 × distance). The logarithm of its diagonal over the photo's median; its place
in the order of scores, 0–1; the logarithm of 1 + the number of people."""

_NEAR = 0.05  # of the longer diagonal: the width of the Gaussian that says whether two joints are one
_FAR = 3.0  # diagonals
_CLOSE = 0.25  # diagonals


def relations(
    xy: Float[np.ndarray, "N K 2"], missing: Bool[np.ndarray, "N K"], box: Float[np.ndarray, "N 4"]
) -> Float[np.ndarray, "N R"]:
    """Return `RELATIONS` numbers of each person, the best first; box: xyxy around the joints that are not missing."""
    count, has = len(box), ~missing
    is_other = ~np.eye(count, dtype=np.bool_)
    is_better = np.tri(count, k=-1, dtype=np.bool_)  # [i, j]: j stands before i
    size = np.maximum(box[:, 2:] - box[:, :2], 1e-6)
    diagonal = np.hypot(size[:, 0], size[:, 1])
    number = np.maximum(has.sum(axis=1), 1)[:, None]
    scale = _NEAR * np.maximum(diagonal[:, None], diagonal)[..., None]
    squared_distance = ((xy[:, None] - xy[None]) ** 2).sum(axis=3)  # (N, N, K)
    same = np.where(has[:, None] & has[None], np.exp(-squared_distance / (2 * scale**2)), 0.0).sum(axis=2) / number
    gap = np.maximum(box[:, None, :2] - box[None, :, 2:], box[None, :, :2] - box[:, None, 2:]).clip(0)
    distance = np.hypot(gap[..., 0], gap[..., 1]) / diagonal[None]
    lacked = (has[:, None] & missing[None]).sum(axis=2) / number * np.exp(-distance / _CLOSE)
    columns = [
        _largest(paired_iou(box[:, None], box[None]), is_other),
        _largest(paired_overlap(box[:, None], box[None]), is_other),
        _largest(same, is_better),
        _largest(same, is_other),
        np.where(is_better, distance, _FAR).min(axis=1, initial=_FAR),
        np.where(is_other, distance, _FAR).min(axis=1, initial=_FAR),
        _largest(lacked, is_other),
        _largest(lacked, is_better),
        np.log(np.maximum(diagonal, 1) / max(np.median(diagonal), 1)) if count else diagonal,
        np.arange(count) / max(count, 1),
        np.full(count, np.log1p(count)),
    ]
    return np.column_stack(columns)


def _largest(values: Float[np.ndarray, "N N"], chosen: Bool[np.ndarray, "N N"]) -> Float[np.ndarray, " N"]:
    return np.where(chosen, values, 0.0).max(axis=1, initial=0)
