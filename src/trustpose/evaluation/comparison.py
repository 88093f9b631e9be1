"""Compute paired differences between results files from common draws of photos.

The intervals of two files may overlap although one file is clearly better, since easy and hard photos move both. A
paired bootstrap uses the same draw of photos for both files, so that its common effect cancels in the difference (Efron
& Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 8).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol, TypeVar

import numpy as np

from trustpose.evaluation.details import Draws
from trustpose.evaluation.localisation import JointsAudit
from trustpose.evaluation.record import Audit, Comparison
from trustpose.evaluation.section_records import Number
from trustpose.metrics.bootstrap import interval

Outcome = Literal["better", "worse", "undecided"]
AnyAudit = TypeVar("AnyAudit", bound=Audit | JointsAudit)
LOWER_IS_BETTER = frozenset(
    {"headroom", "pose.ece", "keypoint.ece", "keypoint.brier", "presence.ece", "presence.brier"}
)


class Numbered(Protocol):
    """An audit of any kind: its numbers by dotted name, and its files."""

    @property
    def inputs(self) -> dict[str, Any]: ...

    def number(self, name: str) -> Number: ...


def comparable(audits: Sequence[Audit | JointsAudit]) -> bool:
    """Return whether the audits cover the same people in the same photos, evaluated with the same settings."""
    return all(_has_same_setup(audits[0], audit) for audit in audits[1:])


def compare(audit: Audit | JointsAudit, against: Audit | JointsAudit) -> list[Comparison]:
    """Compare two audits number by number, with 95 % intervals from common draws of photos.

    A photo has the same count in a draw for both files; numbers over matched poses use each file's own matches. Draws
    where either number is undefined are left out.

    Args:
        audit: the audit of one results file.
        against: the audit of another on the same people, with the same settings.

    Returns:
        `audit`'s numbers minus `against`'s where both have one; empty if the two are not `comparable`. `low` and `high`
        are None without draws, or if the audits used other seeds or numbers of draws.

    Raises:
        AttributeError: for anything but audits.

    Example:
        >>> audits = [tp.audit("gt.json", name, draws=20) for name in ("new_version.json", "results.json")]
        >>> differences = {difference.metric: difference for difference in tp.compare(*audits)}
        >>> differences["ap.AP"].difference > 0
        True
    """
    if not comparable((audit, against)):
        return []
    mine, theirs = _draws(audit), _draws(against)
    return [
        difference_of(audit, against, mine, theirs, metric)
        for metric in mine.values
        if metric in theirs.values and audit.number(metric) is not None and against.number(metric) is not None
    ]


def difference_of(audit: Numbered, against: Numbered, mine: Draws, theirs: Draws, metric: str) -> Comparison:
    """Return the difference of one number that both audits have, with the interval from their draws `mine` and `theirs`
    if those are of the same seed and number."""
    value, reference = audit.number(metric), against.number(metric)
    assert value is not None and reference is not None
    ends: tuple[Number, Number] = (None, None)
    draws = mine.values[metric], theirs.values[metric]
    if mine.seed == theirs.seed and draws[0].shape == draws[1].shape:
        low, high = interval(draws[0] - draws[1])
        ends = (None, None) if np.isnan(low) else (low, high)
    file, other_file = (record.inputs["results"]["file"] for record in (audit, against))
    return Comparison(file, other_file, metric, value - reference, *ends)


def with_comparisons(audits: Sequence[AnyAudit]) -> list[AnyAudit]:
    """Return the audits with `compare` filled: the differences from every other audit, in their order."""
    return [
        replace(
            audit,
            compare=tuple(
                comparison for j, against in enumerate(audits) if i != j for comparison in compare(audit, against)
            ),
        )
        for i, audit in enumerate(audits)
    ]


def outcome(comparison: Comparison) -> Outcome:
    """Return whether `file` is better or worse than `against`, if the whole interval is on one side of 0; otherwise
    "undecided"."""
    low, high = comparison.low, comparison.high
    if low is None or high is None or low <= 0 <= high:
        return "undecided"
    is_lower_better = comparison.metric in LOWER_IS_BETTER or comparison.metric.endswith(".error")
    return "better" if (low > 0) != is_lower_better else "worse"


def _has_same_setup(first: Audit | JointsAudit, second: Audit | JointsAudit) -> bool:
    same_ground_truth = first.inputs["ground_truth"]["sha256"] == second.inputs["ground_truth"]["sha256"]
    if not same_ground_truth or not np.array_equal(_draws(first).image_id, _draws(second).image_id):
        return False
    if isinstance(first, JointsAudit) or isinstance(second, JointsAudit):
        return type(first) is type(second)
    return (
        first.area == second.area
        and np.array_equal(first.details.sigmas, second.details.sigmas)
        and np.array_equal(_ids(first), _ids(second))
    )


def _draws(audit: Audit | JointsAudit) -> Draws:
    return audit.draws if isinstance(audit, JointsAudit) else audit.details.draws


def _ids(audit: Audit) -> np.ndarray:
    """Return the ids of the audited people, a subset of the file's with options such as --category."""
    ids = audit.details.truth.annotation_id
    return np.arange(len(audit.details.truth)) if ids is None else ids
