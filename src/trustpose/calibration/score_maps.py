"""The simple calibrators: one monotonic curve for each keypoint; logistic regression; and the probabilities that
all methods give.

There are three curves per keypoint, for P(labelled), E[OPKS | labelled] and P(occluded | labelled), and one from the
pose's score to its expected OKS. Isotonic regression (Zadrozny & Elkan, KDD 2002) fits the best monotonic curve;
Platt scaling (1999) a sigmoid with slope and offset; temperature scaling (Guo et al., ICML 2017) a sigmoid of the
score's logit divided by one number, and for occlusion, which such a curve cannot fit, the keypoint's base rate.
Occlusion may rise or fall with the score.

Missing keypoints are not used for a curve of their keypoint: tools print 0 for them, or anything. Their P(labelled)
and P(occluded | labelled) are the shares at fitting; if none was missing then, the curve is used.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from trustpose.calibration.arrays import check_names, checked_array
from trustpose.calibration.features import Missing, NormalisedPoses, unless_missing
from trustpose.calibration.metrics import Targets
from trustpose.files import InputError
from trustpose.metrics.reliability import scale_to_unit

RIDGE = 1e-3  # weight of half the squared slopes of standardised inputs: keeps slopes finite for perfect separation
_STEPS = 50
_EDGE = 1e-6  # probabilities are clipped this far from 0 and 1 before the logit


def sigmoid(logit: Float[np.ndarray, "*S"]) -> Float[np.ndarray, "*S"]:
    """Return 1 / (1 + e^−logit), in the same precision, without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * logit))


def logit(chance: Float[np.ndarray, "*S"]) -> Float[np.ndarray, "*S"]:
    """Return ln(p / (1 − p)) of p in 0–1, clipped to 1e-6 … 1 − 1e-6."""
    chance = np.clip(chance, _EDGE, 1 - _EDGE)
    return np.log(chance / (1 - chance))


def fit_logistic(
    inputs: Float[np.ndarray, "N D"], target: Float[np.ndarray, " N"], *, offset: bool = True, ridge: float = RIDGE
) -> Float[np.ndarray, " D_and_1"]:
    """Fit slopes and offset (D + 1,) of sigmoid(inputs · slopes + offset) by cross-entropy to targets in 0–1.

    `offset` False keeps the offset at 0 (temperature scaling, one input). Without rows all are 0. Slopes are for inputs
    as given; the ridge penalises slopes of standardised ones. Platt, "Probabilistic outputs for support vector
    machines" (1999), without his smoothing of the targets, which is for binary labels.
    """
    rows, count = inputs.shape
    if not rows:
        return np.zeros(count + 1)
    centre = inputs.mean(axis=0) if offset else np.zeros(count)
    spread = inputs.std(axis=0)
    spread = np.where(spread > 1e-12, spread, 1.0)
    design = np.concatenate([(inputs - centre) / spread, np.full((rows, 1), float(offset))], axis=1)
    penalty = np.r_[np.full(count, ridge), 0.0 if offset else 1.0]
    slopes = np.zeros(count + 1)
    if offset:
        slopes[-1] = logit(np.full(1, target.mean()))[0]
    loss = _loss(design, target, slopes, penalty)
    for _ in range(_STEPS):
        chance = sigmoid(design @ slopes)
        gradient = design.T @ (chance - target) + penalty * slopes
        weight = np.maximum(chance * (1 - chance), 1e-9)
        step = np.linalg.solve(design.T @ (design * weight[:, None]) + np.diag(penalty + 1e-12), gradient)
        slopes, loss, moved = _descend(design, target, slopes, step, penalty, loss)
        if not moved or np.abs(step).max() < 1e-10:
            break
    slopes[:-1] /= spread
    slopes[-1] -= slopes[:-1] @ centre
    return slopes


def fit_rising(inputs: Float[np.ndarray, "N D"], target: Float[np.ndarray, " N"]) -> Float[np.ndarray, " D_and_1"]:
    """Like `fit_logistic` without negative slopes: inputs that would get one are left out, the worst first.

    An input that rises with the truth on the fitted people must not have the opposite effect elsewhere.
    """
    columns = list(range(inputs.shape[1]))
    while True:
        slopes = np.zeros(inputs.shape[1] + 1)
        slopes[[*columns, -1]] = fit_logistic(inputs[:, columns], target)
        if not columns or slopes[columns].min() >= 0:
            return slopes
        columns.remove(int(np.argmin(slopes[:-1])))


def _descend(
    design: np.ndarray, target: np.ndarray, slopes: np.ndarray, step: np.ndarray, penalty: np.ndarray, loss: float
) -> tuple[np.ndarray, float, bool]:
    """Take one Newton step, halved until the loss falls; return False if no fraction of it helps."""
    for _ in range(30):
        tried = slopes - step
        if np.array_equal(tried, slopes):  # smaller fractions are lost to rounding, too
            break
        reached = _loss(design, target, tried, penalty)
        if reached < loss:
            return tried, reached, True
        step = step / 2
    return slopes, loss, False


def _loss(design: np.ndarray, target: np.ndarray, slopes: np.ndarray, penalty: np.ndarray) -> float:
    logits = design @ slopes
    return float((np.logaddexp(0, logits) - target * logits).sum() + 0.5 * (penalty * slopes**2).sum())


