"""Pair a measured table with its reference: the same names, units, people and times.

Rows pair by `annotation_id` where both files have it, otherwise by time (and `track_id`, where both have it), otherwise
by `image_id`. By time, the reference is interpolated at the times of the measured values, linearly, never across a gap
of more than three of its steps, so that measured values and their intervals stay as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from trustpose.files import InputError
from trustpose.io.reading_tables import ReadingColumn, ReadingTable
from trustpose.measures.time_offset import TimeOffset, find_time_offset, interpolated

TURNS: Mapping[str, float] = {"degrees": 360.0, "radians": 2 * np.pi}
"""Units of angles, whose differences are taken the short way round, and their full turn."""
_FACTORS = {("degrees", "radians"): np.pi / 180, ("m", "mm"): 1000.0, ("m", "cm"): 100.0, ("cm", "mm"): 10.0}
_FACTORS |= {(after, before): 1 / factor for (before, after), factor in _FACTORS.items()}


@dataclass(frozen=True, eq=False)
class PairedReadings:
    """N pairs of one measure, of all clips.

    Attributes:
        name: of the measure, as the reference calls it.
        unit: of all values.
        reference: (N,).
        measured: (N,), angles in the turn of their reference.
        low, high: (N, P), intervals of the measured value, NaN where there is none.
        levels: the P shares that they claim to hold.
        time: (N,) seconds on the reference's clock; NaN where rows pair by ids.
        series: (N,), number of the clip, and of the track within it.
        person: (N,), the cluster of each pair by its name; "" where every row stands alone.
        missing: reference values without a measured one.
    """

    name: str
    unit: str
    reference: Float[np.ndarray, " N"]
    measured: Float[np.ndarray, " N"]
    low: Float[np.ndarray, "N P"]
    high: Float[np.ndarray, "N P"]
    levels: tuple[float, ...]
    time: Float[np.ndarray, " N"]
    series: Int[np.ndarray, " N"]
    person: np.ndarray
    missing: int

    def __len__(self) -> int:
        return len(self.reference)


@dataclass(frozen=True)
class Alignment:
    """How clocks are compared: `seconds` by which the measured times are late and are moved back, whether an offset
    that is found is applied, and how far it is searched either way."""

    seconds: float = 0.0
    apply: bool = False
    largest: float = 0.5


def pair_tables(
    reference: ReadingTable,
    measured: ReadingTable,
    *,
    match: Mapping[str, str] | None = None,
    unit: str | None = None,
    alignment: Alignment | None = None,
    person: str | None = None,
    first_series: int = 0,
) -> tuple[list[PairedReadings], TimeOffset | None]:
    """Pair the readings of a clip.

    Args:
        reference: taken as right.
        measured: compared with it.
        match: the measured name of reference names, where they differ.
        unit: of angles or lengths in the result; None for that of both files.
        alignment: of the clocks, where rows pair by time.
        person: in the clip; None for its tracks or its file as clusters.
        first_series: the number of the clip's first series.

    Returns:
        The pairs of each measure, and the offset of the clocks, None where rows do not pair by time.

    Raises:
        InputError: where names, units, ids or times do not meet, naming them.
    """
    names = _matched(reference, measured, match)
    references = {name: _in_unit(reference, name, reference.columns[name], unit) for name in names}
    measurements = {
        name: _in_unit(measured, measured_name, measured.columns[measured_name], unit)
        for name, measured_name in names.items()
    }
    for name, measured_name in names.items():
        units = (references[name].unit, measurements[name].unit)
        if units[0] != units[1]:
            raise InputError(
                f"{measured.path}: {measured_name} is in {units[1]}, {name} of the reference in {units[0]}; expected "
                "the same, or a unit (--unit) to convert both to"
            )
    if {"annotation_id"} <= set(reference.ids) & set(measured.ids):
        return _pair_by_id("annotation_id", reference, measured, references, measurements, person, first_series), None
    if reference.time is not None and measured.time is not None:
        return _pair_by_time(
            reference, measured, references, measurements, alignment or Alignment(), person, first_series
        )
    if {"image_id"} <= set(reference.ids) & set(measured.ids):
        return _pair_by_id("image_id", reference, measured, references, measurements, person, first_series), None
    raise InputError(f"{measured.path}: expected times, annotation_id or image_id in both files, to pair rows by")


def _matched(reference: ReadingTable, measured: ReadingTable, match: Mapping[str, str] | None) -> dict[str, str]:
    """Return the measured name of each reference name that both files have."""
    for name, measured_name in (match or {}).items():
        for table, column in ((reference, name), (measured, measured_name)):
            if column not in table.columns:
                raise InputError(f"{table.path}: match: no column {column!r}, expected one of {_listed(table.columns)}")
    names = dict(match) if match else {name: name for name in reference.columns if name in measured.columns}
    if not names:
        raise InputError(
            f"{measured.path}: no measure of the reference ({_listed(reference.columns)}), got "
            f"{_listed(measured.columns)}; --match REFERENCE=MEASURED pairs other names"
        )
    return names


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(names)


def _in_unit(table: ReadingTable, name: str, column: ReadingColumn, unit: str | None) -> ReadingColumn:
    """Return a column in the asked unit, if that is of its kind."""
    if not column.unit:
        raise InputError(
            f"{table.path}: {name}: the file says no unit, expected one in its header, such as {name} (deg), or "
            "reference_unit or measured_unit (--reference-unit, --measured-unit)"
        )
    factor = None if unit is None else _FACTORS.get((column.unit, unit))
    if unit is None or factor is None:
        return column
    return ReadingColumn(column.value * factor, column.low * factor, column.high * factor, unit)


def _pair_by_id(
    name_of_id: str,
    reference: ReadingTable,
    measured: ReadingTable,
    references: Mapping[str, ReadingColumn],
    measurements: Mapping[str, ReadingColumn],
    person: str | None,
    series: int,
) -> list[PairedReadings]:
    for table in (reference, measured):
        ids, counts = np.unique(table.ids[name_of_id], return_counts=True)
        if (counts > 1).any():
            raise InputError(f"{table.path}: {name_of_id} {ids[counts > 1][0]} occurs twice, expected once")
    _, rows, measured_rows = np.intersect1d(
        reference.ids[name_of_id], measured.ids[name_of_id], assume_unique=True, return_indices=True
    )
    if not len(rows):
        raise InputError(f"{measured.path}: no {name_of_id} of the reference, expected the same people in both files")
    people = np.full(len(rows), "" if person is None else person, dtype=object)
    clusters = next((name for name in ("track_id", "image_id") if name in reference.ids and name != name_of_id), None)
    if person is None and clusters is not None:
        people = np.array([f"{series} {text}" for text in reference.ids[clusters][rows]], dtype=object)
    paired = []
    for name, column in references.items():
        column_measured = measurements[name]
        picked = ReadingColumn(
            column_measured.value[measured_rows],
            column_measured.low[measured_rows],
            column_measured.high[measured_rows],
            column_measured.unit,
        )
        numbers, nowhere = np.full(len(rows), series), np.full(len(rows), np.nan)
        missing = int(np.isfinite(column.value).sum()) - int(np.isfinite(column.value[rows] + picked.value).sum())
        paired.append(_paired(name, column.value[rows], picked, measured.levels, nowhere, numbers, people, missing))
    return paired


def _pair_by_time(
    reference: ReadingTable,
    measured: ReadingTable,
    references: Mapping[str, ReadingColumn],
    measurements: Mapping[str, ReadingColumn],
    alignment: Alignment,
    person: str | None,
    first_series: int,
) -> tuple[list[PairedReadings], TimeOffset]:
    assert reference.time is not None and measured.time is not None
    tracks = _tracks(reference, measured)
    spans = [(table.time.min(), table.time.max()) for table in (reference, measured) if table.time is not None]
    if spans[1][0] - alignment.seconds > spans[0][1] or spans[1][1] - alignment.seconds < spans[0][0]:
        raise InputError(
            f"{measured.path}: times do not overlap: {spans[1][0]:g} to {spans[1][1]:g} s, the reference has "
            f"{spans[0][0]:g} to {spans[0][1]:g} s; offset (--offset) moves them"
        )
    clock = measured.time - alignment.seconds
    curves = [
        (
            reference.time[rows],
            references[name].value[rows],
            clock[measured_rows],
            measurements[name].value[measured_rows],
            turn,
        )
        for rows, measured_rows, _ in tracks
        for name in references
        for turn in (TURNS.get(references[name].unit),)
    ]
    offset = find_time_offset(curves, alignment.largest)
    if alignment.apply and offset.seconds is not None:
        clock = clock - offset.seconds
        offset = replace(offset, applied=offset.seconds + alignment.seconds)
    else:
        offset = replace(offset, applied=alignment.seconds)
    paired = []
    for name, column in references.items():
        column_measured, parts = measurements[name], []
        turn = TURNS.get(column.unit)
        for number, (rows, measured_rows, label) in enumerate(tracks):
            interpolated_reference = interpolated(reference.time[rows], column.value[rows], clock[measured_rows], turn)
            picked = ReadingColumn(
                column_measured.value[measured_rows],
                column_measured.low[measured_rows],
                column_measured.high[measured_rows],
                column_measured.unit,
            )
            series = np.full(len(measured_rows), first_series + number)
            people = np.full(
                len(measured_rows), f"{measured.path} {label}".strip() if person is None else person, object
            )
            missing = int((np.isfinite(interpolated_reference) & ~np.isfinite(picked.value)).sum())
            parts.append(
                _paired(
                    name, interpolated_reference, picked, measured.levels, clock[measured_rows], series, people, missing
                )
            )
        paired.append(joined(parts))
    if not any(len(pairs) for pairs in paired):
        raise InputError(f"{measured.path}: no time with a value in both files")
    return paired, offset


def _tracks(reference: ReadingTable, measured: ReadingTable) -> list[tuple[np.ndarray, np.ndarray, str]]:
    """Return the rows of both tables of each person who is in both, in the order of time, and the track's id."""
    both = [table.ids.get("track_id") for table in (reference, measured)]
    for table, ids in zip((reference, measured), both, strict=True):
        if ids is not None and None in [column for column in both if column is not ids] and len(np.unique(ids)) > 1:
            raise InputError(
                f"{table.path}: has {len(np.unique(ids))} track_ids, the other file none; expected one person"
            )
    chosen: list[tuple[np.ndarray, np.ndarray, str]]
    if both[0] is None or both[1] is None:
        chosen = [(np.arange(len(reference.time)), np.arange(len(measured.time)), "")]  # type: ignore[arg-type]
    else:
        chosen = [
            (np.flatnonzero(both[0] == track), np.flatnonzero(both[1] == track), str(track))
            for track in np.intersect1d(both[0], both[1])
        ]
        if not chosen:
            raise InputError(f"{measured.path}: no track_id of the reference, expected the same people in both files")
    ordered = []
    for rows, measured_rows, track in chosen:
        sorted_rows = []
        for table, numbers in ((reference, rows), (measured, measured_rows)):
            assert table.time is not None
            order = numbers[np.argsort(table.time[numbers], kind="stable")]
            if (np.diff(table.time[order]) <= 0).any():
                raise InputError(f"{table.path}: a time occurs twice for a person, expected track_id or one person")
            sorted_rows.append(order)
        ordered.append((sorted_rows[0], sorted_rows[1], track))
    return ordered


