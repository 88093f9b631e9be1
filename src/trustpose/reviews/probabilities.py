"""The probability of each kind of label error: a logistic regression on the hypotheses' ratios and their context.

`python tools/fit_review.py` fits it on made-up errors and prints `WEIGHTS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from trustpose.calibration.score_maps import sigmoid
from trustpose.reviews.evidence import Evidence
from trustpose.reviews.hypotheses import HYPOTHESES, inputs_of, ratios_of

PRIOR = 0.05
"""The share of labels (people) with an error of a kind, that the probabilities are stated for."""

# of `hypotheses.inputs_of`; the last is the offset
WEIGHTS: dict[str, tuple[float, ...]] = {
    "position": (
        0.7462,
        -0.0161,
        -0.0006,
        0.0125,
        0.0,
        0.4921,
        -0.2597,
        -0.1892,
        -0.3955,
        -0.0151,
        -0.5468,
        0.0,
        -0.7578,
        -0.1284,
        0.8257,
        0.5045,
        0.1578,
        1.262,
        -0.5239,
        -0.644,
        0.0412,
        0.0215,
        -1.4878,
    ),
    "swapped": (
        0.1931,
        0.444,
        0.0088,
        -0.0021,
        0.0,
        -0.1518,
        0.0871,
        -0.3388,
        -0.0079,
        -0.3149,
        -0.085,
        0.0,
        -0.0058,
        -0.1809,
        0.0761,
        -0.1791,
        -0.0086,
        0.0361,
        0.0575,
        -0.222,
        0.3683,
        -0.07,
        -2.6579,
    ),
    "person_swapped": (0.2002, -0.0203, 0.4871, 0.0476, 0.4368, -0.2787, 0.4575, 0.0052, -0.127, -4.0339),
    "other_person": (
        -0.4633,
        -0.0146,
        -0.0417,
        0.511,
        0.0,
        0.5854,
        -0.1345,
        0.2802,
        -0.3063,
        0.0835,
        0.1062,
        0.0,
        -0.4843,
        -0.5917,
        -0.064,
        0.4611,
        0.0099,
        0.0537,
        0.0066,
        -0.7378,
        -0.8946,
        0.0501,
        -2.8614,
    ),
    "missing": (
        0.0,
        0.0,
        -0.0122,
        0.0,
        0.4634,
        0.0,
        0.0,
        0.0,
        0.0,
        -0.0634,
        0.0,
        0.2678,
        0.0,
        0.0,
        -0.208,
        0.4824,
        -0.1617,
        0.0,
        0.0,
        -0.2428,
        -0.5313,
        -0.0195,
        -3.2858,
    ),
    "invented": (
        -0.3555,
        0.073,
        -0.0164,
        0.0021,
        0.0,
        0.7315,
        0.2609,
        0.4506,
        -0.4191,
        -0.0693,
        -0.4059,
        0.0,
        -0.499,
        0.0022,
        0.7025,
        -0.6516,
        -0.0607,
        0.9913,
        -0.218,
        -0.0467,
        -1.1748,
        0.0191,
        -2.2503,
    ),
    "visibility": (
        -0.4802,
        0.0126,
        0.0024,
        -0.0038,
        0.0,
        0.0237,
        0.9639,
        0.1531,
        -0.0479,
        -0.0181,
        -0.089,
        0.0,
        -0.3124,
        0.1333,
        -0.447,
        0.1325,
        0.0928,
        0.0277,
        0.2189,
        0.0073,
        -0.4906,
        0.014,
        -3.324,
    ),
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
    """Return the probability of each kind, for all labels that can have it."""
    ratios = ratios_of(evidence)
    probabilities = {}
    for kind in HYPOTHESES:
        person, keypoint, inputs = inputs_of(kind, evidence, ratios)
        *slopes, offset = weights[kind]
        probabilities[kind] = KindProbabilities(person, keypoint, sigmoid(inputs @ np.array(slopes) + offset))
    return probabilities
