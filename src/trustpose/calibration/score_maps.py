"""The simple calibrators: one increasing curve for each keypoint, from its printed score to what it should have said.

Three curves a keypoint, P(labelled), E[OPKS | labelled] and P(occluded | labelled), and one from the pose's score to
its expected OKS. Isotonic regression (Zadrozny & Elkan, KDD 2002) takes the best monotone curve; Platt scaling (1999) a
sigmoid of slope and offset; temperature scaling (Guo et al., ICML 2017) a sigmoid of the score's logit over one number,
and for occlusion, which no such curve can be, the keypoint's share. Occlusion may rise or fall with the score.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from trustpose.calibration.chances import Chances
from trustpose.calibration.features import People
from trustpose.calibration.logistic import fit_logistic, logit, sigmoid
from trustpose.calibration.targets import Targets
from trustpose.files import InputError
from trustpose.metrics.reliability import scale_to_unit

Curve = tuple[str, np.ndarray, np.ndarray]  # what it is a chance of, scores, targets in 0–1


@dataclass(frozen=True, eq=False)
class LogisticMaps:
    """Slopes and offsets (3K + 1,) of the sigmoids: K for labelled, K occluded, K similarity, one for the pose; of the
    score itself (platt) or of its logit (temperature)."""

    method: Literal["platt", "temperature"]
    slope: Float[np.ndarray, " M"]
    offset: Float[np.ndarray, " M"]

    def __post_init__(self) -> None:
        if self.slope.shape != self.offset.shape or len(self.slope) % 3 != 1:
            raise ValueError(f"LogisticMaps: expected 3K + 1 slopes and offsets, got {self.slope.shape}")

    @classmethod
    def fit(cls, method: Literal["platt", "temperature"], people: People, targets: Targets) -> "LogisticMaps":
        """By least cross-entropy. Raises InputError where temperature is asked of scores that are not on 0–1."""
        numbers = []
        for name, score, target in _curves(people, targets):
            if method == "temperature":
                if len(score) and scale_to_unit(score) is None:
                    low, high = score.min(), score.max()
                    raise InputError(f"temperature scaling needs scores in 0–1, got {low:.4g} to {high:.4g}")
                if name == "occluded":
                    share = target.mean() if len(target) else 0.0
                    numbers.append((0.0, logit(np.full(1, share))[0]))
                    continue
                score = logit(score)
            numbers.append(tuple(fit_logistic(score[:, None], target, offset=method == "platt")))
        return cls(method, *np.array(numbers).T)

    def __call__(self, people: People) -> Chances:
        k = self.keypoint_count
        as_read = logit if self.method == "temperature" else np.asarray
        score, pose = as_read(people.score), as_read(people.pose_score)
        slope, offset = (column[:-1].reshape(3, k, 1).astype(np.float32) for column in (self.slope, self.offset))
        labelled, occluded, similarity = (sigmoid(a * score + b) for a, b in zip(slope, offset, strict=True))
        return Chances(
            labelled, occluded, similarity, sigmoid(np.float32(self.slope[-1]) * pose + np.float32(self.offset[-1]))
        )

    @property
    def keypoint_count(self) -> int:
        """K."""
        return (len(self.slope) - 1) // 3

    def arrays(self) -> dict[str, np.ndarray]:
        """What is saved, by name."""
        return {"slope": self.slope, "offset": self.offset}


@dataclass(frozen=True, eq=False)
class IsotonicMaps:
    """Knots of the 3K + 1 curves, one after another: scores that rise within each, values 0–1; `start` (M + 1,)."""

    x: Float[np.ndarray, " T"]
    y: Float[np.ndarray, " T"]
    start: Int[np.ndarray, " M_and_1"]

    def __post_init__(self) -> None:
        ends = self.start[1:]
        if len(self.start) % 3 != 2 or (ends <= self.start[:-1]).any() or ends[-1] != len(self.x) != len(self.y):
            raise ValueError("IsotonicMaps: expected 3K + 1 curves of one knot or more")
        if not ((self.y >= 0) & (self.y <= 1)).all() or not np.isfinite(self.x).all():
            raise ValueError("IsotonicMaps: expected finite scores and values in 0–1")

    @classmethod
    def fit(cls, people: People, targets: Targets) -> "IsotonicMaps":
        """By least squares (pool adjacent violators), straight between the knots, level beyond the last ones."""
        from sklearn.isotonic import IsotonicRegression

        knots = []
        for name, score, target in _curves(people, targets):
            if len(score) < 2:
                knots.append((np.zeros(1), target[:1] if len(target) else np.zeros(1)))
                continue
            curve = IsotonicRegression(y_min=0, y_max=1, increasing=name != "occluded" or _rises(score, target))
            curve.fit(score.astype(np.float64), target)
            knots.append((curve.X_thresholds_, curve.y_thresholds_))
        x, y = (np.concatenate(columns).astype(np.float64) for columns in zip(*knots, strict=True))
        return cls(x, y, np.cumsum([0, *(len(column) for column, _ in knots)]))

    def __call__(self, people: People) -> Chances:
        k, n = people.score.shape
        said = np.empty((3, k, n), dtype=np.float32)
        for what in range(3):
            for joint in range(k):
                said[what, joint] = self._curve(what * k + joint, people.score[joint])
        return Chances(*said, pose=self._curve(3 * k, people.pose_score))

    def _curve(self, at: int, score: np.ndarray) -> np.ndarray:
        knots = slice(self.start[at], self.start[at + 1])
        return np.interp(score, self.x[knots], self.y[knots])

    @property
    def keypoint_count(self) -> int:
        """K."""
        return (len(self.start) - 2) // 3

    def arrays(self) -> dict[str, np.ndarray]:
        """What is saved, by name."""
        return {"x": self.x, "y": self.y, "start": self.start}


def maps_of_arrays(method: str, arrays: Mapping[str, np.ndarray]) -> LogisticMaps | IsotonicMaps:
    """The opposite of `arrays`. Raises KeyError or ValueError where something is missing or does not fit."""
    if method == "isotonic":
        return IsotonicMaps(arrays["x"], arrays["y"], arrays["start"])
    if method in ("platt", "temperature"):
        return LogisticMaps(method, arrays["slope"], arrays["offset"])  # type: ignore[arg-type]
    raise ValueError(f"no method {method!r}")


def _rises(score: np.ndarray, target: np.ndarray) -> bool:
    """Whether the target rather rises than falls with the score: by the slope of a straight line."""
    return bool((score - score.mean()) @ (target - target.mean()) >= 0)


def _curves(people: People, targets: Targets) -> Iterator[Curve]:
    """The 3K + 1 cases to fit a curve to, in the order that they are kept in."""
    score = people.score[:, targets.rows]
    labelled = targets.v > 0
    for joint, row in enumerate(score):
        yield "labelled", row, labelled[joint].astype(np.float64)
    for joint, row in enumerate(score):
        yield "occluded", row[labelled[joint]], (targets.v[joint][labelled[joint]] == 1).astype(np.float64)
    for joint, row in enumerate(score):
        yield "similarity", row[labelled[joint]], targets.opks[joint][labelled[joint]]
    yield "pose", people.pose_score[targets.rows], targets.oks
