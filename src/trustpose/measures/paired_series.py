"""Pairs of time series: the same measure of the same person in a reference and in a measured file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.signal import find_peaks

from trustpose.files import InputError
from trustpose.io.time_series import UNITS, Series, read_series
from trustpose.names import expected_one_of

MAX_OFFSET = 1.0  # seconds that clocks can differ by
_STEPS = 400  # of the search for the offset
_FEWEST = 10  # values of a curve, to find an offset
_PROMINENCE = 0.5  # of a peak, in units of the range between the 5th and 95th percentiles


def _in_degrees(series: Series, unit: str | None, path: str | Path) -> Series:
    """Return a series with angles in degrees. Raises InputError if the file says another unit than was asked."""
    if unit is not None and series.unit and unit != series.unit:
        raise InputError(f"{path}: {series.measure} is in {series.unit}, expected --unit {series.unit}, got {unit}")
    unit = series.unit or unit or ""
    if unit not in ("", *UNITS):
        raise InputError(f"unit: {expected_one_of(UNITS, unit)}")
    if unit != "radians":
        return replace(series, unit=unit)
    ends = [{level: np.rad2deg(numbers) for level, numbers in side.items()} for side in (series.low, series.high)]
    return replace(series, unit="degrees", value=np.rad2deg(series.value), low=ends[0], high=ends[1])


@dataclass(frozen=True, eq=False)
class SeriesPair:
    """The reference and the measured series of one measure of one person."""

    reference: Series
    measured: Series


def paired_series(
    path: str | Path,
    other: str | Path,
    measures: Mapping[str, str] | Sequence[str] | None,
    units: tuple[str | None, str | None],
) -> list[SeriesPair]:
    """Return the series of two files that measure the same of the same person, angles in degrees.

    Args:
        path: the reference.
        other: the measured file.
        measures: see `agree`.
        units: of the angles of both files, where they do not say.

    Raises:
        InputError: if a file cannot be read; if names, people or units do not fit together.
    """
    reference = [_in_degrees(item, units[0], path) for item in read_series(path)]
    measured = [_in_degrees(item, units[1], other) for item in read_series(other)]
    names = dict.fromkeys(item.measure for item in measured)
    known = dict.fromkeys(item.measure for item in reference)
    if measures is None:
        wanted = {name: name for name in names if name in known}
        if not wanted:
            raise InputError(
                f"{other}: has no measure of {path}: {', '.join(list(names)[:6])} against "
                f"{', '.join(list(known)[:6])}; --measures OURS=THEIRS names pairs"
            )
    else:
        wanted = dict(measures) if isinstance(measures, Mapping) else {name: name for name in measures}
    for name, of_reference in wanted.items():
        for file, listed, asked in ((other, names, name), (path, known, of_reference)):
            if asked not in listed:
                raise InputError(f"{file}: has no {asked!r}, expected one of {', '.join(listed)}")
    pairs = []
    for name, of_reference in wanted.items():
        theirs = {item.person: item for item in reference if item.measure == of_reference}
        ours = {item.person: item for item in measured if item.measure == name}
        if len(theirs) == len(ours) == 1:
            pairs.append(SeriesPair(*theirs.values(), *ours.values()))
            continue
        common = [person for person in ours if person in theirs]
        if not common:
            raise InputError(
                f"{other}: {len(ours)} people have {name}, in {path} {len(theirs)}, and no track_id is in both"
            )
        pairs += [SeriesPair(theirs[person], ours[person]) for person in common]
    for pair in pairs:
        if pair.reference.unit and pair.measured.unit and pair.reference.unit != pair.measured.unit:
            raise InputError(
                f"{other}: {pair.measured.measure} is in {pair.measured.unit}, in {path} in {pair.reference.unit}"
            )
        if bool(pair.reference.unit) != bool(pair.measured.unit):
            file, said = (path, pair.measured.unit) if pair.measured.unit else (other, pair.reference.unit)
            raise InputError(
                f"{file}: does not say its unit, the other file is in {said}: expected --unit or --reference-unit"
            )
    return pairs


def offset_of(pairs: Sequence[SeriesPair]) -> float:
    """Return by how many seconds the measured times are late: where the curves differ least, apart from their means;
    NaN for clips too short to say."""
    steps = np.linspace(-MAX_OFFSET, MAX_OFFSET, _STEPS + 1)
    differences = np.zeros(len(steps))
    for pair in pairs:
        time, reference = pair.measured.time, pair.reference
        inside = (time >= reference.time[0] + MAX_OFFSET) & (time <= reference.time[-1] - MAX_OFFSET)
        inside &= np.isfinite(pair.measured.value)
        has_value = np.isfinite(reference.value)
        if inside.sum() < _FEWEST or has_value.sum() < _FEWEST:
            continue
        times, values = reference.time[has_value], reference.value[has_value]
        moved = np.interp(time[inside] - steps[:, None], times, values)  # (steps, n)
        difference = pair.measured.value[inside] - moved
        differences += difference.var(axis=1) / max(float(values.var()), 1e-12)
    if not differences.any():
        return float("nan")
    best = int(differences.argmin())
    if not 0 < best < _STEPS:
        return float(steps[best])
    before, here, after = differences[best - 1 : best + 2]  # the vertex of the parabola through them
    return float(steps[best] + (steps[1] - steps[0]) * (before - after) / (2 * (before - 2 * here + after)))


@dataclass(frozen=True, eq=False)
class PairedValues:
    """n pairs of values at the same times, of one measure of one person.

    Attributes:
        measure: its measured name.
        person: the person's, "" for the only one.
        unit: of both.
        time: (n,), seconds.
        reference: (n,).
        measured: (n,).
        ends: (2, n), low and high ends of the claimed intervals, by level.
        cuts: (C + 1,), times at which C cycles begin and end.
    """

    measure: str
    person: str
    unit: str
    time: Float[np.ndarray, " n"]
    reference: Float[np.ndarray, " n"]
    measured: Float[np.ndarray, " n"]
    ends: dict[float, Float[np.ndarray, "2 n"]]
    cuts: Float[np.ndarray, " C"] = field(default_factory=lambda: np.zeros(0))


def paired_values(pair: SeriesPair, late: float) -> PairedValues:
    """Return the values of a pair at the measured times, moved by `late` seconds, that lie between the reference's."""
    measured, reference = pair.measured, pair.reference
    time = measured.time - (0.0 if np.isnan(late) else late)
    has_value = np.isfinite(reference.value)
    inside = np.isfinite(measured.value)
    if has_value.any():
        times = reference.time[has_value]
        inside &= (time >= times[0]) & (time <= times[-1])
        values = np.interp(time[inside], times, reference.value[has_value])
    else:
        inside[:], values = False, np.zeros(0)
    levels = sorted(level for level in measured.low if level in measured.high)
    ends = {level: np.stack([measured.low[level][inside], measured.high[level][inside]]) for level in levels}
    ours = measured.value[inside]
    if measured.unit == "degrees":  # 179 and −179 are 2 apart
        turns = 360 * np.round((values - ours) / 360)
        ours, ends = ours + turns, {level: both + turns for level, both in ends.items()}
    return PairedValues(measured.measure, measured.person, measured.unit, time[inside], values, ours, ends)


def with_cycles(clip: list[PairedValues], measure: str, path: str | Path) -> list[PairedValues]:
    """Return the values of a clip, cut at the peaks of one measure in the reference. Raises InputError if it is not
    among them."""
    cuts: dict[str, np.ndarray] = {}
    for item in clip:
        if item.measure == measure:
            low, high = np.percentile(item.reference, (5, 95)) if len(item.reference) else (0.0, 0.0)
            peaks, _ = find_peaks(item.reference, prominence=max(_PROMINENCE * (high - low), 1e-9))
            cuts[item.person] = item.time[peaks]
    if not cuts:
        names = ", ".join(dict.fromkeys(item.measure for item in clip))
        raise InputError(f"{path}: cycles: {measure!r} is not compared, expected one of {names}")
    return [replace(item, cuts=cuts.get(item.person, np.zeros(0))) for item in clip]
