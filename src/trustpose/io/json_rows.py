"""Rows of JSON as columns: with pysimdjson, numbers go from the parser's memory into arrays without Python objects.

pysimdjson is optional. Without it, and for rows whose fields differ, orjson makes Python objects of all values. Both
give the same columns, and what is wrong with a file is said by the same checks, those of `Rows`.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from itertools import compress
from typing import Any

import numpy as np
import orjson

from trustpose.files import BOM, InputError, parse_json
from trustpose.io.columns import LARGEST, Rows

_LISTS_AT_A_TIME = 2**10
BLOCK_BYTES = 2**19  # of JSON parsed at a time: its values fit into the processor's cache


def _installed_simdjson() -> Any:
    """Return pysimdjson, None without it."""
    try:
        return import_module("simdjson")
    except ImportError:
        return None


simdjson = _installed_simdjson()


class ColumnRows(Rows):
    """JSON objects that all have the same fields, by column: numbers, texts, and lists that are still the parser's."""

    def __init__(self, path: str, noun: str, parsed: list[Any], columns: Mapping[str, list[Any]]) -> None:
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "noun", noun)
        object.__setattr__(self, "parsed", parsed)
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "_parsed_kinds", {})

    parsed: list[Any]
    columns: Mapping[str, list[Any]]
    _parsed_kinds: dict[str, set[type]]

    @property
    def rows(self) -> list[dict[str, Any]]:  # type: ignore[bad-override]
        """The rows as objects."""
        return [row.as_dict() for row in self.parsed]

    @property
    def fields(self) -> frozenset[str]:  # type: ignore[bad-override]
        """Return every field that occurs in a row."""
        return frozenset(self.columns)

    def __len__(self) -> int:
        return len(self.parsed)

    def values(self, field: str) -> list[Any]:
        """Return a field's value in each row, None where it is absent."""
        column = self.columns.get(field)
        if column is None:
            return [None] * len(self)
        if self._kinds_of(field).isdisjoint((simdjson.Array, simdjson.Object)):
            return column
        return [_as_python(value) for value in column]

    def kinds(self, field: str, values: list[Any] | None = None) -> set[type]:
        """See `Rows.kinds`."""
        kinds = self._kinds_of(field)
        return set(kinds) if kinds.isdisjoint((simdjson.Array, simdjson.Object)) else super().kinds(field, values)

    def _kinds_of(self, field: str) -> set[type]:
        """Return the types of a column's values as the parser has them."""
        if field not in self._parsed_kinds:
            self._parsed_kinds[field] = set(map(type, self.columns.get(field, (None,))))
        return self._parsed_kinds[field]

    def lengths(self, field: str) -> set[int]:
        """See `Rows.lengths`."""
        if self._kinds_of(field) != {simdjson.Array}:
            return super().lengths(field)
        return set(map(len, self.columns[field]))

    def chosen(self, keep: np.ndarray) -> "ColumnRows":
        """Return the rows where `keep` (N,) is True."""
        chosen = keep.tolist()
        columns = {name: list(compress(column, chosen)) for name, column in self.columns.items()}
        return ColumnRows(self.path, self.noun, list(compress(self.parsed, chosen)), columns)

    def table(self, field: str, length: int | None, expected: str, optional: bool) -> np.ndarray | None:
        """See `Rows.table`."""
        flat = None if length is None else self._numbers(field, length)
        return super().table(field, length, expected, optional) if flat is None else flat

    def _numbers(self, field: str, length: int) -> np.ndarray | None:
        """Return lists of `length` numbers, flat; None if that is not what they are."""
        if self._kinds_of(field) != {simdjson.Array} or self.lengths(field) != {length}:
            return None
        lists = self.columns[field]
        flat = np.empty(length * len(lists))
        for start in range(0, len(lists), _LISTS_AT_A_TIME):
            part = flat[length * start : length * (start + _LISTS_AT_A_TIME)]
            try:
                buffers = [numbers.as_buffer(of_type="d") for numbers in lists[start : start + _LISTS_AT_A_TIME]]
            except TypeError:  # an entry is no number
                return None
            numbers = np.frombuffer(b"".join(buffers))
            if len(numbers) != len(part):  # an entry is a list
                return None
            part[:] = numbers
        return flat if len(flat) and flat.min() >= -LARGEST and flat.max() <= LARGEST else None


