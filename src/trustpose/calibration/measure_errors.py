"""Errors of measures read off poses: what held-out people say of joint angles and inclinations, and intervals for a
new reading.

The errors of a pose's joints carry over to a value by its derivative (`geometry.measures`). That is the first order of
the error, for independent Gaussian joints; real errors are heavy-tailed, go together along a limb, and are too large
for the first order where a limb is short. So the propagated error is only what the model begins with. Three forests of
boosted trees read it, the limbs' lengths, the joints' expected OPKS and the value itself, and say how far the labelled
value is expected to be shifted, and how far it lies above or below that. Quantiles of held-out people, in units of
these distances, make intervals of it: split conformal prediction, by family of measures (left and right together) and
range of expected distance (Mondrian), with both ends apart.

Guarantee: an end of the interval for p in a cell with n readings is the ⌈(n + 1)(1 + p) / 2⌉-th smallest of the
normalised distances, so that a further reading, exchangeable with those of its cell, lies beyond that end with a
probability of at most (1 − p) / 2, whatever the errors' distribution. The distances are computed by forests that were
fitted without the reading's photo; the shipped forests are fitted on all photos, which makes the guarantee approximate
(cross-conformal prediction), as does that one person has several readings. It is on average over people like the fitted
ones; nothing is guaranteed for one person, or for people unlike them. Sources: Vovk, Gammerman, Shafer, Algorithmic
Learning in a Random World, 2005; Romano, Patterson, Candès, Conformalized Quantile Regression, NeurIPS 2019.

A measure that no held-out people were measured by has the propagated error with the learnt correlation between joints,
widened by how far the fitted measures' propagated errors fell short.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from trustpose.calibration.trees import STEADY, TreeTables, lightgbm
from trustpose.geometry.expected_error import area_of_person, conformal_quantiles, expected_error, quality_if_labelled
from trustpose.geometry.measures import Measure, Reading, fitted_measures, read
from trustpose.images import fold_of
from trustpose.poses import ExpectedError, Poses, Truth
from trustpose.poses.measure_errors import LARGEST_QUANTILE, Forest, MeasureErrors
from trustpose.skeletons import Skeleton

SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.6827, 0.7, 0.8, 0.9, 0.95, 0.975, 0.99)
_ENDS = tuple((1 + share) / 2 for share in SHARES)  # below each end of a central interval
FOLDS = 5
MIN_READINGS = 200  # of a family, below which it is not fitted
MAX_READINGS = 100_000  # that the forests read
CELL, MAX_CELLS = 150, 4  # readings of a cell at least; ranges of expected distance
_FLOOR = 0.5  # degrees added to a distance, whose logarithm is learnt
_BODY = 100.0  # lengths are learnt in pixels of a body of this √area, which makes them about as large as degrees
_SHIFT_TREES, _DISTANCE_TREES = 100, 120
_TREES = {"learning_rate": 0.05, "num_leaves": 8, "min_data_in_leaf": 60, "lambda_l2": 5.0, "verbose": -1, "seed": 0}
_TREES |= {"feature_fraction": 0.7, "bagging_fraction": 0.7, "bagging_freq": 1}
_LARGEST_ERROR = 360.0  # degrees: more is the same
_CLIP = 3.0  # standard deviations, beyond which an error counts as that many in correlations
_DIGITS = 4
_ROWS = 2**15  # readings at a time, whose features fit into the processor's cache

Features = Float[np.ndarray, "F R"]


@dataclass(frozen=True, eq=False)
class PoseErrors:
    """What the errors of N poses' readings depend on: their joints' expected errors and trust.

    Attributes:
        error: of the joints, pixels (N, K).
        quality: expected OPKS if labelled (N, K).
        visible: P(visible) (N, K); 1 where it is unknown.
        pose_quality: (N,); the mean quality where it is unknown.
        size: √area of the person (N,), pixels; at least 1, since joints of people without extent lie on one point.
    """

    error: ExpectedError
    quality: Float[np.ndarray, "N K"]
    visible: Float[np.ndarray, "N K"]
    pose_quality: Float[np.ndarray, " N"]
    size: Float[np.ndarray, " N"]

    @classmethod
    def of(cls, poses: Poses, skeleton: Skeleton) -> "PoseErrors | None":
        """Return those of poses; None without `quality`, or for a skeleton without sigmas."""
        error, quality = expected_error(poses, skeleton), quality_if_labelled(poses)
        if error is None or quality is None:
            return None
        visible = np.ones(quality.shape) if poses.visibility is None else poses.visibility[..., 2]
        pose_quality = quality.mean(axis=1) if poses.pose_quality is None else poses.pose_quality
        return cls(error, quality, visible, pose_quality, np.sqrt(np.maximum(area_of_person(poses), 1)))


def propagated(
    reading: Reading, std: Float[np.ndarray, "N K"], correlation: Float[np.ndarray, "K K"] | None
) -> Float[np.ndarray, " N"]:
    """Return the standard deviation (N,) of a reading, to the first order.

    std: of each joint along each axis, pixels (N, K); correlation: of the errors of two joints along an axis, None for
    independent ones.
    """
    scaled = reading.gradient * std[:, reading.joints, None]  # (N, J, 2)
    if correlation is None:
        return np.sqrt(np.einsum("njd,njd->n", scaled, scaled))
    between = correlation[np.ix_(reading.joints, reading.joints)]
    return np.sqrt(np.maximum(np.einsum("njd,jk,nkd->n", scaled, between, scaled), 0))


def _unit(measure: Measure, errors: PoseErrors) -> Float[np.ndarray, " N"]:
    """Return the unit (N,) that the forests learn a measure in: 1 degree, or pixels in proportion to the body."""
    return errors.size / _BODY if measure.unit == "pixels" else np.ones(len(errors.size))


def _total(errors: PoseErrors, reading: Reading, correlation: np.ndarray | None) -> np.ndarray:
    std = propagated(reading, errors.error.total_std, correlation)
    return np.minimum(np.nan_to_num(std, nan=_LARGEST_ERROR), 1e6)


def _gross(errors: PoseErrors, reading: Reading) -> np.ndarray:
    """Return the probability that any of its joints has a gross error."""
    return 1 - np.prod(1 - errors.error.gross[:, reading.joints], axis=1)


def _features(
    measure: Measure, reading: Reading, errors: PoseErrors, skeleton: Skeleton, family: int, correlation: np.ndarray
) -> Features:
    """Return what the forests read of each reading, (F, N): nothing depends on the picture's scale."""
    quality = errors.quality[:, reading.joints]
    by_point = [errors.quality[:, [skeleton.index(joint) for joint in point]].mean(axis=1) for point in measure.points]
    size, unit = errors.size, _unit(measure, errors)
    rows = [
        np.full(len(reading.value), float(family)),
        _logarithm(np.minimum(propagated(reading, errors.error.std, correlation) / unit, _LARGEST_ERROR)),
        _logarithm(np.minimum(_total(errors, reading, correlation) / unit, _LARGEST_ERROR)),
        _gross(errors, reading),
        _logarithm(reading.shortest / size),
        _logarithm(reading.longest / size),
        quality.min(axis=1),
        quality.mean(axis=1),
        by_point[0],
        by_point[1],
        by_point[-1],
        np.abs(reading.value) / unit,
        errors.pose_quality,
        errors.visible[:, reading.joints].min(axis=1),
    ]
    return np.nan_to_num(np.stack(rows), posinf=10, neginf=-10).astype(np.float32)


