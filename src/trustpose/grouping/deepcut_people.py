"""Group scored part candidates of a photo into people by DeepCut."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.grouping.deepcut import Partition, PartProblem, solve
from trustpose.grouping.deepcut_terms import PairwiseTerms


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
    found = solve(PartProblem(part, terms.together(xy, scale)), single=single, time_limit=time_limit)
    people = (found.person.max(initial=-1) + 1, len(terms.bias))
    place, score, missing = np.full((*people, 2), np.nan), np.zeros(people), np.ones(people, dtype=bool)
    rows = np.flatnonzero(found.person >= 0)
    rows = rows[np.argsort(probability[rows], kind="stable")]  # the likeliest is written last
    at = found.person[rows], joint[rows]
    place[at], score[at], missing[at] = xy[rows], probability[rows], False
    return GroupedPeople(place, score, missing), found
