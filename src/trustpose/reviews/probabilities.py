"""The probability of each kind of label error: the hypothesis' ratio and its context, weighted as fitted on made-up
errors, and what other kinds explain of the same label taken off.

`python tools/fit_review.py` prints `WEIGHTS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from trustpose.reviews.evidence import Evidence
from trustpose.reviews.hypotheses import HYPOTHESES, PERSON_KINDS, inputs_of

PRIOR = 0.05
"""The share of labels (people) with an error of a kind, that the probabilities are stated for."""
_MOST = 30.0  # of log odds

# weights of the ratio, its positive part, the context, and for `swapped` of the person's other pairs; then the offset
WEIGHTS: dict[str, tuple[float, ...]] = {
    "position": (1.2901, -0.3519, 1.5006, 0.1542, 0.1336, 2.1855, -0.9606, -1.0203, -0.2016, -1.5654),
    "swapped": (0.5561, -0.2262, 0.025, 0.1636, 0.0508, 0.0762, 0.0024, -0.4313, 0.4579, -0.1513, -3.8832),
    "person_swapped": (0.203, -0.0295, 0.3218, 0.085, 0.4482, -0.5479, 0.7168, -0.0405, 0.245, -3.3505),
    "other_person": (0.769, -0.2802, 0.3487, 0.2231, 0.2111, 0.986, 0.0569, -1.0257, -1.3556, -2.3731),
    "missing": (0.2183, 0.2673, -0.1283, 0.7285, -0.1993, 0.0, 0.0, -0.2494, -0.6444, -3.142),
    "invented": (0.9603, -0.3646, 0.9789, -0.4227, -0.1335, 0.6813, -0.5536, -0.1761, -1.4235, -1.2039),
    "visibility": (1.0003, 0.0588, -0.1903, 0.1175, 0.0392, -0.0883, -0.2212, 0.067, -0.5817, -2.5021),
}


@dataclass(frozen=True, eq=False)
class KindProbabilities:
    """S labels that can have an error of a kind: the row of the person (S,), the keypoint (S,), -1 for a whole person,
    and the probability (S,)."""

    person: Int[np.ndarray, " S"]
    keypoint: Int[np.ndarray, " S"]
    probability: Float[np.ndarray, " S"]


def probabilities_of(
    evidence: Evidence, weights: Mapping[str, tuple[float, ...]] = WEIGHTS
) -> dict[str, KindProbabilities]:
    """Return the probability of each kind, for all labels that can have it.

    Kinds compete for a label: with odds o of each kind against a right label, the probability of a kind is
    o / (1 + Σ o) over all kinds of the keypoint and of its person.
    """
    shape = evidence.truth.v.shape
    odds, members = np.zeros(shape), {}
    of_person = np.zeros(shape[0])
    for kind in HYPOTHESES:
        person, keypoint, inputs = inputs_of(kind, evidence)
        *slopes, offset = weights[kind]
        own = np.exp(np.clip(inputs @ np.array(slopes) + offset, -_MOST, _MOST))
        members[kind] = person, keypoint, own
        if kind in PERSON_KINDS:
            np.add.at(of_person, person, own)
        else:
            np.add.at(odds, (person, keypoint), own)
    probabilities = {}
    for kind, (person, keypoint, own) in members.items():
        total = of_person[person] if kind in PERSON_KINDS else odds[person, keypoint] + of_person[person]
        probabilities[kind] = KindProbabilities(person, keypoint, own / (1 + total))
    return probabilities
