"""DeepCut: choose, label and group part candidates of all people in a photo at once, by an integer linear programme.

Pishchulin et al., DeepCut: Joint Subset Partition and Labeling for Multi Person Pose Estimation, CVPR 2016, section 2.
With D candidates and C part classes, x_dc = 1 if candidate d is a part of class c, y_dd' = 1 if candidates d and d'
belong to one person, and z_dd'cc' = x_dc x_d'c' y_dd'. The cost, to be minimised, is ⟨α, x⟩ + ⟨β, z⟩ with
α = log((1 − p_dc) / p_dc) and β = log((1 − p_dd'cc') / p_dd'cc'). Constraints:

- uniqueness (2): a candidate has at most one class; without one it is suppressed;
- coupling (3): only candidates with a class belong to people;
- transitivity (4): y_dd' + y_d'd'' − 1 ≤ y_dd'', added where a solution breaks it;
- products (5): z = x x y, linear;
- a single person (6), if asked for: all candidates with a class belong to one person.

(3) and (5) are here Σ_cc' z = y, Σ_c' z ≤ x_dc and Σ_c z ≤ x_d'c'. The integer solutions are the same, as at most one
x_dc of a candidate is 1, and the linear relaxation is tighter. HiGHS solves it (`scipy.optimize.milp`).
"""

import time
import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.grouping.crowdpose import JointCandidates, merge_joints, without_duplicates
from trustpose.grouping.deepcut_terms import PairwiseTerms, shipped_terms
from trustpose.poses import Poses
from trustpose.skeletons import Skeleton

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult
    from scipy.sparse import csr_array

CERTAIN = 1e-6  # probabilities are clipped this far from 0 and 1, except 0 for a class that is not possible
SLACK = 1e-6  # of a transitivity constraint, below HiGHS's own
_RELAXED_ROUNDS = 20  # rounds of the linear relaxation, most
_CUTS = 2000  # transitivity constraints added a round, most


@dataclass(frozen=True, eq=False)
class PartProblem:
    """D candidates, C part classes.

    part (D, C): p_dc, the probability that candidate d is a part of class c; 0 excludes the class, as where each
    candidate is a peak of one class's heatmap. together (D, D, C, C): p_dd'cc', the probability that d and d' belong to
    one person, given that they are of classes c and c'; [d, e, c, f] equals [e, d, f, c]. Its diagonal is not read.
    Raises ValueError if a
    number is no probability.
    """

    part: Float[np.ndarray, "D C"]
    together: Float[np.ndarray, "D D C C"]

    def __post_init__(self) -> None:
        off = ~np.eye(len(self.part), dtype=bool)
        for name, numbers in (("part", self.part), ("together", self.together[off])):
            if not ((numbers >= 0) & (numbers <= 1)).all():
                raise ValueError(f"{name}: expected probabilities from 0 to 1")
        if not np.allclose(self.together[off], self.together.transpose(1, 0, 3, 2)[off]):
            raise ValueError("together: expected [d, e, c, f] to equal [e, d, f, c]")

    @cached_property
    def alpha(self) -> Float[np.ndarray, "D C"]:
        """α, infinite where a class is not possible."""
        return np.where(self.part > 0, log_odds_against(self.part), np.inf)

    @cached_property
    def beta(self) -> Float[np.ndarray, "D D C C"]:
        """β."""
        return log_odds_against(self.together)


@dataclass(frozen=True, eq=False)
class Partition:
    """A solution: part (D,), the class of each candidate, and person (D,), a number from 0; both −1 if suppressed.

    cost: the objective's value. bound: no solution is cheaper. gap: (cost − bound) / max(1, |cost|), 0 if the solution
    is proven optimal. rounds: programmes solved, relaxed ones included. constraints: of transitivity, that were added.
    """

    part: Int[np.ndarray, " D"]
    person: Int[np.ndarray, " D"]
    cost: float
    bound: float
    rounds: int
    constraints: int

    @property
    def gap(self) -> float:
        return max(0.0, self.cost - self.bound) / max(1.0, abs(self.cost))


def log_odds_against(probability: np.ndarray) -> np.ndarray:
    """Return log((1 − p) / p), of p clipped to `CERTAIN` from 0 and 1."""
    clipped = np.clip(probability, CERTAIN, 1 - CERTAIN)
    return np.log1p(-clipped) - np.log(clipped)


def cost_of(problem: PartProblem, part: Int[np.ndarray, " D"], person: Int[np.ndarray, " D"]) -> float:
    """Return the objective's value (equation 7) of classes and people, −1 for suppressed candidates."""
    chosen = np.flatnonzero(part >= 0)
    alpha = problem.alpha[chosen, part[chosen]].sum()
    first, second = (chosen[index] for index in np.triu_indices(len(chosen), 1))
    same = person[first] == person[second]
    return float(alpha + problem.beta[first, second, part[first], part[second]][same].sum())


