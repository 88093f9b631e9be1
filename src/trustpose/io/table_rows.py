"""Rows of an Arrow table, checked as `Rows` of JSON are: columns are read as arrays at once, and only errors, text ids
and types that a JSON file would not have are looked at as Python objects."""

from functools import cached_property
from pathlib import Path
from sys import intern
from typing import Any

import numpy as np
from jaxtyping import Int

from trustpose.io.columns import LARGEST, Rows
from trustpose.poses import MISSING_ID

FROM_FILE, FROM_ROW = "from file", "from row"  # columns of `SortedRows`


class TableRows(Rows):
    """The rows of a `pyarrow.Table`, null for absent fields. `run_origins` names, for each run of rows from one file,
    its first row in the table, the file, and that row's number in the file."""

    def __init__(self, path: str, noun: str, content: Any, run_origins: tuple[tuple[int, str, int], ...]) -> None:
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "noun", noun)
        object.__setattr__(self, "content", content)
        object.__setattr__(self, "run_origins", run_origins)

    content: Any
    run_origins: tuple[tuple[int, str, int], ...]

    @cached_property
    def rows(self) -> list[dict[str, Any]]:  # type: ignore[bad-override]
        """The rows as objects, without absent fields."""
        return [{name: cell for name, cell in row.items() if cell is not None} for row in self.content.to_pylist()]

    @cached_property
    def fields(self) -> frozenset[str]:
        """Return every field that occurs in a row."""
        names = self.content.column_names
        return frozenset(name for name in names if self.content.column(name).null_count < len(self.content))

    def __len__(self) -> int:
        return len(self.content)

    def values(self, field: str) -> list[Any]:
        """Return a field's value in each row, None where it is absent."""
        return self.content.column(field).to_pylist() if field in self.fields else [None] * len(self)

    def texts(self, field: str, default: str) -> np.ndarray:
        """See `Rows.texts`."""
        column = self._column(field)
        if column is None:
            return np.full(len(self), default, object)
        encoded = column.dictionary_encode()
        texts = np.array([*(intern(str(text)) for text in encoded.dictionary.to_pylist()), default], object)
        return texts[encoded.indices.fill_null(len(texts) - 1).to_numpy(zero_copy_only=False)]

    def chosen(self, keep: np.ndarray) -> "TableRows":
        """Return the rows where `keep` (N,) is True."""
        rows = np.flatnonzero(keep)
        run_origins = self.run_origins
        if len(rows) < len(self):
            run_origins = tuple((index, *self._origin(int(row))) for index, row in enumerate(rows))
        return TableRows(self.path, self.noun, self.content.take(rows), run_origins)

    def between(self, start: int, end: int) -> "TableRows":
        """Return the rows from `start` to before `end`."""
        run_origins = tuple((first - start, file, row) for first, file, row in self.run_origins)
        return TableRows(self.path, self.noun, self.content.slice(start, end - start), run_origins)

    def place(self, row: int) -> str:
        """Name a row in an error message, by its file and its number there."""
        file, number = self._origin(row)
        return f"{file}: {self.noun} {number}"

    def _origin(self, row: int) -> tuple[str, int]:
        start, file, first = next(origin for origin in reversed(self.run_origins) if origin[0] <= row)
        return file, first + row - start

    def integers(self, field: str, *, optional: bool = False, numerals: bool = False) -> np.ndarray | None:
        """See `Rows.integers`."""
        column = self._column(field)
        if (
            column is None
            or str(column.type) not in ("int64", "int32", "int16", "int8")
            or (column.null_count and not optional)
        ):
            return super().integers(field, optional=optional, numerals=numerals)
        return column.fill_null(MISSING_ID).to_numpy(zero_copy_only=False).astype(np.int64)

    def table(self, field: str, length: int | None, expected: str, optional: bool) -> np.ndarray | None:
        """See `Rows.table`."""
        column = self._column(field)
        values = None
        if column is not None and (optional or not column.null_count):
            values = _numbers(column) if length is None else _lists(column, (length,))
        if values is None:
            return super().table(field, length, expected, optional)
        return values.reshape(-1)

    def nested(self, field: str, outer: int, inner: int, expected: str) -> np.ndarray | None:
        """See `Rows.nested`."""
        column = self._column(field)
        values = None if column is None else _lists(column, (outer, inner))
        return super().nested(field, outer, inner, expected) if values is None else values

    def _column(self, field: str) -> Any:
        return self.content.column(field).combine_chunks() if field in self.fields else None


class SortedRows(TableRows):
    """Rows that were sorted: columns of their own name the file, by its number in `origins`, and the row in it."""

    def __init__(
        self,
        path: str,
        noun: str,
        content: Any,
        run_origins: tuple[tuple[int, str, int], ...],
        origins: tuple[Path, ...],
    ) -> None:
        super().__init__(path, noun, content, run_origins)
        object.__setattr__(self, "origins", origins)

    origins: tuple[Path, ...]

    def between(self, start: int, end: int) -> "SortedRows":
        """Return the rows from `start` to before `end`."""
        return SortedRows(self.path, self.noun, self.content.slice(start, end - start), (), self.origins)

    def chosen(self, keep: np.ndarray) -> "SortedRows":
        """Return the rows where `keep` (N,) is True."""
        return SortedRows(self.path, self.noun, self.content.take(np.flatnonzero(keep)), (), self.origins)

    @cached_property
    def rows(self) -> list[dict[str, Any]]:  # type: ignore[bad-override]
        """The rows as objects, without absent fields."""
        content = self.content.drop_columns([FROM_FILE, FROM_ROW])
        return [{name: cell for name, cell in row.items() if cell is not None} for row in content.to_pylist()]

    def origin(self) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"]]:
        """Return the number of each row's file in `origins`, and its number in that file."""
        file, number = (self.content.column(name).to_numpy() for name in (FROM_FILE, FROM_ROW))
        return file, number

    def _origin(self, row: int) -> tuple[str, int]:
        file, number = (self.content.column(name)[row].as_py() for name in (FROM_FILE, FROM_ROW))
        return str(self.origins[file]), number


def _numbers(column: Any) -> np.ndarray | None:
    """Return a column of numbers (N,) float64, NaN where null; None if that is not what it is."""
    if not _is_number(column.type):
        return None
    numbers = column.to_numpy(zero_copy_only=False).astype(np.float64)
    valid_numbers = numbers[column.is_valid().to_numpy(zero_copy_only=False)] if column.null_count else numbers
    return numbers if (np.abs(valid_numbers) <= LARGEST).all() else None


def _lists(column: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return a column of lists, one in another as many times as `shape` is long, (N, *shape) float64, NaN where null;
    None if that is not what it is."""
    is_valid = column.is_valid().to_numpy(zero_copy_only=False)
    rows = int(is_valid.sum())
    values = column
    for length in shape:
        if "list" not in str(values.type).split("<")[0]:
            return None
        if values is not column and values.null_count:
            return None
        lengths = values.value_lengths().drop_null().to_numpy(zero_copy_only=False)
        if (lengths != length).any():
            return None
        values = values.flatten()
    if values.null_count or not _is_number(values.type):
        return None
    flat = values.to_numpy(zero_copy_only=False).astype(np.float64).reshape(rows, *shape)
    if not (np.abs(flat) <= LARGEST).all():
        return None
    if rows == len(column):
        return flat
    filled = np.full((len(column), *shape), np.nan)
    filled[is_valid] = flat
    return filled


def _is_number(kind: Any) -> bool:
    return str(kind) in ("double", "float", "int64", "int32", "int16", "int8")
