"""Tables of readings: CSV or Parquet of `trustpose measure`, plain tables with a time column, OpenSim's .mot and .sto,
and TRC.

`read_readings` recognises the file by its suffix and its header. A plain table has a column a measure and a column
`time`, in seconds; `knee (deg)`, `knee [rad]` and `knee_deg` name their unit, `knee_low_90` and `knee_high_90` are the
ends of an interval of `knee`. A .mot or .sto file says by `inDegrees` what its angles are in; coordinates that end in
_tx, _ty and _tz are OpenSim's translations, in metres. A unit that nothing names is "".

Format: OpenSim's documentation, "Storage (.sto) Files" and "Motion (.mot) Files".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from trustpose.files import InputError, read_bytes
from trustpose.io.csv_rows import numbers, read_table
from trustpose.io.poses3d import trc
from trustpose.names import expected_one_of
from trustpose.poses.tables import package

UNITS: Mapping[str, str] = {
    **dict.fromkeys(("deg", "degree", "degrees", "°"), "degrees"),
    **dict.fromkeys(("rad", "radian", "radians"), "radians"),
    **dict.fromkeys(("px", "pixel", "pixels"), "pixels"),
    **dict.fromkeys(("m", "metre", "metres", "meter", "meters"), "m"),
    **{name: name for name in ("cm", "mm", "1")},
}
"""Spellings of units, and the name that stands for each."""
ID_COLUMNS = ("annotation_id", "image_id", "track_id")
_SUFFIXES = (".csv", ".parquet", ".mot", ".sto", ".trc")
_END = re.compile(r"(low|high)_(\d+(?:\.\d+)?)")
_NAME_AND_END = re.compile(r"(.+)_(low|high)_(\d+(?:\.\d+)?)")
_BRACKETS = re.compile(r"(.+?)\s*[(\[]\s*([^()\[\]]+?)\s*[)\]]")
_UNDERSCORE = re.compile(r"(.+)_(deg|degrees|rad|radians|mm|px)")
_TIMES = {"time": 1.0, "t": 1.0, "seconds": 1.0, "time_s": 1.0, "time (s)": 1.0, "time [s]": 1.0}
_TIMES |= {"time_ms": 1e-3, "time (ms)": 1e-3, "time [ms]": 1e-3}
_TRANSLATION = ("_tx", "_ty", "_tz")


@dataclass(frozen=True, eq=False)
class ReadingColumn:
    """The R readings of a measure: value (R,), NaN where there is none; low and high (R, P) of the table's levels, NaN
    without an interval; its unit, "" if nothing names it."""

    value: Float[np.ndarray, " R"]
    low: Float[np.ndarray, "R P"]
    high: Float[np.ndarray, "R P"]
    unit: str


@dataclass(frozen=True, eq=False)
class ReadingTable:
    """R rows of readings: of one person over time, or of several people.

    Attributes:
        path: the file.
        columns: the readings of each measure, by its name.
        levels: the P shares that intervals claim to hold, ascending.
        time: (R,) seconds; None where the file has none.
        ids: (R,) texts of `annotation_id`, `image_id`, `track_id`, of those that the file has in every row.
        unreadable: values left out because the table says that they cannot be read, by measure.
    """

    path: str
    columns: Mapping[str, ReadingColumn]
    levels: tuple[float, ...]
    time: Float[np.ndarray, " R"] | None
    ids: Mapping[str, np.ndarray]
    unreadable: Mapping[str, int]


def read_readings(path: str | Path, unit: str | None = None) -> ReadingTable:
    """Read a table of readings.

    Args:
        path: .csv, .parquet (the extra `tables`), .mot, .sto or .trc.
        unit: of the columns whose unit the file does not say, a name of `UNITS`.

    Raises:
        InputError: if the file cannot be read, has no readings, or says another unit.

    Example:
        >>> read_readings("knee.mot").columns["knee_angle_r"].unit
        'degrees'
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _SUFFIXES:
        raise InputError(f"{path}: expected a table, ending in {', '.join(_SUFFIXES[:-1])} or {_SUFFIXES[-1]}")
    if suffix == ".trc":
        table = _of_trc(path)
    elif suffix in (".mot", ".sto"):
        table = _of_storage(path)
    else:
        names, rows = _cells_of_parquet(path) if suffix == ".parquet" else read_table(read_bytes(path, "CSV"), path)
        twice = next((name for index, name in enumerate(names) if name in names[:index]), None)
        if twice is not None:
            raise InputError(f"{path}: column {twice[:40]!r} occurs twice, expected each once")
        table = _of_measures(path, names, rows) if {"measure", "value"} <= set(names) else _of_wide(path, names, rows)
    if not table.columns or not any(len(column.value) for column in table.columns.values()):
        raise InputError(f"{path}: expected readings, there are none")
    return table if unit is None else _with_unit(table, unit)


def unit_named(text: str, source: str = "unit") -> str:
    """Return the name of a unit in any of its spellings. Raises InputError, naming the source, for an unknown one."""
    if text.strip().lower() not in UNITS:
        raise InputError(f"{source}: {expected_one_of(tuple(dict.fromkeys(UNITS.values())), text)}")
    return UNITS[text.strip().lower()]


