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

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.grouping.suppression import suppress
from trustpose.poses import Poses
from trustpose.skeletons import Skeleton


@dataclass(frozen=True)
class Association:
    """Options of `assign_joints`, which assigns the joints of a photo to its boxes.

    min_score: of a candidate; max_per_joint: candidates of a joint in a box. distance: candidates of one joint merge
    within this many σ, times the joint's constant for OKS over the mean of all. overlap: among a detector's boxes,
    poses whose OKS with a better one is above this (`suppression`, "oks-nms", area "crop") take no part; None: all do.
    by_box: a candidate's score is multiplied by its box's score. keep_unassigned: a person to whom no candidate of a
    joint is assigned keeps its own highest peak there, with a score of 0; otherwise the joint is missing, and a person
    without joints is left out. Raises ValueError for numbers out of range.

    """

    min_score: float = 0.05
    distance: float = 0.25
    overlap: float | None = 0.8
    by_box: bool = True
    keep_unassigned: bool = True
    max_per_joint: int = 4

    def __post_init__(self) -> None:
        for name, lowest in (("min_score", 0), ("distance", 0), ("max_per_joint", 1)):
            if not lowest <= getattr(self, name) < np.inf:
                raise ValueError(f"{name}: expected a number from {lowest} on, got {getattr(self, name)}")
        if self.overlap is not None and not 0 <= self.overlap <= 1:
            raise ValueError(f"overlap: expected an OKS from 0 to 1, got {self.overlap}")

    def apply(
        self,
        poses: Poses,
        candidates: "JointCandidates",
        skeleton: Skeleton,
        takes_part: Bool[np.ndarray, " N"] | None = None,
    ) -> Poses:
        """Return the people of a photo after association (`assign_joints`)."""
        return assign_joints(poses, candidates, self, skeleton.sigmas, takes_part)


class JointCandidates(NamedTuple):
    """Candidates of a photo's boxes: xy (C, 2) and size (C,), a Gaussian's σ, in image pixels; score (C,); person (C,)
    and joint (C,), the row of the box and the number of the joint."""

    xy: Float[np.ndarray, "C 2"]
    size: Float[np.ndarray, " C"]
    score: Float[np.ndarray, " C"]
    person: Int[np.ndarray, " C"]
    joint: Int[np.ndarray, " C"]


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
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = []
    for k in range(len(deviation)):
        rows = np.flatnonzero(joint == k)
        away = np.linalg.norm(xy[rows, None] - xy[rows], axis=-1)
        near = away <= np.minimum(size[rows, None], size[rows]) * deviation[k]
        links.append(rows[np.stack(np.nonzero(np.triu(near, 1)))])  # (2, L)
    first, second = np.concatenate([np.zeros((2, 0), np.int64), *links], axis=1)
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(len(xy), len(xy)))
    count, node = connected_components(graph, directed=False)
    of_node = np.zeros(count, np.int64)
    of_node[node] = joint
    order = np.argsort(of_node, kind="stable")
    rank = np.empty(count, np.int64)
    rank[order] = np.arange(count)
    return JointNodes(rank[node], of_node[order])


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
    from scipy.optimize import linear_sum_assignment

    chosen = np.full((people, keypoints), -1)
    if not len(score):
        return chosen
    weight = np.zeros((people, len(nodes.joint)))
    row = np.full(weight.shape, -1)
    order = np.argsort(score, kind="stable")  # the best is written last
    cell = person[order], nodes.node[order]
    weight[cell], row[cell] = np.maximum(score[order], 0), order
    for k in range(keypoints):
        nodes_of_joint = np.flatnonzero(nodes.joint == k)
        matched_person, matched_node = linear_sum_assignment(weight[:, nodes_of_joint], maximize=True)
        real = weight[matched_person, nodes_of_joint[matched_node]] > 0
        chosen[matched_person[real], k] = row[matched_person[real], nodes_of_joint[matched_node[real]]]
    return chosen


def assign_joints(
    poses: Poses,
    candidates: JointCandidates,
    options: Association,
    sigmas: Float[np.ndarray, " K"],
    takes_part: Bool[np.ndarray, " N"] | None = None,
) -> Poses:
    """Return the people of a photo after association: those of its boxes who take part, with joints of which no two
    people have the same one.

    poses: of the boxes, each joint at its highest peak, with scores. takes_part (N,): which may; None: all. A joint's
    score is its candidate's, and `pose_score` the mean of them. Raises ValueError if a required column is None.
    """
    if poses.score is None:
        raise ValueError("assign_joints: Poses.score is None, expected the heights of peaks")
    if takes_part is None:
        takes_part = np.ones(len(poses), bool)
    if options.overlap is not None:
        takes_part = without_duplicates(poses, takes_part, options.overlap, sigmas)
    weight = candidates.score
    if options.by_box and poses.box_score is not None:
        weight = weight * poses.box_score[candidates.person]
    rows = np.flatnonzero(takes_part[candidates.person] & (candidates.score >= options.min_score))
    xy, size, score, person, joint = (column[rows] for column in candidates)
    nodes = merge_joints(xy, size, joint, options.distance * sigmas / sigmas.mean())
    chosen = associate(nodes, weight[rows], person, len(poses), len(sigmas))
    has = chosen >= 0
    position = np.concatenate([xy, np.zeros((1, 2))])[chosen]  # (N, K, 2); the last, 0, where nothing was chosen
    height = np.concatenate([score, np.zeros(1)])[chosen]
    if options.keep_unassigned:
        position = np.where(has[..., None], position, poses.xy)
    people = replace(poses, xy=position, score=height, pose_score=height.mean(axis=1))
    if options.keep_unassigned:
        return people[np.flatnonzero(takes_part)]
    return replace(people, missing=~has)[np.flatnonzero(has.any(axis=1))]


def without_duplicates(
    poses: Poses, takes_part: Bool[np.ndarray, " N"], overlap: float, sigmas: Float[np.ndarray, " K"]
) -> Bool[np.ndarray, " N"]:
    """Return which of the poses that take part OKS-NMS above `overlap` keeps; all where boxes have no scores."""
    if poses.box_score is None:
        return takes_part
    rows, keep = np.flatnonzero(takes_part), np.zeros(len(poses), bool)
    chosen = poses[rows]
    keep[rows] = suppress(
        chosen, chosen.ranking_score, method="oks-nms", threshold=overlap, sigmas=sigmas, area="crop"
    ).keep
    return keep
