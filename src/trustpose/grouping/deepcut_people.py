"""Group scored part candidates of a photo into people by DeepCut."""

import warnings
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.grouping.crowdpose import JointCandidates, merge_joints, without_duplicates
from trustpose.grouping.deepcut import Partition, PartProblem, solve
from trustpose.grouping.deepcut_terms import PairwiseTerms, shipped_terms
from trustpose.poses import Poses
from trustpose.skeletons import Skeleton


class GroupedPeople(NamedTuple):
    """N people: xy (N, K, 2), NaN where missing; score (N, K), 0 where missing; missing (N, K)."""

    xy: Float[np.ndarray, "N K 2"]
    score: Float[np.ndarray, "N K"]
    missing: Bool[np.ndarray, "N K"]


def deepcut_people(
    xy: Float[np.ndarray, "D 2"],
    probability: Float[np.ndarray, " D"],
    joint: Int[np.ndarray, " D"],
    scale: Float[np.ndarray, " D"],
    terms: PairwiseTerms,
    *,
    single: bool = False,
    time_limit: float = 60.0,
) -> tuple[GroupedPeople, Partition]:
    """Return the people of a photo, and the partition of its D candidates.

    xy: pixels; probability: that the candidate is a part of class `joint` (above 0), as a calibrated peak's height;
    scale: pixels, as in `fit_pairwise`. Candidates of one class in one person stand for one part, the likeliest.
    """
    part = np.zeros((len(xy), len(terms.bias)))
    part[np.arange(len(xy)), joint] = probability
    partition = solve(PartProblem(part, terms.together(xy, scale)), single=single, time_limit=time_limit)
    people = (partition.person.max(initial=-1) + 1, len(terms.bias))
    position, score, missing = np.full((*people, 2), np.nan), np.zeros(people), np.ones(people, dtype=bool)
    rows = np.flatnonzero(partition.person >= 0)
    rows = rows[np.argsort(probability[rows], kind="stable")]  # the likeliest is written last
    cell = partition.person[rows], joint[rows]
    position[cell], score[cell], missing[cell] = xy[rows], probability[rows], False
    return GroupedPeople(position, score, missing), partition


@dataclass(frozen=True)
class DeepCut:
    """DeepCut of the candidates of all boxes of a photo, whichever box they come from.

    terms: pairwise; None: those shipped for the skeleton (`deepcut_terms.shipped_terms`). min_score, distance and
    overlap are as of `crowdpose.Association`; of merged candidates the likeliest stays, whose probability is its score
    times its box's, and whose scale is √(its box's area). candidates: the likeliest of a photo, at most. min_parts:
    people with fewer joints are left out. time_limit: seconds a photo; it warns if a solution is not proven optimal.
    """

    terms: PairwiseTerms | None = None
    min_score: float = 0.1
    distance: float = 0.5
    overlap: float = 0.6
    max_per_joint: int = 4
    candidates: int = 120
    min_parts: int = 3
    time_limit: float = 5.0

    def apply(
        self,
        poses: Poses,
        candidates: JointCandidates,
        skeleton: Skeleton,
        takes_part: Bool[np.ndarray, " N"] | None = None,
    ) -> Poses:
        """Return the people of a photo, with boxes around their joints; `box_score` is the best of their candidates'.

        Raises InputError without terms for the skeleton, ValueError without boxes.
        """
        if poses.box is None:
            raise ValueError("DeepCut: Poses.box is None, the candidates' scales are unknown")
        terms = shipped_terms(skeleton) if self.terms is None else self.terms
        is_kept = np.ones(len(poses), bool) if takes_part is None else takes_part
        is_kept = without_duplicates(poses, is_kept, self.overlap, skeleton.sigmas)
        rows = np.flatnonzero(is_kept[candidates.person] & (candidates.score >= self.min_score))
        box_score = np.ones(len(poses)) if poses.box_score is None else poses.box_score
        probability = np.clip(candidates.score * box_score[candidates.person], 1e-3, 1)
        rows = rows[self._likeliest(candidates, rows, probability[rows], skeleton.sigmas)]
        xy, joint, person = candidates.xy[rows], candidates.joint[rows], candidates.person[rows]
        scale = np.sqrt(np.prod(poses.box[:, 2:] - poses.box[:, :2], axis=1))[person]
        part = np.zeros((len(rows), len(skeleton)))
        part[np.arange(len(rows)), joint] = probability[rows]
        partition = solve(PartProblem(part, terms.together(xy, scale)), time_limit=self.time_limit)
        if partition.gap > 0:
            warnings.warn(f"DeepCut: not proven optimal within {self.time_limit:g} s a photo", stacklevel=2)
        return self._people(poses, partition.person, xy, joint, candidates.score[rows], box_score[person])

    def _likeliest(
        self,
        candidates: JointCandidates,
        rows: Int[np.ndarray, " C"],
        probability: Float[np.ndarray, " C"],
        sigmas: Float[np.ndarray, " K"],
    ) -> Int[np.ndarray, " D"]:
        """Return the indices into `rows` of the likeliest candidate of each joint node, the likeliest nodes first."""
        xy, size, joint = candidates.xy[rows], candidates.size[rows], candidates.joint[rows]
        node = merge_joints(xy, size, joint, self.distance * sigmas / sigmas.mean()).node
        order = np.argsort(-probability, kind="stable")
        return order[np.sort(np.unique(node[order], return_index=True)[1])][: self.candidates]

    def _people(
        self,
        poses: Poses,
        person: Int[np.ndarray, " D"],
        xy: Float[np.ndarray, "D 2"],
        joint: Int[np.ndarray, " D"],
        score: Float[np.ndarray, " D"],
        box_score: Float[np.ndarray, " D"],
    ) -> Poses:
        people, count = int(person.max(initial=-1)) + 1, poses.keypoint_count
        position, height, best = np.zeros((people, count, 2)), np.zeros((people, count)), np.zeros(people)
        missing = np.ones((people, count), bool)
        rows = np.flatnonzero(person >= 0)
        rows = rows[np.argsort(score[rows], kind="stable")]  # of one joint the highest is written last
        cell = person[rows], joint[rows]
        position[cell], height[cell], missing[cell] = xy[rows], score[rows], False
        np.maximum.at(best, person[rows], box_score[rows])
        people_found = Poses(
            xy=position,
            score=height,
            pose_score=height.mean(axis=1),
            box_score=None if poses.box_score is None else best,
            image_id=None if poses.image_id is None else np.full(people, poses.image_id[:1].sum()),
            missing=missing,
            skeleton=poses.skeleton,
        )
        people_found = people_found[np.flatnonzero((~missing).sum(axis=1) >= self.min_parts)]
        return replace(people_found, box=people_found.keypoint_box())
