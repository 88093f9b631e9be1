"""Rows of a CSV file as columns of cells: numbers, lists of numbers as JSON, or texts.

The cells of a column become one list of numbers for the parser, with a mark between two cells, which shows that each
holds as many numbers as it should. A column with an empty cell, a text or a list in a list is read cell by cell.
"""

from collections.abc import Iterator
from functools import cached_property
from itertools import compress, islice
from typing import Any

import numpy as np
import orjson

from trustpose.io.columns import EXACT, LARGEST, Rows
from trustpose.io.json_rows import numbers_of

_CELLS = 2**10  # of a column that are parsed at a time: they fit into the processor's cache
_MARK = "9e99"  # beyond `LARGEST`: no number of a file that is read


class CellRows(Rows):
    """The rows of a CSV file, an empty cell for an absent field."""

    def __init__(self, path: str, noun: str, names: list[str], lines: list[list[str]]) -> None:
        for name, value in (("path", path), ("noun", noun), ("names", names), ("lines", lines)):
            object.__setattr__(self, name, value)

    names: list[str]
    lines: list[list[str]]

    @property
    def rows(self) -> list[dict[str, Any]]:  # type: ignore[bad-override]
        """The rows as objects, without absent fields."""
        return [
            {name: _value(cell) for name, cell in zip(self.names, line, strict=True) if cell} for line in self.lines
        ]

    @cached_property
    def fields(self) -> frozenset[str]:
        """Return every field that occurs in a row."""
        return frozenset(name for name in self.names if any(self._cells(name)))

    def __len__(self) -> int:
        return len(self.lines)

    def values(self, field: str) -> list[Any]:
        """Return a field's value in each row, None where it is absent."""
        return [_value(cell) if cell else None for cell in self._cells(field)]

    def value(self, field: str, row: int) -> Any:
        """See `Rows.value`."""
        cell = next(islice(self._cells(field), row, None))
        return _value(cell) if cell else None

    def first(self, field: str) -> Any:
        """See `Rows.first`."""
        values = (_value(cell) for cell in self._cells(field) if cell)
        return next((value for value in values if value is not None), None)

    def chosen(self, keep: np.ndarray) -> "CellRows":
        """Return the rows where `keep` (N,) is True."""
        return CellRows(self.path, self.noun, self.names, list(compress(self.lines, keep.tolist())))

    def integers(self, field: str, *, optional: bool = False, numerals: bool = False) -> np.ndarray | None:
        """See `Rows.integers`."""
        numbers = self._numbers(field, None)
        if numbers is not None and np.abs(numbers).max(initial=0) < EXACT:
            whole = numbers.astype(np.int64)
            if (whole == numbers).all():
                return whole
        return super().integers(field, optional=optional, numerals=numerals)

    def table(self, field: str, length: int | None, expected: str, optional: bool) -> np.ndarray | None:
        """See `Rows.table`."""
        numbers = self._numbers(field, length)
        return super().table(field, length, expected, optional) if numbers is None else numbers

    def _cells(self, field: str) -> Iterator[str]:
        """Yield the cell of each row; empty ones for a column that the file lacks."""
        if field not in self.names:
            return iter([""] * len(self.lines))
        column = len(self.names) - 1 - self.names[::-1].index(field)  # the last of two, as in an object
        return (line[column] for line in self.lines)

    def _numbers(self, field: str, length: int | None) -> np.ndarray | None:
        """Return a column of numbers, or of lists of `length`, flat; None if that is not what it is."""
        cells = list(self._cells(field))
        parts = [_parsed(cells[first : first + _CELLS], length) for first in range(0, len(cells), _CELLS)]
        if not parts or any(part is None for part in parts):
            return None
        numbers = np.concatenate(parts)  # type: ignore[arg-type]
        return numbers if np.abs(numbers).max(initial=0) <= LARGEST else None


def _parsed(cells: list[str], length: int | None) -> np.ndarray | None:
    """Return the numbers of cells, flat: one in each, or lists of `length`; None if that is not what they are."""
    if not all(cells):
        return None
    if length is not None:
        if any(cell[0] != "[" or cell[-1] != "]" for cell in cells):
            return None
        cells = [cell[1:-1] for cell in cells]
    text = f"[{f',{_MARK},'.join(cells)},{_MARK}]"
    numbers = None if text.rfind("[") else numbers_of(bytearray(text, "utf-8", "replace"))
    width = 1 + (length or 1)
    if numbers is None or len(numbers) != width * len(cells):
        return None
    table = numbers.reshape(-1, width)
    return table[:, :-1].reshape(-1) if (table[:, -1] == float(_MARK)).all() else None


def _value(cell: str) -> Any:
    """Parse a cell as JSON, else return it as text."""
    try:
        return orjson.loads(cell)
    except orjson.JSONDecodeError:
        return cell
