"""Change frozen dataclasses of plain values by dotted names, strictly typed, and compare them."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import orjson

from trustpose.files import InputError, parse_json
from trustpose.json_records import join_names, read_record, short

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """Convert dataclasses of plain values to JSON's objects, lists, texts and numbers. Raises TypeError for anything
    else."""
    return orjson.loads(orjson.dumps(value))


def with_changes(record: T, changes: Mapping[str, Any]) -> T:
    """Return a dataclass with fields replaced, named as in "train.lr" or "strategy.stages.0.epochs".

    A text, as of a command line, is parsed as JSON, or kept where the field takes texts. A field that is a mapping
    takes any key ("head_options.attention"). Raises InputError for an unknown name, listing the known ones, and for a
    value of the wrong type.
    """
    for dotted, value in changes.items():
        record = _changed(record, dotted, [_parsed(value), value] if isinstance(value, str) else [value])
    return record


def expect_within(record: Any, **ranges: tuple[int | float, int | float]) -> None:
    """Raise ValueError, naming the field, if a number of the record is outside its range; None is valid."""
    for name, (low, high) in ranges.items():
        value = getattr(record, name)
        if value is not None and not low <= value <= high:
            raise ValueError(f"{name}: expected {low:.10g} to {high:.10g}, got {value}")


def first_difference(first: Any, second: Any, name: str = "") -> str | None:
    """Return the dotted name of the first field in which two plain values (`to_plain`) differ, None if they are
    equal."""
    if isinstance(first, dict) and isinstance(second, dict):
        pairs = [(key, first.get(key), second.get(key)) for key in {**first, **second}]
        if first.keys() != second.keys():
            return join_names(name, next(key for key, *_ in pairs if (key in first) != (key in second)))
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        pairs = [(str(index), *both) for index, both in enumerate(zip(first, second, strict=True))]
    else:
        return None if first == second else name
    differences = (
        first_difference(first_item, second_item, join_names(name, key)) for key, first_item, second_item in pairs
    )
    return next((difference for difference in differences if difference is not None), None)


def _changed(record: T, dotted: str, values: Sequence[Any]) -> T:
    """Return the record with the first of these values that the field takes. Raises the first one's InputError."""
    errors = []
    for value in values:
        try:
            return read_record(type(record), _replaced(to_plain(record), dotted.split("."), value, ""))
        except InputError as error:
            errors.append(error)
    raise errors[0]


def _replaced(plain: Any, path: Sequence[str], value: Any, name: str) -> Any:
    """Return plain values with the one at `path` replaced; a name that is not there is added, and refused later."""
    if not path:
        return value
    first, rest = path[0], path[1:]
    inner = join_names(name, first)
    if isinstance(plain, dict):
        return {**plain, first: _replaced(plain.get(first, {}), rest, value, inner)}
    if not isinstance(plain, list) or not first.isdecimal():
        raise InputError(f"{name}.{'.'.join(path)}: there is no such field; {name} is {short(plain)}")
    if int(first) >= len(plain):
        raise InputError(f"{inner}: there are only {len(plain)}, counted from 0")
    return [*plain[: int(first)], _replaced(plain[int(first)], rest, value, inner), *plain[int(first) + 1 :]]


def _parsed(value: Any) -> Any:
    """Parse a command line's text as JSON, or as Python writes numbers and words; keep what is neither."""
    words = {"none": None, "None": None, "True": True, "False": False}
    if not isinstance(value, str) or value in words:
        return words[value] if isinstance(value, str) else value
    try:
        return parse_json(value.encode(), "value")
    except InputError:
        pass
    try:
        return float(value)  # .001 and nan are not JSON
    except ValueError:
        return value
