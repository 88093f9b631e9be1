"""Whether people are like those that a calibrator was fitted on: nobody can say what it is worth elsewhere.

Two looks. *Scores*: the distribution of printed keypoint scores is an estimator's fingerprint; the largest difference
between two distribution functions (Kolmogorov and Smirnov's distance) tells another estimator, or the same one on other
photos. *People*: each person's features (`features.pose_features`) are a point; its distance from the fitted people's
middle, in units of their spread along every direction (Mahalanobis), says how unusual the person is as a whole. Of
people like the fitted ones 1 in 100 is further out than 99 % of those.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

SHARE = 0.05  # of people further out than 99 % of the fitted: where a warning starts
SCORE_DISTANCE = 0.15  # of score distributions; where a warning starts
_RIDGE = 0.05  # added to the correlations: directions along which nobody differs do not decide
_MOST = 20_000  # people that the middle and spread are taken of
_FEATURES_NAMED = 3
_CUT = 6.0  # standard deviations; a feature further out counts as this far, so that no single one decides


@dataclass(frozen=True)
class Shift:
    """How other people differ: the share further out than 99 % of the fitted people, the distance of the score
    distributions (0–1), and the features that differ most, by their mean in fitted standard deviations."""

    share_outside: float
    score_distance: float
    features: tuple[tuple[str, float], ...]

    def warnings(self) -> list[str]:
        """A sentence for each look that finds the people unlike the fitted ones."""
        found = []
        if self.share_outside > SHARE:
            named = ", ".join(f"{name} {mean:+.1f} sd" for name, mean in self.features)
            found.append(
                f"{self.share_outside:.0%} of the people lie further out than 99 % of those that the calibrator was "
                f"fitted on (1 % expected; most unlike: {named}): it may not hold for them"
            )
        if self.score_distance > SCORE_DISTANCE:
            found.append(
                f"keypoint scores are distributed unlike those that the calibrator was fitted on (distance "
                f"{self.score_distance:.2f} of 1): another estimator, or other photos"
            )
        return found


@dataclass(frozen=True, eq=False)
class Domain:
    """The people that a calibrator was fitted on: `middle`, `spread`, `low` and `high` (P,) of each feature,
    `whitening` (P, P) of the standardised ones, the distance `far` that 99 % of them keep, and 201 quantiles of their
    scores."""

    names: tuple[str, ...]
    middle: Float[np.ndarray, " P"]
    spread: Float[np.ndarray, " P"]
    low: Float[np.ndarray, " P"]
    high: Float[np.ndarray, " P"]
    whitening: Float[np.ndarray, "P P"]
    far: float
    scores: Float[np.ndarray, "201"]

    def __post_init__(self) -> None:
        count = len(self.names)
        for name in ("middle", "spread", "low", "high"):
            if getattr(self, name).shape != (count,) or not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"Domain.{name}: expected {count} finite numbers")
        if self.whitening.shape != (count, count) or (self.spread <= 0).any() or self.scores.shape != (201,):
            raise ValueError("Domain: expected spreads above 0, a square whitening and 201 quantiles of scores")

    @classmethod
    def of(
        cls, features: dict[str, Float[np.ndarray, " N"]], score: Float[np.ndarray, "K N"], seed: int = 0
    ) -> "Domain":
        """The domain of N people by their features and keypoint scores."""
        table = np.stack(list(features.values()), axis=1).astype(np.float64)
        if len(table) > _MOST:
            chosen = np.sort(np.random.default_rng(seed).choice(len(table), _MOST, replace=False))
            table, score = table[chosen], score[:, chosen]
        middle, spread = table.mean(axis=0), table.std(axis=0)
        spread = np.where(spread > 1e-6, spread, 1.0)
        standard = np.clip((table - middle) / spread, -_CUT, _CUT)
        correlation = standard.T @ standard / len(standard) + _RIDGE * np.eye(len(middle))
        whitening = np.linalg.cholesky(np.linalg.inv(correlation))
        far = float(np.quantile(np.linalg.norm(standard @ whitening, axis=1), 0.99))
        scores = np.quantile(score, np.linspace(0, 1, 201)).astype(np.float64)
        return cls(tuple(features), middle, spread, table.min(axis=0), table.max(axis=0), whitening, far, scores)

    def compare(self, features: dict[str, Float[np.ndarray, " N"]], score: Float[np.ndarray, "K N"]) -> Shift:
        """How N other people, at least one, differ. Raises ValueError where the features are not those."""
        if tuple(features) != self.names:
            raise ValueError("Domain.compare: other features than those of the fitted people")
        table = np.stack(list(features.values()), axis=1).astype(np.float64)
        standard = (table - self.middle) / self.spread
        distance = np.linalg.norm(np.clip(standard, -_CUT, _CUT) @ self.whitening, axis=1)
        mean = np.clip(standard, -_CUT, _CUT).mean(axis=0)
        most = np.argsort(-np.abs(mean))[:_FEATURES_NAMED]
        return Shift(
            share_outside=float((distance > self.far).mean()),
            score_distance=self._score_distance(score),
            features=tuple((self.names[at], float(mean[at])) for at in most),
        )

    def _score_distance(self, score: np.ndarray) -> float:
        """The largest difference of the two distribution functions, at the fitted quantiles."""
        level, inverse = np.unique(self.scores, return_inverse=True)
        ours = np.bincount(inverse, minlength=len(level)).cumsum() / len(self.scores)
        theirs = np.searchsorted(np.sort(score, axis=None), level, side="right") / score.size
        return float(np.abs(ours - theirs).max())

    def arrays(self) -> dict[str, np.ndarray]:
        """What is saved, by name."""
        single = {name: getattr(self, name) for name in ("middle", "spread", "low", "high", "whitening", "scores")}
        return single | {"names": np.array(self.names), "far": np.array(self.far)}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Domain":
        """The opposite of `arrays`. Raises KeyError or ValueError where something is missing or does not fit."""
        columns = {name: arrays[name] for name in ("middle", "spread", "low", "high", "whitening", "scores")}
        return cls(names=tuple(map(str, arrays["names"].tolist())), far=float(arrays["far"]), **columns)