def local_search(
    problem: PartProblem, part: Int[np.ndarray, " D"], person: Int[np.ndarray, " D"], single: bool = False
) -> tuple[float, Int[np.ndarray, " D"], Int[np.ndarray, " D"]]:
    """Return cost, parts and people after moving candidates one at a time to the class and person, old or new, or to
    suppression, which lower the cost most, until none does. People are numbered anew."""
    part, person, changed = part.copy(), person.copy(), True
    while changed:
        changed = False
        for d in range(len(part)):
            before = part[d], person[d]
            part[d] = person[d] = -1
            chosen = np.flatnonzero(part >= 0)
            groups, group = np.unique(person[chosen], return_inverse=True)
            costs = np.zeros((len(groups) + 1, len(problem.alpha[d])))  # the last: alone
            np.add.at(costs, group, problem.beta[d, chosen, :, part[chosen]])
            costs = costs[: -1 if single and len(groups) else None] + problem.alpha[d]
            old = 0.0
            if before[0] >= 0:
                old = costs[np.searchsorted(groups, before[1]) if before[1] in groups else -1, before[0]]
            best = np.unravel_index(costs.argmin(), costs.shape)
            if min(costs[best], 0.0) < old - SLACK:
                changed = True
                if costs[best] < 0:
                    part[d] = best[1]
                    person[d] = groups[best[0]] if best[0] < len(groups) else groups.max(initial=-1) + 1
            else:
                part[d], person[d] = before
    chosen = part >= 0
    person[chosen] = np.unique(person[chosen], return_inverse=True)[1]
    return cost_of(problem, part, person), part, person


def solve(problem: PartProblem, *, single: bool = False, time_limit: float = 60.0) -> Partition:
    """Return the cheapest partition of a problem's candidates into people, within `time_limit` seconds (soft).

    single: all candidates that are not suppressed belong to one person. If time runs out, the best solution found is
    returned, at least as good as any that differs from it by one candidate (`local_search`), and its `gap` says how far
    from the optimum it may be. Raises ValueError for a time limit of 0 or less.
    """
    if not time_limit > 0:
        raise ValueError(f"time_limit: expected seconds, more than 0, got {time_limit:g}")
    programme = _Programme(problem, single)
    nobody = np.full(len(problem.part), -1)
    best, bound, rounds, ends = local_search(problem, nobody, nobody, single), -np.inf, 0, time.monotonic() + time_limit
    if not programme.classes:
        return Partition(nobody, nobody, 0.0, 0.0, 0, 0)
    relaxed = not single  # with one person nothing is to be cut
    while (seconds_left := ends - time.monotonic()) > 0:
        solution = programme.run(seconds_left, relaxed)
        rounds += 1
        bound = max(bound, programme.bound_of(solution, relaxed))
        if solution.x is None:
            break
        cuts = programme.cut(solution.x)
        if relaxed:
            relaxed = cuts > 0 and rounds < _RELAXED_ROUNDS
            continue
        best = min(best, local_search(problem, *programme.read(solution.x), single), key=lambda solution: solution[0])
        if not cuts and solution.status == 0:
            bound = best[0]
        if not cuts:
            break
    return Partition(best[1], best[2], best[0], min(bound, best[0]), rounds, programme.cuts)