def rows_in_blocks(content: bytes, path: str, noun: str, block_bytes: int = BLOCK_BYTES) -> Iterator[Rows]:
    """Parse a JSON list of objects block by block, so that few of its values exist at a time; at least one block.

    Twice as fast as parsing everything at once, which exceeds the processor's cache. Blocks end at a `},`, where a row
    may end. If it does not, brackets or quotes are left open and the block is not valid JSON. Raises InputError then,
    as for any other error, but without the right position: parse everything to find it.
    """
    # it keeps its memory; a caller that still uses a block's rows when the next is parsed gets others (`_parse`)
    parser = None if simdjson is None else simdjson.Parser()
    start, is_last, whole = 0, False, memoryview(content)
    while not is_last:
        end = content.rfind(b"},", start, start + block_bytes) + 1
        is_last = end == 0 or start + block_bytes >= len(content)
        pieces = b"" if start == 0 else b"[", whole[start:] if is_last else whole[start:end], b"" if is_last else b"]"
        yield _rows_of(b"".join(pieces), path, noun, parser, is_first=start == 0)
        start = end + 1


def rows_of_fields(content: bytes, path: str, nouns: Mapping[str, str]) -> dict[str, Rows] | None:
    """Return the lists of objects that an object of JSON has in these fields, each with the noun for one of its rows.

    None without pysimdjson, or if this is not what the file holds.
    """
    value = None if simdjson is None else _parse(content, simdjson.Parser())
    if value is None or type(value) is not simdjson.Object:
        return None
    fields = list(value)
    if len(set(fields)) < len(fields) or not set(nouns) <= set(fields):
        return None
    lists = {field: value[field] for field in nouns}
    if any(type(rows) is not simdjson.Array for rows in lists.values()):
        return None
    return {field: _columns(rows, path, nouns[field]) for field, rows in lists.items()}


def numbers_of(text: bytearray) -> np.ndarray | None:
    """Return the numbers of a list; None if it holds anything else."""
    if simdjson is None:
        if not text.isascii() or any(letter in text for letter in (b"t", b"f", b"n")):
            return None
        try:
            return np.array(orjson.loads(text), np.float64)
        except (orjson.JSONDecodeError, OverflowError, TypeError, ValueError):
            return None
    try:
        return np.frombuffer(simdjson.Parser().parse(text).as_buffer(of_type="d"))
    except (RuntimeError, TypeError, ValueError):
        return None


def _rows_of(content: bytes, path: str, noun: str, parser: Any, *, is_first: bool) -> Rows:
    """Return the rows of a JSON list of objects, of which only the first block may have none. Raises InputError."""
    value = None if parser is None else _parse(content, parser)
    if value is None or type(value) is not simdjson.Array:
        rows = Rows.of(parse_json(content, path), path, noun)
    else:
        rows = _columns(value, path, noun)
    if not is_first and not len(rows):
        raise InputError(f"{path}: is not valid JSON (a comma without a {noun} after it)")
    return rows


def _columns(rows: Any, path: str, noun: str) -> Rows:
    """Return a list of the parser's as columns, or as Python objects if rows have different fields."""
    parsed = list(rows)
    fields = list(parsed[0]) if parsed and type(parsed[0]) is simdjson.Object else []
    # as many fields as the first row, and each of its own: the same, and none of them twice
    is_uniform = set(map(type, parsed)) == {simdjson.Object} and set(map(len, parsed)) == {len(set(fields))}
    if is_uniform:
        try:
            return ColumnRows(path, noun, parsed, {name: [row[name] for row in parsed] for name in fields})
        except KeyError:
            pass
    return Rows.of(rows.as_list(), path, noun)


def _parse(content: bytes, parser: Any) -> Any:
    """Return pysimdjson's value of a text; None for invalid JSON, of which orjson names the place."""
    for free_parser in (lambda: parser, simdjson.Parser):
        try:
            return free_parser().parse(content.removeprefix(BOM))
        except RuntimeError:  # values of an earlier text are still in use, or an integer has more than 64 bits
            continue
        except ValueError:
            return None
    return None


def _as_python(value: Any) -> Any:
    if type(value) is simdjson.Array:
        return value.as_list()
    return value.as_dict() if type(value) is simdjson.Object else value
