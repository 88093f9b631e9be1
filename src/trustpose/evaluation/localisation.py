"""The localisation section of an audit: the metrics of single people by name, with curves and intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.evaluation.batch import Batch
from trustpose.evaluation.details import Draws
from trustpose.evaluation.display import AuditDisplay
from trustpose.evaluation.draws import Findings, PhotoTable
from trustpose.evaluation.record import Audit, Comparison, json_value
from trustpose.evaluation.section_records import Curve, Localisation, Number, PartRate, none_if_nan
from trustpose.files import InputError, shown
from trustpose.io.coco.truth import TruthFile
from trustpose.metrics.bootstrap import sums_by_group
from trustpose.metrics.correct_parts import body_limbs, limb_distance, limb_groups
from trustpose.metrics.localisation import (
    CorrectJoints,
    area_under_curve,
    box_side,
    correct_joints,
    eye_corner_distance,
    joints_box,
    normalised_distance,
    table_groups,
    torso_diameter,
)
from trustpose.metrics.reliability import exact_sums, mean_of
from trustpose.poses import Poses, Truth
from trustpose.skeletons import Skeleton

_CURVE_STEPS = 51


@dataclass(frozen=True)
class _Rule:
    title: str
    reference: str
    fraction: float
    farthest: float  # of the curve


_HEAD = "the head size, 0.6 × the diagonal of the head rectangle"
_TORSO = "the torso diameter, left shoulder to right hip"
_EYES = "the distance between the eyes' outer corners"
_RULES = {
    "pckh": _Rule("PCKh", _HEAD, 0.5, 0.5),
    "pck": _Rule("PCK", "the longer side of the box around the labelled joints", 0.2, 0.5),
    "pck-box": _Rule("PCK", "the longer side of the data set's box", 0.2, 0.5),
    "pck-torso": _Rule("PCK", _TORSO, 0.2, 0.5),
    "pdj": _Rule("PDJ", _TORSO, 0.2, 0.5),
    "fck": _Rule("FCK", _TORSO, 0.05, 0.2),
    "nme": _Rule("NME", _EYES, 0.1, 0.1),
    "pcp": _Rule("Strict PCP", "the limb's length, for both ends", 0.5, 0.5),
    "pcp-loose": _Rule("Loose PCP", "the limb's length, for the mean of both ends", 0.5, 0.5),
}
METRICS = tuple(_RULES)
_HEADS_OF_SIZE_0 = "; with a head box of size 0, HRNet's evaluation counts all of a person's joints as wrong"


@dataclass(frozen=True)
class Metric:
    """A metric by its name, and the fraction of the reference length within which a joint is correct."""

    name: str
    fraction: float


@dataclass(frozen=True, eq=False)
class _Distances:
    """Errors (M, P) of the people who count in reference lengths, by columns of joints or limbs: NaN where none counts,
    infinity without a prediction."""

    distance: Float[np.ndarray, "M P"]
    names: tuple[str, ...]
    groups: Mapping[str, Sequence[int]]
    is_of_joints: bool


def parse_metric(text: str) -> Metric:
    """Return the metric of a text NAME or NAME@FRACTION. Raises InputError."""
    name, _, fraction_text = text.strip().partition("@")
    if name not in _RULES:
        raise InputError(f"--metric: expected {', '.join(METRICS)}, each optionally with @FRACTION, got {text[:40]!r}")
    try:
        fraction = float(fraction_text) if fraction_text else _RULES[name].fraction
    except ValueError:
        fraction = -1.0
    if not 0 < fraction <= 10:
        raise InputError(f"--metric {text[:40]}: expected a fraction above 0 and up to 10 after @")
    return Metric(name, fraction)


def chosen_metrics(texts: Sequence[str], truth: TruthFile) -> tuple[Metric, ...]:
    """Return the metrics of `texts`, else the data set's own. Raises InputError for an unknown or repeated one."""
    metrics = tuple(parse_metric(name) for text in texts or truth.metrics for name in text.split(","))
    names = [metric.name for metric in metrics]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"--metric: {twice} is given twice")
    return metrics


