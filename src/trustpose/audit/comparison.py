"""Differences between results files, from draws of the same photos.

Two files' own intervals may overlap although one is surely better: easy and hard photos move both alike. In a paired
bootstrap each draw of photos is made for both, and what the draw does to both cancels in the difference (Efron &
Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 8).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from trustpose.audit.record import Audit, Comparison, Number
from trustpose.metrics.bootstrap import interval

Outcome = Literal["better", "worse", "undecided"]
LOWER_IS_BETTER = frozenset({"headroom", "pose.ece", "keypoint.ece", "keypoint.brier"})


def comparable(audits: Sequence[Audit]) -> bool:
    """Whether the audits are about the same people in the same photos, measured the same way."""
    return all(_same_measure(audits[0], other) for other in audits[1:])


def compare(audit: Audit, against: Audit) -> list[Comparison]:
    """`audit`'s numbers less `against`'s, wherever both have one, with 95 % intervals from the draws they share.

    Every photo stands in a draw as often for one file as for the other; a number over poses paired with people is over
    each file's own pairs. Draws where either number is undefined are left out; without any, or where the audits were
    made with other seeds or numbers of draws, `low` and `high` are None. Empty where the audits are not `comparable`.
    """
    if not comparable((audit, against)):
        return []
    file, other_file = (one.inputs["results"]["file"] for one in (audit, against))
    mine, theirs = audit.details.draws, against.details.draws
    differences = []
    for metric in (name for name in mine.values if name in theirs.values):
        value, other = audit.number(metric), against.number(metric)
        if value is None or other is None:
            continue
        ends: tuple[Number, Number] = (None, None)
        draws = mine.values[metric], theirs.values[metric]
        if mine.seed == theirs.seed and draws[0].shape == draws[1].shape:
            low, high = interval(draws[0] - draws[1])
            ends = (None, None) if np.isnan(low) else (low, high)
        differences.append(Comparison(file, other_file, metric, value - other, *ends))
    return differences


def with_comparisons(audits: Sequence[Audit]) -> list[Audit]:
    """The same audits, each with `compare` filled: its differences from every other, in their order."""
    return [
        replace(
            audit,
            compare=tuple(one for j, other in enumerate(audits) if i != j for one in compare(audit, other)),
        )
        for i, audit in enumerate(audits)
    ]


def outcome(comparison: Comparison) -> Outcome:
    """Whether `file` is better or worse than `against` in this number: where the whole interval lies on one side of 0.
    "undecided" otherwise: these photos cannot tell the two apart."""
    low, high = comparison.low, comparison.high
    if low is None or high is None or low <= 0 <= high:
        return "undecided"
    return "better" if (low > 0) != (comparison.metric in LOWER_IS_BETTER) else "worse"


def _same_measure(one: Audit, other: Audit) -> bool:
    same_ground_truth = one.inputs["ground_truth"]["sha256"] == other.inputs["ground_truth"]["sha256"]
    a, b = one.details, other.details
    return (
        same_ground_truth
        and one.area == other.area
        and np.array_equal(a.sigmas, b.sigmas)
        and np.array_equal(a.draws.image_id, b.draws.image_id)
        and np.array_equal(_ids(one), _ids(other))
    )


def _ids(audit: Audit) -> np.ndarray:
    """The audited people, which --category and the like choose among those of the file."""
    ids = audit.details.truth.annotation_id
    return np.arange(len(audit.details.truth)) if ids is None else ids
