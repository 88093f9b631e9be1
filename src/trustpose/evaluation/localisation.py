"""The localisation section of an audit: the metrics of single people by name, with curves and intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from trustpose.evaluation.localisation_record import Curve, Localisation, PartRate
from trustpose.evaluation.record import known
from trustpose.evaluation.sections import Findings
from trustpose.files import InputError
from trustpose.formats.coco import TruthFile
from trustpose.metrics.correct_joints import (
    area_under_curve,
    correct_joints,
    mean_distance,
    normalised_distance,
    replicate_correct,
    replicate_mean_distance,
    table_groups,
)
from trustpose.metrics.correct_parts import body_limbs, limb_distance, limb_groups
from trustpose.metrics.reference_lengths import box_side, eye_corner_distance, joints_box, torso_diameter
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
class Asked:
    """A metric by its name, and the fraction of the reference length within which a joint is correct."""

    name: str
    fraction: float


@dataclass(frozen=True, eq=False)
class _Measured:
    """Errors (M, P) of the people who count in reference lengths, by columns of joints or limbs: NaN where none counts,
    infinity without a prediction."""

    distance: Float[np.ndarray, "M P"]
    names: tuple[str, ...]
    groups: Mapping[str, Sequence[int]]
    is_of_joints: bool


def parse_metric(text: str) -> Asked:
    """Return the metric of a text NAME or NAME@FRACTION. Raises InputError."""
    name, _, given = text.strip().partition("@")
    if name not in _RULES:
        raise InputError(f"--metric: expected {', '.join(METRICS)}, each with @FRACTION if wished, got {text[:40]!r}")
    try:
        fraction = float(given) if given else _RULES[name].fraction
    except ValueError:
        fraction = -1.0
    if not 0 < fraction <= 10:
        raise InputError(f"--metric {text[:40]}: expected a fraction above 0 and up to 10 after @")
    return Asked(name, fraction)


def asked_metrics(texts: Sequence[str], truth: TruthFile) -> tuple[Asked, ...]:
    """Return the metrics of `texts`, else the data set's own. Raises InputError for an unknown or repeated one."""
    asked = tuple(parse_metric(one) for text in texts or truth.metrics for one in text.split(","))
    names = [one.name for one in asked]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"--metric: {twice} is given twice")
    return asked


def localisation(
    truth: TruthFile,
    poses: Poses,
    person: Int[np.ndarray, " N"],
    asked: Sequence[Asked],
    counts: Int[np.ndarray, "B I"],
    person_image: Int[np.ndarray, " M"],
    findings: Findings,
) -> dict[str, Localisation]:
    """Compute the metrics by name. `person` (N,) is each pose's row of the ground truth or −1; `person_image` (M,) is a
    person's image in the draws `counts`.

    All people with labels count, without crowds; one without a result, and a joint that its estimator did not find,
    is wrong. Raises InputError if the ground truth lacks what a metric needs.
    """
    if not asked:
        return {}
    people = truth.truth
    crowd = np.zeros(len(people), bool) if people.iscrowd is None else people.iscrowd
    rows = np.flatnonzero((people.v > 0).any(axis=1) & ~crowd)
    if not len(rows):
        raise InputError(f"{truth.path}: no person has a labelled keypoint, --metric needs some")
    xy, is_found = _predictions(poses, person, len(people))
    without = int((~is_found[rows]).sum())
    if without:
        findings.notes.append(
            f"localisation.*: {without} of {len(rows)} people have no result: all their joints are wrong"
        )
    found = {}
    for one in asked:
        measured = _measure(one, truth, people[rows], xy[rows])
        found[one.name] = _summary(one, measured, without)
        if found[one.name].headline == "error" and found[one.name].error is None:
            findings.notes.append(f"localisation.{one.name}.error: null, as joints that count have no prediction")
        left_out = found[one.name].without_reference
        if left_out:
            findings.notes.append(
                f"localisation.{one.name}: {left_out} of {len(rows)} people are left out, as their labels do not give "
                f"{_RULES[one.name].reference}{', or the other diagonal' * (_RULES[one.name].reference == _TORSO)}"
                f"{_HEADS_OF_SIZE_0 * (one.name == 'pckh')}"
            )
        other = _other_diagonals(people[rows]) if _RULES[one.name].reference == _TORSO else 0
        if other:
            findings.notes.append(
                f"localisation.{one.name}: {other} people are measured by the other diagonal, right shoulder to "
                "left hip, as the first one's joints are not labelled"
            )
        for name, draws in _draws(one, measured, counts, person_image[rows]).items():
            findings.interval(f"localisation.{one.name}.{name}", draws)
    return found


