"""Inputs of a trust head for people grouped from a photo's maps: a token per keypoint, and a vector per person.

They have no learnt parameters, so that a head can be trained on stored inputs; `heads.group_tokens` has the head. The
parts of a token are those of `heads.keypoint_tokens`, read at the grouped keypoints instead of one crop's peaks, with
features of the group instead of the person's box.

Features that relate a grouped person to the other people of its photo: whether it duplicates one, or is part of one.
A bottom-up network's false people are often the second half of somebody whose limb between the halves was not found,
or the same joints once more. Both show in the relation to other people, not in the group itself.
"""

import numpy as np
from jaxtyping import Bool, Float

from trustpose.codecs.fields import Support
from trustpose.codecs.people import DetectedPeople
from trustpose.geometry.boxes import paired_iou, paired_overlap
from trustpose.geometry.crops import Grid

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


GROUP_INPUTS = ("tokens", "whole")  # of a head's graph
REACH = 3  # cells of a heatmap that are read on each side of a keypoint
WINDOW = (2 * REACH + 1) ** 2 + 1  # these, and the one at the keypoint
PLACE = 2  # numbers that say where in the group a keypoint is
GROUP_NUMBERS = 7 + RELATIONS
"""The person's score; the share of joints found, and their mean score; width and height of the box around them; its
largest IoU with the box of a better person, and the largest share of it in one; `group_relations.RELATIONS`."""


def group_tokens(
    features: Float[np.ndarray, "C r c"],
    heatmaps: Float[np.ndarray, "K h w"],
    people: DetectedPeople,
    grid: Grid,
    side: float,
    support: Support | None = None,
) -> tuple[Float[np.ndarray, "N K T"], Float[np.ndarray, "N D"]]:
    """Return each person's tokens, T = C + 18 + 50 + 2, and its whole, D = C + 18, float32.

    A token is the features' cell at the keypoint, the numbers of the group (`GROUP_NUMBERS`), the joint's heatmap in
    7 × 7 cells around it (zeros beyond the map) and at it, and its place in the box around the joints found, 0–1 in x
    and y; all 0 for a missing joint. The whole is the features' mean in that box, and the numbers.

    people: the best first. grid: of the heatmaps' cells; features may have another number of cells, of the same input.
    side: the input's longer side, pixels, the unit of the box. support: features from other maps. In a token, those of
    the joint and of the group follow the network's features; the whole has their mean over all joints and those of the
    group.
    """
    count, keypoints = people.xy.shape[:2]
    missing = np.zeros((count, keypoints), np.bool_) if people.missing is None else people.missing
    height, width = heatmaps.shape[1:]
    cell = np.floor(grid.cells(people.xy) + 0.5).clip(0, (width - 1, height - 1)).astype(np.int64)  # (N, K, 2)
    joints, column, row = np.arange(keypoints), cell[..., 0], cell[..., 1]
    padded = np.pad(heatmaps, ((0, 0), (REACH, REACH), (REACH, REACH)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * REACH + 1, 2 * REACH + 1), axis=(1, 2))
    around = windows[joints, row, column].reshape(count, keypoints, WINDOW - 1)  # (N, K, 49)
    size = np.array(features.shape[:0:-1])  # columns, rows
    feature_cell = (2 * cell + 1) * size // (2 * np.array([width, height]))
    at_joints = features[:, feature_cell[..., 1], feature_cell[..., 0]].transpose(1, 2, 0)  # (N, K, C)
    box = _around(people.xy, missing)
    extent = box[:, 2:] - box[:, :2]
    in_box = (people.xy - box[:, None, :2]) / np.maximum(extent, 1e-6)[:, None]
    numbers = _numbers(people, missing, box, side)
    of_group = np.broadcast_to(numbers[:, None], (count, keypoints, GROUP_NUMBERS))
    if support is None:
        support = Support(np.zeros((count, keypoints, 0)), np.zeros((count, 0)))
    further = np.broadcast_to(support.of_group[:, None], (count, keypoints, support.of_group.shape[1]))
    parts = [
        at_joints,
        support.of_joints,
        further,
        of_group,
        around,
        heatmaps[joints, row, column][..., None],
        in_box,
    ]
    tokens = np.where(missing[..., None], 0.0, np.concatenate(parts, axis=2))
    cells = grid.cells(box.reshape(-1, 2, 2)) * (size / np.array([width, height]))
    means = _means(features, cells[:, 0], cells[:, 1])
    whole = np.concatenate([means, support.of_joints.mean(axis=1), support.of_group, numbers], axis=1)
    return tokens.astype(np.float32), whole.astype(np.float32)


def _numbers(
    people: DetectedPeople, missing: Bool[np.ndarray, "N K"], box: Float[np.ndarray, "N 4"], side: float
) -> Float[np.ndarray, "N numbers"]:
    """Return what `GROUP_NUMBERS` lists."""
    is_better = np.tri(len(box), k=-1, dtype=np.bool_)  # [i, j]: j stands before i
    iou = np.where(is_better, paired_iou(box[:, None], box[None]), 0.0).max(axis=1, initial=0)
    inside = np.where(is_better, paired_overlap(box[:, None], box[None]), 0.0).max(axis=1, initial=0)
    number = np.maximum((~missing).sum(axis=1), 1)
    mean = np.where(missing, 0.0, people.score).sum(axis=1) / number
    extent = (box[:, 2:] - box[:, :2]) / side
    further = relations(people.xy, missing, box)
    return np.column_stack([people.person_score, 1 - missing.mean(axis=1), mean, extent, iou, inside, further])


def _around(xy: Float[np.ndarray, "N K 2"], missing: Bool[np.ndarray, "N K"]) -> Float[np.ndarray, "N 4"]:
    """Return boxes xyxy around joints; 0 for a person without any."""
    low = np.where(missing[..., None], np.inf, xy).min(axis=1)
    high = np.where(missing[..., None], -np.inf, xy).max(axis=1)
    return np.where(missing.all(axis=1, keepdims=True), 0.0, np.concatenate([low, high], axis=1))


def _means(
    features: Float[np.ndarray, "C r c"], low: Float[np.ndarray, "N 2"], high: Float[np.ndarray, "N 2"]
) -> Float[np.ndarray, "N C"]:
    """Return the features' means over boxes in cells, at least one cell each."""
    size = np.array(features.shape[:0:-1])
    first = np.floor(low + 0.5).clip(0, size - 1).astype(np.int64)
    last = np.floor(high + 0.5).clip(first, size - 1).astype(np.int64) + 1
    sums = np.pad(features.astype(np.float64).cumsum(axis=1).cumsum(axis=2), ((0, 0), (1, 0), (1, 0)))
    (x0, y0), (x1, y1) = first.T, last.T
    total = sums[:, y1, x1] - sums[:, y0, x1] - sums[:, y1, x0] + sums[:, y0, x0]
    return (total / (last - first).prod(axis=1)).T
