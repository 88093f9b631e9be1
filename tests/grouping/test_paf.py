"""Grouping by links against plain searches: the greedy one link by link, the optimal over all matchings."""

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trustpose.grouping.paf import LimbGrouping, greedy_matches, optimal_matches

LIMBS = ((0, 1), (1, 2), (0, 2))
# Measured with the reference: github.com/Hzzone/pytorch-openpose at commit 5ee71dc, `Body`, run on a copy outside this
# repo, unread, with a network that returned maps of labels with noise in place of its own. Links are ours, on the same
# maps and its candidates. The first twelve photos of val2017 with three to five people.
CASES = json.loads((Path(__file__).parent / "openpose_people.json").read_text())
COCO_18 = (
    *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 0)),
    *((0, 14), (14, 16), (0, 15), (15, 17), (2, 16), (5, 17)),
)


@pytest.mark.parametrize("case", CASES)
def test_the_people_are_openposes(case) -> None:
    joint, score, limb, link_score = (np.array(case[name]) for name in ("joint", "score", "limb", "link_score"))
    limb_grouping = LimbGrouping(COCO_18, redundant=frozenset({17, 18}))
    people = limb_grouping.group(joint, score, np.array(case["links"]), limb, link_score, 18)
    assert sorted(people.row.tolist()) == sorted(case["people"])


def _links(seed: int, most: int, *, ties: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Candidates' joints, and random links with limb and score."""
    rng = np.random.default_rng(seed)
    joint = np.sort(rng.integers(0, 3, rng.integers(0, most)))
    pairs = [(a, b, LIMBS.index((joint[a], joint[b]))) for a, b in np.ndindex(len(joint), len(joint))
             if (joint[a], joint[b]) in LIMBS and rng.random() < 0.7]  # fmt: skip
    table = np.array(pairs, np.int64).reshape(-1, 3)
    score = rng.integers(1, 4, len(table)) / 4 if ties else rng.random(len(table)) + 0.01
    return joint, table[:, :2], table[:, 2], score


@given(st.integers(0, 10**6), st.booleans())
def test_greedy_is_one_by_one(seed: int, ties: bool) -> None:
    _, links, limb, score = _links(seed, 14, ties=ties)
    used: set[tuple[int, int, int]] = set()
    indexes = []
    for index in sorted(range(len(links)), key=lambda row: -score[row]):
        ends = {(int(limb[index]), side, int(links[index, side])) for side in (0, 1)}
        if not ends & used:
            used |= ends
            indexes.append(index)
    assert greedy_matches(links, limb, score).tolist() == sorted(indexes)


@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_optimal_is_the_best_of_all_matchings(seed: int) -> None:
    _, links, limb, score = _links(seed, 10)
    kept = optimal_matches(links, limb, score)
    for index in range(3):
        rows = np.flatnonzero(limb == index)
        worth = {tuple(links[row]): score[row] for row in rows}
        starts, ends = sorted({a for a, _ in worth}), sorted({b for _, b in worth})
        fewer, more = sorted((starts, ends), key=len)
        best = max(
            (sum(worth.get((a, b) if fewer is starts else (b, a), 0.0) for a, b in zip(fewer, pair, strict=True))
             for pair in permutations(more, len(fewer))),
            default=0.0,
        )  # fmt: skip
        mine = kept[limb[kept] == index]
        assert score[mine].sum() == pytest.approx(best)
        assert all(len(set(links[mine, side].tolist())) == len(mine) for side in (0, 1))


@given(st.integers(0, 10**6), st.sampled_from(["greedy", "optimal"]), st.sampled_from(["limbs", "scores"]))
def test_people_share_no_candidate_and_hold_each_joint_once(seed: int, matching, order) -> None:
    joint, links, limb, link_score = _links(seed, 14)
    score = np.random.default_rng(seed).random(len(joint))
    limb_grouping = LimbGrouping(LIMBS, matching, order, min_parts=1, min_score=-1.0)
    people = limb_grouping.group(joint, score, links, limb, link_score, 3)
    rows = people.row[people.row >= 0]
    assert sorted(rows.tolist()) == list(range(len(joint)))  # with one part enough, all are somebody's
    at = np.nonzero(people.row >= 0)[1]
    np.testing.assert_array_equal(joint[rows], at)
    assert (np.diff(people.score) <= 0).all()
    groups = LimbGrouping(LIMBS, matching, order, min_parts=2, min_score=0.5).group(
        joint, score, links, limb, link_score, 3
    )
    expected = people.row[((people.row >= 0).sum(axis=1) >= 2) & (people.score >= 0.5)]
    np.testing.assert_array_equal(groups.row, expected)


def _two_people(order, redundant=frozenset()):
    """Two chains 0–1–2, rows 0, 2, 4 and 1, 3, 5, and a strong link that contradicts them."""
    joint = np.array([0, 0, 1, 1, 2, 2])
    links = np.array([[0, 2], [1, 3], [2, 4], [3, 5], [0, 5]])
    limb, score = np.array([0, 0, 1, 1, 2]), np.array([0.9, 0.3, 0.5, 0.6, 0.8])
    limb_grouping = LimbGrouping(LIMBS, order=order, redundant=redundant, min_parts=1, min_score=0.0)
    return limb_grouping.group(joint, np.full(6, 0.5), links, limb, score, 3)


def test_the_order_decides_about_contradictions() -> None:
    by_limb = _two_people("limbs")  # the redundant limb comes last, when both people are complete
    assert by_limb.row.tolist() == [[0, 2, 4], [1, 3, 5]]
    np.testing.assert_allclose(by_limb.score, [(1.5 + 0.9 + 0.5) / 3, (1.5 + 0.3 + 0.6) / 3])
    by_score = _two_people("scores")  # 0.9 and 0.8 first: 0, 2 and 5; then 3 cannot join 5, whose person has joint 1
    assert by_score.row.tolist() == [[0, 2, 5], [1, 3, -1], [-1, -1, 4]]
    assert by_score.missing.sum() == 3


def test_redundant_limbs_found_nobody() -> None:
    joint, links, limb = np.array([0, 2]), np.array([[0, 1]]), np.array([2])
    for redundant, people in ((frozenset(), 1), (frozenset({2}), 0)):
        limb_grouping = LimbGrouping(LIMBS, redundant=redundant, min_parts=2, min_score=0.0)
        assert len(limb_grouping.group(joint, np.ones(2), links, limb, np.ones(1), 3)) == people


def test_people_meet_through_a_later_link() -> None:
    """Arms and legs begin as people of their own, and are one once the trunk is linked."""
    limbs = ((0, 1), (2, 3), (1, 2))
    joint, links = np.arange(4), np.array([[0, 1], [2, 3], [1, 2]])
    limb_grouping = LimbGrouping(limbs, order="scores", min_parts=4, min_score=0.0)
    people = limb_grouping.group(joint, np.full(4, 0.5), links, np.arange(3), np.array([0.9, 0.8, 0.4]), 4)
    assert people.row.tolist() == [[0, 1, 2, 3]]
    np.testing.assert_allclose(people.score, [(2 + 2.1) / 4])
    xy = np.arange(8.0).reshape(4, 2)
    np.testing.assert_array_equal(people.take(xy)[0], xy)


def test_nobody() -> None:
    empty = np.zeros(0, np.int64)
    people = LimbGrouping(LIMBS).group(empty, np.zeros(0), empty.reshape(0, 2), empty, np.zeros(0), 3)
    assert len(people) == 0 and people.take(np.zeros((0, 2))).shape == (0, 3, 2)