def _paired(
    name: str,
    reference: np.ndarray,
    measured: ReadingColumn,
    levels: tuple[float, ...],
    time: np.ndarray,
    series: np.ndarray,
    people: np.ndarray,
    missing: int,
) -> PairedReadings:
    """Return the rows with both values, the measured ones and their intervals in the turn of the reference."""
    turn = TURNS.get(measured.unit)
    turns = np.zeros(len(reference))
    if turn is not None:
        turns = turn * np.round((measured.value - reference) / turn)
    rows = np.flatnonzero(np.isfinite(reference) & np.isfinite(measured.value))
    return PairedReadings(
        name,
        measured.unit,
        reference[rows],
        (measured.value - turns)[rows],
        (measured.low - turns[:, None])[rows],
        (measured.high - turns[:, None])[rows],
        levels,
        time[rows],
        series[rows],
        people[rows],
        missing,
    )


def joined(parts: Sequence[PairedReadings]) -> PairedReadings:
    """Return the pairs of one measure from several clips. Raises InputError where their units or levels differ."""
    first = parts[0]
    for part in parts[1:]:
        if part.unit != first.unit:
            raise InputError(f"{first.name}: expected one unit in all files, got {first.unit} and {part.unit}")
        if part.levels != first.levels:
            raise InputError(f"{first.name}: expected intervals of the same levels in all measured files")
    return replace(
        first,
        reference=np.concatenate([part.reference for part in parts]),
        measured=np.concatenate([part.measured for part in parts]),
        low=np.concatenate([part.low for part in parts]),
        high=np.concatenate([part.high for part in parts]),
        time=np.concatenate([part.time for part in parts]),
        series=np.concatenate([part.series for part in parts]),
        person=np.concatenate([part.person for part in parts]),
        missing=sum(part.missing for part in parts),
    )