class JointLocalisation:
    """PCK and its relatives by name. All people with labels count, without crowds; one without a result, and a joint
    that its estimator did not find, is wrong. Raises InputError if the ground truth lacks what a metric needs."""

    def __init__(self, metrics: Sequence[Metric], path: str) -> None:
        self._path = path
        self._people, self._without_result = 0, 0
        self._sums = [_MetricSums(metric) for metric in metrics]

    def add(self, batch: Batch) -> None:
        """Count a batch of whole photos."""
        people = batch.truth
        if not self._sums:
            return
        crowd = np.zeros(len(people), bool) if people.iscrowd is None else people.iscrowd
        rows = np.flatnonzero((people.v > 0).any(axis=1) & ~crowd)
        xy, has_result = _predictions(batch.poses, batch.person, len(people))
        self._people += len(rows)
        self._without_result += int((~has_result[rows]).sum())
        for sums in self._sums:
            sums.add(batch.file, people[rows], xy[rows], batch.person_image[rows], len(batch.image_id))

    def result(self, findings: Findings) -> dict[str, Localisation]:
        """Return the metrics by name, with notes on people that are left out."""
        if not self._sums:
            return {}
        if not self._people:
            raise InputError(f"{self._path}: no person has a labelled keypoint, --metric needs some")
        if self._without_result:
            findings.notes.append(
                f"localisation.*: {self._without_result} of {self._people} people have no result: all their joints are "
                "wrong"
            )
        return {
            sums.metric.name: sums.result(findings, self._path, self._people, self._without_result)
            for sums in self._sums
        }


class _MetricSums:
    """The sums of one metric."""

    def __init__(self, metric: Metric) -> None:
        self.metric, self._rule = metric, _RULES[metric.name]
        self._fractions = np.linspace(0, max(self._rule.farthest, metric.fraction), _CURVE_STEPS)
        self._layout: _Distances | None = None
        self._photos: PhotoTable | None = None
        self._counted, self._other_diagonal, self._has_head = 0, 0, False
        self._error, self._labels, self._is_finite = 0, 0, True

    def add(self, file: TruthFile, people: Truth, xy: np.ndarray, image: np.ndarray, images: int) -> None:
        """Count people of a batch of `images` photos with their predicted joints (M, K, 2)."""
        self._has_head |= people.head_size is not None and bool(np.isfinite(people.head_size).any())
        if self._rule.reference == _TORSO:
            self._other_diagonal += _other_diagonals(people)
        distances = _measure(self.metric, file, people, xy)
        distance, columns = distances.distance, distances.distance.shape[1]
        if self._layout is None or self._photos is None:
            self._layout, self._photos = distances, PhotoTable(2 * columns + 2)
            self._curve = np.zeros((_CURVE_STEPS, columns), np.int64)
            self._correct, self._count = np.zeros((2, columns), np.int64)
        self._curve += correct_joints(distance, self._fractions).correct
        counts = ~np.isnan(distance)
        self._correct += (distance <= self.metric.fraction).sum(axis=0)
        self._count += counts.sum(axis=0)
        self._counted += int(counts.any(axis=1).sum())
        is_finite = np.isfinite(distance)
        self._is_finite &= bool((is_finite | ~counts).all())
        self._error += exact_sums(distance[is_finite])[0]
        error = np.where(is_finite, distance, 0.0).sum(axis=1)
        table = np.concatenate(
            [distance <= self.metric.fraction, counts, error[:, None], counts.sum(axis=1)[:, None]], axis=1
        )
        self._photos.append(sums_by_group(table, image, images))

    def result(self, findings: Findings, path: str, people: int, without_result: int) -> Localisation:
        """Return the metric, with its notes."""
        layout, name = self._layout, f"localisation.{self.metric.name}"
        assert layout is not None
        if self.metric.name == "pckh" and not self._has_head:
            raise InputError(_no_heads(path))
        localisation = self._localisation(layout, people, without_result)
        if localisation.headline == "error" and localisation.error is None:
            findings.notes.append(f"{name}.error: null, as joints that count have no prediction")
        if localisation.without_reference:
            findings.notes.append(
                f"{name}: {localisation.without_reference} of {people} people are left out, as their labels do not "
                f"give {self._rule.reference}{', or the other diagonal' * (self._rule.reference == _TORSO)}"
                f"{_HEADS_OF_SIZE_0 * (self.metric.name == 'pckh')}"
            )
        if self._other_diagonal:
            findings.notes.append(
                f"{name}: {self._other_diagonal} people are measured by the other diagonal, right shoulder to left "
                "hip, as the first one's joints are not labelled"
            )
        for number, draws in self._draws(layout, findings).items():
            findings.interval(f"{name}.{number}", draws)
        return localisation

    def _localisation(self, layout: _Distances, people: int, without_result: int) -> Localisation:
        rule, metric = self._rule, self.metric
        columns = [column for group in layout.groups.values() for column in group]
        curve = CorrectJoints(self._fractions, self._curve, self._count)
        rates = CorrectJoints(np.array([metric.fraction]), self._correct[None], self._count)
        groups = {name: rate[0] for name, rate in rates.joined(layout.groups).items()}
        of_groups = np.array(list(groups.values()))
        is_defined = ~np.isnan(of_groups)
        labels = int(self._count.sum())
        return Localisation(
            title=rule.title if metric.name == "nme" else f"{rule.title}@{metric.fraction:g}",
            fraction=metric.fraction,
            reference=rule.reference,
            total=none_if_nan(rates.pooled(columns)[0]),
            all=none_if_nan(rates.pooled()[0]),
            mean=none_if_nan(of_groups[is_defined].mean()) if is_defined.any() else None,
            auc=none_if_nan(area_under_curve(curve.fractions, curve.pooled(columns))),
            error=none_if_nan(mean_of(self._error, labels)) if layout.is_of_joints and self._is_finite else None,
            groups={name: none_if_nan(rate) for name, rate in groups.items()},
            parts={
                name: PartRate(none_if_nan(rate), int(n))
                for name, rate, n in zip(layout.names, rates.rate[0], rates.count, strict=True)
            },
            people=self._counted,
            without_result=without_result,
            without_reference=people - self._counted,
            curve=Curve(
                tuple(np.round(curve.fractions, 6).tolist()),
                tuple(map(none_if_nan, curve.pooled(columns))),
                {name: tuple(map(none_if_nan, shares)) for name, shares in curve.joined(layout.groups).items()},
            ),
        )

    def _draws(self, layout: _Distances, findings: Findings) -> dict[str, Float[np.ndarray, " B"]]:
        """Return the total, the mean and each group in every draw."""
        assert self._photos is not None
        sums = findings.resampling.sums(self._photos)
        correct, count, error = np.split(sums, [len(layout.names), 2 * len(layout.names)], axis=1)  # (B, P), (B, 2)
        rate = _share(correct, count)
        groups = {name: _mean(rate[:, list(columns)]) for name, columns in layout.groups.items()}
        columns = [column for group in layout.groups.values() for column in group]
        total = _share(correct[:, columns].sum(axis=1), count[:, columns].sum(axis=1))
        mean = _mean(np.stack(list(groups.values()), axis=1))
        draws = {"total": total, "all": _share(correct.sum(axis=1), count.sum(axis=1)), "mean": mean}
        if layout.is_of_joints:
            draws["error"] = _share(error[:, 0], error[:, 1]) if self._is_finite else np.full(len(error), np.nan)
        return draws | {f"groups.{name}": rates for name, rates in groups.items()}


