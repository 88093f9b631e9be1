"""`tp.agree`: how far measured values agree with a reference over time, and whether their claimed intervals hold."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from trustpose.files import InputError
from trustpose.measures.paired_series import PairedValues, offset_of, paired_series, paired_values, with_cycles
from trustpose.metrics.agreement import (
    AgreementStatistics,
    agreement_statistics,
    clustered_intervals,
    interval_coverage,
)
from trustpose.notebook import html_line, html_table

FilesSource = str | Path | Sequence[str | Path]
_BLOCK = 1.0  # seconds whose values go together, where there is one clip
_FEWEST = 10  # pairs of values
_NOTED_OFFSET = 0.02  # seconds, from which on clocks are said to differ
CYCLE = np.linspace(0, 100, 101)  # % of a cycle


@dataclass(frozen=True)
class IntervalAgreement:
    """Whether claimed intervals of one level hold: the share of reference values inside, and the interval score."""

    coverage: float
    score: float


@dataclass(frozen=True, eq=False)
class Cycles:
    """C cycles (strides, repetitions) of one measure, each over 0–100 %.

    Attributes:
        reference: (C, 101).
        measured: (C, 101).
        peak: agreement of the cycles' highest values; None for fewer than three cycles.
        range: agreement of the cycles' ranges.
    """

    reference: Float[np.ndarray, "C 101"]
    measured: Float[np.ndarray, "C 101"]
    peak: AgreementStatistics | None
    range: AgreementStatistics | None


@dataclass(frozen=True, eq=False)
class MeasureAgreement:
    """Agreement of one measure.

    Attributes:
        measure: the measured file's name of it.
        unit: of all values but correlations.
        statistics: over all pairs of values.
        low, high: ends of 95 % intervals of some of these numbers, by name; clusters are drawn anew.
        claimed: whether the measured file's own intervals hold, by level.
        cycles: the measure cut into cycles; None if that was not asked for.
        time: (n,), seconds, one clip after another.
        reference: (n,).
        measured: (n,).
        clip: (n,), number of the pair of files.
        ends: (P, 2, n), low and high ends of the claimed intervals.
    """

    measure: str
    unit: str
    statistics: AgreementStatistics
    low: dict[str, float]
    high: dict[str, float]
    claimed: dict[str, IntervalAgreement]
    cycles: Cycles | None
    time: Float[np.ndarray, " n"]
    reference: Float[np.ndarray, " n"]
    measured: Float[np.ndarray, " n"]
    clip: Int[np.ndarray, " n"]
    ends: Float[np.ndarray, "P 2 n"]

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as JSON values, without the curves."""
        numbers = asdict(self.statistics)
        intervals = {name: {"low": self.low[name], "high": self.high[name]} for name in self.low}
        record: dict[str, Any] = {"unit": self.unit, **numbers, "intervals": intervals}
        record["claimed"] = {level: asdict(item) for level, item in self.claimed.items()}
        if self.cycles is not None:
            curves = {"reference": self.cycles.reference, "measured": self.cycles.measured}
            record["cycles"] = {
                "count": len(self.cycles.reference),
                **{name: _mean_and_sd(curve) for name, curve in curves.items()},
                "peak": None if self.cycles.peak is None else asdict(self.cycles.peak),
                "range": None if self.cycles.range is None else asdict(self.cycles.range),
            }
        return record


