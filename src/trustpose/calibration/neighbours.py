"""Describe a person's neighbours in the same photo: overlap of boxes, distances of joints."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from trustpose.geometry.boxes import paired_iou
from trustpose.metrics.matching import same_image_pairs
from trustpose.poses import Poses

FAR = 4.0  # largest distance to a neighbour's joint in box sizes (√area), also the value for "none"
_MAX_PAIRS = 500_000  # pairs of people at a time: some 100 MB


@dataclass(frozen=True, eq=False)
class Neighbours:
    """For each of N people: the number of others in the photo, the highest IoU of their boxes with its own, how many
    score higher, the score of the one that overlaps most minus its own (0 if none overlaps), and for each keypoint the
    distance (K, N), in units of √(box area), to the nearest same and the nearest mirrored joint of another person;
    missing keypoints have no neighbours."""

    count: Float[np.ndarray, " N"]
    overlap: Float[np.ndarray, " N"]
    above: Float[np.ndarray, " N"]
    rival: Float[np.ndarray, " N"]
    nearest_same: Float[np.ndarray, "K N"]
    nearest_mirror: Float[np.ndarray, "K N"]

    def rows(self, index: slice | np.ndarray) -> "Neighbours":
        """Return the people selected by a slice (views of the same arrays) or by an index."""
        columns = (self.count, self.overlap, self.above, self.rival, self.nearest_same, self.nearest_mirror)
        return Neighbours(*(column[..., index] for column in columns))


def find_neighbours(
    poses: Poses, box: Float[np.ndarray, "N 4"], score: Float[np.ndarray, " N"], flip_index: Int[np.ndarray, " K"]
) -> Neighbours:
    """Find neighbours within photos; without `image_id` all people are in one photo. The rows' order does not
    matter."""
    n, k = len(poses), poses.keypoint_count
    image = np.zeros(n, dtype=np.int64) if poses.image_id is None else poses.image_id
    xy = np.ascontiguousarray(poses.xy.transpose(2, 1, 0), dtype=np.float32)  # (2, K, N)
    if poses.missing is not None:
        xy = np.where(poses.missing.T, np.float32(np.nan), xy)  # NaN counts as FAR, see `_nearest_joints`
    neighbours = Neighbours(*np.zeros((4, n), dtype=np.float32), *np.full((2, k, n), FAR, dtype=np.float32))
    for rows in _photos_together(image):
        photos = _of_photos(xy[:, :, rows], image[rows], box[rows], score[rows], flip_index)
        for name in vars(neighbours):
            getattr(neighbours, name)[..., rows] = getattr(photos, name)
    return neighbours


def _photos_together(image: np.ndarray) -> Iterator[np.ndarray]:
    """Yield rows of whole photos, as many photos at a time as keep the number of pairs bounded."""
    order = np.argsort(image, kind="stable")
    _, start, count = np.unique(image[order], return_index=True, return_counts=True)
    block = np.cumsum(count.astype(np.int64) ** 2) // _MAX_PAIRS
    yield from np.split(order, start[np.flatnonzero(np.diff(block)) + 1])


def _of_photos(
    xy: np.ndarray, image: np.ndarray, box: np.ndarray, score: np.ndarray, flip_index: np.ndarray
) -> Neighbours:
    """Find neighbours of N people of whole photos; xy (2, K, N)."""
    n = len(image)
    person, neighbour = same_image_pairs(image, image)
    person, neighbour = person[person != neighbour], neighbour[person != neighbour]  # (P,), in the order of `one`
    iou = paired_iou(box[person], box[neighbour]).astype(np.float32)
    overlap = _group_minimum(-iou, person, n, 0.0)
    rival = np.where(
        iou >= -overlap[person], score[neighbour] - score[person], -np.inf
    )  # of the neighbours that overlap most
    rival = -_group_minimum(-rival, person, n, 0.0)
    above = np.bincount(person, weights=score[neighbour] > score[person], minlength=n)
    touching = np.flatnonzero(iou > 0)
    same, mirror = _nearest_joints(xy, box, person[touching], neighbour[touching], flip_index)
    return Neighbours(
        count=np.bincount(person, minlength=n).astype(np.float32),
        overlap=-overlap,
        above=above.astype(np.float32),
        rival=np.where(overlap < 0, rival, 0).astype(np.float32),
        nearest_same=same,
        nearest_mirror=mirror,
    )


def _nearest_joints(
    xy: np.ndarray, box: np.ndarray, person: np.ndarray, neighbour: np.ndarray, flip_index: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute distances (K, N) to the nearest same and mirrored joint of the rows `neighbour`."""
    (x, y), n = xy, len(box)
    size = np.sqrt(np.maximum((box[:, 2:] - box[:, :2]).prod(axis=1), 1)).astype(np.float32)
    nearest = np.empty((2, *x.shape), dtype=np.float32)
    for joint in range(len(x)):
        for row, target in ((0, joint), (1, int(flip_index[joint]))):
            if row and target == joint:
                nearest[1, joint] = nearest[0, joint]
                continue
            distance = (
                np.hypot(x[joint][person] - x[target][neighbour], y[joint][person] - y[target][neighbour])
                / size[person]
            )
            nearest[row, joint] = _group_minimum(np.fmin(distance, np.float32(FAR)), person, n, FAR)
    return nearest[0], nearest[1]


def _group_minimum(value: np.ndarray, group: np.ndarray, groups: int, empty: float) -> np.ndarray:
    """Return the minimum (G,) of each group of rows, `empty` for a group without any; `group` ascends."""
    minimum = np.full(groups, empty, dtype=np.float32)
    if len(group):
        starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
        minimum[group[starts]] = np.minimum.reduceat(value, starts)
    return minimum
