"""Accuracy without labels: what held-out people say of means of expected OKS and OPKS, and how far these can be off
for other people.

Of N people with expected OKS qᵢ the mean OKS is expected to be the mean of qᵢ. It differs from the labelled people's
for three reasons, whose variances add up:

  sampling     OKS scatters around what is expected of a person. The variance v(q) of a range of q comes from held-out
               people; people of one photo go together, so the mean's variance is Σ v(qᵢ) / N² times `clustering`.
  calibration  The trust was fitted on n people whose own mean scattered likewise: the same variance with n.
  shift        People or photos of another kind. How unlike the fitted ones they are is measured by the mean
               Kolmogorov-Smirnov distance of their expected OPKS, and of the shapes of their poses, beyond what chance
               explains. Made-up faults of photos say how far means are off at such a distance (`ShiftError`).

OKS of a person given q is drawn from the held-out people's of the same range of q; expected average precision and
shares above a threshold are means over such draws.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from trustpose.geometry.expected_error import quality_if_labelled
from trustpose.metrics.average_precision import OKS_THRESHOLDS as THRESHOLDS
from trustpose.poses import Poses
from trustpose.poses.accuracy_errors import AccuracyErrors
from trustpose.skeletons import Skeleton

MIN_PEOPLE = 30  # to fit on
_RANGE = 150  # people in a range of expected OKS, at least
_MAX_RANGES = 16
_SHARES = (np.arange(20) + 0.5) / 20  # of the quantiles of OKS
LEVELS = np.linspace(0, 1, 33)  # of the quantiles of columns
_STEP = 0.02  # of expected OKS, for slopes
_DRAWS, _DRAWN_PEOPLE = (5, 100), 2_000_000  # draws of everybody's OKS, and of all people together
_DEVIATIONS = 1.96  # of a Gaussian's 95 % interval
_CHANCE = 1.07  # / √people: mean Kolmogorov-Smirnov distance of samples of photos with several people


@dataclass(frozen=True)
class AccuracyShift:
    """Distances from the fitted people beyond chance, 0–1: of expected OPKS, and of the shapes of poses."""

    quality: float
    shape: float


@dataclass(frozen=True)
class ShiftError:
    """How far means can be off: standard deviations per unit of each distance, and their usual sign.

    Attributes:
        floor: standard deviation where no distance shows, as of a network with other settings.
        quality: of the distance of expected OPKS.
        shape: of the distance of the shapes of poses.
        bias: mean of true minus expected OKS per unit of the distance of expected OPKS.
        tail: factor of a Gaussian's standard deviations, as few kinds of shift taught the others.
    """

    floor: float
    quality: float
    shape: float
    bias: float
    tail: float

    def sd(self, shift: AccuracyShift) -> float:
        """Return the standard deviation of a mean's error because of a shift."""
        parts = (self.floor, self.quality * shift.quality, self.shape * shift.shape)
        return self.tail * float(np.linalg.norm(parts))


SHIFT_ERROR = ShiftError(floor=0.014, quality=0.101, shape=0.072, bias=-0.197, tail=1.8)
"""`python benchmarks/estimate.py FOLDER` prints them."""


