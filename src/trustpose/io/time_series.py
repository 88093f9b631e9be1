"""Measures over time, from the tables of biomechanics: OpenSim's .mot and .sto, markers as .trc, CSV with a column of
time, and the table that `trustpose measure` writes.

Formats: OpenSim's documentation, "Storage (.sto) Files" and "Motion (.mot) Files". A file becomes series, one for each
person or track and measure.
"""

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float

from trustpose.files import InputError, read_bytes
from trustpose.io.poses3d import trc

_TIMES = ("time", "Time", "t", "timestamp")
_MEASURED = ("person", "measure", "value")  # columns of the table of `trustpose measure`
_INTERVAL = re.compile(r"(low|high)_([0-9.]+)")
UNITS = ("degrees", "radians", "pixels", "m")


@dataclass(frozen=True, eq=False)
class Series:
    """One measure of one person over time.

    Attributes:
        measure: its name.
        person: the person's or track's, "" if the file has one.
        time: (T,), seconds, ascending; or numbers of frames where the file has no times.
        value: (T,), NaN where it could not be read.
        unit: "degrees", "radians", "pixels", "m", or "" where the file does not say.
        low: lower ends of intervals (T,), by level.
        high: upper ends.
    """

    measure: str
    person: str
    time: Float[np.ndarray, " T"]
    value: Float[np.ndarray, " T"]
    unit: str = ""
    low: dict[float, Float[np.ndarray, " T"]] = field(default_factory=dict)
    high: dict[float, Float[np.ndarray, " T"]] = field(default_factory=dict)


def read_series(path: str | Path) -> list[Series]:
    """Read the series of a file, by its suffix: .mot, .sto, .trc, .csv.

    Raises InputError, naming the file and what was expected.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".trc":
        return _markers(path)
    if suffix not in (".csv", ".mot", ".sto", ".tsv", ".txt"):
        raise InputError(f"{path}: expected a table: .csv, .mot, .sto or .trc")
    text = read_bytes(path, "table").decode("utf-8-sig", errors="replace")
    if suffix in (".mot", ".sto"):
        return _storage(path, text.splitlines())
    rows = list(csv.reader(io.StringIO(text), delimiter="\t" if suffix == ".tsv" else ","))
    if not rows or len(rows) < 2:
        raise InputError(f"{path}: expected a line of names and lines of numbers")
    header = [name.strip() for name in rows[0]]
    if set(_MEASURED) <= set(header):
        return _measured(path, header, rows[1:])
    return _wide(path, header, rows[1:], "")


def _storage(path: str | Path, lines: list[str]) -> list[Series]:
    end = next((number for number, line in enumerate(lines) if line.strip().lower() == "endheader"), None)
    if end is None or len(lines) < end + 3:
        raise InputError(f"{path}: expected a line 'endheader' and a table, as OpenSim's files have")
    fields = dict(line.split("=", 1) for line in lines[:end] if "=" in line)
    degrees = {name.strip().lower(): value.strip().lower() for name, value in fields.items()}.get("indegrees")
    unit = {"yes": "degrees", "no": "radians"}.get(degrees or "", "")
    header = lines[end + 1].split()
    return _wide(path, header, (line.split() for line in lines[end + 2 :] if line.strip()), unit)


def _markers(path: str | Path) -> list[Series]:
    poses = trc.read(path)
    assert poses.skeleton is not None and poses.time is not None
    return [
        Series(f"{name}.{axis}", "", poses.time, poses.xyz[:, joint, number], "m")
        for joint, name in enumerate(poses.skeleton.keypoints)
        for number, axis in enumerate("xyz")
    ]


def _wide(path: str | Path, header: list[str], rows: Iterable[list[str]], unit: str) -> list[Series]:
    """Return a series for each column beside that of time."""
    column = next((header.index(name) for name in _TIMES if name in header), None)
    if column is None:
        raise InputError(f"{path}: expected a column of time ({', '.join(_TIMES[:2])}), got {', '.join(header[:8])}")
    table = _numbers(path, header, rows)
    time = table[:, column]
    if np.isnan(time).any() or (np.diff(time) <= 0).any():
        raise InputError(f"{path}: {header[column]}: expected ascending seconds in every row")
    return [Series(name, "", time, table[:, number], unit) for number, name in enumerate(header) if number != column]


def _numbers(path: str | Path, header: list[str], rows: Iterable[list[str]]) -> Float[np.ndarray, "T C"]:
    numbers = []
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise InputError(f"{path}: row {number}: expected {len(header)} cells, got {len(row)}")
        try:
            numbers.append([float(cell) if cell.strip() else np.nan for cell in row])
        except ValueError:
            wrong = next(cell for cell in row if not _is_number(cell))
            raise InputError(f"{path}: row {number}: expected numbers, got {wrong[:20]!r}") from None
    return np.array(numbers, dtype=np.float64).reshape(len(numbers), len(header))


def _is_number(cell: str) -> bool:
    try:
        float(cell or "nan")
    except ValueError:
        return False
    return True


def _measured(path: str | Path, header: list[str], rows: list[list[str]]) -> list[Series]:
    """Return a series for each track (or row of results) and measure of the table of `trustpose measure`."""
    columns = {name: [row[number] for row in rows] for number, name in enumerate(header)}
    measure, track = np.array(columns["measure"]), np.array(columns.get("track_id", [""] * len(rows)))
    cells = [columns.get(name, [""] * len(rows)) for name in ("time", "image_id")]
    has_time = any(cells[0])
    texts = cells[0] if has_time else cells[1]
    try:
        time = np.array([float(cell) if cell else np.nan for cell in texts])
        value = np.array([float(cell) if cell else np.nan for cell in columns["value"]])
    except ValueError:
        field_name = "time" if has_time else "image_id"
        raise InputError(f"{path}: expected numbers in the columns {field_name} and value") from None
    ends: dict[str, dict[float, np.ndarray]] = {"low": {}, "high": {}}
    for name in header:
        if match := _INTERVAL.fullmatch(name):
            numbers = np.array([float(cell) if cell else np.nan for cell in columns[name]])
            ends[match[1]][float(match[2]) / 100] = numbers
    units = np.array(columns.get("unit", [""] * len(rows)))
    parts = []
    for person in dict.fromkeys(track.tolist()):
        for name in dict.fromkeys(measure.tolist()):
            inside = np.flatnonzero((track == person) & (measure == name) & np.isfinite(time))
            inside = inside[np.argsort(time[inside], kind="stable")]
            if not len(inside):
                continue
            if (np.diff(time[inside]) <= 0).any():
                raise InputError(
                    f"{path}: several people at the same time without track_id, expected tracks (`trustpose track`)"
                )
            low, high = ({level: numbers[inside] for level, numbers in ends[end].items()} for end in ("low", "high"))
            parts.append(Series(name, person, time[inside], value[inside], str(units[inside[0]]), low, high))
    return parts
