"""`Agreement`: how far measured readings are from a reference, as a record that a page, a table and JSON show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from trustpose.files import write_json
from trustpose.measures.cycles import Cycles
from trustpose.measures.paired_readings import PairedReadings
from trustpose.measures.time_offset import TimeOffset
from trustpose.metrics.agreement import Coverage
from trustpose.notebook import html_line, html_table

REGRESSION = "ordinary least squares of the measured value on the reference"


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval from draws of clusters; NaN where there is none."""

    value: float
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True)
class CycleAgreement:
    """One number of each cycle, such as its peak: bias, sd, limits of agreement and ICC(A,1) over cycles."""

    n: int
    bias: float
    sd: float
    low_limit: float
    high_limit: float
    rmse: float
    icc_a1: float


@dataclass(frozen=True, eq=False)
class CurveAgreement:
    """C cycles of a measure.

    Attributes:
        curves: of each cycle, (C, 101) of reference and measured.
        rmse: of the mean curves' difference.
        numbers: agreement over cycles of `maximum`, `minimum` and `range`.
    """

    curves: Cycles
    rmse: float
    numbers: Mapping[str, CycleAgreement]

    def mean(self) -> tuple[Float[np.ndarray, " 101"], Float[np.ndarray, " 101"]]:
        """Return the mean curves, reference and measured."""
        return self.curves.reference.mean(axis=0), self.curves.measured.mean(axis=0)

    def sd(self) -> tuple[Float[np.ndarray, " 101"], Float[np.ndarray, " 101"]]:
        """Return the standard deviations over cycles (n − 1), reference and measured; NaN for a single cycle."""
        if len(self.curves) < 2:
            return np.full(101, np.nan), np.full(101, np.nan)
        return self.curves.reference.std(axis=0, ddof=1), self.curves.measured.std(axis=0, ddof=1)


@dataclass(frozen=True, eq=False)
class MeasureAgreement:
    """Agreement of one measure; numbers are in its unit, differences are measured − reference.

    Attributes:
        pairs: the readings.
        numbers: bias, sd, low_limit, high_limit, rmse, mae, large_share, icc_a1, icc_c1, ccc, slope, intercept and
            pearson (`metrics.agreement.agreement_of`), each with its interval by clusters.
        percentile_limits: the 2.5th and 97.5th percentile of the differences.
        repeated_limits: limits of agreement for repeated readings of the clusters; NaN without them.
        icc_independent: McGraw & Wong's 95 % intervals of icc_a1 and icc_c1, which take readings as independent.
        large: the absolute error from which one counts as large; None: none was named.
        unreadable: measured values left out because their table says that they cannot be read.
        coverage: what the claimed intervals hold, ascending.
        cycles: per cycle; None where none was asked for, or every cycle has a gap.
    """

    pairs: PairedReadings
    numbers: Mapping[str, Estimate]
    percentile_limits: tuple[float, float]
    repeated_limits: tuple[float, float]
    icc_independent: Mapping[str, tuple[float, float]]
    large: float | None
    unreadable: int
    coverage: tuple[Coverage, ...]
    cycles: CurveAgreement | None = None

    def __getitem__(self, name: str) -> float:
        """Return one of `numbers` without its interval."""
        return self.numbers[name].value

    def to_json(self) -> dict[str, Any]:
        """Return the measure's part of `Agreement.to_json`."""
        record: dict[str, Any] = {
            "unit": self.pairs.unit,
            "n": len(self.pairs),
            "missing": self.pairs.missing,
            "unreadable": self.unreadable,
        }
        for name, estimate in self.numbers.items():
            record[name] = _number(estimate.value)
        record["limits"] = [record.pop("low_limit"), record.pop("high_limit")]
        record["percentile_limits"] = [_number(end) for end in self.percentile_limits]
        record["repeated_limits"] = [_number(end) for end in self.repeated_limits]
        record["large_error"] = self.large
        record["regression"] = REGRESSION
        record["intervals"] = {
            name: [_number(estimate.low), _number(estimate.high)] for name, estimate in self.numbers.items()
        }
        record["icc_independent"] = {
            name: [_number(end) for end in ends] for name, ends in self.icc_independent.items()
        }
        record["coverage"] = [
            {name: _number(getattr(row, name)) for name in ("claimed", "share", "low", "high", "n", "width", "score")}
            for row in self.coverage
        ]
        record["cycles"] = None if self.cycles is None else _cycles_json(self.cycles)
        return record