def _logarithm(numbers: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(numbers, 0) + 1e-3)


@dataclass(frozen=True, eq=False)
class _Readings:
    """R readings of held-out people: features (F, R), error (labelled − read), family, photo's fold; and of all
    labelled readings the propagated error and probability of a gross one."""

    features: Features
    error: Float[np.ndarray, " R"]
    family: Int[np.ndarray, " R"]
    fold: Int[np.ndarray, " R"]
    propagated: Float[np.ndarray, " R"]
    gross: Float[np.ndarray, " R"]


def fit_measure_errors(
    poses: Poses, truth: Truth, person: Int[np.ndarray, " N"], skeleton: Skeleton
) -> MeasureErrors | None:
    """Fit the errors of measures to poses with trust that was not fitted on them.

    Args:
        poses: N poses with `quality` and `image_id`, by whose photos they are divided into folds.
        truth: the labelled people.
        person: (N,), the row of each pose's person in the truth; −1: unmatched.
        skeleton: of the keypoints.

    Returns:
        What the held-out people say; None if a skeleton has no such measures or no sigmas, or too few people are
        labelled.

    Raises:
        InputError: if LightGBM cannot be loaded.
    """
    rows = np.flatnonzero(person >= 0)
    poses, labelled = poses[rows], truth[person[rows]]
    errors = PoseErrors.of(poses, skeleton)
    measures = fitted_measures(skeleton)
    if errors is None or not measures or not len(poses):
        return None
    correlation = _correlation(poses, labelled, errors, skeleton)
    collected = _labelled_readings(poses, labelled, errors, measures, skeleton, correlation)
    if collected is None:
        return None
    readings, families, people = collected
    shift, above, below, fitted = _cross_fitted(readings)
    distance = np.where(fitted.residual > 0, fitted.above, fitted.below)
    normalised = fitted.residual / distance
    expected = fitted.above + fitted.below
    borders, upper, lower = [], [], []
    for family in range(len(families)):
        of_family = readings.family == family
        inner = _borders(expected[of_family])
        cell = np.searchsorted(inner, expected[of_family], side="right")
        cells = [normalised[of_family][cell == number] for number in range(len(inner) + 1)]
        borders.append(inner)
        upper.append(tuple(conformal_quantiles(numbers, _ENDS, LARGEST_QUANTILE) for numbers in cells))
        lower.append(tuple(conformal_quantiles(-numbers, _ENDS, LARGEST_QUANTILE) for numbers in cells))
    other_borders, other = _propagated_quantiles(readings)
    return MeasureErrors(
        families,
        SHARES,
        shift,
        above,
        below,
        tuple(borders),
        tuple(upper),
        tuple(lower),
        other_borders,
        other,
        skeleton.keypoints,
        tuple(tuple(row) for row in correlation.round(3).tolist()),
        people,
        len(readings.error),
    )


