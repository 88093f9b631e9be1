"""`Measurements`: the values of measures of N people, with their errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from trustpose.files import InputError, atomic_write
from trustpose.measures.csv_lines import DECIMALS, csv_cell, lines_of, number_columns, text_column
from trustpose.measures.motions import Column
from trustpose.notebook import html_line, html_table
from trustpose.poses import MISSING_ID
from trustpose.poses.tables import package

LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Shares of intervals that tables have."""
FORMATS = (".csv", ".parquet")
_PEOPLE = 4096  # written at a time
_MOST_ROWS = 10  # listed in a notebook


@dataclass(frozen=True, eq=False, repr=False)
class Measurements:
    """M measures of N people: arrays beside each other, (N, M) and (N, M, P) for P levels.

    Attributes:
        measures: the M measures, with the unit of each.
        levels: the P shares of people whose labelled value lies in the interval.
        value: (N, M), in each measure's unit; NaN where it cannot be read.
        sd: (N, M), half the width of the interval that holds 68.27 %; NaN without intervals.
        low: (N, M, P), lower ends of the intervals; NaN without them.
        high: (N, M, P), upper ends.
        readable: (N, M), whether the value can be read.
        reason: (N, M), why not, or what to know of it; "" for nothing.
        person: (N,), row of each person in the results.
        image_id, annotation_id, track_id: (N,), as in `Poses`; None if not known.
        time: (N,), seconds since the clip's start; NaN or None where it is not known.
        notes: what to know of all values.

    Example:
        >>> angles = tp.measure("results.json", intervals=False)
        >>> angles["left_knee"].value.shape
        (60,)
    """

    measures: tuple[Column, ...]
    levels: tuple[float, ...]
    value: Float[np.ndarray, "N M"]
    sd: Float[np.ndarray, "N M"]
    low: Float[np.ndarray, "N M P"]
    high: Float[np.ndarray, "N M P"]
    readable: Bool[np.ndarray, "N M"]
    reason: Shaped[np.ndarray, "N M"]
    person: Int[np.ndarray, " N"]
    image_id: Int[np.ndarray, " N"] | None = None
    annotation_id: Int[np.ndarray, " N"] | None = None
    track_id: Int[np.ndarray, " N"] | None = None
    time: Float[np.ndarray, " N"] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.value)

    def __repr__(self) -> str:
        """One line: how many people and measures, and the share that can be read."""
        share = f"{self.readable.mean():.0%} of values readable" if self.readable.size else "no values"
        return f"Measurements({len(self):,} people × {len(self.measures)} measures; {share})"

    def _repr_html_(self) -> str:
        """Return what notebooks show: the line, and a table of the first people."""
        names, rows = self.names, self.value[:_MOST_ROWS].round(1)
        cells = [[person, *row] for person, row in zip(self.person.tolist(), rows.tolist(), strict=False)]
        return html_line(repr(self)) + html_table(("person", *names), cells)

    @property
    def names(self) -> tuple[str, ...]:
        """The measures' names, in order."""
        return tuple(measure.name for measure in self.measures)

    def __getitem__(self, name: str) -> "Measured":
        """Return one measure's columns. Raises KeyError, listing the measures, for an unknown name."""
        if name not in self.names:
            raise KeyError(f"{name!r} was not measured, expected one of {', '.join(self.names)}")
        column = self.names.index(name)
        arrays = (self.value, self.sd, self.low, self.high, self.readable, self.reason)
        return Measured(self.measures[column], *(array[:, column] for array in arrays))

    def with_columns(self, measures: tuple[Column, ...], **columns: Any) -> "Measurements":
        """Return the same people with other measures: `columns` are fields by name, (N, M) and (N, M, P)."""
        return replace(self, measures=measures, **columns)

    def people(self, rows: slice) -> "Measurements":
        """Return some of the people."""
        return replace(
            self,
            value=self.value[rows],
            sd=self.sd[rows],
            low=self.low[rows],
            high=self.high[rows],
            readable=self.readable[rows],
            reason=self.reason[rows],
            person=self.person[rows],
            image_id=None if self.image_id is None else self.image_id[rows],
            annotation_id=None if self.annotation_id is None else self.annotation_id[rows],
            track_id=None if self.track_id is None else self.track_id[rows],
            time=None if self.time is None else self.time[rows],
        )

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame`, one row per person and measure, with the columns of `save` (needs the extra
        `tables`)."""
        return package("pandas").DataFrame(self._columns())

    def save(self, path: str | Path) -> None:
        """Write a table, CSV or Parquet by the suffix, one row per person and measure.

        Args:
            path: the file; Parquet needs the extra `tables`.

        Raises:
            InputError: for another suffix, or if the file cannot be written.
        """
        with MeasurementWriter(path, levels=self.levels) as write:
            write(self)

    def _columns(self) -> dict[str, Any]:
        """Return the columns of the table, N × M rows, None where a cell is empty."""
        count, measures = len(self), len(self.measures)
        repeated = {
            "image_id": _id_cells(self.image_id, count),
            "annotation_id": _id_cells(self.annotation_id, count),
            "track_id": _id_cells(self.track_id, count),
            "person": self.person.tolist(),
            "time": [None] * count if self.time is None else _number_cells(self.time),
        }
        columns: dict[str, Any] = {
            name: [cell for cell in cells for _ in range(measures)] for name, cells in repeated.items()
        }
        columns |= {"measure": [*self.names] * count, "value": _number_cells(self.value), "sd": _number_cells(self.sd)}
        for number, level in enumerate(self.levels):
            for end, array in (("low", self.low), ("high", self.high)):
                columns[f"{end}_{_percent(level)}"] = _number_cells(array[:, :, number])
        units = [measure.unit for measure in self.measures] * count
        return columns | {
            "unit": units,
            "readable": self.readable.ravel().tolist(),
            "reason": self.reason.ravel().tolist(),
        }

    def to_arrow(self, image_texts: Mapping[int, str] | None = None) -> Any:
        """Return a `pyarrow.Table`, one row per person and measure, with the columns of `save` (needs the extra
        `tables`).

        Args:
            image_texts: texts that stand for image ids.
        """
        pyarrow = package("pyarrow")
        count, measures = len(self), len(self.measures)
        columns: dict[str, Any] = {}
        for name in ("image_id", "annotation_id", "track_id", "person"):
            ids = getattr(self, name)
            if name == "image_id" and image_texts:
                texts = _id_cells(ids, count, image_texts)
                columns[name] = [None if cell is None else str(cell) for cell in texts for _ in range(measures)]
            elif ids is None:
                columns[name] = pyarrow.nulls(count * measures, "int64")
            else:
                repeated = np.repeat(ids, measures)
                columns[name] = pyarrow.array(repeated, "int64", mask=repeated == MISSING_ID)
        times = np.full(count, np.nan) if self.time is None else self.time
        numbers = {"time": np.repeat(times, measures), "value": self.value, "sd": self.sd}
        for number, level in enumerate(self.levels):
            for end, array in (("low", self.low), ("high", self.high)):
                numbers[f"{end}_{_percent(level)}"] = array[:, :, number]
        for name, array in numbers.items():
            columns[name] = pyarrow.array(array.ravel().round(DECIMALS), from_pandas=True)  # NaN: null
        columns["measure"] = np.tile(np.array(self.names, dtype=object), count)
        columns["unit"] = np.tile(np.array([measure.unit for measure in self.measures], dtype=object), count)
        columns["readable"], columns["reason"] = self.readable.ravel(), self.reason.ravel()
        return pyarrow.table(columns, schema=_schema(self.levels, has_texts=bool(image_texts)))

    def _csv_lines(self, image_texts: Mapping[int, str] | None) -> bytes:
        """Return the rows as CSV, without a header."""
        count, measures = len(self), len(self.measures)
        ends = np.stack([self.low, self.high], axis=-1).reshape(count, measures, -1)  # low, high of each level
        numbers = np.concatenate([self.value[..., None], self.sd[..., None], ends], axis=2)
        texts = _id_cells(self.image_id, count, image_texts)
        ids = [_id_cells(column, count) for column in (self.annotation_id, self.track_id)]
        times = [None] * count if self.time is None else _number_cells(self.time)
        people = text_column(
            [
                "".join("," if cell is None else f"{csv_cell(cell)}," for cell in cells)
                for cells in zip(texts, *ids, self.person.tolist(), times, strict=True)
            ]
        )
        reasons = [csv_cell(reason) for reason in self.reason.ravel().tolist()]
        return lines_of(
            np.repeat(people, measures, axis=0),
            np.tile(text_column([f"{csv_cell(measure.name)}," for measure in self.measures]), (count, 1)),
            number_columns(numbers.reshape(count * measures, -1)),
            np.tile(text_column([f"{measure.unit}," for measure in self.measures]), (count, 1)),
            text_column(["false,", "true,"])[self.readable.ravel().astype(np.int64)],
            text_column(reasons),
        )


@dataclass(frozen=True, eq=False)
class Measured:
    """One measure of N people: columns of `Measurements`."""

    measure: Column
    value: Float[np.ndarray, " N"]
    sd: Float[np.ndarray, " N"]
    low: Float[np.ndarray, "N P"]
    high: Float[np.ndarray, "N P"]
    readable: Bool[np.ndarray, " N"]
    reason: Shaped[np.ndarray, " N"]


class MeasurementWriter:
    """Writes measurements block by block to a CSV or Parquet file, which appears at once at the end.

    Args:
        path: the file.
        image_texts: texts that stand for image ids.
        levels: of the intervals.

    Raises:
        InputError: for another suffix, or if the file cannot be written.
    """

    def __init__(
        self, path: str | Path, image_texts: Mapping[int, str] | None = None, levels: Sequence[float] = LEVELS
    ) -> None:
        self._path, self._texts, self._levels = Path(path), image_texts, tuple(levels)
        self._is_parquet = table_suffix(path) == ".parquet"
        self._parquet: Any = None

    def __enter__(self) -> "MeasurementWriter":
        self._opened = atomic_write(self._path)
        self._file = self._opened.__enter__()
        if not self._is_parquet:
            self._file.write((",".join(column_names(self._levels)) + "\n").encode())
        return self

    def __call__(self, measurements: Measurements) -> None:
        """Write further people."""
        for start in range(0, len(measurements), _PEOPLE):
            self.put(self.encoded(measurements.people(slice(start, start + _PEOPLE))))

    def encoded(self, measurements: Measurements) -> list[Any]:
        """Return people as `put` writes them, which threads can do for several blocks of people at once."""
        blocks = [measurements.people(slice(start, start + _PEOPLE)) for start in range(0, len(measurements), _PEOPLE)]
        if self._is_parquet:
            return [block.to_arrow(self._texts) for block in blocks]
        return [block._csv_lines(self._texts) for block in blocks]

    def put(self, encoded: list[Any]) -> None:
        """Write people that were encoded."""
        for block in encoded:
            if self._is_parquet:
                if self._parquet is None:
                    self._parquet = package("pyarrow.parquet").ParquetWriter(self._file, self._schema())
                self._parquet.write_table(block)
            else:
                self._file.write(block)

    def _schema(self) -> Any:
        return _schema(self._levels, has_texts=bool(self._texts))

    def __exit__(self, *error: Any) -> None:
        if self._is_parquet and error[0] is None:
            if self._parquet is None:
                self._parquet = package("pyarrow.parquet").ParquetWriter(self._file, self._schema())
            self._parquet.close()
        self._opened.__exit__(*error)


def _schema(levels: Sequence[float], *, has_texts: bool) -> Any:
    """Return the Arrow schema of the table; `has_texts`: image ids are texts."""
    pyarrow = package("pyarrow")
    kinds = {"measure": "string", "unit": "string", "reason": "string", "readable": "bool_", "person": "int64"}
    kinds |= dict.fromkeys(("annotation_id", "track_id"), "int64")
    kinds["image_id"] = "string" if has_texts else "int64"
    return pyarrow.schema([(name, getattr(pyarrow, kinds.get(name, "float64"))()) for name in column_names(levels)])


def table_suffix(path: str | Path) -> str:
    """Return the suffix of a table's file, ".csv" for standard output. Raises InputError for another one."""
    suffix = Path(path).suffix.lower() if str(path) != "-" else ".csv"
    if suffix not in FORMATS:
        raise InputError(f"{path}: expected a table's name, ending in {' or '.join(FORMATS)}")
    if suffix == ".parquet":
        package("pyarrow")
    return suffix


def column_names(levels: Sequence[float] = LEVELS) -> list[str]:
    """Return the columns of the table."""
    ends = [f"{end}_{_percent(level)}" for level in levels for end in ("low", "high")]
    ids = ["image_id", "annotation_id", "track_id", "person", "time"]
    return [*ids, "measure", "value", "sd", *ends, "unit", "readable", "reason"]


def _percent(level: float) -> str:
    return f"{100 * level:g}"


def _id_cells(ids: np.ndarray | None, count: int, texts: Mapping[int, str] | None = None) -> list[Any]:
    if ids is None:
        return [None] * count
    return [None if number == MISSING_ID else (texts or {}).get(number, number) for number in ids.tolist()]


def _number_cells(numbers: np.ndarray) -> list[float | None]:
    rounded = numbers.ravel().round(DECIMALS)
    return [None if is_empty else number for number, is_empty in zip(rounded.tolist(), np.isnan(rounded), strict=True)]