@dataclass(frozen=True, eq=False, repr=False)
class Agreement:
    """Agreement of measured values with a reference.

    Attributes:
        measures: of each measure.
        offset: seconds by which each clip's measured times were found to be late, as the fit of the curves says.
        is_shifted: whether the measured times were moved by it.
        clusters: whose values were drawn together for intervals: "clips", "people" or "stretches of 1 s".
        notes: what to know of the numbers.

    Example:
        >>> agreement = tp.agree("markers.csv", "angles.csv", unit="radians")  # doctest: +SKIP
        >>> agreement["RKnee_FE"].statistics.rmse  # doctest: +SKIP
        4.8
    """

    measures: dict[str, MeasureAgreement]
    offset: tuple[float, ...]
    is_shifted: bool
    clusters: str
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> MeasureAgreement:
        """Return the agreement of one measure. Raises KeyError, listing the measures, for an unknown name."""
        if name not in self.measures:
            raise KeyError(f"{name!r} was not compared, expected one of {', '.join(self.measures)}")
        return self.measures[name]

    def __repr__(self) -> str:
        """One line: how many measures, and the range of their RMSE."""
        errors = [item.statistics.rmse for item in self.measures.values()]
        return f"Agreement({len(errors)} measures, RMSE {min(errors):.3g} to {max(errors):.3g})"

    def _repr_html_(self) -> str:
        """Return what notebooks show: the line, and a table."""
        return html_line(repr(self)) + html_table(
            COLUMNS, [[name, *cells] for name, cells in ((name, row_of(item)) for name, item in self.measures.items())]
        )

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as JSON values."""
        return {
            "measures": {name: item.to_json() for name, item in self.measures.items()},
            "offset": list(self.offset),
            "shifted": self.is_shifted,
            "clusters": self.clusters,
            "notes": list(self.notes),
        }


COLUMNS = ("measure", "n", "bias", "limits", "RMSE", "MAE", "large", "ICC(A,1)", "ICC(C,1)", "CCC", "slope", "held")


def row_of(item: MeasureAgreement) -> list[str]:
    """Return the cells of `COLUMNS` behind the first."""
    numbers = item.statistics
    held = ", ".join(f"{claimed.coverage:.0%} of {float(level):.0%}" for level, claimed in item.claimed.items())
    return [
        f"{numbers.count:,}",
        f"{numbers.bias:+.3g}",
        f"{numbers.limits[0]:.1f}, {numbers.limits[1]:.1f}",
        f"{numbers.rmse:.3g}",
        f"{numbers.mae:.3g}",
        f"{numbers.large:.1%}",
        f"{numbers.icc_agreement[0]:.3f}",
        f"{numbers.icc_consistency[0]:.3f}",
        f"{numbers.ccc:.3f}",
        f"{numbers.slope:.3f}",
        held,
    ]


def agree(
    reference: FilesSource,
    measured: FilesSource,
    *,
    measures: Mapping[str, str] | Sequence[str] | None = None,
    unit: str | None = None,
    reference_unit: str | None = None,
    shift: bool = False,
    cycles: str | None = None,
    large: float = 5.0,
    draws: int = 1000,
) -> Agreement:
    """Compare measured values with a reference over time.

    The reference is read at the measured times, linearly between its own. Angles are compared in degrees. How late the
    measured times are is found from the curves in any case, and corrected with `shift`.

    Args:
        reference: a file of time series, or several, one for each clip: .csv, .mot, .sto, .trc, or the table of
            `trustpose measure`.
        measured: the same number of files.
        measures: which to compare; a mapping gives the reference's name of each. None: all names that both have.
        unit: of the measured angles, "degrees" or "radians", where the file does not say.
        reference_unit: of the reference's; None: as `unit`.
        shift: whether to move the measured times by the offset that was found.
        cycles: the measure whose peaks in the reference cut all measures into cycles; None: no cycles.
        large: absolute differences above it are large ones, in the unit of the measure.
        draws: of clusters, for 95 % intervals.

    Returns:
        The agreement of each measure.

    Raises:
        InputError: if a file cannot be read; if names, units or times do not fit together.
    """
    references, others = _files(reference), _files(measured)
    if len(references) != len(others):
        raise InputError(
            f"{others[0]}: expected as many files of the reference as measured ones, got {len(references)} and "
            f"{len(others)}"
        )
    clips = [
        paired_series(path, other, measures, (reference_unit or unit, unit))
        for path, other in zip(references, others, strict=True)
    ]
    offsets = tuple(offset_of(pairs) for pairs in clips)
    values = []
    for pairs, late, path, other in zip(clips, offsets, references, others, strict=True):
        clip = [paired_values(pair, late if shift else 0.0) for pair in pairs]
        if not any(len(item.time) for item in clip):
            raise InputError(f"{other}: no time of it lies between those of {path}")
        values.append(clip if cycles is None else with_cycles(clip, cycles, path))
    clusters = "clips" if len(clips) > 1 else "people" if clips[0][0].measured.person else f"stretches of {_BLOCK:g} s"
    compared, left_out = {}, []
    for name in dict.fromkeys(item.measure for clip in values for item in clip):
        items = [(number, item) for number, clip in enumerate(values) for item in clip if item.measure == name]
        if sum(len(item.time) for _, item in items) >= _FEWEST:
            compared[name] = _compare(name, items, clusters, large, draws)
        else:
            left_out.append(name)
    if not compared or (left_out and measures is not None):
        raise InputError(f"{others[0]}: {', '.join(left_out)}: fewer than {_FEWEST} values have a reference")
    return Agreement(compared, offsets, shift, clusters, _notes(compared, left_out, offsets, is_shifted=shift))


def _files(source: FilesSource) -> list[str | Path]:
    files = [source] if isinstance(source, (str, Path)) else list(source)
    if not files:
        raise InputError("expected at least one file, got none")
    return files


def _compare(
    name: str, items: list[tuple[int, PairedValues]], clusters: str, large: float, draws: int
) -> MeasureAgreement:
    time, x, y = (
        np.concatenate([getattr(item, part) for _, item in items]) for part in ("time", "reference", "measured")
    )
    clip = np.concatenate([np.full(len(item.time), number) for number, item in items])
    if clusters == "clips":
        cluster = clip
    elif clusters == "people":
        cluster = np.concatenate([np.full(len(item.time), number) for number, (_, item) in enumerate(items)])
    else:
        cluster = ((time - time.min()) / _BLOCK).astype(np.int64)
    intervals = clustered_intervals(x, y, cluster, large, draws)
    levels = sorted(set.intersection(*(set(item.ends) for _, item in items)))
    ends = [np.concatenate([item.ends[level] for _, item in items], axis=1) for level in levels]
    claimed = {}
    for level, (low, high) in zip(levels, ends, strict=True):
        has_ends = np.isfinite(low) & np.isfinite(high)
        if has_ends.any():
            numbers = interval_coverage(x[has_ends], low[has_ends], high[has_ends], level)
            claimed[f"{level:g}"] = IntervalAgreement(*numbers)
    curves = [_cycle_curves(item) for _, item in items if len(item.cuts) > 1]
    return MeasureAgreement(
        name,
        items[0][1].unit,
        agreement_statistics(x, y, large),
        {number: low for number, (low, _) in intervals.items()},
        {number: high for number, (_, high) in intervals.items()},
        claimed,
        _cycles(curves, large),
        time,
        x,
        y,
        clip,
        np.array(ends).reshape(len(levels), 2, len(clip)),
    )


def _cycle_curves(item: PairedValues) -> Float[np.ndarray, "C 2 101"]:
    """Return reference and measured values of each cycle over 0–100 %."""
    curves = []
    for start, end in pairwise(item.cuts):
        times = start + (end - start) * CYCLE / 100
        curves.append([np.interp(times, item.time, values) for values in (item.reference, item.measured)])
    return np.array(curves).reshape(-1, 2, len(CYCLE))


def _cycles(curves: list[np.ndarray], large: float) -> Cycles | None:
    if not curves:
        return None
    reference, measured = np.concatenate(curves).swapaxes(0, 1)
    if len(reference) < 3:
        return Cycles(reference, measured, None, None)
    peaks = agreement_statistics(reference.max(axis=1), measured.max(axis=1), large)
    ranges = agreement_statistics(np.ptp(reference, axis=1), np.ptp(measured, axis=1), large)
    return Cycles(reference, measured, peaks, ranges)


def _mean_and_sd(curves: Float[np.ndarray, "C 101"]) -> dict[str, list[float]]:
    return {"mean": curves.mean(axis=0).tolist(), "sd": curves.std(axis=0, ddof=min(1, len(curves) - 1)).tolist()}


def _notes(
    compared: Mapping[str, MeasureAgreement], left_out: Sequence[str], offsets: Iterable[float], *, is_shifted: bool
) -> tuple[str, ...]:
    notes = []
    late = [offset for offset in offsets if abs(offset) > _NOTED_OFFSET]
    if late and not is_shifted:
        listed = ", ".join(f"{offset:+.3f} s" for offset in late)
        notes.append(f"the measured times seem late by {listed}; --shift moves them")
    if left_out:
        notes.append(f"{', '.join(left_out)}: left out, fewer than {_FEWEST} values have a reference")
    if any(not item.unit for item in compared.values()):
        notes.append("the files do not say their units: numbers are in theirs (--unit)")
    return tuple(notes)
