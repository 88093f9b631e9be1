"""Group candidates into people by their tags: joint by joint, each joint's candidates with the people found so far.

Source: Newell, Huang, Deng, Associative Embedding, NIPS 2017, section 3.2, with the costs and thresholds of
HigherHRNet's evaluation (Cheng et al., CVPR 2020; HRNet/HigherHRNet-Human-Pose-Estimation).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from trustpose.grouping.groups import Groups

COCO_ORDER = (0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16)
"""HigherHRNet's for COCO's joints: head, shoulders, hips, then outwards along the limbs."""
_TIE = 1e-6  # of the distance's square root: of assignments that cost the same, the one with the nearest pairs


@dataclass(frozen=True)
class TagGrouping:
    """Options of grouping by tags.

    order: joints, in the order in which they are grouped; those left out are ignored. min_score: candidates must exceed
    it. tag_threshold: the distance between a candidate's tag and a person's mean that it must be below. max_people:
    people beyond this number get no further candidates.
    """

    order: tuple[int, ...] = COCO_ORDER
    min_score: float = 0.1
    tag_threshold: float = 1.0
    max_people: int = 30

    def group(
        self,
        joint: Int[np.ndarray, " N"],
        score: Float[np.ndarray, " N"],
        tags: Float[np.ndarray, "N T"],
        keypoints: int,
    ) -> Groups:
        """Return the people among one photo's N candidates, the best first.

        A joint's candidates are assigned to people by the lowest sum of 100 × the tags' distance, rounded, minus the
        candidate's score (Hungarian algorithm); who is too far from its person begins a new one. A person's score is
        the mean of its candidates' over all joints, 0 for a joint without.
        """
        row = np.zeros((0, keypoints), np.int64)
        total, count = np.zeros((0, tags.shape[1])), np.zeros(0)  # of each person's tags
        for joint_index in self.order:
            rows = np.flatnonzero((joint == joint_index) & (score > self.min_score))
            mean = total[: self.max_people] / count[: self.max_people, None]
            distance = np.linalg.norm(tags[rows][:, None] - mean, axis=2)  # (n, people)
            person = self._assign(distance, score[rows])
            new = person < 0
            person[new] = len(row) + np.arange(new.sum())
            row = np.concatenate([row, np.full((new.sum(), keypoints), -1, np.int64)])
            total = np.concatenate([total, np.zeros((new.sum(), tags.shape[1]))])
            count = np.concatenate([count, np.zeros(new.sum())])
            row[person, joint_index] = rows
            total[person] += tags[rows]
            count[person] += 1
        return Groups(row, np.where(row >= 0, np.append(score, 0.0)[row], 0.0).mean(axis=1)).best_first()

    def _assign(self, distance: Float[np.ndarray, "n P"], score: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """Return the person of each of a joint's candidates, -1 for a new one."""
        from scipy.optimize import linear_sum_assignment

        candidates, people = distance.shape
        cost = np.rint(distance) * 100 - score[:, None] + _TIE * np.sqrt(distance)
        spare = np.zeros(
            (candidates, max(candidates - people, 0))
        )  # all are taken, so that their cost is of no account
        rows, columns = linear_sum_assignment(np.concatenate([cost, spare], axis=1))
        person = np.full(candidates, -1, np.int64)
        person[rows] = np.where(columns < people, columns, -1)
        too_far = np.append(distance, np.full((candidates, 1), np.inf), axis=1)[np.arange(candidates), person]
        return np.where(too_far < self.tag_threshold, person, -1)


def mean_tags(groups: Groups, tags: Float[np.ndarray, "N T"]) -> Float[np.ndarray, "P T"]:
    """Return the mean tag of each person's candidates."""
    has_joint = (~groups.missing)[..., None]
    return (groups.take(tags) * has_joint).sum(axis=1) / has_joint.sum(axis=1)
