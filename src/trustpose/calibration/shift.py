"""Detect people, or a second opinion, unlike those that a calibrator was fitted on.

There are three tests, on the calibrator's inputs (`features.pose_features`, keypoint scores). *Scores*: the
distribution of printed keypoint scores is an estimator's fingerprint. *Features*: people of another kind differ in
many features, each a little. Both use the largest difference between two distribution functions, 0–1
(Kolmogorov-Smirnov distance), at the fitted people's quantiles. *People*: the Mahalanobis distance of a person's
features from the fitted people's mean measures how unusual the person is. Of people like the fitted ones 1 in 100
exceeds their 99th percentile.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from trustpose.calibration.arrays import LARGEST, check_names, checked_array
from trustpose.calibration.opinions import Opinion
from trustpose.files import InputError

SHARE = 0.05  # warning threshold: share of people beyond the fitted 99th percentile
SCORE_DISTANCE = 0.15  # warning threshold, in addition to the allowance for small samples
FEATURE_DISTANCE = 0.1  # the same, for the mean over features
CHANCE = 1.4  # / √people: allowance for chance (the 95th percentile of Kolmogorov's distribution is 1.36)
_RIDGE = 0.05  # added to the correlations, so that directions without variance do not dominate
_MAX_PEOPLE = 20_000  # people used to compute the domain
_CUT = 6.0  # standard deviations at which features are clipped, so that no single one dominates
LEVELS = np.linspace(0, 1, 101)
_ARRAYS = ("middle", "spread", "quantiles", "whitening", "scores")


class DistributionShiftWarning(UserWarning):
    """People or scores are unlike those that a calibrator was fitted on."""


@dataclass(frozen=True)
class Shift:
    """How N other people differ: the share beyond the 99th percentile of the fitted people, the distances of the
    distributions of keypoint scores and of features (mean), and the features that differ most, with their distances."""

    people: int
    share_outside: float
    score_distance: float
    feature_distance: float
    features: tuple[tuple[str, float], ...]

    def warnings(self) -> list[str]:
        """Return a sentence for each test that detects a shift."""
        chance = CHANCE / np.sqrt(self.people)
        sentences = []
        if self.score_distance > SCORE_DISTANCE + chance:
            sentences.append(
                "keypoint scores are distributed differently from the calibrator's training data (distance "
                f"{self.score_distance:.2f} of 1): another estimator or different photos; it may not be valid here"
            )
        if self.feature_distance > FEATURE_DISTANCE + chance:
            named = ", ".join(f"{name} {distance:.2f}" for name, distance in self.features)
            sentences.append(
                "these people are unlike those that the calibrator was fitted on (mean distance of features "
                f"{self.feature_distance:.2f} of 1; largest: {named}); it may not be valid here"
            )
        if self.share_outside > SHARE + chance:
            sentences.append(
                f"{self.share_outside:.0%} of these people are more extreme than 99 % of those that the calibrator was "
                "fitted on; it may not be valid for them"
            )
        return sentences


@dataclass(frozen=True, eq=False)
class Domain:
    """The distribution of the fitted people: `middle`, `spread` (P,) and `quantiles` (P, 101) of each feature,
    `whitening` (P, P) of the standardised ones, `far`, the 99th percentile of their distance, and `scores`, the
    quantiles (101,) of their keypoint scores."""

    names: tuple[str, ...]
    middle: Float[np.ndarray, " P"]
    spread: Float[np.ndarray, " P"]
    quantiles: Float[np.ndarray, "P 101"]
    whitening: Float[np.ndarray, "P P"]
    far: float
    scores: Float[np.ndarray, "101"]

    def __post_init__(self) -> None:
        count, levels = len(self.names), len(LEVELS)
        shapes = ((count,), (count,), (count, levels), (count, count), (levels,))
        for name, shape in zip(_ARRAYS, shapes, strict=True):
            checked_array(getattr(self, name), f"domain/{name}", shape, minimum=1e-9 if name == "spread" else None)
        if not 0 <= self.far <= LARGEST:
            raise ValueError(f"domain/far: expected a number of at least 0, got {self.far}")
        if (np.diff(self.quantiles) < 0).any() or (np.diff(self.scores) < 0).any():
            raise ValueError("domain: expected increasing quantiles")

    @classmethod
    def of(
        cls, features: Mapping[str, Float[np.ndarray, " N"]], score: Float[np.ndarray, "K N"], seed: int = 0
    ) -> "Domain":
        """Compute the domain of N people from their features and keypoint scores, ignoring NaN scores."""
        columns, people = list(features.values()), score.shape[1]
        if people > _MAX_PEOPLE:
            chosen = np.sort(np.random.default_rng(seed).choice(people, _MAX_PEOPLE, replace=False))
            table, score = np.stack([column[chosen] for column in columns], axis=1).T, score[:, chosen]
        else:
            table = np.stack(columns)
        table = table.astype(np.float64)  # (P, N)
        middle, spread = table.mean(axis=1), table.std(axis=1)
        spread = np.where(spread > 1e-6, spread, 1.0)
        standard = _standardised(table, middle, spread)
        halves = standard[:, ::2], standard[:, 1::2]
        held_out = [_far_out(other_half, _whitening(half)) for half, other_half in (halves, halves[::-1])]
        return cls(
            names=tuple(features),
            middle=middle,
            spread=spread,
            quantiles=np.quantile(table, LEVELS, axis=1).T,
            whitening=_whitening(standard),
            far=float(np.quantile(np.concatenate(held_out), 0.99)),  # distances of held-out people
            scores=np.quantile(_without_nan(score), LEVELS).astype(np.float64),
        )

    def compare(self, features: Mapping[str, Float[np.ndarray, " N"]], score: Float[np.ndarray, "K N"]) -> Shift:
        """Compare N other people, at least one; NaN scores are ignored. Raises InputError for other features."""
        if tuple(features) != self.names:
            raise InputError(
                "the calibrator was fitted with features that this version of trustpose does not compute; fit it again"
            )
        table = np.stack(list(features.values())).astype(np.float64)  # (P, N)
        standard = _standardised(table, self.middle, self.spread)
        ordered = np.sort(table, axis=1)
        distance = np.array([steps.distance(row) for steps, row in zip(self._steps, ordered, strict=True)])
        most_shifted = np.argsort(-distance, kind="stable")[:3]
        return Shift(
            people=table.shape[1],
            share_outside=float((_far_out(standard, self.whitening) > self.far).mean()),
            score_distance=Steps.of(self.scores).distance(np.sort(_without_nan(score))),
            feature_distance=float(distance.mean()),
            features=tuple((self.names[feature], float(distance[feature])) for feature in most_shifted),
        )

    @cached_property
    def _steps(self) -> "tuple[Steps, ...]":
        """The distribution function of each feature."""
        return tuple(map(Steps.of, self.quantiles))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays to save, by name."""
        columns = {name: getattr(self, name) for name in _ARRAYS}
        return columns | {"names": np.array(self.names), "far": np.array(self.far)}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Domain":
        """Build a domain from `arrays`. Raises KeyError or ValueError for a missing or wrong array."""
        check_names(arrays, (*_ARRAYS, "names", "far"))
        columns = {name: arrays[name] for name in _ARRAYS}
        return cls(names=tuple(map(str, arrays["names"].tolist())), far=float(arrays["far"]), **columns)


