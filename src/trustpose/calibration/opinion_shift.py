"""Whether a second opinion is like the one that a calibrator was fitted with: its scores, and its agreement."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from trustpose.calibration.arrays import expect_names, expect_numbers
from trustpose.calibration.distribution_shift import CHANCE, FEATURE_DISTANCE, LEVELS, SCORE_DISTANCE, Steps
from trustpose.calibration.opinions import Opinion
from trustpose.files import InputError

_ARRAYS = ("scores", "agreement")
_OFF_SCALE = 0.25  # share of scores outside the fitted range that means another network or scale


@dataclass(frozen=True, eq=False)
class OpinionDomain:
    """Quantiles (101,) of a second opinion's keypoint scores and of its agreement with the first network's poses, over
    the fitted people that it has."""

    scores: Float[np.ndarray, "101"]
    agreement: Float[np.ndarray, "101"]

    def __post_init__(self) -> None:
        for name in _ARRAYS:
            levels = expect_numbers(getattr(self, name), f"opinion/{name}", (len(LEVELS),))
            if (np.diff(levels) < 0).any():
                raise ValueError(f"opinion/{name}: expected increasing quantiles")

    @classmethod
    def of(cls, opinion: Opinion) -> "OpinionDomain":
        """Compute the domain from the opinion on the fitted people."""
        return cls(*(np.quantile(column, LEVELS).astype(np.float64) for column in _columns(opinion)))

    def check(self, opinion: Opinion, label: str) -> None:
        """Raise InputError if the scores are on another scale than at fitting."""
        scores = _columns(opinion)[0]
        low, high = self.scores[[1, -2]]
        margin = 0.5 * max(high - low, 1e-6)
        if opinion.has_person.any() and ((scores < low - margin) | (scores > high + margin)).mean() > _OFF_SCALE:
            raise InputError(
                f"{label}: keypoint scores range from {scores.min():.4g} to {scores.max():.4g}, but at fitting from "
                f"{low:.4g} to {high:.4g}: another network, or another scale"
            )

    def warnings(self, opinion: Opinion, label: str) -> list[str]:
        """Return a sentence for each difference from the fitted opinion that chance does not explain."""
        count = int(np.count_nonzero(opinion.has_person))
        if not count:
            return [f"{label}: has none of these people, so it has no effect"]
        scores, agreement = (
            Steps.of(levels).distance(np.sort(column))
            for levels, column in zip((self.scores, self.agreement), _columns(opinion), strict=True)
        )
        chance, sentences = CHANCE / np.sqrt(count), []
        if scores > SCORE_DISTANCE + chance:
            sentences.append(
                f"{label}: keypoint scores are distributed differently from those at fitting (distance {scores:.2f} "
                "of 1): another network, or other photos; the trust may not hold here"
            )
        if agreement > FEATURE_DISTANCE + chance:
            sentences.append(
                f"{label}: its agreement with the poses is distributed differently from that at fitting (distance "
                f"{agreement:.2f} of 1); the trust may not hold here"
            )
        return sentences

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays to save, by name."""
        return {name: getattr(self, name) for name in _ARRAYS}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "OpinionDomain":
        """Build from `arrays`. Raises KeyError or ValueError for a missing or wrong array."""
        expect_names(arrays, _ARRAYS)
        return cls(**arrays)


def _columns(opinion: Opinion) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores (S,) of all joints and the agreement (M,) of the people that it has; a 0 if there are none."""
    has_person = opinion.has_person
    if not has_person.any():
        return np.zeros(1, np.float32), np.zeros(1, np.float32)
    return opinion.score[:, has_person].ravel(), opinion.agreement[has_person]
