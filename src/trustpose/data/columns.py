"""Columns of a JSON list of objects as checked arrays: one fast pass, and a slow one only to say what is wrong."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from trustpose.files import InputError, parse_json
from trustpose.poses import MISSING_ID

_NUMBERS = {int, float}
_INT64 = np.iinfo(np.int64)


@dataclass(frozen=True)
class Rows:
    """A JSON list of objects with the names its errors use: the file and what one object is called."""

    path: str
    noun: str
    rows: list[dict[str, Any]]

    @cached_property
    def fields(self) -> frozenset[str]:
        """Every field that some row has."""
        return frozenset(chain.from_iterable(self.rows))

    @classmethod
    def of(cls, value: Any, path: str, noun: str) -> "Rows":
        """Raises InputError where `value` is no list of objects."""
        if not isinstance(value, list):
            raise InputError(f"{path}: expected a list of {noun}s, got {_kind(value)}")
        if set(map(type, value)) - {dict}:
            at = next(i for i, row in enumerate(value) if type(row) is not dict)
            raise InputError(f"{path}: {noun} {at}: expected an object, got {_kind(value[at])}")
        return cls(path, noun, value)

    def __len__(self) -> int:
        return len(self.rows)

    def fail(self, row: int, field: str, expected: str, value: Any = None) -> InputError:
        """The error for one field of one row; `value` is what stood there."""
        return InputError(f"{self.path}: {self.noun} {row}: field '{field}': expected {expected}, got {_kind(value)}")

    def integers(self, field: str, *, optional: bool = False) -> np.ndarray | None:
        """Whole numbers (N,) int64. With `optional`, rows without the field get -1; None if no row has it."""
        if optional and len(self) and field not in self.fields:
            return None
        values: list[Any] = [row.get(field) for row in self.rows]
        kinds = set(map(type, values))
        if optional and kinds == {type(None)}:
            return None
        if optional and type(None) in kinds:
            values = [MISSING_ID if value is None else value for value in values]
            kinds.discard(type(None))
        if kinds - {int}:
            at = next(i for i, value in enumerate(values) if type(value) is not int)
            raise self.fail(at, field, "a whole number", values[at])
        try:
            return np.array(values, dtype=np.int64)
        except OverflowError:
            at = next(i for i, value in enumerate(values) if not _INT64.min <= value <= _INT64.max)
            raise self.fail(at, field, "a whole number of at most 64 bits", values[at]) from None

    def numbers(self, field: str, *, optional: bool = False) -> np.ndarray | None:
        """Finite numbers (N,) float64. With `optional`, rows without the field get NaN; None if no row has it."""
        return self._table(field, None, "a finite number", optional)

    def lists(self, field: str, length: int, *, optional: bool = False, what: str = "") -> np.ndarray | None:
        """Lists of `length` finite numbers (N, length) float64, optional as in `numbers`; `what` says what they are."""
        table = self._table(field, length, f"{length} finite numbers{what}", optional)
        return None if table is None else table.reshape(len(self), length)

    def _table(self, field: str, length: int | None, expected: str, optional: bool) -> np.ndarray | None:
        """The numbers of a column, flat: one a row where `length` is None, else lists of `length`."""
        if optional and len(self) and field not in self.fields:
            return None
        values: list[Any] = [row.get(field) for row in self.rows]
        missing = [i for i, value in enumerate(values) if value is None] if None in values else []
        if missing and not optional:
            raise self.fail(missing[0], field, expected, None)
        if missing and len(missing) == len(values):
            return None
        for at in missing:
            values[at] = np.nan if length is None else [np.nan] * length
        if length is None:
            self._check_numbers([[value] for value in values], field, expected)
            flat = np.fromiter(values, dtype=np.float64, count=len(values))
        else:
            if set(map(type, values)) - {list} or set(map(len, values)) - {length}:
                at = next(i for i, value in enumerate(values) if type(value) is not list or len(value) != length)
                raise self.fail(at, field, expected, values[at])
            self._check_numbers(values, field, expected)
            flat = np.fromiter(chain.from_iterable(values), dtype=np.float64, count=len(values) * length)
        if not np.isfinite(flat).all():
            finite = np.atleast_1d(np.isfinite(flat).reshape(len(values), -1).all(axis=1))
            finite[np.array(missing, dtype=np.int64)] = True
            if not finite.all():
                raise self.fail(int(np.argmin(finite)), field, expected, np.inf)
        return flat

    def _check_numbers(self, lists: list[list[Any]], field: str, expected: str) -> None:
        """Raises InputError where an entry of one of the lists is no number (true and false are none)."""
        if set(map(type, chain.from_iterable(lists))) <= _NUMBERS:
            return
        at, wrong = next((i, entry) for i, row in enumerate(lists) for entry in row if type(entry) not in _NUMBERS)
        raise self.fail(at, field, expected, wrong)

    def unique(self, field: str, values: np.ndarray) -> None:
        """Raises InputError where a value of the id column stands twice (-1 aside)."""
        order = np.argsort(values, kind="stable")
        twice = np.flatnonzero((np.diff(values[order]) == 0) & (values[order][1:] != MISSING_ID))
        if len(twice):
            first, second = order[twice[0]], order[twice[0] + 1]
            raise InputError(
                f"{self.path}: {self.noun} {second}: field '{field}': {values[second]} stands twice "
                f"(also in {self.noun} {first}), expected each once"
            )

    def known(self, field: str, values: np.ndarray, allowed: np.ndarray, where: str) -> None:
        """Raises InputError, naming the first three, where ids are not among `allowed`."""
        unknown = values[~np.isin(values, allowed)]
        if len(unknown):
            first = list(dict.fromkeys(unknown.tolist()))
            listed = ", ".join(map(str, first[:3])) + (f" and {len(first) - 3} more" if len(first) > 3 else "")
            raise InputError(f"{self.path}: field '{field}': {listed} not in {where}")


def parse_finite_json(content: bytes, path: str | Path) -> Any:
    """JSON, with a clear word for the NaN and Infinity that Python's own writer leaves in files."""
    try:
        return parse_json(content, path)
    except InputError as error:
        if b"NaN" in content or b"Infinity" in content:

            def refuse(constant: str) -> None:
                raise InputError(f"{path}: holds {constant}, expected finite numbers")

            try:
                json.loads(content, parse_constant=refuse)
            except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
                raise error from None
        raise


def _kind(value: Any) -> str:
    """What a JSON value is, in words short enough for one line."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"{float(value) if isinstance(value, float) else value!r}"[:40]
    if isinstance(value, str):
        return f"the text {value[:30]!r}"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, Iterable):
        return f"a list of {len(list(value))}"
    return type(value).__name__