def _with_unit(table: ReadingTable, text: str) -> ReadingTable:
    """Return the table with this unit where the file says none; angles' units do not touch lengths that say theirs."""
    unit = unit_named(text)
    angles = ("degrees", "radians")
    for name, column in table.columns.items():
        if column.unit in angles and unit in angles and column.unit != unit:
            raise InputError(f"{table.path}: {name}: the file says {column.unit}, expected no other unit, got {unit}")
    columns = {name: replace(column, unit=column.unit or unit) for name, column in table.columns.items()}
    return replace(table, columns=columns)


def _of_measures(path: str | Path, names: list[str], rows: list[list[str]]) -> ReadingTable:
    """The table of `trustpose measure`: a row a person and measure becomes a row a person."""
    index = {name: number for number, name in enumerate(names)}
    identity = [index[name] for name in (*ID_COLUMNS, "person", "time") if name in index]
    if not identity:
        raise InputError(f"{path}: expected a column time, annotation_id or image_id, to pair rows by")
    levels, ends = _levels(path, [_END.fullmatch(name) for name in names], names)
    number_of: dict[tuple[str, ...], int] = {}
    row_of = np.array([number_of.setdefault(tuple(row[i] for i in identity), len(number_of)) for row in rows], int)
    count, first = len(number_of), np.unique(row_of, return_index=True)[1] if rows else np.zeros(0, int)
    name_of, values = np.array([row[index["measure"]] for row in rows]), _column(path, rows, index["value"], "value")
    bounds = {key: _column(path, rows, number, names[number]) for key, number in ends.items()}
    columns, unreadable = {}, {}
    for name in dict.fromkeys(name_of.tolist()):
        chosen = np.flatnonzero(name_of == name)
        if len(np.unique(row_of[chosen])) != len(chosen):
            raise InputError(f"{path}: {name} occurs twice for a person, expected once")
        units = {rows[row][index["unit"]] for row in chosen} if "unit" in index else {""}
        if len(units) > 1:
            raise InputError(f"{path}: {name}: expected one unit, got {' and '.join(sorted(units))}")
        shown = np.ones(len(chosen), np.bool_)
        if "readable" in index:
            shown = np.array([rows[row][index["readable"]].lower() != "false" for row in chosen])
        unreadable[name] = int((~shown).sum())
        value, low, high = np.full(count, np.nan), *(np.full((count, len(levels)), np.nan) for _ in range(2))
        used = chosen[shown]
        value[row_of[used]] = values[used]
        for (end, level), cells in bounds.items():
            (low if end == "low" else high)[row_of[used], levels.index(level)] = cells[used]
        text = units.pop()
        columns[name] = ReadingColumn(value, low, high, unit_named(text, f"{path}: {name}: unit") if text else "")
    ids = {name: np.array([rows[row][index[name]] for row in first]) for name in ID_COLUMNS if name in index}
    times = _column(path, rows, index["time"], "time")[first] if "time" in index else None
    has_times = times is not None and len(times) and not np.isnan(times).any()
    complete = {name: cells for name, cells in ids.items() if len(cells) and (cells != "").all()}
    return ReadingTable(str(path), columns, levels, times if has_times else None, complete, unreadable)


def _of_wide(path: str | Path, names: list[str], rows: list[list[str]]) -> ReadingTable:
    """A plain table: a column a measure, and the seconds."""
    clock = [number for number, name in enumerate(names) if name.strip().lower() in _TIMES]
    if len(clock) != 1:
        raise InputError(
            f"{path}: expected one column of seconds, called time (or the table of `trustpose measure`), got "
            f"{', '.join(names)[:120]}"
        )
    time = _column(path, rows, clock[0], names[clock[0]]) * _TIMES[names[clock[0]].strip().lower()]
    levels, ends = _levels(path, [_NAME_AND_END.fullmatch(name) for name in names], names)
    bounds = {}
    for (end, level, name), number in ends.items():
        bounds[name, end, level] = _column(path, rows, number, names[number])
    columns = {}
    for number, text in enumerate(names):
        if number == clock[0] or _NAME_AND_END.fullmatch(text) or text.strip().lower() in ID_COLUMNS:
            continue
        name, unit = _name_and_unit(text.strip())
        low, high = (
            np.stack([bounds.get((text, end, level), np.full(len(rows), np.nan)) for level in levels], axis=1)
            if levels
            else np.full((len(rows), 0), np.nan)
            for end in ("low", "high")
        )
        if name in columns:
            raise InputError(f"{path}: column {name!r} occurs twice, expected each once")
        columns[name] = ReadingColumn(_column(path, rows, number, text), low, high, unit)
    strangers = sorted({name for name, _, _ in bounds} - set(names))
    if strangers:
        raise InputError(f"{path}: {strangers[0]}_low_… is an interval's end, expected a column {strangers[0]}")
    return _over_time(path, columns, levels, time)


