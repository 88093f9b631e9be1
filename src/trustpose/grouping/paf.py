"""Group candidates into people by scored links along limbs, as from part affinity fields (`codecs.fields`).

Sources: Cao et al., Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields, CVPR 2017: links of each limb
are matched one to one (equations 12 to 14), limb by limb (equation 15); Cao et al., OpenPose, TPAMI 2019, section 3.5:
links of all limbs together by score, with redundant limbs, where a link is ignored that contradicts a better one.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Int

from trustpose.grouping.groups import Groups

Matching = Literal["greedy", "optimal"]
MATCHINGS: tuple[Matching, ...] = get_args(Matching)
Order = Literal["limbs", "scores"]
OPENPOSE_MIN_PARTS, OPENPOSE_MIN_SCORE = 4, 0.4


@dataclass(frozen=True)
class LimbGrouping:
    """Options of grouping by links.

    limbs: pairs of joints (from, to), in the order in which they are joined. matching: of each limb's links, "greedy",
    the best first, or "optimal", the highest sum (Hungarian algorithm). order: "limbs", one after the other (2017), or
    "scores", the best links of any limb first (2019). redundant: limbs, by index, that join parts but found no person.
    People with fewer than `min_parts` joints, or a score below `min_score`, are dropped; with 1, candidates without a
    link are people of one joint.
    """

    limbs: tuple[tuple[int, int], ...]
    matching: Matching = "greedy"
    order: Order = "limbs"
    redundant: frozenset[int] = frozenset()
    min_parts: int = OPENPOSE_MIN_PARTS
    min_score: float = OPENPOSE_MIN_SCORE

    def group(
        self,
        joint: Int[np.ndarray, " N"],
        score: Float[np.ndarray, " N"],
        links: Int[np.ndarray, "M 2"],
        link_limb: Int[np.ndarray, " M"],
        link_score: Float[np.ndarray, " M"],
        keypoints: int,
    ) -> Groups:
        """Return the people among one photo's N candidates, the best first.

        joint, score: of the candidates; links: pairs of their rows (from, to), the limb and score of each. A person's
        score is the sum of the scores of its candidates and of the links that joined them, divided by its number of
        joints, as OpenPose's. A link joins its candidates' people if they have no joint in common, and is ignored
        otherwise.
        """
        match = greedy_matches if self.matching == "greedy" else optimal_matches
        matched = match(links, link_limb, link_score)
        if self.order == "limbs":
            matched = matched[np.lexsort((-link_score[matched], link_limb[matched]))]
        else:
            matched = matched[np.argsort(-link_score[matched], kind="stable")]
        people = _People(joint, score, keypoints)
        is_redundant = np.isin(link_limb[matched], list(self.redundant))
        for (start, end), may_create, score_of_link in zip(
            links[matched].tolist(), (~is_redundant).tolist(), link_score[matched].tolist(), strict=True
        ):
            people.join(start, end, score_of_link, may_create=may_create)
        groups = people.groups(with_lone=self.min_parts <= 1)
        enough = (groups.row >= 0).sum(axis=1) >= self.min_parts
        rows = np.flatnonzero(enough & (groups.score >= self.min_score))
        return Groups(groups.row[rows], groups.score[rows]).best_first()


def greedy_matches(
    links: Int[np.ndarray, "M 2"], limb: Int[np.ndarray, " M"], score: Float[np.ndarray, " M"]
) -> Int[np.ndarray, " m"]:
    """Return the links that are left if each limb's are taken one by one, the best first, and each candidate once.

    In a tie the first is better. All limbs are matched at once: in every round the links that are the best of both
    their candidates, which the one-by-one search would take, too.
    """
    rank = np.empty(len(score), np.int64)
    rank[np.argsort(-score, kind="stable")] = np.arange(len(score))
    ends = [_numbered(limb, links[:, end]) for end in (0, 1)]
    free = [np.ones(len(score), np.bool_) for _ in ends]
    chosen: list[np.ndarray] = []
    alive = np.arange(len(score))
    while len(alive):
        is_best = np.ones(len(alive), np.bool_)
        for end in ends:
            best = np.full(len(score), len(score))
            np.minimum.at(best, end[alive], rank[alive])
            is_best &= best[end[alive]] == rank[alive]
        chosen.append(alive[is_best])
        for end, still in zip(ends, free, strict=True):
            still[end[alive[is_best]]] = False
        alive = alive[free[0][ends[0][alive]] & free[1][ends[1][alive]]]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *chosen]))


def optimal_matches(
    links: Int[np.ndarray, "M 2"], limb: Int[np.ndarray, " M"], score: Float[np.ndarray, " M"]
) -> Int[np.ndarray, " m"]:
    """Return the links of each limb with the highest sum of scores, each candidate at most once; scores above 0."""
    from scipy.optimize import linear_sum_assignment

    chosen_links = [np.zeros(0, np.int64)]
    for limb_index in np.unique(limb):
        rows = np.flatnonzero(limb == limb_index)
        (start, row), (end, column) = (np.unique(links[rows, side], return_inverse=True) for side in (0, 1))
        worth = np.zeros((len(start), len(end)))
        which = np.full(worth.shape, -1)
        worth[row, column], which[row, column] = score[rows], rows
        chosen = which[linear_sum_assignment(worth, maximize=True)]
        chosen_links.append(chosen[chosen >= 0])
    return np.sort(np.concatenate(chosen_links))


def _numbered(limb: Int[np.ndarray, " M"], row: Int[np.ndarray, " M"]) -> Int[np.ndarray, " M"]:
    """Return numbers below M that are the same for the same limb and candidate."""
    return np.unique(np.stack([limb, row]), axis=1, return_inverse=True)[1].reshape(-1)


class _People:
    """People that grow link by link."""

    def __init__(self, joint: np.ndarray, score: np.ndarray, keypoints: int) -> None:
        self.joint: list[int] = joint.tolist()
        self.score: list[float] = score.tolist()
        self.keypoints = keypoints
        self.person = [-1] * len(self.joint)
        self.parts: list[dict[int, int]] = []  # of each person: candidate by joint; empty once joined to another
        self.links: list[float] = []  # the sum of its links' scores

    def join(self, start: int, end: int, link_score: float, *, may_create: bool) -> None:
        """Join two candidates' people, if they have no joint in common."""
        a, b = self.person[start], self.person[end]
        if a < 0 and b < 0:
            if not may_create:
                return
            a = self._new_person(start)
        elif a < 0:
            a, b, start, end = b, a, end, start
        if b < 0:
            if self.joint[end] in self.parts[a]:
                return
            self.parts[a][self.joint[end]] = end
            self.person[end] = a
        else:
            if a == b or self.parts[a].keys() & self.parts[b].keys():
                return
            for joint, row in self.parts[b].items():
                self.parts[a][joint] = row
                self.person[row] = a
            self.links[a] += self.links[b]
            self.parts[b], self.links[b] = {}, 0.0
        self.links[a] += link_score

    def _new_person(self, row: int) -> int:
        self.person[row] = len(self.parts)
        self.parts.append({self.joint[row]: row})
        self.links.append(0.0)
        return self.person[row]

    def groups(self, *, with_lone: bool) -> Groups:
        """Return the people; `with_lone`: also candidates without any link."""
        for row in range(len(self.person) if with_lone else 0):
            if self.person[row] < 0:
                self._new_person(row)
        indices = [index for index, parts in enumerate(self.parts) if parts]
        rows = np.full((len(indices), self.keypoints), -1, np.int64)
        score = np.zeros(len(indices))
        for number, person in enumerate(indices):
            parts = self.parts[person]
            rows[number, list(parts.keys())] = list(parts.values())
            score[number] = (sum(self.score[row] for row in parts.values()) + self.links[person]) / len(parts)
        return Groups(rows, score)