def _cycles_json(cycles: CurveAgreement) -> dict[str, Any]:
    mean, sd = cycles.mean(), cycles.sd()
    curves = {
        name: {"mean": [_number(value) for value in mean[index]], "sd": [_number(value) for value in sd[index]]}
        for index, name in enumerate(("reference", "measured"))
    }
    numbers = {
        name: {key: _number(value) for key, value in vars(number).items()} for name, number in cycles.numbers.items()
    }
    return {"n": len(cycles.curves), "rmse_of_means": _number(cycles.rmse), **numbers, "curves": curves}


@dataclass(frozen=True, eq=False, repr=False)
class Agreement:
    """How far measured readings are from a reference.

    Attributes:
        measures: the agreement of each measure, by its name in the reference.
        clusters: how many clusters the intervals draw.
        clustered_by: what they are: "person", "track", "clip", "cycle", "row", or "" where there are no intervals.
        offsets: of the clock of each clip; None where rows pair by ids.
        cycles: how cycles were found; "" without them.
        inputs: names of the files, reference and measured, clip by clip.
        notes: what to know of all numbers.

    Example:
        >>> agreement = tp.agree("mocap.mot", "video.mot")
        >>> agreement["knee_angle_r"]["rmse"]
        4.2
    """

    measures: Mapping[str, MeasureAgreement]
    clusters: int
    clustered_by: str
    offsets: tuple[TimeOffset | None, ...]
    cycles: str = ""
    inputs: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = field(default=())

    def __getitem__(self, name: str) -> MeasureAgreement:
        """Return one measure's agreement. Raises KeyError, listing the measures, for an unknown name."""
        if name not in self.measures:
            raise KeyError(f"{name!r} was not compared, expected one of {', '.join(self.measures)}")
        return self.measures[name]

    def __repr__(self) -> str:
        """One line: how many measures and readings."""
        readings = sum(len(measure.pairs) for measure in self.measures.values())
        ending = "" if len(self.measures) == 1 else "s"
        return f"Agreement({len(self.measures)} measure{ending}, {readings:,} pairs of readings)"

    def _repr_html_(self) -> str:
        """Return what notebooks show: the line, and a row for each measure."""
        names = ("bias", "low_limit", "high_limit", "rmse", "mae", "icc_a1", "ccc")
        rows = [
            [name, measure.pairs.unit, *(round(measure[number], 3) for number in names)]
            for name, measure in self.measures.items()
        ]
        return html_line(repr(self)) + html_table(("measure", "unit", *names), rows)

    def to_json(self) -> dict[str, Any]:
        """Return what `trustpose agree --json` writes; a number that has no value is None."""
        return {
            "measures": {name: measure.to_json() for name, measure in self.measures.items()},
            "clustered_by": self.clustered_by or None,
            "clusters": self.clusters,
            "time_offsets": [
                None if offset is None else {name: _number(value) for name, value in vars(offset).items()}
                for offset in self.offsets
            ],
            "cycles": self.cycles or None,
            "inputs": [{"reference": reference, "measured": measured} for reference, measured in self.inputs],
            "notes": list(self.notes),
        }

    def save(self, path: str | Path) -> None:
        """Write `to_json` to a file. Raises InputError if it cannot be written."""
        write_json(path, self.to_json())


def _number(value: Any) -> Any:
    """Return a number for JSON, None for NaN and infinity."""
    if isinstance(value, (bool, int)) or value is None:
        return value
    return round(float(value), 12) if np.isfinite(value) else None
