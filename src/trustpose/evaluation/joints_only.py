"""Audit without OKS: for skeletons without published sigmas, whose data sets have metrics of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from trustpose.evaluation.details import Draws
from trustpose.evaluation.display import AuditDisplay
from trustpose.evaluation.localisation import Metric
from trustpose.evaluation.record import Audit, Comparison, Localisation, Number, plain
from trustpose.file_names import shown
from trustpose.formats.coco import TruthFile

NEEDS_SIGMAS = "all other numbers: null, the skeleton {name} has no published sigmas for OKS (--sigmas gives them)"
_OTHER_KEYS = tuple(
    name
    for name in Audit.__dataclass_fields__
    if name not in ("localisation", "inputs", "notes", "intervals", "compare", "score_field")
)


@dataclass(frozen=True, repr=False)
class JointsAudit(AuditDisplay):
    """The localisation of one results file; `as_dict()` has the keys of an `Audit`, null but for these.

    `compare` has the differences from other audits, filled by `comparison.with_comparisons`; `draws` is not part of the
    JSON. What needs OKS (`ap`, `pose`, `keypoint`, …) is no attribute: reading it raises AttributeError, which says so.
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
        value: Any = plain(self.localisation)
        for part in parts:
            value = value[part]
        return value

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON: an `Audit`'s keys, null where OKS is needed."""
        names = ("localisation", "intervals", "inputs", "notes", "compare", "score_field")
        return {name: None for name in _OTHER_KEYS if name != "details"} | {n: plain(getattr(self, n)) for n in names}

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
