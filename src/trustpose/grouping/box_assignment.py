"""Share the keypoints of a photo out to its boxes: by the pose residual network, or by the boxes alone.

Kocabas, Karagoz, Akbas, MultiPoseNet, ECCV 2018, sections 3.3 and 4: the network (`networks.multi_pose_net`) reads the
keypoints near each box and says how likely each cell is the box's own person's. Its baselines need no network: a
keypoint goes to the box whose centre is nearest, and a box takes the highest keypoint in it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from trustpose.grouping.box_grids import BoxGrid
from trustpose.grouping.groups import Groups

Rule = Literal["optimal", "authors"]
Residual = Callable[[Float[np.ndarray, "B h w K"]], Float[np.ndarray, "B h w K"]]
WINDOW = 15  # cells a side whose probability is summed around a keypoint, as in the authors' code


@dataclass(frozen=True)
class ResidualAssignment:
    """Assignment of keypoints to boxes by a pose residual network.

    network: maps of B boxes to probabilities. window: odd number of cells a side; a keypoint's score in a box is the
    probability in this square around it, times its own score. rule: "optimal": each joint is assigned so that the sum
    of the scores is largest, each box having at most one keypoint, and each keypoint at most one box. "authors": as in
    their code, a box takes its best keypoint among those whose best box it is, or which their best box likes least, so
    that a keypoint may go to two boxes.
    """

    network: Residual
    grid: BoxGrid = field(default_factory=BoxGrid)
    window: int = WINDOW
    rule: Rule = "optimal"

    def __post_init__(self) -> None:
        if self.window < 1 or self.window % 2 == 0:
            raise ValueError(f"window: expected an odd number from 1, got {self.window}")

    def group(
        self,
        xy: Float[np.ndarray, "N 2"],
        joint: Int[np.ndarray, " N"],
        score: Float[np.ndarray, " N"],
        box: Float[np.ndarray, "P 4"],
    ) -> Groups:
        """Return the keypoints of each box, in the order of the boxes.

        xy: positions of a photo's keypoints, joint: 0 … K − 1, score: of each; box: xyxy. A person's score is the mean
        of its keypoints' over all joints, 0 for a joint without.
        """
        return chosen_groups(self.scores(xy, joint, score, box), joint, score, self.grid.keypoints, self.rule)

    def scores(
        self,
        xy: Float[np.ndarray, "N 2"],
        joint: Int[np.ndarray, " N"],
        score: Float[np.ndarray, " N"],
        box: Float[np.ndarray, "P 4"],
    ) -> Float[np.ndarray, "P N"]:
        """Return how well each keypoint suits each box; 0 for those neither in it nor in its margin."""
        preference = np.zeros((len(box), len(xy)))
        if not preference.size:
            return preference
        is_near = self.grid.near(xy[None], box[:, None])
        cells = self.grid.cells(xy[None], box[:, None])  # (P, N, 2)
        rows = [np.flatnonzero(near) for near in is_near]
        inputs = self.grid.inputs([cells[p, row] for p, row in enumerate(rows)], [joint[row] for row in rows])
        sums = window_sums(self.network(inputs), self.window)
        for p, row in enumerate(rows):
            column, line = cells[p, row].T
            preference[p, row] = sums[p, line, column, joint[row]] * score[row]
        return preference


def nearest_centre_scores(
    xy: Float[np.ndarray, "N 2"], box: Float[np.ndarray, "P 4"], grid: BoxGrid
) -> Float[np.ndarray, "P N"]:
    """Return 1 / (1 + distance) from a box's centre, in units of half its sides, of keypoints in the box or its margin;
    0 for others: the nearest centre wins."""
    centre, half = (box[:, :2] + box[:, 2:]) / 2, np.maximum(box[:, 2:] - box[:, :2], 1e-9) / 2
    distance = np.linalg.norm((xy[None] - centre[:, None]) / half[:, None], axis=-1)
    return np.where(grid.near(xy[None], box[:, None]), 1 / (1 + distance), 0.0)


def highest_scores(
    xy: Float[np.ndarray, "N 2"], score: Float[np.ndarray, " N"], box: Float[np.ndarray, "P 4"], grid: BoxGrid
) -> Float[np.ndarray, "P N"]:
    """Return the keypoints' own scores in each box or its margin; 0 for others: the highest in the box wins."""
    return np.where(grid.near(xy[None], box[:, None]), score[None], 0.0)


def chosen_groups(
    preference: Float[np.ndarray, "P N"],
    joint: Int[np.ndarray, " N"],
    score: Float[np.ndarray, " N"],
    keypoints: int,
    rule: Rule | Literal["shared"] = "optimal",
) -> Groups:
    """Return the keypoint (or none) of each box and joint, from how well each keypoint suits each box, 0: not at all.

    rule: as in `ResidualAssignment`; "shared": each box takes the keypoint that suits it best, even if others take it,
    too.
    """
    row = np.full((len(preference), keypoints), -1)
    is_near = (preference > 0).any(axis=0)
    for k in range(keypoints):
        candidates = np.flatnonzero(is_near & (joint == k))
        table = preference[:, candidates]
        if table.size:
            box_rows, columns = _PAIRS[rule](table)
            row[box_rows, k] = candidates[columns]
    heights = np.where(row >= 0, np.append(score, 0.0)[row], 0.0)
    return Groups(row, heights.mean(axis=1))


def _optimal(table: Float[np.ndarray, "P n"]) -> tuple[np.ndarray, np.ndarray]:
    from scipy.optimize import linear_sum_assignment

    boxes, columns = linear_sum_assignment(table, maximize=True)
    is_near = table[boxes, columns] > 0
    return boxes[is_near], columns[is_near]


def _authors(table: Float[np.ndarray, "P n"]) -> tuple[np.ndarray, np.ndarray]:
    best_box = table.argmax(axis=0)
    is_last_choice = table[best_box].argmin(axis=1) == np.arange(table.shape[1])
    is_best_box = np.arange(len(table))[:, None] == best_box
    return _shared(np.where(is_best_box | is_last_choice, table, 0.0))


def _shared(table: Float[np.ndarray, "P n"]) -> tuple[np.ndarray, np.ndarray]:
    boxes = np.flatnonzero((table > 0).any(axis=1))
    return boxes, table[boxes].argmax(axis=1)


_PAIRS: dict[str, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "optimal": _optimal,
    "authors": _authors,
    "shared": _shared,
}


def window_sums(maps: Float[np.ndarray, "B h w K"], window: int) -> Float[np.ndarray, "B h w K"]:
    """Return the sum of each map in the square of `window` cells a side around each cell, 0 beyond the edges."""
    margin = window // 2 + 1, window // 2
    sums = np.pad(maps.astype(np.float64), ((0, 0), margin, margin, (0, 0))).cumsum(axis=1)
    rows = (sums[:, window:] - sums[:, :-window]).cumsum(axis=2)
    return rows[:, :, window:] - rows[:, :, :-window]
