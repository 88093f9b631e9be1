"""Read columns of a JSON list of objects as checked arrays: a fast pass, and a slow one only to locate errors.

Ids of photos and people may be texts, "000785" or "cam1/0042"; records use integers.
"""

import gc
import json
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import compress, count, starmap
from pathlib import Path
from sys import intern
from typing import Any

import numpy as np
import orjson
from jaxtyping import Int

from trustpose.files import InputError, parse_json
from trustpose.poses import MISSING_ID

_NUMBERS = {int, float}
_INT64 = np.iinfo(np.int64)
EXACT = 2**53  # up to which floats hold every whole number
_NUMERAL = re.compile("-?[0-9]{1,18}")
LARGEST = 1e12  # absolute value of any number in a file of poses: squares and sums stay finite in float32


@dataclass(frozen=True)
class Rows:
    """A JSON list of objects, with the file and the noun for one object in error messages."""

    path: str
    noun: str
    rows: list[dict[str, Any]]

    @cached_property
    def fields(self) -> frozenset[str]:
        """Return every field that occurs in a row."""
        return frozenset[str]().union(*self.rows)

    def has(self, field: str) -> bool:
        """Return whether a row has a field."""
        return field in self.fields

    @classmethod
    def of(cls, value: Any, path: str, noun: str) -> "Rows":
        """Build from a parsed value. Raises InputError if `value` is not a list of objects."""
        if not isinstance(value, list):
            hint = "; `trustpose convert` reads other tools' files" if noun == "result" else ""
            raise InputError(f"{path}: expected a list of {noun}s, got {_kind(value)}{hint}")
        if set(map(type, value)) - {dict}:
            index = next(i for i, row in enumerate(value) if type(row) is not dict)
            raise InputError(f"{path}: {noun} {index}: expected an object, got {_kind(value[index])}")
        return cls(path, noun, value)

    def __len__(self) -> int:
        return len(self.rows)

    def values(self, field: str) -> list[Any]:
        """Return a field's value in each row, None where it is absent."""
        return [row.get(field) for row in self.rows]

    def kinds(self, field: str, values: list[Any] | None = None) -> set[type]:
        """Return the types of a field's values, which a caller may have."""
        return set(map(type, self.values(field) if values is None else values))

    def value(self, field: str, row: int) -> Any:
        """Return a field's value in a row, None if it is absent."""
        return self.values(field)[row]

    def first(self, field: str) -> Any:
        """Return the first value of a field that is not None; None if there is none."""
        return next((value for value in self.values(field) if value is not None), None)

    def texts(self, field: str, default: str) -> np.ndarray:
        """Return a field as texts (N,), objects of which equal ones are the same; `default` where it is absent."""
        if field not in self.fields:
            return np.full(len(self), default, object)
        values = self.values(field)
        is_text = set(map(type, values)) == {str}
        texts = map(intern, values) if is_text else (default if v is None else intern(str(v)) for v in values)
        return np.array(list(texts), object)

    def lengths(self, field: str) -> set[int]:
        """Return how long the lists of a field are."""
        return {len(value) for value in self.values(field) if isinstance(value, list)}

    def chosen(self, keep: np.ndarray) -> "Rows":
        """Return the rows where `keep` (N,) is True."""
        return Rows(self.path, self.noun, list(compress(self.rows, keep.tolist())))

    def place(self, row: int) -> str:
        """Name a row in an error message."""
        return f"{self.path}: {self.noun} {row}"

    def fail(self, row: int, field: str, expected: str, value: Any = None) -> InputError:
        """Return the error for one field of one row; `value` is the one found."""
        return InputError(f"{self.place(row)}: field '{field}': expected {expected}, got {_kind(value)}")

    def integers(self, field: str, *, optional: bool = False, numerals: bool = False) -> np.ndarray | None:
        """Return integers (N,) int64, also written with a fraction of 0, and with `numerals` as texts. With `optional`,
        rows without the field get -1; None if no row has it."""
        if optional and len(self) and field not in self.fields:
            return None
        values = self.values(field)
        kinds = self.kinds(field, values)
        if optional and kinds == {type(None)}:
            return None
        if optional and type(None) in kinds:
            values = [MISSING_ID if value is None else value for value in values]
            kinds.discard(type(None))
        whole: list[Any] = [_whole(value, numerals) for value in values] if kinds - {int} else values
        if None in whole:
            row = whole.index(None)
            raise self.fail(row, field, "a whole number", values[row])
        try:
            return np.fromiter(whole, np.int64, count=len(whole))
        except OverflowError:
            row = next(i for i, value in enumerate(whole) if not _INT64.min <= value <= _INT64.max)
            raise self.fail(row, field, "a whole number of at most 64 bits", values[row]) from None

    def numbers(self, field: str, *, optional: bool = False) -> np.ndarray | None:
        """Return finite numbers (N,) float64. With `optional`, rows without the field get NaN; None if no row has
        it."""
        return self.table(field, None, "a finite number", optional)

    def lists(self, field: str, length: int, *, optional: bool = False, description: str = "") -> np.ndarray | None:
        """Return lists of `length` finite numbers (N, length) float64. `optional` is as in `numbers`; error messages
        append `description` to what was expected."""
        table = self.table(field, length, f"{length} finite numbers{description}", optional)
        return None if table is None else table.reshape(len(self), length)

    def nested(self, field: str, outer: int, inner: int, expected: str) -> np.ndarray | None:
        """Return lists of `outer` lists of `inner` finite numbers (N, outer, inner) float64; NaN for rows without the
        field, None if no row has it."""
        flat: list[dict[str, Any]] = []
        for row, value in enumerate(self.values(field)):
            if value is not None and (
                not isinstance(value, list)
                or len(value) != outer
                or any(not isinstance(inner_list, list) or len(inner_list) != inner for inner_list in value)
            ):
                raise self.fail(row, field, expected, value)
            flat.append({field: None if value is None else [number for inner_list in value for number in inner_list]})
        table = Rows(self.path, self.noun, flat).lists(field, outer * inner, optional=True)
        return None if table is None else table.reshape(-1, outer, inner)

    def table(self, field: str, length: int | None, expected: str, optional: bool) -> np.ndarray | None:
        """Return the numbers of a column, flat: one per row if `length` is None, else lists of `length`."""
        if optional and len(self) and field not in self.fields:
            return None
        values = self.values(field)
        kinds = self.kinds(field, values)
        missing = [i for i, value in enumerate(values) if value is None] if type(None) in kinds else []
        if missing and not optional:
            raise self.fail(missing[0], field, expected, None)
        if missing and len(missing) == len(values):
            return None
        values = list(values) if missing else values  # which may be the column itself, for all further reads
        for row in missing:
            values[row] = np.nan if length is None else [np.nan] * length
        kinds.discard(type(None))
        if length is None:
            if kinds - _NUMBERS:
                row = next(i for i, value in enumerate(values) if type(value) not in _NUMBERS)
                raise self.fail(row, field, expected, values[row])
            flat = np.fromiter(values, dtype=np.float64, count=len(values))
        else:
            if kinds - {list} or set(map(len, values)) - {length}:
                row = next(i for i, value in enumerate(values) if type(value) is not list or len(value) != length)
                raise self.fail(row, field, expected, values[row])
            flat = self._packed(values, length, field, expected)
        if len(flat) and not (flat.min() >= -LARGEST and flat.max() <= LARGEST):  # NaN is neither
            wrong = ~(np.abs(flat).reshape(len(values), -1) <= LARGEST)
            wrong[missing] = False
            if wrong.any():
                row = int(np.argmax(wrong.any(axis=1)))
                number = flat.reshape(len(values), -1)[row][wrong[row]][0]
                limit = f", at most {LARGEST:g}" if np.isfinite(number) else ""
                raise self.fail(row, field, expected + limit, float(number))
        return flat

    def _packed(self, lists: list[list[Any]], length: int, field: str, expected: str) -> np.ndarray:
        """Return lists of `length` numbers, flat. Raises InputError if an entry is not a number (booleans are not)."""
        try:
            flat = np.frombuffer(bytearray().join(starmap(struct.Struct(f"{length}d").pack, lists)))
        except struct.error:
            flat = None
        if flat is not None:
            doubtful = np.zeros(len(lists), dtype=bool)
            doubtful[np.flatnonzero((flat == 0) | (flat == 1)) // length] = True  # may have been false and true
            written = orjson.dumps(list(compress(lists, doubtful.tolist())))  # faster to search than the lists
            if b"true" not in written and b"false" not in written:
                return flat
        row, wrong = next((i, entry) for i, row in enumerate(lists) for entry in row if type(entry) not in _NUMBERS)
        raise self.fail(row, field, expected, wrong)

    def unique(self, field: str, values: np.ndarray, texts: Mapping[int, str] | None = None) -> None:
        """Raise InputError if a value of the id column occurs twice (except -1); `texts` as in `known`."""
        order = np.argsort(values, kind="stable")
        twice = np.flatnonzero((np.diff(values[order]) == 0) & (values[order][1:] != MISSING_ID))
        if len(twice):
            first, second = order[twice[0]], order[twice[0] + 1]
            named = _named(int(values[second]), texts)
            raise InputError(
                f"{self.place(second)}: field '{field}': {named} occurs twice "
                f"(also in {self.noun} {first}), expected each once"
            )

    def known(
        self, field: str, values: np.ndarray, allowed: np.ndarray, source: str, texts: Mapping[int, str] | None = None
    ) -> None:
        """Raise InputError, naming the first three, if ids are not among `allowed`; `texts` are the file's texts for
        some numbers."""
        unknown = values[~np.isin(values, allowed)]
        if len(unknown):
            first = list(dict.fromkeys(unknown.tolist()))
            listed = ", ".join(_named(unknown_id, texts) for unknown_id in first[:3])
            listed += f" and {len(first) - 3} more" if len(first) > 3 else ""
            raise InputError(f"{self.path}: field '{field}': {listed} not in {source}")


@contextmanager
def garbage_collection_paused() -> Iterator[None]:
    """Pause garbage collection: searching the many JSON values for cycles takes longer than parsing, and finds none."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class GrowingColumns:
    """Columns (N, …) to which blocks of rows are appended, so that a block's own arrays can be freed."""

    def __init__(self) -> None:
        self._columns: dict[str, np.ndarray] = {}
        self._rows = 0

    def append(self, block: Mapping[str, np.ndarray | None], expected_rows: int = 0) -> None:
        """Append a block of rows. Rows of blocks without a column get NaN, -1 or False. Columns have room for
        `expected_rows` rows in all before they grow."""
        filled = {name: column for name, column in block.items() if column is not None}
        start, self._rows = self._rows, self._rows + len(next(iter(filled.values())))
        for name, column in filled.items():
            if name not in self._columns:
                shape = (max(self._rows, expected_rows), *column.shape[1:])
                self._columns[name] = np.empty(shape, dtype=column.dtype)
                self._columns[name][:start] = _missing(column)
        for name, column in self._columns.items():
            if len(column) < self._rows:  # grow by an eighth: the system moves large arrays without copying
                column.resize((self._rows + self._rows // 8, *column.shape[1:]), refcheck=False)
            column[start : self._rows] = filled.get(name, _missing(column))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the columns of all rows so far; nothing can be appended afterwards."""
        for column in self._columns.values():
            column.resize((self._rows, *column.shape[1:]), refcheck=False)
        return self._columns


def parse_finite_json(content: bytes, path: str | Path) -> Any:
    """Parse JSON; refuse NaN and Infinity, which Python's own writer produces, with a clear message."""
    try:
        return parse_json(content, path)
    except InputError as error:
        if b"NaN" in content or b"Infinity" in content:

            def refuse(constant: str) -> None:
                raise InputError(f"{path}: contains {constant}, expected finite numbers")

            try:
                json.loads(content, parse_constant=refuse, parse_int=str)  # Python limits the digits of its integers
            except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
                raise error from None
        raise


def _whole(value: Any, numerals: bool) -> int | None:
    """Return a JSON value as the whole number that it is, None if it is none."""
    is_whole = type(value) is float and value.is_integer() and abs(value) <= EXACT
    if is_whole or (numerals and type(value) is str and _NUMERAL.fullmatch(value)):
        return int(value)
    return value if type(value) is int else None


def _named(number: int, texts: Mapping[int, str] | None) -> str:
    """An id as its file has it, short enough for one line."""
    return repr(texts[number][:40]) if texts and number in texts else str(number)


def _missing(column: np.ndarray) -> float | int | bool:
    """What a row without a value has in a column: NaN, -1 (`MISSING_ID`) or False."""
    return {"f": np.nan, "i": MISSING_ID, "b": False}[column.dtype.kind]


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


_ID_NUMERAL = re.compile("[0-9]{1,18}")  # fits 64 bits


@dataclass(frozen=True, eq=False)
class IdTexts:
    """The number of each text that a file uses as an id; empty if it uses numbers.

    With `are_numbers` the texts are numerals and stand for their numbers, so "000785" and 785 are the same id.
    """

    number_of: Mapping[str, int]
    are_numbers: bool = True

    def __len__(self) -> int:
        return len(self.number_of)

    def find(self, text: str) -> int | None:
        """Return the number for a text, whether or not it is among these; None if there is none."""
        number = self.number_of.get(text)
        if number is None and self.are_numbers and _ID_NUMERAL.fullmatch(text):
            return int(text)
        return number

    @cached_property
    def text_of(self) -> dict[int, str]:
        """The text of each number."""
        return {number: text for text, number in self.number_of.items()}


NO_TEXTS = IdTexts({})


def number_texts(texts: Iterable[str]) -> IdTexts:
    """Assign numbers to distinct texts: their values if all are numerals with different values; else counted from 1 in
    their order by code point, in which pycocotools iterates over them too."""
    ordered = sorted(texts)
    if all(_ID_NUMERAL.fullmatch(text) for text in ordered):
        numbers = {text: int(text) for text in ordered}
        if len(set(numbers.values())) == len(numbers):
            return IdTexts(numbers)
    return IdTexts({text: number for number, text in enumerate(ordered, 1)}, are_numbers=False)


def own_ids(rows: Rows, field: str) -> tuple[Int[np.ndarray, " N"], IdTexts]:
    """Return the ids (N,) that rows give themselves, each once, and their texts. Raises InputError."""
    column = IdColumn(field)
    indices = column.read(rows)
    assert indices is not None
    rows.unique(field, indices, dict(enumerate(column.texts)))
    texts = number_texts(column.texts)
    return column.numbers(indices, texts), texts


def ids_among(
    rows: Rows, field: str, known_ids: Int[np.ndarray, " L"], texts: IdTexts, source: str
) -> Int[np.ndarray, " N"]:
    """Return the ids (N,) of a field that refers to rows of another list, with numbers `known_ids` and texts `texts`.

    Raises InputError if one is not among them.
    """
    column = IdColumn(field)
    indices = column.read(rows)
    assert indices is not None
    ids, own_texts = column.resolve(rows.path, indices, known_ids, texts, source)
    rows.known(field, ids, known_ids, source, own_texts.text_of)
    return ids


class IdColumn:
    """A column of ids read block by block: its numbers, or indices into `texts` until `resolve` has all of them."""

    def __init__(self, field: str) -> None:
        self.field = field
        self.texts: dict[str, int] = {}  # in order of appearance
        self._is_text: bool | None = None

    def read(self, rows: Rows, *, optional: bool = False) -> Int[np.ndarray, " N"] | None:
        """Return one block's ids (N,), or indices of their texts; -1 and None as in `Rows.integers`.

        Raises InputError if they are neither numbers nor texts, or a mixture.
        """
        field = self.field
        first = rows.first(field)
        if self._is_text is None and first is not None:
            self._is_text = type(first) is str
        if first is None or not self._is_text:
            return rows.integers(field, optional=optional)
        values = rows.values(field)
        indices = np.full(len(values), MISSING_ID, dtype=np.int64)
        for row, value in enumerate(values):
            if type(value) is str:
                indices[row] = self.texts.setdefault(value, len(self.texts))
            elif value is not None or not optional:
                raise rows.fail(row, field, "a text, as other rows have", value)
        return indices

    def numbers(self, indices: Int[np.ndarray, " N"], texts: IdTexts) -> Int[np.ndarray, " N"]:
        """Convert indices of `texts`, which all given texts have, to numbers (N,); -1 and numbers are kept."""
        if not self.texts:
            return indices
        table = np.array([texts.number_of[text] for text in self.texts], dtype=np.int64)
        return np.where(indices == MISSING_ID, MISSING_ID, table[indices])

    def resolve(
        self, path: str, indices: Int[np.ndarray, " N"], known_ids: Int[np.ndarray, " L"], texts: IdTexts, source: str
    ) -> tuple[Int[np.ndarray, " N"], IdTexts]:
        """Return the ids (N,) for the indices that `read` gave, and their texts; `source`, named in errors, has the ids
        `known_ids` with the texts `texts`.

        Unknown texts get unused numbers. Raises InputError if these are numbers and `source` has texts that are not
        numerals.
        """
        if not self.texts:
            if not texts.are_numbers and (indices != MISSING_ID).any():
                named = next(iter(texts.number_of))
                raise InputError(
                    f"{path}: field '{self.field}': expected texts such as {named[:40]!r}, as in {source}, got numbers"
                )
            return indices, NO_TEXTS
        number_of = {text: texts.find(text) for text in self.texts}
        numbers = {text: number for text, number in number_of.items() if number is not None}
        if len(numbers) < len(number_of):
            used = {*known_ids.tolist(), *numbers.values()}
            free = (number for number in count(1) if number not in used)
            numbers |= {text: next(free) for text, number in number_of.items() if number is None}
        own_texts = IdTexts(numbers, texts.are_numbers)
        return self.numbers(indices, own_texts), own_texts
