"""CrowdPose's global association: joints that several boxes found are merged, and each goes to one person.

Li et al., CrowdPose: Efficient Crowded Scenes Pose Estimation and A New Benchmark, CVPR 2019, section 3.3. A
single-person network gives several candidates for each joint in each box (`HeatmapCodec.candidates`), some of them
joints of other people in the box. Candidates of one joint, whichever box they come from, are one joint node if their
distance is at most min(u₁, u₂) δ, where u is the size of a candidate's response and δ the joint's own deviation. Boxes
are person nodes. The edge between person i and joint node j weighs w_ij, the score of i's candidate in that node. For
each joint alone, the sum of the weights of chosen edges is maximised, each person having at most one node and each node
at most one person: a maximum weight matching, found by the Hungarian method.

The paper takes the size of the response's Gaussian as u, COCO's per-joint constants as δ, and leaves their units open.
Here u is the Gaussian's σ in image pixels, and δ a number of such σ.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


class JointNodes(NamedTuple):
    """node (N,): the joint node of each candidate, 0 … J − 1; joint (J,): of each node, ascending."""

    node: Int[np.ndarray, " N"]
    joint: Int[np.ndarray, " J"]


def merge_joints(
    xy: Float[np.ndarray, "N 2"],
    size: Float[np.ndarray, " N"],
    joint: Int[np.ndarray, " N"],
    deviation: Float[np.ndarray, " K"],
) -> JointNodes:
    """Merge the candidates of a photo into joint nodes: those within min(u₁, u₂) δ, and whoever is linked over others.

    xy, size u: image pixels; joint: 0 … K − 1; deviation δ: of each joint, in units of u.
    """
    links = []
    for k in range(len(deviation)):
        rows = np.flatnonzero(joint == k)
        away = np.linalg.norm(xy[rows, None] - xy[rows], axis=-1)
        near = away <= np.minimum(size[rows, None], size[rows]) * deviation[k]
        links.append(rows[np.stack(np.nonzero(np.triu(near, 1)))])  # (2, L)
    one, other = np.concatenate([np.zeros((2, 0), np.int64), *links], axis=1)
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(len(xy), len(xy)))
    count, node = connected_components(graph, directed=False)
    of_node = np.zeros(count, np.int64)
    of_node[node] = joint
    order = np.argsort(of_node, kind="stable")
    place = np.empty(count, np.int64)
    place[order] = np.arange(count)
    return JointNodes(place[node], of_node[order])


def associate(
    nodes: JointNodes,
    score: Float[np.ndarray, " N"],
    person: Int[np.ndarray, " N"],
    people: int,
    keypoints: int,
) -> Int[np.ndarray, "M K"]:
    """Return the row of the candidate (M, K) that each of M people keeps for each of K joints, −1 where none.

    score: of each candidate; those of 0 or less are never chosen. person: the box that each comes from, 0 … M − 1. The
    candidate is the person's own, the best where it has several in the node.
    """
    chosen = np.full((people, keypoints), -1)
    if not len(score):
        return chosen
    weight = np.zeros((people, len(nodes.joint)))
    row = np.full(weight.shape, -1)
    order = np.argsort(score, kind="stable")  # the best is written last
    at = person[order], nodes.node[order]
    weight[at], row[at] = np.maximum(score[order], 0), order
    for k in range(keypoints):
        own = np.flatnonzero(nodes.joint == k)
        who, which = linear_sum_assignment(weight[:, own], maximize=True)
        real = weight[who, own[which]] > 0
        chosen[who[real], k] = row[who[real], own[which[real]]]
    return chosen