@dataclass(frozen=True, eq=False)
class Probabilities:
    """For N people: P(labelled), P(occluded | labelled) and E[OPKS | labelled] of each keypoint (K, N), and the
    expected OKS of each pose (N,). All 0–1. E[OPKS | labelled] of a missing keypoint is 0 by rule: it has no position,
    so it is near no label (`without_missing`)."""

    labelled: Float[np.ndarray, "K N"]
    occluded: Float[np.ndarray, "K N"]
    similarity: Float[np.ndarray, "K N"]
    pose: Float[np.ndarray, " N"]

    def __len__(self) -> int:
        return len(self.pose)

    @classmethod
    def empty(cls, keypoints: int, people: int) -> "Probabilities":
        """Allocate space for N people, to be filled by `put`."""
        labelled, occluded, similarity = np.empty((3, keypoints, people), dtype=np.float32)
        return cls(labelled, occluded, similarity, np.empty(people, dtype=np.float32))

    def put(self, rows: slice | np.ndarray, values: "Probabilities") -> None:
        """Write the probabilities of the people in `rows`."""
        for name in ("labelled", "occluded", "similarity", "pose"):
            getattr(self, name)[..., rows] = getattr(values, name)

    def of(self, rows: slice | np.ndarray) -> "Probabilities":
        """Return the people in `rows`."""
        return Probabilities(self.labelled[:, rows], self.occluded[:, rows], self.similarity[:, rows], self.pose[rows])

    def without_missing(self, missing: Missing) -> "Probabilities":
        """Return the same probabilities with E[OPKS | labelled] = 0 for missing keypoints."""
        return replace(self, similarity=unless_missing(self.similarity, missing, np.float32(0)))

    @property
    def quality(self) -> Float[np.ndarray, "N K"]:
        """Expected OPKS: P(labelled) × E[OPKS | labelled]."""
        return (self.labelled * self.similarity).T

    @property
    def visibility(self) -> Float[np.ndarray, "N K 3"]:
        """P(absent), P(occluded), P(visible); they sum to 1."""
        labelled = self.labelled.T.astype(np.float64)  # (N, K)
        occluded = labelled * self.occluded.T
        return np.stack([1 - labelled, occluded, labelled - occluded], axis=2)  # (N, K, 3)

    def of_keypoints(self) -> Float[np.ndarray, " N"]:
        """The pose's OKS computed from its keypoints: Σ P(labelled) E[OPKS | labelled] / Σ P(labelled). HPCVNet."""
        expected = np.einsum("kn,kn->n", self.labelled, self.similarity)
        return expected / np.maximum(self.labelled.sum(axis=0), np.float32(1e-6))


@dataclass(frozen=True, eq=False)
class Recalibration:
    """A final correction fitted on out-of-fold predictions: slope and offset of the logits of `labelled`, `occluded`
    and `similarity` (2,), and of the pose's OKS from two inputs (3,), the pose's own model and
    `Probabilities.of_keypoints`."""

    labelled: Float[np.ndarray, "2"]
    occluded: Float[np.ndarray, "2"]
    similarity: Float[np.ndarray, "2"]
    pose: Float[np.ndarray, "3"]

    @classmethod
    def fit(cls, probabilities: Probabilities, targets: Targets) -> "Recalibration":
        """Fit by logistic regression on the out-of-fold probabilities of the people of `targets`."""
        labelled = targets.v > 0  # (K, N)
        is_placed = labelled & ~targets.missing
        occluded = (targets.v[labelled] == 1).astype(np.float64)
        witnesses = np.stack([logit(probabilities.pose), logit(probabilities.of_keypoints())], axis=1).astype(
            np.float64
        )
        return cls(
            labelled=_correction(probabilities.labelled.ravel(), labelled.ravel().astype(np.float64)),
            occluded=_correction(probabilities.occluded[labelled], occluded),
            similarity=_correction(probabilities.similarity[is_placed], targets.opks[is_placed]),
            pose=fit_rising(witnesses, targets.oks),
        )

    def __call__(self, probabilities: Probabilities, missing: Missing = None) -> Probabilities:
        """Return the corrected probabilities of the same people."""
        keypoints = {
            name: _corrected(getattr(probabilities, name), *getattr(self, name)[:, None].astype(np.float32))
            for name in ("labelled", "occluded", "similarity")
        }
        pose_slope, keypoint_slope, offset = self.pose.astype(np.float32)
        pose = sigmoid(
            pose_slope * logit(probabilities.pose) + keypoint_slope * logit(probabilities.of_keypoints()) + offset
        )
        return Probabilities(**keypoints, pose=pose).without_missing(missing)


def _correction(chance: np.ndarray, target: np.ndarray) -> np.ndarray:
    if not len(target) or target.min() == target.max():
        return np.array([1.0, 0.0])  # a single class: nothing to fit
    return fit_rising(logit(chance.astype(np.float64))[:, None], target)


def _corrected(chance: np.ndarray, slope: np.ndarray, offset: np.ndarray) -> np.ndarray:
    return sigmoid(slope * logit(chance) + offset)


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
            checked_array(getattr(self, name), name, (None,))
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
        checked_array(self.x, "x", (None,))
        checked_array(self.y, "y", (len(self.x),), minimum=0.0, maximum=1.0)
        start = checked_array(self.start, "start", (None,), kinds="iu", minimum=0.0).astype(np.int64)
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
    check_names(arrays, needed, optional=("of_missing",))
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
        checked_array(of_missing, "of_missing", (2, (curves - 1) // 3), minimum=0.0, maximum=1.0)


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