def _without_nan(score: np.ndarray) -> np.ndarray:
    """Return the scores that are not NaN; a single 0 if there are none."""
    scores = score[~np.isnan(score)]
    return scores if len(scores) else np.zeros(1, dtype=score.dtype)


def _standardised(table: np.ndarray, middle: np.ndarray, spread: np.ndarray) -> np.ndarray:
    return np.clip((table - middle[:, None]) / spread[:, None], -_CUT, _CUT)


def _whitening(standard: np.ndarray) -> np.ndarray:
    """Return a matrix (P, P) whose transpose makes standardised features (P, N) uncorrelated with variance 1."""
    count = len(standard)
    return np.linalg.cholesky(np.linalg.inv(standard @ standard.T / max(standard.shape[1], 1) + _RIDGE * np.eye(count)))


def _far_out(standard: np.ndarray, whitening: np.ndarray) -> np.ndarray:
    """Compute the Mahalanobis distance (N,) of each person from the mean."""
    return np.linalg.norm(whitening.T @ standard, axis=0)


@dataclass(frozen=True, eq=False)
class Steps:
    """A distribution function of the fitted people at its distinct quantiles, `level` (L,), and just below them."""

    level: np.ndarray
    below: np.ndarray
    upto: np.ndarray

    @classmethod
    def of(cls, quantiles: np.ndarray) -> "Steps":
        level = np.unique(quantiles)
        below = LEVELS[np.searchsorted(quantiles, level, side="left")]
        return cls(level, below, LEVELS[np.searchsorted(quantiles, level, side="right") - 1])

    def distance(self, ordered: np.ndarray) -> float:
        """Return the largest difference from the distribution function of `ordered` values (N,).

        A quantile that many fitted people share is a step, so both functions are also evaluated just below it.
        """
        counts = StepCounts(self)
        counts.add(ordered)
        return counts.distance()


class StepCounts:
    """How many values of a sample lie below and up to each step of a distribution function, added batch by batch."""

    def __init__(self, steps: Steps) -> None:
        self._steps, self._count = steps, 0
        self._below, self._upto = np.zeros((2, len(steps.level)), np.int64)

    def add(self, ordered: Float[np.ndarray, " N"]) -> None:
        """Count ascending values."""
        self._below += ordered.searchsorted(self._steps.level, "left")
        self._upto += ordered.searchsorted(self._steps.level, "right")
        self._count += len(ordered)

    def distance(self) -> float:
        """Return `Steps.distance` of all values."""
        below, upto = self._below / self._count, self._upto / self._count
        return float(max(np.abs(self._steps.below - below).max(), np.abs(self._steps.upto - upto).max()))