def _labelled_readings(
    poses: Poses,
    truth: Truth,
    errors: PoseErrors,
    measures: Sequence[Measure],
    skeleton: Skeleton,
    correlation: np.ndarray,
) -> tuple[_Readings, tuple[str, ...], int] | None:
    """Return the readings of families with enough of them, the families, and the number of people; None without."""
    values = []
    for measure in measures:
        reading, label = read(measure, skeleton, poses.xy), read(measure, skeleton, truth.xy)
        is_labelled = (truth.v[:, reading.joints] > 0).all(axis=1) & np.isfinite(label.value + reading.value)
        if poses.missing is not None:
            is_labelled &= ~poses.missing[:, reading.joints].any(axis=1)
        is_labelled &= np.isfinite(errors.error.std[:, reading.joints]).all(axis=1)
        values.append((measure, reading, measure.difference(label.value, reading.value), is_labelled))
    counts: dict[str, int] = {}
    for measure, _, _, is_labelled in values:
        counts[measure.family] = counts.get(measure.family, 0) + int(is_labelled.sum())
    families = tuple(family for family, count in counts.items() if count >= MIN_READINGS)
    assert poses.image_id is not None
    fold = fold_of(poses.image_id, FOLDS)
    parts: list[tuple[np.ndarray, ...]] = []
    people = np.zeros(len(poses), np.bool_)
    for measure, reading, error, is_labelled in values:
        if measure.family not in families:
            continue
        family, rows = families.index(measure.family), np.flatnonzero(is_labelled)
        features = _features(measure, reading, errors, skeleton, family, correlation)[:, rows]
        unit = np.broadcast_to(_unit(measure, errors), error.shape)[rows]  # 0 where a person has no area
        total, gross = _total(errors, reading, correlation)[rows] / unit, _gross(errors, reading)[rows]
        parts.append((features, error[rows] / unit, np.full(len(rows), family), fold[rows], total, gross))
        people[rows] = True
    if not parts:
        return None
    columns = [np.concatenate(column, axis=-1) for column in zip(*parts, strict=True)]
    if len(columns[1]) > MAX_READINGS:
        drawn = np.sort(np.random.default_rng(0).choice(len(columns[1]), MAX_READINGS, replace=False))
        columns = [column[..., drawn] for column in columns]
    return _Readings(*columns), families, int(people.sum())