def _of_storage(path: str | Path) -> ReadingTable:
    """OpenSim's .mot and .sto."""
    lines = read_bytes(path, "an OpenSim table").decode("utf-8-sig", errors="replace").splitlines()
    end = next((number for number, line in enumerate(lines) if line.strip().lower() == "endheader"), None)
    if end is None:
        raise InputError(f"{path}: expected a line 'endheader', as OpenSim's tables have")
    header = dict(line.split("=", 1) for line in lines[:end] if "=" in line)
    header = {key.strip().lower(): text.strip().lower() for key, text in header.items()}
    body = [(number + 1, line.split()) for number, line in enumerate(lines) if number > end and line.strip()]
    if not body:
        raise InputError(f"{path}: expected the columns' names after 'endheader', got none")
    _, names = body[0]
    if names[0].lower() != "time":
        raise InputError(f"{path}: expected a first column called time, got {names[0][:40]!r}")
    for number, cells in body[1:]:
        if len(cells) != len(names):
            raise InputError(f"{path}: line {number}: expected {len(names)} cells, got {len(cells)}")
    rows = [[("" if cell.lower() == "nan" else cell) for cell in cells] for _, cells in body[1:]]
    table = numbers(rows, 0, len(names), str(path), first_line=body[0][0] + 1)
    angles = {"yes": "degrees", "no": "radians"}.get(header.get("indegrees", ""), "")
    empty = np.full((len(rows), 0), np.nan)
    columns = {}
    for number, name in enumerate(names[1:], start=1):
        unit = "m" if name.lower().endswith(_TRANSLATION) else angles
        columns[name] = ReadingColumn(table[:, number], empty, empty, unit)
    return _over_time(path, columns, (), table[:, 0])


def _of_trc(path: str | Path) -> ReadingTable:
    """TRC: three columns a marker, in metres."""
    poses = trc.read(path)
    assert poses.skeleton is not None and poses.time is not None
    empty = np.full((len(poses.xyz), 0), np.nan)
    columns = {
        f"{marker}_{axis}": ReadingColumn(poses.xyz[:, joint, number].astype(np.float64), empty, empty, "m")
        for joint, marker in enumerate(poses.skeleton.keypoints)
        for number, axis in enumerate("xyz")
    }
    return _over_time(path, columns, (), np.asarray(poses.time, np.float64))


def _over_time(
    path: str | Path, columns: Mapping[str, ReadingColumn], levels: tuple[float, ...], time: np.ndarray
) -> ReadingTable:
    if np.isnan(time).any() or (np.diff(time) <= 0).any():
        row = int(np.flatnonzero(np.isnan(time) | (np.diff(time, prepend=-np.inf) <= 0))[0])
        raise InputError(f"{path}: row {row}: time: expected seconds that increase from row to row")
    return ReadingTable(str(path), columns, levels, time, {}, dict.fromkeys(columns, 0))


def _levels(
    path: str | Path, matches: Sequence[re.Match[str] | None], names: list[str]
) -> tuple[tuple[float, ...], dict[Any, int]]:
    """Return the levels of the columns that are ends of intervals, and the column of each (end, level), or (end, level,
    measure). Raises InputError where one of the two ends is missing."""
    ends: dict[Any, int] = {}
    for number, match in enumerate(matches):
        if match is None:
            continue
        *measure, end, percent = match.groups()
        if not 0 < float(percent) < 100:
            raise InputError(f"{path}: column {names[number]}: expected a percentage between 0 and 100")
        ends[(end, float(percent) / 100, *measure)] = number
    for (end, level, *measure), number in ends.items():
        missing_end = "high" if end == "low" else "low"
        if (missing_end, level, *measure) not in ends:
            raise InputError(
                f"{path}: column {names[number]}: expected a column of the other end, {missing_end}_…, as well"
            )
    return tuple(sorted({key[1] for key in ends})), ends


def _name_and_unit(text: str) -> tuple[str, str]:
    """Split "knee (deg)", "knee [deg]" and "knee_deg"; the unit is "" where the name has none."""
    for pattern in (_BRACKETS, _UNDERSCORE):
        match = pattern.fullmatch(text)
        if match is not None and match[2].lower() in UNITS:
            return match[1], UNITS[match[2].lower()]
    return text, ""


def _column(path: str | Path, rows: list[list[str]], number: int, name: str) -> Float[np.ndarray, " R"]:
    cells = [["" if row[number].strip().lower() == "nan" else row[number]] for row in rows]
    try:
        return numbers(cells, 0, 1, str(path), first_line=2)[:, 0]
    except InputError as error:
        raise InputError(f"{error} in column {name}") from None


def _cells_of_parquet(path: str | Path) -> tuple[list[str], list[list[str]]]:
    """Return names and cells of a Parquet table as texts. Raises InputError."""
    try:
        table = package("pyarrow.parquet").read_table(str(path))
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: is not a readable Parquet file ({str(error).splitlines()[0]})") from None
    columns = [["" if cell is None else str(cell) for cell in column.to_pylist()] for column in table.columns]
    return table.column_names, [list(cells) for cells in zip(*columns, strict=True)]
