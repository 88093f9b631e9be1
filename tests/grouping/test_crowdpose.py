"""CrowdPose's joint nodes and association against all ways to match, and properties."""

from itertools import permutations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trustpose.grouping.crowdpose import JointNodes, associate, merge_joints


def _candidates(seed: int, people: int, joints: int):
    """Candidates of some boxes: each sees most of some real joints, with a little noise, and false ones."""
    generator = np.random.default_rng(seed)
    real = generator.uniform(0, 60, (4, joints, 2))
    rows = []
    for person in range(people):
        for k in range(joints):
            for index in range(4):
                if generator.random() < 0.5:
                    rows.append((*(real[index, k] + generator.normal(0, 1, 2)), generator.uniform(0, 1), person, k))
    table = np.array(rows).reshape(-1, 5)
    size = generator.uniform(2, 4, len(table))
    return table[:, :2], size, table[:, 2], table[:, 3].astype(int), table[:, 4].astype(int)


def _best_sum(weight: np.ndarray) -> float:
    """The largest sum of a matching of rows and columns, over all."""
    rows, columns = weight.shape
    padded = np.zeros((rows, rows + columns))  # a column of its own for who stays without
    padded[:, :columns] = weight
    return max(
        sum(padded[row, column] for row, column in enumerate(pair))
        for pair in permutations(range(rows + columns), rows)
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 2))
def test_as_all_matchings(seed, people, joints):
    xy, size, score, person, joint = _candidates(seed, people, joints)
    nodes = merge_joints(xy, size, joint, np.full(joints, 1.5))
    chosen = associate(nodes, score, person, people, joints)
    for k in range(joints):
        indices = np.flatnonzero(nodes.joint == k)
        weight = np.array(
            [[score[(person == index) & (nodes.node == j)].max(initial=0) for j in indices] for index in range(people)]
        )
        rows = chosen[:, k][chosen[:, k] >= 0]
        assert np.isclose(score[rows].sum(), _best_sum(weight.reshape(people, -1)))
        assert (joint[rows] == k).all() and len(set(nodes.node[rows])) == len(rows)
        assert (person[rows] == np.flatnonzero(chosen[:, k] >= 0)).all()


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.floats(0, 4))
def test_nodes_are_the_linked_candidates(seed, deviation):
    xy, size, _, _, joint = _candidates(seed, 3, 2)
    nodes = merge_joints(xy, size, joint, np.full(2, deviation))
    assert (nodes.joint[nodes.node] == joint).all() and (np.diff(nodes.joint) >= 0).all()
    assert sorted(set(nodes.node)) == list(range(len(nodes.joint)))
    away = np.linalg.norm(xy[:, None] - xy, axis=-1)
    linked = (away <= np.minimum(size[:, None], size) * deviation) & (joint[:, None] == joint)
    reached = np.linalg.matrix_power(linked.astype(float) + np.eye(len(xy)), len(xy)) > 0
    assert ((nodes.node[:, None] == nodes.node) == reached).all()
    order = np.random.default_rng(seed).permutation(len(xy))
    merged = merge_joints(xy[order], size[order], joint[order], np.full(2, deviation))
    assert ((merged.node[:, None] == merged.node) == reached[np.ix_(order, order)]).all()


def test_the_smaller_response_decides():
    xy, joint = np.array([[0.0, 0.0], [3.0, 0.0]]), np.zeros(2, int)
    near = merge_joints(xy, np.array([2.0, 100.0]), joint, np.array([1.5]))
    assert near.node.tolist() == [0, 0]
    assert merge_joints(xy, np.array([1.9, 100.0]), joint, np.array([1.5])).node.tolist() == [0, 1]


def test_a_joint_goes_to_the_person_that_has_no_better():
    """Both boxes score the left joint higher, as in the paper's figure; the sum gives the other one to the second."""
    nodes = JointNodes(np.array([0, 1, 0, 1]), np.zeros(2, int))
    score, person = np.array([0.9, 0.2, 0.8, 0.7]), np.array([0, 0, 1, 1])
    assert associate(nodes, score, person, people=2, keypoints=2).tolist() == [[0, -1], [3, -1]]
    third = associate(nodes, score, person, people=3, keypoints=1)
    assert third.tolist() == [[0], [3], [-1]]
    assert associate(nodes, score * 0, person, people=2, keypoints=1).tolist() == [[-1], [-1]]
    none = merge_joints(np.zeros((0, 2)), np.zeros(0), np.zeros(0, int), np.ones(3))
    assert associate(none, np.zeros(0), np.zeros(0, int), people=2, keypoints=3).tolist() == [[-1] * 3] * 2