@dataclass(frozen=True, eq=False)
class _Fitted:
    """Of each reading, by forests fitted without its photo: its error beyond the expected shift, and the expected
    distances above and below."""

    residual: np.ndarray
    above: np.ndarray
    below: np.ndarray


def _cross_fitted(readings: _Readings) -> tuple[Forest, Forest, Forest, _Fitted]:
    """Return the three forests, and what forests fitted without a reading's photo say of it."""
    features, error, fold = readings.features, readings.error, readings.fold
    residual = np.empty(len(error))
    for number in np.unique(fold):
        inside = fold == number
        forest = _grown(features[:, ~inside], error[~inside], "regression", _SHIFT_TREES)
        residual[inside] = error[inside] - value_of(forest, features[:, inside])
    distances = {}
    for name, side in (("above", residual > 0), ("below", residual <= 0)):
        distances[name] = np.empty(len(error))
        for number in np.unique(fold):
            inside, others = fold == number, (fold != number) & side
            forest = _grown(features[:, others], np.abs(residual[others]) + _FLOOR, "gamma", _DISTANCE_TREES)
            distances[name][inside] = _distance(tables_of(forest), features[:, inside])
    shift = _grown(features, error, "regression", _SHIFT_TREES)
    above, below = (
        _grown(features[:, side], np.abs(residual[side]) + _FLOOR, "gamma", _DISTANCE_TREES)
        for side in (residual > 0, residual <= 0)
    )
    return shift, above, below, _Fitted(residual, distances["above"], distances["below"])


def _distance(tables: TreeTables, features: Features) -> np.ndarray:
    return np.exp(np.clip(_raw_score(tables, features), -5, 10))


def _grown(features: Features, target: np.ndarray, objective: str, trees: int) -> Forest:
    if not len(target):
        return Forest(((),), ((),), ((),), ((),), ((0.0,),))
    options = _TREES | STEADY | {"objective": objective}
    table = np.ascontiguousarray(features.T, dtype=np.float64)
    booster = lightgbm().train(options, lightgbm().Dataset(table, target, params=options), trees)
    return forest_of(booster.dump_model())


def forest_of(dump: dict[str, Any]) -> Forest:
    """Convert the trees of LightGBM's `Booster.dump_model()`; thresholds and values are rounded to what is stored."""
    trees = [_splits(tree["tree_structure"]) for tree in dump["tree_info"]]
    return Forest(*(tuple(columns) for columns in zip(*trees, strict=True)))  # type: ignore[arg-type]