@dataclass(frozen=True)
class Estimate:
    """A number between 0 and 1 and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Expectation:
    """A number that is expected of people like the fitted ones, its variance, and by how much it rises with the mean
    OKS."""

    value: float
    variance: float
    slope: float = 1.0

    def interval(self, shift: AccuracyShift, error: ShiftError = SHIFT_ERROR) -> Estimate:
        """Return the number and its interval for people at these distances from the fitted ones."""
        value = self.value + self.slope * error.bias * shift.quality
        deviation = _DEVIATIONS * float(np.sqrt(self.variance + (self.slope * error.sd(shift)) ** 2))
        return Estimate(*(float(np.clip(number, 0, 1)) for number in (value, value - deviation, value + deviation)))


def fit_accuracy(
    poses: Poses,
    oks: Float[np.ndarray, " n"],
    opks: Float[np.ndarray, "n K"],
    v: Int[np.ndarray, "n K"],
    skeleton: Skeleton,
    *,
    recall: float = 1.0,
) -> AccuracyErrors | None:
    """Return what n held-out people say; None for fewer than `MIN_PEOPLE`, or poses without trust.

    Args:
        poses: their poses, with trust that they did not teach, and with `image_id`.
        oks: of each person, 0–1.
        opks: of each keypoint, 0–1.
        v: COCO's visibility of each keypoint; 0 is not labelled.
        skeleton: of the poses.
        recall: share of labelled people whom a result matched.
    """
    quality = quality_if_labelled(poses)
    if quality is None or poses.pose_quality is None or poses.image_id is None or len(poses) < MIN_PEOPLE:
        return None
    quality = np.nan_to_num(quality)  # of joints that the poses lack
    expected, people = poses.pose_quality, len(poses)
    inner = np.quantile(expected, np.arange(1, ranges := _ranges(people)) / ranges).round(4) if people else []
    borders = tuple(np.unique(inner).tolist())
    cell = np.searchsorted(borders, expected, side="right")
    quantiles = [np.quantile(oks[cell == number], _SHARES).round(4) for number in range(len(borders) + 1)]
    variance = np.array([oks[cell == number].var() for number in range(len(borders) + 1)])[cell]
    _, photo = np.unique(poses.image_id, return_inverse=True)
    labelled = v > 0
    scatter = labelled * quality * (1 - quality)
    residual = labelled * (opks - quality)
    spread = (residual**2).sum(axis=0) / np.maximum(scatter.sum(axis=0), 1e-9)
    columns = compared_columns(poses, skeleton)
    table = np.stack(list(columns.values()))
    return AccuracyErrors(
        borders,
        tuple(tuple(row.tolist()) for row in quantiles),
        _clustering(oks - expected, variance, photo),
        skeleton.keypoints,
        tuple(spread.clip(0, 4).round(4).tolist()),
        _clustering(residual, scatter * spread, photo),
        round(float(expected.mean()), 5),
        tuple(columns),
        tuple(tuple(row.tolist()) for row in np.quantile(table, LEVELS, axis=1).T.round(4)),
        recall,
        people,
        int(photo.max()) + 1,
    )


def _ranges(people: int) -> int:
    return int(np.clip(people // _RANGE, 1, _MAX_RANGES))


def _clustering(residual: np.ndarray, variance: np.ndarray, photo: np.ndarray) -> float:
    """Return the variance of photos' sums in units of that of independent people, at least 1; residuals (n,) or
    (n, K), each column for itself."""
    residual, variance = residual.reshape(len(residual), -1), variance.reshape(len(variance), -1)
    sums = np.stack([np.bincount(photo, column) for column in residual.T])
    return round(max(1.0, float((sums**2).sum() / max(variance.sum(), 1e-9))), 4)


def compared_columns(poses: Poses, skeleton: Skeleton) -> dict[str, Float[np.ndarray, " N"]]:
    """Return what people are compared by: each joint's place in the box around the keypoints (x and y, 0–1), and its
    expected OPKS if it is labelled."""
    quality = quality_if_labelled(poses)
    assert quality is not None
    box = poses.keypoint_box().astype(np.float64)
    corner, size = box[:, None, :2], np.maximum(box[:, 2:] - box[:, :2], 1)[:, None]
    inside = np.clip(np.nan_to_num((poses.xy - corner) / size, nan=-1.0), -1, 2)  # (N, K, 2); missing ones lie at -1
    columns = {}
    for number, joint in enumerate(skeleton.keypoints):
        columns[f"{joint}.x"], columns[f"{joint}.y"] = inside[:, number].T
    for number, joint in enumerate(skeleton.keypoints):
        columns[f"{joint}.quality"] = np.nan_to_num(quality[:, number])
    return columns


class ExpectedAccuracy:
    """Accuracy of N people that is expected without labels, by what held-out people say.

    Args:
        errors: what they say.
        poses: the people, with trust.
        skeleton: of the poses.
        weight: (N,), how much each person counts: the probability that somebody is there; None: 1.

    Attributes:
        shift: how unlike the fitted people they are.
    """

    def __init__(
        self,
        errors: AccuracyErrors,
        poses: Poses,
        skeleton: Skeleton,
        weight: Float[np.ndarray, " N"] | None = None,
    ) -> None:
        assert poses.pose_quality is not None
        self._errors, self._skeleton = errors, skeleton
        self._expected = poses.pose_quality
        self._weight = np.ones(len(poses)) if weight is None else weight
        self._cell = np.searchsorted(errors.borders, self._expected, side="right")
        self._table = np.array(errors.oks)
        self.shift = self._measure_shift(compared_columns(poses, skeleton))

    def _measure_shift(self, columns: dict[str, np.ndarray]) -> AccuracyShift:
        people = max(1.0, self._weight.sum() ** 2 / max((self._weight**2).sum(), 1e-9))
        chance = _CHANCE * np.sqrt(1 / people + 1 / self._errors.people)
        distances: dict[bool, list[float]] = {True: [], False: []}
        for name, quantiles in zip(self._errors.columns, self._errors.quantiles, strict=True):
            if name in columns:
                distance = _distance(np.array(quantiles), columns[name], self._weight)
                distances[name.endswith(".quality")].append(distance)
        beyond = {
            is_quality: float(np.sqrt(max(0.0, np.mean(values or [0.0]) ** 2 - chance**2)))
            for is_quality, values in distances.items()
        }
        return AccuracyShift(beyond[True], beyond[False])

    def mean_oks(self, rows: np.ndarray | slice = slice(None)) -> Expectation:
        """Return the mean OKS of the people of some rows."""
        weight = self._weight[rows] / max(self._weight[rows].sum(), 1e-9)
        variance = self._table.var(axis=1)[self._cell[rows]]
        sampling = self._errors.clustering * float(weight**2 @ variance)
        fitted = self._errors.clustering * float(weight @ variance) / self._errors.people
        return Expectation(float(weight @ self._expected[rows]), sampling + fitted)

    def share_above(self, threshold: float) -> Expectation:
        """Return the share of people whose OKS is above a threshold."""
        weight = self._weight / max(self._weight.sum(), 1e-9)
        above = [self._share_above(threshold, moved) for moved in (0.0, -_STEP, _STEP)]  # (N,) each
        variance = float(weight**2 @ (above[0] * (1 - above[0])))
        fitted = float(weight @ (above[0] * (1 - above[0]))) / self._errors.people
        slope = float(weight @ (above[2] - above[1])) / (2 * _STEP)
        return Expectation(float(weight @ above[0]), self._errors.clustering * (variance + fitted), slope)

    def _share_above(self, threshold: float, moved: float) -> np.ndarray:
        """Return the probability (N,) that OKS is above a threshold, if all expected OKS are moved by so much."""
        table = self._table  # (B, Q)
        offset = self._expected + moved - table.mean(axis=1)[self._cell]
        shares = np.empty(len(offset))
        for cell in np.unique(self._cell).tolist():
            rows = self._cell == cell
            shares[rows] = 1 - np.interp(threshold - offset[rows], table[cell], _SHARES, left=0, right=1)
        return shares

    def keypoint(self, joint: int, quality: np.ndarray, labelled: np.ndarray) -> Expectation:
        """Return the mean OPKS of the labelled keypoints of one joint.

        Args:
            joint: its number.
            quality: expected OPKS if labelled (N,).
            labelled: probability that it is labelled (N,).
        """
        weight = self._weight * labelled
        total = max(float(weight.sum()), 1e-9)
        value = float(weight @ quality) / total
        spread = self._errors.spread[self._errors.joints.index(self._skeleton.keypoints[joint])]
        # of OPKS around what is expected, and of who is labelled
        variance = labelled * spread * quality * (1 - quality) + labelled * (1 - labelled) * (quality - value) ** 2
        sampling = float(self._weight**2 @ variance) / total**2
        fitted = float(self._weight @ variance) / total / self._errors.people
        return Expectation(value, self._errors.joint_clustering * (sampling + fitted))

    def average_precision(
        self, score: Float[np.ndarray, " N"], image: Int[np.ndarray, " N"], *, recall: float = 1.0, seed: int = 0
    ) -> Expectation:
        """Return COCO's AP of the people, each of whom is right or wrong about a labelled person of its own.

        Args:
            score: by which they are ranked.
            image: of each person.
            recall: share of the people in the photos whom the poses have.
            seed: of the draws.
        """
        order = np.argsort(-score, kind="stable")
        _, photo = np.unique(image, return_inverse=True)
        people = self._weight.sum() / recall
        draws = int(np.clip(_DRAWN_PEOPLE // max(1, len(order)), *_DRAWS))
        random = np.random.default_rng(seed)
        oks = np.empty((len(order), draws, 3))
        for draw in range(draws):
            chance, is_there = random.random((2, len(order)))
            for column, moved in enumerate((0.0, -_STEP, _STEP)):
                oks[:, draw, column] = (self._oks_at(chance, moved) * (is_there < self._weight))[order]
        drawn = _average_precision(oks.reshape(len(order), -1), photo[order], people).reshape(draws, 3)
        value, slope = drawn[:, 0].mean(), (drawn[:, 2] - drawn[:, 1]).mean() / (2 * _STEP)
        weight = self._weight / max(self._weight.sum(), 1e-9)
        fitted = slope**2 * float(weight @ self._table.var(axis=1)[self._cell]) / self._errors.people
        variance = self._errors.clustering * (float(drawn[:, 0].var()) + fitted)
        return Expectation(float(value), variance, float(slope))

    def _oks_at(self, share: np.ndarray, moved: float) -> np.ndarray:
        """Return the OKS (N,) below which this share of people with the same expected OKS lies."""
        position = np.clip(share * len(_SHARES) - 0.5, 0, len(_SHARES) - 1)
        low = position.astype(np.int64)
        high = np.minimum(low + 1, len(_SHARES) - 1)
        part = position - low
        oks = self._table[self._cell, low] * (1 - part) + self._table[self._cell, high] * part
        return np.clip(oks + self._expected + moved - self._table.mean(axis=1)[self._cell], 0, 1)


def _distance(quantiles: np.ndarray, values: np.ndarray, weight: np.ndarray) -> float:
    """Return the largest difference between the distribution functions of the fitted people and of weighted values, at
    the fitted people's quantiles and just below them."""
    order = np.argsort(values)
    below = np.concatenate([[0], np.cumsum(weight[order])]) / max(weight.sum(), 1e-9)
    level, differences = np.unique(quantiles), []
    for side, fitted in (
        ("left", LEVELS[np.searchsorted(quantiles, level, "left")]),
        ("right", LEVELS[np.searchsorted(quantiles, level, "right") - 1]),
    ):
        differences.append(np.abs(below[np.searchsorted(values, level, side, sorter=order)] - fitted).max())
    return float(max(differences))


def _average_precision(oks: np.ndarray, photo: np.ndarray, people: float) -> np.ndarray:
    """Return COCO's AP (D,) of poses by descending score, from the OKS (N, D) of each with a person of its own."""
    from trustpose.metrics.precision_draws import RankedCurves

    right = (oks[:, :, None] >= THRESHOLDS).reshape(len(oks), -1)  # (N, D × T)
    curves = RankedCurves([(photo, right, np.zeros(right.shape, np.bool_))])
    counts = np.ones((1, int(photo.max(initial=0)) + 1), np.int64)
    drawn = curves.in_draws(counts, np.full((1, right.shape[1]), people))
    return drawn.precision.reshape(-1, len(THRESHOLDS)).mean(axis=1)
