"""The kinds of label errors as explicit hypotheses: for each label, the log likelihood ratio of a right label against
that kind of error, under the calibrated error model.

A right label has the density of the expected error around the estimate, and v with its probability. An error of a kind
makes other labels: a shifted position spreads over the scales of people's misses, a swapped one lies where the other
side's label should, another person's where that person's joint does. Positive ratios speak for the error.

Source: the kinds jitter, inversion, swap and miss are those of Ronchi and Perona, Benchmarking and error diagnosis in
multi-instance pose estimation, ICCV 2017, here as errors of labellers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.geometry.expected_error import AREA_OF_BOX
from trustpose.reviews.evidence import Evidence, log_mixture

MISSES = (1.5, 3.0, 6.0)  # standard deviations of misplaced labels, in units of s k
_AT_JOINT = 0.5  # standard deviation of a label on another person's joint, in units of s k
_MOST = 20.0  # of a ratio


@dataclass(frozen=True, eq=False)
class Ratios:
    """A hypothesis for the labels where it can hold: where `possible`, and the log likelihood ratio of the error.

    Both are (M, K), or (M,) for a kind of error of whole people.
    """

    possible: Bool[np.ndarray, "*M"]
    ratio: Float[np.ndarray, "*M"]


def position(evidence: Evidence) -> Ratios:
    """A label away from its joint, as by people's misses."""
    shifts = [log_mixture(evidence.error, evidence.distance, size * evidence.scale) for size in MISSES]
    wrong = np.logaddexp.reduce(shifts, axis=0) - np.log(len(MISSES))
    return Ratios(evidence.labelled, wrong - evidence.log_density)


def swapped(evidence: Evidence) -> Ratios:
    """The labels of a left and a right joint, both labelled, exchanged; both joints have the same ratio."""
    ratio, possible = _exchanged(evidence)
    return Ratios(possible & evidence.labelled & evidence.labelled[:, evidence.skeleton.flip_index], ratio)


def person_swapped(evidence: Evidence) -> Ratios:
    """All left and right labels of a person, exchanged."""
    ratio, possible = _exchanged(evidence)
    is_first = np.arange(len(evidence.skeleton)) < evidence.skeleton.flip_index  # each pair once
    total = np.where(possible & is_first, ratio, 0).sum(axis=1)
    return Ratios((possible & is_first).sum(axis=1) >= 2, total)


def other_person(evidence: Evidence) -> Ratios:
    """A label on the same joint of somebody near, where either that person's label or estimate is."""
    first, second = evidence.near
    wrong = np.full(evidence.labelled.shape, -np.inf)
    for centre, spread in (
        (np.where(evidence.labelled[..., None], evidence.truth.xy, np.nan), 0 * evidence.scale),
        (evidence.poses.xy.astype(np.float64), evidence.error.std),
    ):
        distance = np.linalg.norm(evidence.truth.xy[first] - centre[second], axis=2)
        variance = (_AT_JOINT * evidence.scale[first]) ** 2 + spread[second] ** 2
        density = -np.log(2 * np.pi * variance) - distance**2 / (2 * variance)
        np.maximum.at(wrong, first, np.where(np.isfinite(density), density, -np.inf))
    possible = evidence.labelled & np.isfinite(wrong)
    return Ratios(possible, np.where(possible, wrong, 0) - evidence.log_density)


def missing(evidence: Evidence) -> Ratios:
    """A joint that is visible, without a label."""
    return Ratios(evidence.truth.v == 0, np.log(evidence.chance[..., 2] / evidence.chance[..., 0]))


def invented(evidence: Evidence) -> Ratios:
    """A label of a joint that nobody can see: somewhere in the person's box."""
    box_area = np.square(evidence.scale / (2 * evidence.skeleton.sigmas)) / AREA_OF_BOX
    right = evidence.log_chance + evidence.log_density
    return Ratios(evidence.labelled, np.log(evidence.chance[..., 0] / 2) - np.log(box_area) - right)