def _splits(root: dict[str, Any]) -> tuple[tuple[Any, ...], ...]:
    """Return feature, threshold, left, right and values of one tree, splits before those below them."""
    feature: list[int] = []
    threshold: list[float] = []
    children: list[list[int]] = []
    value: list[float] = []

    def add(node: dict[str, Any]) -> int:
        if "leaf_value" in node:
            value.append(float(f"{node['leaf_value']:.{_DIGITS}g}"))
            return ~(len(value) - 1)
        number = len(feature)
        feature.append(int(node["split_feature"]))
        threshold.append(float(f"{node['threshold']:.{_DIGITS}g}"))
        children.append([0, 0])
        children[number] = [add(node["left_child"]), add(node["right_child"])]
        return number

    add(root)
    left, right = (tuple(pair[side] for pair in children) for side in (0, 1))
    return tuple(feature), tuple(threshold), left, right, tuple(value)


def tables_of(forest: Forest) -> TreeTables:
    """Return a forest as tables, which are faster."""

    def node(tree: int, number: int) -> dict[str, Any]:
        if number < 0:
            return {"leaf_value": forest.value[tree][~number]}
        return {
            "decision_type": "<=",
            "split_feature": forest.feature[tree][number],
            "threshold": forest.threshold[tree][number],
            "left_child": node(tree, forest.left[tree][number]),
            "right_child": node(tree, forest.right[tree][number]),
        }

    roots = [0 if splits else ~0 for splits in forest.feature]
    return TreeTables.of({"tree_info": [{"tree_structure": node(tree, root)} for tree, root in enumerate(roots)]})


def value_of(forest: Forest, features: Features) -> Float[np.ndarray, " R"]:
    """Return the sum over a forest's trees for R readings."""
    return _raw_score(tables_of(forest), features)


def _raw_score(tables: TreeTables, features: Features) -> np.ndarray:
    parts = [
        tables.raw_score(list(features[:, start : start + _ROWS]))
        for start in range(0, max(features.shape[1], 1), _ROWS)
    ]
    return np.concatenate(parts).astype(np.float64)


def _correlation(poses: Poses, truth: Truth, errors: PoseErrors, skeleton: Skeleton) -> Float[np.ndarray, "K K"]:
    """Return the correlation of two joints' errors along an axis, those of the mirrored pair together; 0 for pairs that
    fewer than `MIN_READINGS` people have both labelled."""
    labelled = (truth.v > 0) & np.isfinite(errors.error.total_std)
    if poses.missing is not None:
        labelled &= ~poses.missing
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = (truth.xy - poses.xy) / errors.error.total_std[..., None]
    scaled = np.where(labelled[..., None], np.clip(np.nan_to_num(scaled), -_CLIP, _CLIP), 0)
    products = np.einsum("nkd,nld->kl", scaled, scaled)
    squares = np.einsum("nkd,nl->kl", scaled**2, labelled.astype(np.float64))  # of k, where l is labelled too
    counts = labelled.T.astype(np.int64) @ labelled.astype(np.int64)
    flip = skeleton.flip_index
    products, squares, counts = (matrix + matrix[np.ix_(flip, flip)] for matrix in (products, squares, counts))
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = np.nan_to_num(products / np.sqrt(squares * squares.T))
    correlation = np.where(counts >= 2 * MIN_READINGS, np.clip(correlation, -1, 1), 0)
    np.fill_diagonal(correlation, 1)
    return correlation


