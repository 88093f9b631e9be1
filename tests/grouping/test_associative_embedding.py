"""Grouping by tags: people are those of their tags, no candidate is used twice, and the assignment is the best."""

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trustpose.grouping.associative_embedding import COCO_ORDER, TagGrouping, mean_tags

ORDER = (2, 0, 1)
# Measured with the reference: github.com/HRNet/HigherHRNet-Human-Pose-Estimation at commit aa23881, lib/core/group.py,
# run on a copy outside this repo with munkres 1.1.4; its rounding had 1e-8 × the distance's root added, since which of
# two assignments of equal cost it takes is up to munkres. Two to five made-up people, and six candidates of nobody.
CASES = json.loads((Path(__file__).parent / "higherhrnet_people.json").read_text())


@pytest.mark.parametrize("case", CASES)
def test_the_people_are_higherhrnets(case) -> None:
    joint, score, tags = (np.array(case[name]) for name in ("joint", "score", "tags"))
    groups = TagGrouping().group(joint, score, tags, 17)
    assert sorted(groups.row.tolist()) == sorted(case["people"])
    np.testing.assert_allclose(groups.score, sorted(case["people_score"], reverse=True), atol=1e-6)


def _crowd(seed: int, people: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """People with tags 3 apart, some joints missing: joint, score, tags, whose."""
    rng = np.random.default_rng(seed)
    whose, joint = np.nonzero(rng.random((people, 3)) < 0.8)
    order = np.lexsort((rng.random(len(whose)), joint))
    whose, joint = whose[order], joint[order]
    tags = 3.0 * whose[:, None]
    return joint, rng.uniform(0.2, 1, len(whose)), tags, whose


@given(st.integers(0, 10**6), st.integers(0, 6))
@example(20550, 6)  # two assignments cost the same but for the nearness of their pairs
def test_well_separated_tags_give_their_people(seed: int, people: int) -> None:
    joint, score, tags, whose = _crowd(seed, people)
    groups = TagGrouping(ORDER).group(joint, score, tags, 3)
    assert len(groups) == len(np.unique(whose))
    for row, total in zip(groups.row, groups.score, strict=True):
        rows = row[row >= 0]
        assert len(set(whose[rows].tolist())) == 1 and len(rows) == (whose == whose[rows[0]]).sum()
        np.testing.assert_array_equal(joint[rows], np.flatnonzero(row >= 0))
        np.testing.assert_allclose(total, score[rows].sum() / 3)
    expected = [tags[row[row >= 0]].mean(axis=0) for row in groups.row]
    np.testing.assert_allclose(mean_tags(groups, tags), np.reshape(expected, (-1, 1)))


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_the_second_joint_is_assigned_at_the_lowest_cost(seed: int) -> None:
    """One joint of each person first, then as many candidates of the next; tags in two dimensions, close together."""
    rng = np.random.default_rng(seed)
    count = 4
    joint = np.repeat([0, 1], count)
    score, tags = rng.uniform(0.2, 1, 2 * count), rng.uniform(0, 6, (2 * count, 2))
    groups = TagGrouping((0, 1), tag_threshold=100.0).group(joint, score, tags, 2)
    distance = np.linalg.norm(tags[count:, None] - tags[:count], axis=2)
    cost = np.rint(distance) * 100 - score[count:, None]
    best = min(sum(cost[row, index] for row, index in enumerate(way)) for way in permutations(range(count)))
    paired = groups.row[(groups.row >= 0).all(axis=1)]
    assert len(paired) == count
    mine = sum(cost[second - count, first] for first, second in paired.tolist())
    np.testing.assert_allclose(mine, best)


def test_nearest_pairs_win_ties() -> None:
    """Tags 3 and 6 are people, 6 and 9 come: 6 to 6 and 9 to 3 costs as much as 6 to 3 and 9 to 6."""
    joint, score = np.array([0, 0, 1, 1]), np.full(4, 0.5)
    groups = TagGrouping((0, 1)).group(joint, score, np.array([[3.0], [6.0], [6.0], [9.0]]), 2)
    assert sorted(groups.row.tolist()) == [[-1, 3], [0, -1], [1, 2]]


def test_thresholds() -> None:
    joint, score = np.array([0, 1, 1]), np.array([0.9, 0.8, 0.1])
    tags = np.array([[0.0], [1.0], [0.0]])
    groups = TagGrouping((0, 1)).group(joint, score, tags, 2)
    assert groups.row.tolist() == [[0, -1], [-1, 1]]  # 1.0 is not below the threshold, 0.1 not above the other
    assert TagGrouping((0, 1), tag_threshold=1.01).group(joint, score, tags, 2).row.tolist() == [[0, 1]]
    few = TagGrouping((0, 1), max_people=1, min_score=0.0, tag_threshold=5.0)
    assert few.group(np.array([0, 0, 1]), np.array([0.5, 0.9, 0.8]), np.array([[0.0], [4], [4]]), 2).row.tolist() == [
        [0, 2],
        [1, -1],
    ]


def test_nobody() -> None:
    empty = np.zeros(0, np.int64)
    groups = TagGrouping(ORDER).group(empty, np.zeros(0), np.zeros((0, 1)), 3)
    assert len(groups) == 0 and mean_tags(groups, np.zeros((0, 1))).shape == (0, 1)
    assert sorted(COCO_ORDER) == list(range(17))