def _predictions(
    poses: Poses, person: Int[np.ndarray, " N"], people: int
) -> tuple[Float[np.ndarray, "M K 2"], Bool[np.ndarray, " M"]]:
    """Return the predicted joints (M, K, 2) of each person, NaN where there are none, and who has a result."""
    xy = np.full((people, poses.keypoint_count, 2), np.nan)
    rows = np.flatnonzero(person >= 0)
    joints = poses.xy[rows].astype(np.float64)
    if poses.missing is not None:
        joints = np.where(poses.missing[rows][..., None], np.nan, joints)
    xy[person[rows]] = joints
    has_result = np.zeros(people, dtype=np.bool_)
    has_result[person[rows]] = True
    return xy, has_result


def _measure(metric: Metric, file: TruthFile, people: Truth, xy: np.ndarray) -> _Distances:
    labelled = np.asarray(people.v > 0)
    skeleton = people.skeleton
    if skeleton is None:
        raise InputError(f"{file.path}: keypoints have no names, which --metric {metric.name} needs: give --skeleton")
    if metric.name.startswith("pcp"):
        limbs = body_limbs(skeleton)
        if not limbs:
            raise InputError(f"{file.path}: the skeleton {skeleton.name} has none of the limbs of PCP")
        rule = "loose" if metric.name == "pcp-loose" else "strict"
        distance = limb_distance(xy, people.xy, labelled, limbs, rule)
        return _Distances(distance, tuple(limb.name for limb in limbs), limb_groups(limbs), False)
    reference = _reference_lengths(metric.name, file, people, labelled, skeleton)
    distance = normalised_distance(xy, people.xy, labelled, reference)
    return _Distances(distance, skeleton.keypoints, table_groups(skeleton), True)


def _reference_lengths(
    name: str, file: TruthFile, people: Truth, labelled: np.ndarray, skeleton: Skeleton
) -> Float[np.ndarray, " M"]:
    if name == "pckh":
        if people.head_size is None:
            raise InputError(_no_heads(file.path))
        return people.head_size
    if name == "pck":
        return box_side(joints_box(people.xy, labelled))
    if name == "pck-box":
        if people.box is None:
            raise InputError(f"{file.path}: field 'bbox' is missing in every annotation, --metric pck-box needs it")
        return box_side(people.box)
    try:
        if name == "nme":
            return eye_corner_distance(people.xy, labelled, skeleton)
        return torso_diameter(people.xy, labelled, skeleton, either_diagonal=True)
    except ValueError as error:
        raise InputError(f"{file.path}: {error}") from None