def _borders(numbers: np.ndarray) -> tuple[float, ...]:
    cells = max(1, min(MAX_CELLS, len(numbers) // CELL))
    inner = np.quantile(numbers, np.arange(1, cells) / cells).round(3)
    return tuple(np.unique(inner).tolist())


def _propagated_quantiles(readings: _Readings) -> tuple[tuple[float, ...], tuple[tuple[float, ...], ...]]:
    borders = _borders(readings.gross)
    cell = np.searchsorted(borders, readings.gross, side="right")
    relative = np.abs(readings.error) / np.maximum(readings.propagated, 1e-9)
    cells = [relative[cell == number] for number in range(len(borders) + 1)]
    return borders, tuple(conformal_quantiles(numbers, SHARES, LARGEST_QUANTILE) for numbers in cells)


class MeasureIntervals:
    """Intervals of readings by an error model; without one by propagation of independent Gaussian errors."""

    def __init__(self, model: MeasureErrors | None, skeleton: Skeleton) -> None:
        self._model, self._skeleton, self._correlation = model, skeleton, None
        self._fitted_measures: set[Measure] = set()
        if model is None:
            return
        self._fitted_measures |= {measure for measure in fitted_measures(skeleton) if measure.family in model.families}
        self._tables = {name: tables_of(getattr(model, name)) for name in ("shift", "above", "below")}
        self._correlation = np.eye(len(skeleton))
        for joint, row in zip(model.joints, model.correlation, strict=True):
            for other, number in zip(model.joints, row, strict=True):
                if joint in skeleton.keypoints and other in skeleton.keypoints:
                    self._correlation[skeleton.index(joint), skeleton.index(other)] = number

    def is_fitted(self, measure: Measure) -> bool:
        """Return whether held-out people say how far readings of this measure are off."""
        return (_angle_of(measure) if measure.kind == "flexion" else measure) in self._fitted_measures

    def __call__(
        self, measure: Measure, reading: Reading, errors: PoseErrors, shares: Sequence[float]
    ) -> Float[np.ndarray, "P 2 N"]:
        """Return the low and high end of the interval of each share for N readings, in the measure's unit."""
        if measure.kind == "flexion":
            angle = replace(reading, value=180 - reading.value, gradient=-reading.gradient)
            return 180 - self(_angle_of(measure), angle, errors, shares)[:, ::-1]
        if self._model is not None and self.is_fitted(measure):
            ends = self._fitted(self._model, measure, reading, errors, shares)
        else:
            half = self._half_width(reading, errors, shares)  # (P, N)
            ends = np.stack([reading.value - half, reading.value + half], axis=1)
        low, high = measure.limits
        return np.clip(ends, low, high)

    def _fitted(
        self, model: MeasureErrors, measure: Measure, reading: Reading, errors: PoseErrors, shares: Sequence[float]
    ) -> np.ndarray:
        assert self._correlation is not None
        family = model.families.index(measure.family)
        features = _features(measure, reading, errors, self._skeleton, family, self._correlation)
        shift = _raw_score(self._tables["shift"], features)
        above, below = (
            np.exp(np.clip(_raw_score(self._tables[name], features), -5, 10)) for name in ("above", "below")
        )
        cell = np.searchsorted(model.borders[family], above + below, side="right")
        upper, lower = (_between(model.shares, cells[family], shares)[:, cell] for cells in (model.upper, model.lower))
        upper, lower = upper * np.where(upper > 0, above, below), lower * np.where(lower > 0, below, above)
        unit, centre = _unit(measure, errors), reading.value + shift * _unit(measure, errors)
        ends = np.stack([centre - lower * unit, centre + upper * unit], axis=1)
        if measure.period:
            half = measure.period / 2
            ends = np.clip(ends, reading.value - half, reading.value + half)
        return ends

    def _half_width(self, reading: Reading, errors: PoseErrors, shares: Sequence[float]) -> np.ndarray:
        total = _total(errors, reading, self._correlation)
        if self._model is None:
            from scipy.stats import norm

            return norm.ppf((1 + np.array(shares)) / 2)[:, None] * total
        cell = np.searchsorted(self._model.other_borders, _gross(errors, reading), side="right")
        return _between(self._model.shares, self._model.other, shares)[:, cell] * total


def _angle_of(flexion: Measure) -> Measure:
    """Return the angle that a flexion is 180° minus."""
    return replace(flexion, name=flexion.name.removesuffix("_flexion"), kind="angle")


def _between(
    stored: Sequence[float], cells: Sequence[Sequence[float]], shares: Sequence[float]
) -> Float[np.ndarray, "P C"]:
    """Return the quantiles of shares in each cell, interpolated between the stored ones."""
    depth = -np.log1p(-np.array(stored))
    return np.array([np.interp(-np.log1p(-np.array(shares)), depth, quantiles) for quantiles in cells]).T