def _predictions(poses: Poses, person: np.ndarray, people: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the predicted joints (M, K, 2) of each person, NaN where there are none, and who has a result."""
    xy = np.full((people, poses.keypoint_count, 2), np.nan)
    rows = np.flatnonzero(person >= 0)
    own = poses.xy[rows].astype(np.float64)
    if poses.missing is not None:
        own = np.where(poses.missing[rows][..., None], np.nan, own)
    xy[person[rows]] = own
    is_found = np.zeros(people, dtype=np.bool_)
    is_found[person[rows]] = True
    return xy, is_found


def _measure(asked: Asked, file: TruthFile, people: Truth, xy: np.ndarray) -> _Measured:
    labelled = np.asarray(people.v > 0)
    skeleton = people.skeleton
    if skeleton is None:
        raise InputError(f"{file.path}: keypoints have no names, which --metric {asked.name} needs: give --skeleton")
    if asked.name.startswith("pcp"):
        limbs = body_limbs(skeleton)
        if not limbs:
            raise InputError(f"{file.path}: the skeleton {skeleton.name} has none of the limbs of PCP")
        rule = "loose" if asked.name == "pcp-loose" else "strict"
        distance = limb_distance(xy, people.xy, labelled, limbs, rule)
        return _Measured(distance, tuple(limb.name for limb in limbs), limb_groups(limbs), False)
    reference = _reference_lengths(asked.name, file, people, labelled, skeleton)
    distance = normalised_distance(xy, people.xy, labelled, reference)
    return _Measured(distance, skeleton.keypoints, table_groups(skeleton), True)


def _reference_lengths(
    name: str, file: TruthFile, people: Truth, labelled: np.ndarray, skeleton: Skeleton
) -> Float[np.ndarray, " M"]:
    if name == "pckh":
        if people.head_size is None or not np.isfinite(people.head_size).any():
            raise InputError(
                f"{file.path}: has no head sizes, which --metric pckh needs (MPII's annotations have them; for HRNet's "
                "JSON they are in gt_valid.mat beside it); pck, pck-torso and pdj do without"
            )
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


def _summary(asked: Asked, measured: _Measured, without_result: int) -> Localisation:
    rule, columns = _RULES[asked.name], [column for group in measured.groups.values() for column in group]
    farthest = max(rule.farthest, asked.fraction)
    curve = correct_joints(measured.distance, np.linspace(0, farthest, _CURVE_STEPS))
    at = correct_joints(measured.distance, asked.fraction)
    groups = {name: rates[0] for name, rates in at.joined(measured.groups).items()}
    usable = ~np.isnan(list(groups.values()))
    counted = int((~np.isnan(measured.distance)).any(axis=1).sum())
    return Localisation(
        title=rule.title if asked.name == "nme" else f"{rule.title}@{asked.fraction:g}",
        fraction=asked.fraction,
        reference=rule.reference,
        total=known(at.pooled(columns)[0]),
        all=known(at.pooled()[0]),
        mean=known(np.array(list(groups.values()))[usable].mean()) if usable.any() else None,
        auc=known(area_under_curve(curve.fractions, curve.pooled(columns))),
        error=_finite(mean_distance(measured.distance)) if measured.is_of_joints else None,
        groups={name: known(rate) for name, rate in groups.items()},
        parts={
            name: PartRate(known(rate), int(n))
            for name, rate, n in zip(measured.names, at.rate[0], at.count, strict=True)
        },
        people=counted,
        without_result=without_result,
        without_reference=len(measured.distance) - counted,
        curve=Curve(
            tuple(np.round(curve.fractions, 6).tolist()),
            tuple(map(known, curve.pooled(columns))),
            {name: tuple(map(known, rates)) for name, rates in curve.joined(measured.groups).items()},
        ),
    )


def _draws(
    asked: Asked, measured: _Measured, counts: np.ndarray, image: np.ndarray
) -> dict[str, Float[np.ndarray, " B"]]:
    """Return the total, the mean and each group in every draw."""
    correct, count = replicate_correct(counts, measured.distance, asked.fraction, image)  # (B, P)
    rate = _share(correct, count)
    groups = {name: _mean(rate[:, list(columns)]) for name, columns in measured.groups.items()}
    columns = [column for group in measured.groups.values() for column in group]
    total = _share(correct[:, columns].sum(axis=1), count[:, columns].sum(axis=1))
    mean = _mean(np.stack(list(groups.values()), axis=1))
    draws = {"total": total, "all": _share(correct.sum(axis=1), count.sum(axis=1)), "mean": mean}
    if measured.is_of_joints:
        draws["error"] = replicate_mean_distance(counts, measured.distance, image)
    return draws | {f"groups.{name}": rates for name, rates in groups.items()}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _mean(values: np.ndarray) -> np.ndarray:
    """Return the mean of each row's numbers; NaN in a row without any."""
    is_known = ~np.isnan(values)
    return _share(np.where(is_known, values, 0.0).sum(axis=1), is_known.sum(axis=1))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