class _Programme:
    """The programme's variables: x of possible classes, then y of pairs, then z. Transitivity grows by `cut`."""

    def __init__(self, problem: PartProblem, single: bool):
        self.problem = problem
        self.single = single
        self.candidate, self.label = np.nonzero(problem.part > 0)  # (X,)
        self.classes = len(self.candidate)
        count = len(problem.part)
        self.pair_first, self.pair_second = np.triu_indices(count, 1)  # (P,)
        self.number = np.full((count, count), -1)
        numbers = np.arange(len(self.pair_first))
        self.number[self.pair_first, self.pair_second] = numbers
        self.number[self.pair_second, self.pair_first] = numbers
        before = np.triu(self.candidate[:, None] < self.candidate)
        self.first, self.second = np.nonzero(before)  # (Z,): places of the two classes among x
        pair_of = self.candidate[self.first], self.candidate[self.second]
        self.pair = self.number[pair_of]
        beta = problem.beta[(*pair_of, self.label[self.first], self.label[self.second])]
        alpha = problem.alpha[self.candidate, self.label]
        self.cost = np.concatenate([alpha, np.zeros(len(self.pair_first)), beta])
        self.cuts = 0
        self.rows, self.high, self.low = self._rows()

    def run(self, seconds: float, relaxed: bool) -> "OptimizeResult":
        from scipy.optimize import Bounds, LinearConstraint, milp

        integral = np.zeros(len(self.cost))
        if not relaxed:
            integral[: self.classes + len(self.pair_first)] = 1
        within = LinearConstraint(self.rows, self.low, self.high)  # type: ignore[arg-type]
        options = {"time_limit": seconds, "mip_rel_gap": 0.0}
        return milp(self.cost, integrality=integral, bounds=Bounds(0, 1), constraints=within, options=options)

    @staticmethod
    def bound_of(solution: "OptimizeResult", relaxed: bool) -> float:
        """Return a lower bound of the cost that a programme gives: dual, or its optimum."""
        if solution.status == 0 and relaxed:
            return float(solution.fun)
        dual = None if relaxed else solution.get("mip_dual_bound")
        return -np.inf if dual is None else float(dual)

    def cut(self, solution: np.ndarray) -> int:
        """Add the transitivity constraints that a solution breaks, the most broken first, and return their number."""
        if self.single:
            return 0
        y = np.zeros(self.number.shape)
        linked = solution[self.classes :][: len(self.pair_first)]
        y[self.pair_first, self.pair_second] = linked
        y[self.pair_second, self.pair_first] = linked
        excess = y[:, :, None] + y[None, :, :] - y[:, None, :] - 1  # (D, D, D): from a over b to c
        a, b, c = np.nonzero(excess > SLACK)
        keep = (a < c) & (a != b) & (b != c)
        a, b, c = a[keep], b[keep], c[keep]
        worst = np.argsort(-excess[a, b, c], kind="stable")[:_CUTS]
        a, b, c = a[worst], b[worst], c[worst]
        columns = self.classes + np.stack([self.number[a, b], self.number[b, c], self.number[a, c]], axis=1)
        self._add(columns.ravel(), np.tile([1.0, 1.0, -1.0], len(a)), np.repeat(np.arange(len(a)), 3), len(a), 1.0)
        self.cuts += len(a)
        return len(a)

    def read(self, solution: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return parts and people of an integer solution; who is linked over others is one person."""
        part = np.full(len(self.problem.part), -1)
        chosen = np.flatnonzero(solution[: self.classes] > 0.5)
        part[self.candidate[chosen]] = self.label[chosen]
        linked = solution[self.classes :][: len(self.pair_first)] > 0.5
        return part, _connected(part >= 0, self.pair_first[linked], self.pair_second[linked])

    def _rows(self) -> tuple["csr_array", np.ndarray, np.ndarray]:
        """Build uniqueness, coupling with products, and the single person's constraints."""
        from scipy.sparse import csr_array

        x, pairs, z = self.classes, len(self.pair_first), len(self.first)
        self.rows, self.high, self.low = csr_array((0, x + pairs + z)), np.zeros(0), np.zeros(0)
        count, at_z, ones = len(self.problem.part), x + pairs + np.arange(z), np.ones(z)
        self._add(np.arange(x), np.ones(x), self.candidate, count, 1.0)  # Σ_c x_dc ≤ 1
        columns, values = np.concatenate([at_z, x + np.arange(pairs)]), np.concatenate([ones, -np.ones(pairs)])
        self._add(columns, values, np.concatenate([self.pair, np.arange(pairs)]), pairs, 0.0, low=0.0)  # Σ z = y
        for class_index in (self.first, self.second):  # Σ z ≤ x, for each pair and class of one of its two
            groups, group = np.unique(self.pair * x + class_index, return_inverse=True)
            columns = np.concatenate([at_z, groups % x])
            values = np.concatenate([ones, -np.ones(len(groups))])
            self._add(columns, values, np.concatenate([group, np.arange(len(groups))]), len(groups), 0.0)
        if self.single:  # Σ_c x_dc + Σ_c x_d'c − 1 ≤ y_dd'
            is_first, is_second = (
                self.candidate == self.pair_first[:, None],
                self.candidate == self.pair_second[:, None],
            )
            row, column = np.nonzero(is_first | is_second)
            columns = np.concatenate([column, x + np.arange(pairs)])
            values = np.concatenate([np.ones(len(column)), -np.ones(pairs)])
            self._add(columns, values, np.concatenate([row, np.arange(pairs)]), pairs, 1.0)
        return self.rows, self.high, self.low

    def _add(
        self, columns: np.ndarray, values: np.ndarray, row: np.ndarray, count: int, high: float, low: float = -np.inf
    ) -> None:
        from scipy.sparse import coo_array, csr_array, vstack

        new = coo_array((values, (row, columns)), shape=(count, len(self.cost)))
        self.rows = csr_array(vstack([self.rows, new]))
        self.high = np.concatenate([self.high, np.full(count, high)])
        self.low = np.concatenate([self.low, np.full(count, low)])


def _connected(
    chosen: Bool[np.ndarray, " D"], first: Int[np.ndarray, " L"], second: Int[np.ndarray, " L"]
) -> Int[np.ndarray, " D"]:
    """Number the connected groups of chosen candidates from 0, in order of their first; −1 for the others."""
    group = np.arange(len(chosen))
    for first_row, second_row in zip(first.tolist(), second.tolist(), strict=True):
        group[group == max(group[first_row], group[second_row])] = min(group[first_row], group[second_row])
    person = np.full(len(chosen), -1)
    person[chosen] = np.unique(group[chosen], return_inverse=True)[1]
    return person


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