_OPINION_ARRAYS = ("scores", "agreement")
_OFF_SCALE = 0.25  # share of scores outside the fitted range that means another network or scale


@dataclass(frozen=True, eq=False)
class OpinionDomain:
    """Quantiles (101,) of a second opinion's keypoint scores and of its agreement with the first network's poses, over
    the fitted people that it has."""

    scores: Float[np.ndarray, "101"]
    agreement: Float[np.ndarray, "101"]

    def __post_init__(self) -> None:
        for name in _OPINION_ARRAYS:
            levels = checked_array(getattr(self, name), f"opinion/{name}", (len(LEVELS),))
            if (np.diff(levels) < 0).any():
                raise ValueError(f"opinion/{name}: expected increasing quantiles")

    @classmethod
    def of(cls, opinion: Opinion) -> "OpinionDomain":
        """Compute the domain from the opinion on the fitted people."""
        return cls(*(np.quantile(column, LEVELS).astype(np.float64) for column in _columns(opinion)))

    def check(self, opinion: Opinion, label: str) -> None:
        """Raise InputError if the scores are on another scale than at fitting."""
        compared = OpinionCheck(self, label)
        compared.add(opinion)
        compared.check()

    def warnings(self, opinion: Opinion, label: str) -> list[str]:
        """Return a sentence for each difference from the fitted opinion that chance does not explain."""
        compared = OpinionCheck(self, label)
        compared.add(opinion)
        return compared.warnings()

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays to save, by name."""
        return {name: getattr(self, name) for name in _OPINION_ARRAYS}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "OpinionDomain":
        """Build from `arrays`. Raises KeyError or ValueError for a missing or wrong array."""
        check_names(arrays, _OPINION_ARRAYS)
        return cls(**arrays)


class OpinionCheck:
    """Compares a second opinion on people, added batch by batch, with the one on the fitted people.

    Args:
        domain: The one on the fitted people.
        label: Of the second opinion, for messages.
    """

    def __init__(self, domain: OpinionDomain, label: str) -> None:
        self._label = label
        self._low, self._high = domain.scores[[1, -2]]
        self._scores, self._agreement = (StepCounts(Steps.of(levels)) for levels in (domain.scores, domain.agreement))
        self._people = self._outside = self._score_count = 0
        self._lowest, self._highest = np.inf, -np.inf

    def add(self, opinion: Opinion) -> None:
        """Count the people of a batch."""
        if not opinion.has_person.any():
            return
        scores, agreement = _columns(opinion)
        margin = 0.5 * max(self._high - self._low, 1e-6)
        self._outside += int(((scores < self._low - margin) | (scores > self._high + margin)).sum())
        self._score_count += len(scores)
        self._lowest, self._highest = min(self._lowest, scores.min()), max(self._highest, scores.max())
        self._people += int(np.count_nonzero(opinion.has_person))
        self._scores.add(np.sort(scores))
        self._agreement.add(np.sort(agreement))

    def check(self) -> None:
        """Raise InputError if the scores are on another scale than at fitting."""
        if self._outside > _OFF_SCALE * self._score_count:
            raise InputError(
                f"{self._label}: keypoint scores range from {self._lowest:.4g} to {self._highest:.4g}, but at fitting "
                f"from {self._low:.4g} to {self._high:.4g}: another network, or another scale"
            )

    def warnings(self) -> list[str]:
        """Return a sentence for each difference from the fitted opinion that chance does not explain."""
        if not self._people:
            return [f"{self._label}: has none of these people, so it has no effect"]
        scores, agreement = self._scores.distance(), self._agreement.distance()
        chance, sentences = CHANCE / np.sqrt(self._people), []
        if scores > SCORE_DISTANCE + chance:
            sentences.append(
                f"{self._label}: keypoint scores are distributed differently from those at fitting (distance "
                f"{scores:.2f} of 1): another network or different photos; the trust may not be valid here"
            )
        if agreement > FEATURE_DISTANCE + chance:
            sentences.append(
                f"{self._label}: its agreement with the poses is distributed differently from that at fitting "
                f"(distance {agreement:.2f} of 1); the trust may not be valid here"
            )
        return sentences


def _columns(opinion: Opinion) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores (S,) of all joints and the agreement (M,) of the people that it has; a 0 if there are none."""
    has_person = opinion.has_person
    if not has_person.any():
        return np.zeros(1, np.float32), np.zeros(1, np.float32)
    return opinion.score[:, has_person].ravel(), opinion.agreement[has_person]