def visibility(evidence: Evidence) -> Ratios:
    """An occluded joint labelled as visible, or a visible one as occluded."""
    odds = np.log(evidence.chance[..., 1] / evidence.chance[..., 2])
    return Ratios(evidence.truth.v > 0, np.where(evidence.truth.v == 2, odds, -odds))


HYPOTHESES: dict[str, Callable[[Evidence], Ratios]] = {
    "position": position,
    "swapped": swapped,
    "person_swapped": person_swapped,
    "other_person": other_person,
    "missing": missing,
    "invented": invented,
    "visibility": visibility,
}
"""The kinds by name; those of whole people have one ratio a person."""
PERSON_KINDS = ("person_swapped",)


def ratios_of(evidence: Evidence) -> dict[str, Ratios]:
    """Return the ratios of all kinds."""
    return {kind: hypothesis(evidence) for kind, hypothesis in HYPOTHESES.items()}


def inputs_of(
    kind: str, evidence: Evidence, ratios: Mapping[str, Ratios]
) -> tuple[Int[np.ndarray, " S"], Int[np.ndarray, " S"], Float[np.ndarray, "S D"]]:
    """Return person (S,), keypoint (S,), -1 for a whole person, and what the probability of a kind is computed from:
    the ratios of all kinds, so that one that explains a label better counts against the others, and the context.

    For a kind of whole people: its own ratio, and the mean context. Ratios stand there twice: squashed at ±20, and
    their positive part; 0 where a kind cannot hold. Last comes the mean ratio of `swapped` of the person's other pairs:
    an estimate that is turned round swaps all of them.
    """
    possible = ratios[kind].possible
    indices = np.nonzero(possible)
    squashed = {name: np.where(of.possible, np.clip(of.ratio, -_MOST, _MOST), 0) for name, of in ratios.items()}
    if kind in PERSON_KINDS:
        columns = [squashed[kind], np.maximum(squashed[kind], 0), *evidence.context.mean(axis=1).T]
        return indices[0], np.full(len(indices[0]), -1), np.stack(columns, axis=-1)[possible]
    shape = evidence.truth.v.shape
    columns = [np.broadcast_to(of[:, None], shape) if of.ndim == 1 else of for of in squashed.values()]
    columns += [np.maximum(of, 0) for of in columns]
    columns += [*np.moveaxis(evidence.context, 2, 0), _mean_of_other_pairs(squashed["swapped"], evidence)]
    return indices[0], indices[1], np.stack(columns, axis=-1)[possible]


def _exchanged(evidence: Evidence) -> tuple[Float[np.ndarray, "M K"], Bool[np.ndarray, "M K"]]:
    """Return the log likelihood ratio of exchanged labels, and where a side of the pair is labelled."""
    mirror = evidence.skeleton.flip_index
    distance = np.linalg.norm(evidence.truth.xy[:, mirror] - evidence.poses.xy, axis=2)
    has_estimate = np.isfinite(evidence.error.std) & np.isfinite(evidence.poses.xy).all(axis=2)
    labelled = evidence.truth.v > 0
    chance = np.log(np.take_along_axis(evidence.chance, evidence.truth.v[:, mirror, None], axis=2)[..., 0])
    density = np.where(labelled, evidence.log_density, 0)
    density_exchanged = np.where(labelled[:, mirror], log_mixture(evidence.error, distance, 0.0), 0)
    gain = chance - evidence.log_chance + density_exchanged - density
    possible = (labelled | labelled[:, mirror]) & has_estimate & has_estimate[:, mirror]
    possible &= mirror != np.arange(len(mirror))
    return np.where(possible, gain + gain[:, mirror], 0), possible


def _mean_of_other_pairs(ratio: Float[np.ndarray, "M K"], evidence: Evidence) -> Float[np.ndarray, "M K"]:
    mirror = evidence.skeleton.flip_index
    total = ratio.sum(axis=1, keepdims=True) - ratio - ratio[:, mirror]
    return total / len(mirror)
