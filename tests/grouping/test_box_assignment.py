"""Keypoints shared out to boxes: people far apart come back, and the rules on cases by hand and against all ways."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trustpose.grouping.box_assignment import (
    ResidualAssignment,
    Rule,
    chosen_groups,
    highest_scores,
    nearest_centre_scores,
    window_sums,
)
from trustpose.grouping.box_grids import BoxGrid

GRID = BoxGrid(keypoints=3)


def _people(seed: int):
    """People far apart: xy (P, 3, 2), labelled (P, 3), box (P, 4)."""
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 6))
    corner = np.stack([np.arange(count) * 200.0, random.uniform(0, 50, count)], axis=1)
    xy = corner[:, None] + random.uniform(0, 100, (count, 3, 2))
    labelled = random.random((count, 3)) < 0.8
    return xy, labelled, np.concatenate([corner, corner + 100], axis=1)


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.sampled_from(["optimal", "authors"]), st.integers(0, 2))
def test_people_far_apart_come_back(seed, rule: Rule, method):
    xy, labelled, box = _people(seed)
    person, joint = np.nonzero(labelled)
    order = np.random.default_rng(seed).permutation(len(person))
    points, joint, score = xy[labelled][order], joint[order], np.full(len(person), 0.5)
    if method == 0:
        groups = ResidualAssignment(lambda maps: maps, GRID, rule=rule).group(points, joint, score, box)
    else:
        scores = highest_scores(points, score, box, GRID) if method == 1 else nearest_centre_scores(points, box, GRID)
        groups = chosen_groups(scores, joint, score, 3, rule)
    assert ((groups.row >= 0) == labelled).all()
    assert (groups.take(points) == np.where(labelled[..., None], xy, 0)).all()
    assert np.allclose(groups.score, 0.5 * labelled.mean(axis=1))


def test_nearest_centre_and_highest_score():
    box = np.array([[0.0, 0, 100, 100], [60, 0, 160, 100]])  # centres at x 50 and 110
    xy = np.array([[70.0, 50], [90, 50], [181, 50], [182, 50]])  # 21 pixels of margin
    score = np.array([0.2, 0.9, 0.5, 0.5])
    nearest = nearest_centre_scores(xy, box, GRID)
    assert np.allclose(nearest, [[1 / 1.4, 1 / 1.8, 0, 0], [1 / 1.8, 1 / 1.4, 0, 0]])
    assert highest_scores(xy, score, box, GRID).tolist() == [[0.2, 0.9, 0, 0], [0.2, 0.9, 0, 0]]
    joint = np.zeros(4, np.int64)
    assert chosen_groups(nearest, joint, score, 1).row.tolist() == [[0], [1]]
    highest = highest_scores(xy, score, box, GRID)
    assert chosen_groups(highest, joint, score, 1, "shared").row.tolist() == [[1], [1]]
    assert chosen_groups(highest, joint, score, 1, "optimal").row.tolist() in ([[0], [1]], [[1], [0]])


def _rows(table: list[list[float]], rule) -> list[int]:
    preference = np.array(table)
    joint = np.zeros(preference.shape[1], np.int64)
    return chosen_groups(preference, joint, np.ones(preference.shape[1]), 1, rule).row[:, 0].tolist()


def test_rules_by_hand():
    both = [[5.0, 4], [4, 1]]  # both boxes prefer the first keypoint
    assert _rows(both, "shared") == [0, 0]
    assert _rows(both, "optimal") == [1, 0]
    assert _rows(both, "authors") == [0, 1]  # the second is what its best box likes least
    assert _rows([[5.0, 6, 7], [4, 5, 0]], "authors") == [2, 0]
    assert _rows([[0.0, 3], [0, 2]], "authors") == [
        1,
        1,
    ]  # a single keypoint is first and last choice
    assert _rows([[0.0, 3], [0, 2]], "optimal") == [1, -1]


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 4))
def test_optimal_against_all_ways(seed, boxes, points):
    random = np.random.default_rng(seed)
    table = random.random((boxes, points)) * (random.random((boxes, points)) < 0.7)
    rows = _rows(table.tolist(), "optimal")
    padded = np.concatenate([table, np.zeros((boxes, boxes))], axis=1)
    best = max(padded[np.arange(boxes), list(order)].sum() for order in permutations(range(boxes + points), boxes))
    assert np.isclose(sum(table[box, row] for box, row in enumerate(rows) if row >= 0), best)
    chosen = [row for row in rows if row >= 0]
    assert len(chosen) == len(set(chosen)) and all(table[box, row] > 0 for box, row in enumerate(rows) if row >= 0)


def test_the_network_decides_between_boxes():
    """Two boxes on top of each other; the network says that the left half is the first one's, the right the other's."""
    box = np.array([[0.0, 0, 36, 56], [0, 0, 36, 56]])
    xy, joint = np.array([[5.0, 20], [30, 20]]), np.array([1, 1])

    def halves(maps: np.ndarray) -> np.ndarray:
        answer = maps.copy()
        answer[0, :, 18:], answer[1, :, :18] = 0, 0
        return answer

    for rule in ("optimal", "authors"):
        groups = ResidualAssignment(halves, GRID, window=5, rule=rule).group(xy, joint, np.ones(2), box)
        assert groups.row.tolist() == [[-1, 0, -1], [-1, 1, -1]]


def test_windows_end_at_the_edge():
    maps = np.random.default_rng(0).random((2, 9, 7, 3)).astype(np.float32)
    sums = window_sums(maps, 5)
    for row, column in ((0, 0), (4, 3), (8, 6), (1, 5)):
        part = maps[:, max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3]
        assert np.allclose(sums[:, row, column], part.sum(axis=(1, 2)), atol=1e-6)


def test_nobody_and_nothing():
    assignment, no_points = ResidualAssignment(lambda maps: maps, GRID), np.zeros((0, 2))
    nobody = assignment.group(np.ones((2, 2)), np.zeros(2, np.int64), np.ones(2), np.zeros((0, 4)))
    assert nobody.row.shape == (0, 3)
    lonely = assignment.group(no_points, np.zeros(0, np.int64), np.zeros(0), np.array([[0.0, 0, 9, 9]]))
    assert lonely.row.tolist() == [[-1, -1, -1]] and lonely.score.tolist() == [0]


def test_mistakes():
    with pytest.raises(ValueError, match="window: expected an odd number"):
        ResidualAssignment(lambda maps: maps, window=4)