def _other_diagonals(people: Truth) -> int:
    """Return how many people have the torso's other diagonal only."""
    assert people.skeleton is not None
    labelled = np.asarray(people.v > 0)
    first = torso_diameter(people.xy, labelled, people.skeleton)
    either = torso_diameter(people.xy, labelled, people.skeleton, either_diagonal=True)
    return int((np.isnan(first) & ~np.isnan(either)).sum())


def _mean(values: np.ndarray) -> np.ndarray:
    """Return the mean of each row's numbers; NaN in a row without any."""
    is_known = ~np.isnan(values)
    return _share(np.where(is_known, values, 0.0).sum(axis=1), is_known.sum(axis=1))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def _no_heads(path: str) -> str:
    return (
        f"{path}: has no head sizes, which --metric pckh needs (MPII's annotations have them; for HRNet's JSON they "
        "are in gt_valid.mat beside it); pck, pck-torso and pdj do not need them"
    )


NEEDS_SIGMAS = "all other numbers: null, the skeleton {name} has no published sigmas for OKS (--sigmas gives them)"
_OTHER_KEYS = tuple(
    name
    for name in Audit.__dataclass_fields__
    if name not in ("localisation", "inputs", "notes", "intervals", "compare", "score_field")
)


@dataclass(frozen=True, repr=False)
class JointsAudit(AuditDisplay):
    """What `tp.audit` returns where OKS cannot be computed, as the skeleton has no sigmas: PCK and its relatives.

    `as_dict()` has the keys of an `Audit`, null but for these. What needs OKS (`ap`, `pose`, `keypoint`, …) is no
    attribute: reading it raises AttributeError, which says so.

    Attributes:
        localisation: each metric by its name.
        intervals: by a number's dotted name, its 95 % interval from draws of photos, (low, high).
        inputs: name, SHA-256 and number of rows of both files.
        notes: sentences on what could not be computed, and why.
        score_field: field of a result by which a person's result is chosen.
        draws: the numbers in each draw, for comparisons; not part of the JSON.
        compare: differences from other audits, filled by `tp.compare`.
    """

    localisation: dict[str, Localisation]
    intervals: dict[str, tuple[float, float]]
    inputs: dict[str, Any]
    notes: tuple[str, ...]
    score_field: str
    draws: Draws = field(repr=False)
    compare: tuple[Comparison, ...] = ()

    def number(self, name: str) -> Number:
        """Return a number by its dotted name, as in `intervals`: "localisation.pckh.total"; None if it needs OKS."""
        first, *parts = name.split(".")
        if first in _OTHER_KEYS:
            return None
        if first != "localisation":
            raise KeyError(first)
        value: Any = json_value(self.localisation)
        for part in parts:
            value = value[part]
        return value

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON: an `Audit`'s keys, null where OKS is needed."""
        names = ("localisation", "intervals", "inputs", "notes", "compare", "score_field")
        values = {name: json_value(getattr(self, name)) for name in names}
        return {name: None for name in _OTHER_KEYS if name != "details"} | values

    def __getattr__(self, name: str) -> Any:
        if name in _OTHER_KEYS:
            raise AttributeError(f"{name}: needs OKS, and there are no sigmas for it; give the audit sigmas=…")
        raise AttributeError(f"JointsAudit has no attribute {name!r}")

    def __repr__(self) -> str:
        """Return one line: the file, how many poses, and the headline of each metric."""
        results = self.inputs["results"]
        totals = {metric.title: getattr(metric, metric.headline) for metric in self.localisation.values()}
        numbers = ", ".join(f"{title} {'–' if total is None else f'{total:.3f}'}" for title, total in totals.items())
        return f"JointsAudit({shown(str(results['file']))}: {results['results']} poses; {numbers})"

    def _shown(self) -> Mapping[str, str]:
        """Labels of the metrics' headlines, by dotted name."""
        return {f"localisation.{name}.{metric.headline}": metric.title for name, metric in self.localisation.items()}


def has_joints_only(truth: TruthFile, metrics: Sequence[Metric], sigmas: Float[np.ndarray, " L"] | None) -> bool:
    """Return whether a file can be audited by the metrics of its joints alone, as its skeleton has no published
    sigmas and none are given."""
    return sigmas is None and bool(metrics) and truth.skeleton is not None and not truth.skeleton.has_sigmas
