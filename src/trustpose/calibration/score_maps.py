"""The simple calibrators: one monotonic curve for each keypoint, from its printed score to its target.

There are three curves per keypoint, for P(labelled), E[OPKS | labelled] and P(occluded | labelled), and one from the
pose's score to its expected OKS. Isotonic regression (Zadrozny & Elkan, KDD 2002) fits the best monotonic curve; Platt
scaling (1999) a sigmoid with slope and offset; temperature scaling (Guo et al., ICML 2017) a sigmoid of the score's
logit divided by one number, and for occlusion, which such a curve cannot fit, the keypoint's base rate. Occlusion may
rise or fall with the score.

Missing keypoints are not used for a curve of their keypoint: tools print 0 for them, or anything. Their P(labelled) and
P(occluded | labelled) are the shares at fitting; if none was missing then, the curve is used.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from trustpose.calibration.arrays import expect_names, expect_numbers
from trustpose.calibration.features import NormalisedPoses
from trustpose.calibration.logistic import fit_logistic, logit, sigmoid
from trustpose.calibration.probabilities import Probabilities
from trustpose.calibration.targets import Targets
from trustpose.files import InputError
from trustpose.metrics.reliability import scale_to_unit

Curve = tuple[str, np.ndarray, np.ndarray]  # its name, scores, targets in 0–1
OfMissing = Float[np.ndarray, "2 K"] | None  # P(labelled) and P(occluded | labelled) of each keypoint if it is missing


@dataclass(frozen=True, eq=False)
class LogisticMaps:
    """Slopes and offsets (3K + 1,) of the sigmoids: K for labelled, K occluded, K similarity, one for the pose; of the
    score itself (platt) or of its logit (temperature)."""

    method: Literal["platt", "temperature"]
    slope: Float[np.ndarray, " M"]
    offset: Float[np.ndarray, " M"]
    of_missing: OfMissing = None

    def __post_init__(self) -> None:
        for name in ("slope", "offset"):
            expect_numbers(getattr(self, name), name, (None,))
        if self.slope.shape != self.offset.shape or len(self.slope) % 3 != 1:
            raise ValueError(f"LogisticMaps: expected 3K + 1 slopes and offsets, got {self.slope.shape}")
        _check_of_missing(self.of_missing, len(self.slope))

    @classmethod
    def fit(cls, method: Literal["platt", "temperature"], people: NormalisedPoses, targets: Targets) -> "LogisticMaps":
        """Fit by cross-entropy. Raises InputError for temperature scaling of scores outside 0–1."""
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
        return cls(method, *np.array(numbers).T, of_missing=_shares_of_missing(targets))

    def __call__(self, people: NormalisedPoses) -> Probabilities:
        k = self.keypoint_count
        as_read = logit if self.method == "temperature" else np.asarray
        score, pose = as_read(people.score), as_read(people.pose_score)
        slope, offset = (column[:-1].reshape(3, k, 1).astype(np.float32) for column in (self.slope, self.offset))
        labelled, occluded, similarity = (sigmoid(a * score + b) for a, b in zip(slope, offset, strict=True))
        pose = sigmoid(np.float32(self.slope[-1]) * pose + np.float32(self.offset[-1]))
        return _with_missing(Probabilities(labelled, occluded, similarity, pose), people, self.of_missing)

    @property
    def keypoint_count(self) -> int:
        """K."""
        return (len(self.slope) - 1) // 3

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays to save, by name."""
        return {"slope": self.slope, "offset": self.offset} | _saved(self.of_missing)


@dataclass(frozen=True, eq=False)
class IsotonicMaps:
    """Knots of the 3K + 1 curves, one after another: increasing scores within each, values 0–1; `start` (M + 1,)."""

    x: Float[np.ndarray, " T"]
    y: Float[np.ndarray, " T"]
    start: Int[np.ndarray, " M_and_1"]
    of_missing: OfMissing = None

    def __post_init__(self) -> None:
        expect_numbers(self.x, "x", (None,))
        expect_numbers(self.y, "y", (len(self.x),), minimum=0.0, maximum=1.0)
        start = expect_numbers(self.start, "start", (None,), kinds="iu", minimum=0.0).astype(np.int64)
        if len(start) % 3 != 2 or (np.diff(start) <= 0).any() or start[0] != 0 or start[-1] != len(self.x):
            raise ValueError("IsotonicMaps: expected 3K + 1 curves of one knot or more")
        inside = np.ones(len(self.x), dtype=np.bool_)
        inside[start[:-1]] = False  # between curves scores may fall
        if (np.diff(self.x)[inside[1:]] < 0).any():
            raise ValueError("IsotonicMaps: expected increasing scores within each curve")
        _check_of_missing(self.of_missing, len(start) - 1)

    @classmethod
    def fit(cls, people: NormalisedPoses, targets: Targets) -> "IsotonicMaps":
        """Fit by least squares (pool adjacent violators); linear between the knots, constant beyond the last ones."""
        knots = []
        for name, score, target in _curves(people, targets):
            if len(score) < 2:
                knots.append((np.zeros(1), target[:1] if len(target) else np.zeros(1)))
                continue
            rises = name != "occluded" or _rises(score, target)
            knots.append(_isotonic(score.astype(np.float64), target, rises))
        x, y = (np.concatenate(columns).astype(np.float64) for columns in zip(*knots, strict=True))
        return cls(x, y, np.cumsum([0, *(len(column) for column, _ in knots)]), _shares_of_missing(targets))

    def __call__(self, people: NormalisedPoses) -> Probabilities:
        k, n = people.score.shape
        curves = np.empty((3, k, n), dtype=np.float32)
        for quantity in range(3):
            for joint in range(k):
                curves[quantity, joint] = self._curve(quantity * k + joint, people.score[joint])
        probabilities = Probabilities(*curves, pose=self._curve(3 * k, people.pose_score))
        return _with_missing(probabilities, people, self.of_missing)

    def _curve(self, curve: int, score: np.ndarray) -> np.ndarray:
        knots = slice(self.start[curve], self.start[curve + 1])
        return np.interp(score, self.x[knots], self.y[knots])

    @property
    def keypoint_count(self) -> int:
        """K."""
        return (len(self.start) - 2) // 3

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays to save, by name."""
        return {"x": self.x, "y": self.y, "start": self.start} | _saved(self.of_missing)


def _isotonic(score: np.ndarray, target: np.ndarray, rises: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the knots of the curve that rises or falls and fits best, equal scores taken together."""
    from scipy.optimize import isotonic_regression

    x, index_of_value, count = np.unique(score, return_inverse=True, return_counts=True)
    mean = np.bincount(index_of_value, target) / count
    y = np.clip(isotonic_regression(mean, weights=count, increasing=rises).x, 0, 1)
    bends = np.ones(len(x), dtype=np.bool_)  # between equal neighbours a knot adds nothing
    bends[1:-1] = (y[1:-1] != y[:-2]) | (y[1:-1] != y[2:])
    return x[bends], y[bends]


def maps_of_arrays(method: str, arrays: Mapping[str, np.ndarray]) -> LogisticMaps | IsotonicMaps:
    """Build maps from `arrays`. Raises KeyError or ValueError for a missing or wrong array."""
    needed = ("x", "y", "start") if method == "isotonic" else ("slope", "offset")
    expect_names(arrays, needed, optional=("of_missing",))
    if method == "isotonic":
        return IsotonicMaps(arrays["x"], arrays["y"], arrays["start"], arrays.get("of_missing"))
    if method in ("platt", "temperature"):
        return LogisticMaps(method, arrays["slope"], arrays["offset"], arrays.get("of_missing"))  # type: ignore[arg-type]
    raise ValueError(f"no method {method!r}")


def _shares_of_missing(targets: Targets) -> OfMissing:
    """Return how often each missing keypoint was labelled, and how often each labelled missing one was occluded, with
    one keypoint of average share added to each; None if none was missing."""
    missing = targets.missing
    if not missing.any():
        return None
    labelled, occluded = missing & (targets.v > 0), missing & (targets.v == 1)
    shares = []
    for hits, cases in ((labelled, missing), (occluded, labelled)):
        average = hits.sum() / max(cases.sum(), 1)
        shares.append((hits.sum(axis=1) + average) / (cases.sum(axis=1) + 1))
    return np.stack(shares)


def _with_missing(probabilities: Probabilities, people: NormalisedPoses, of_missing: OfMissing) -> Probabilities:
    """Return the probabilities with the shares of missing keypoints instead of the curves' predictions."""
    if of_missing is not None and people.missing is not None:
        labelled, occluded = of_missing[..., None].astype(np.float32)
        probabilities = replace(
            probabilities,
            labelled=np.where(people.missing, labelled, probabilities.labelled),
            occluded=np.where(people.missing, occluded, probabilities.occluded),
        )
    return probabilities.without_missing(people.missing)


def _check_of_missing(of_missing: OfMissing, curves: int) -> None:
    if of_missing is not None:
        expect_numbers(of_missing, "of_missing", (2, (curves - 1) // 3), minimum=0.0, maximum=1.0)


def _saved(of_missing: OfMissing) -> dict[str, np.ndarray]:
    return {} if of_missing is None else {"of_missing": of_missing}


def _rises(score: np.ndarray, target: np.ndarray) -> bool:
    """Return whether the target rises with the score, by the slope of a straight line."""
    return bool((score - score.mean()) @ (target - target.mean()) >= 0)


def _curves(people: NormalisedPoses, targets: Targets) -> Iterator[Curve]:
    """Yield the 3K + 1 data sets to fit a curve to, in storage order."""
    score, is_placed = people.score[:, targets.rows], ~targets.missing
    labelled = (targets.v > 0) & is_placed
    for joint, row in enumerate(score):
        yield "labelled", row[is_placed[joint]], labelled[joint][is_placed[joint]].astype(np.float64)
    for joint, row in enumerate(score):
        yield "occluded", row[labelled[joint]], (targets.v[joint][labelled[joint]] == 1).astype(np.float64)
    for joint, row in enumerate(score):
        yield "similarity", row[labelled[joint]], targets.opks[joint][labelled[joint]]
    yield "pose", people.pose_score[targets.rows], targets.oks
