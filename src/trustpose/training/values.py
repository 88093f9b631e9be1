"""Convert frozen dataclasses of plain values to JSON and back, and change them by dotted names, strictly typed."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass, replace
from functools import cache
from math import isfinite
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from trustpose.files import InputError, parse_json
from trustpose.names import did_you_mean

T = TypeVar("T")
_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def to_plain(value: Any) -> Any:
    """Convert to JSON types: dataclasses and mappings to objects, tuples to lists. Raises TypeError for anything
    else."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): to_plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"expected plain values, got {type(value).__name__}")


def from_plain(kind: type[T], value: Any, name: str = "") -> T:
    """Build the dataclass from `to_plain`'s output. Raises InputError naming a field with the wrong type."""
    if not isinstance(value, Mapping):
        raise InputError(f"{name or kind.__name__}: expected an object, got {_short(value)}")
    hints = _hints(kind)
    _refuse_unknown(value, list(hints), name)
    values = {key: _typed(hints[key], item, _join(name, key)) for key, item in value.items()}
    for field in fields(kind):  # type: ignore[arg-type]
        if field.name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise InputError(f"{_join(name, field.name)}: is missing")
    try:
        return kind(**values)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(_join(name, str(error))) from None


def with_changes(value: T, changes: Mapping[str, Any], name: str = "") -> T:
    """Return a dataclass with fields replaced, named as in "train.lr" or "strategy.stages.0.epochs"; texts are parsed.

    A field that is a mapping takes any key ("head_options.attention"). Raises InputError for an unknown name, listing
    the known ones, and for a value of the wrong type.
    """
    for dotted, new in changes.items():
        value = _change(type(value), value, dotted.split("."), new, name)
    return value


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
            return _join(name, next(key for key, *_ in pairs if (key in first) != (key in second)))
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        pairs = [(str(index), *both) for index, both in enumerate(zip(first, second, strict=True))]
    else:
        return None if first == second else name
    differences = (
        first_difference(first_item, second_item, _join(name, key)) for key, first_item, second_item in pairs
    )
    return next((difference for difference in differences if difference is not None), None)


def _change(kind: Any, value: Any, path: Sequence[str], new: Any, name: str) -> Any:
    if not path:
        return _typed(kind, _parsed(kind, new), name)
    first, rest = path[0], path[1:]
    if is_dataclass(value) and not isinstance(value, type):
        hints = _hints(type(value))
        _refuse_unknown([first], list(hints), name)
        item = _change(hints[first], getattr(value, first), rest, new, _join(name, first))
        try:
            return replace(value, **{first: item})
        except InputError:
            raise
        except ValueError as error:
            raise InputError(_join(name, str(error))) from None
    if isinstance(value, Mapping) and not rest:
        return {**value, first: _typed(Any, _parsed(Any, new), _join(name, first))}
    if isinstance(value, tuple) and first.isdecimal():
        if int(first) >= len(value):
            raise InputError(f"{_join(name, first)}: there are only {len(value)}, counted from 0")
        item = _change(get_args(kind)[0], value[int(first)], rest, new, _join(name, first))
        return (*value[: int(first)], item, *value[int(first) + 1 :])
    raise InputError(f"{_join(name, '.'.join(path))}: there is no such field; {name} is {_short(value)}")


def _parsed(kind: Any, value: Any) -> Any:
    """Parse a command line's text as JSON; keep it if text is expected or it is not JSON."""
    if not isinstance(value, str) or kind is str:
        return value
    words = {"none": None, "None": None, "True": True, "False": False}
    if value in words:
        return words[value]
    try:
        return parse_json(value.encode(), "value")
    except InputError:
        pass
    try:
        return float(value) if kind is float or float in get_args(kind) else value  # .001 is not JSON
    except ValueError:
        return value


def _typed(kind: Any, value: Any, name: str) -> Any:
    """Convert the value to `kind`: 1 for a float becomes 1.0, lists become tuples. Raises InputError."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        if value is None and NoneType in arguments:
            return None
        kinds = [argument for argument in arguments if argument is not NoneType]
        return _typed(kinds[0], value, name) if len(kinds) == 1 else _frozen(value)
    if origin is Literal:
        if value not in arguments:
            raise InputError(f"{name}: expected one of {', '.join(map(str, arguments))}, got {_short(value)}")
        return value
    if is_dataclass(kind) and isinstance(kind, type):
        return from_plain(kind, value, name)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise InputError(f"{name}: expected a list, got {_short(value)}")
        return tuple(_typed(arguments[0], item, _join(name, str(index))) for index, item in enumerate(value))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise InputError(f"{name}: expected an object, got {_short(value)}")
        return {key: _typed(arguments[1], item, _join(name, key)) for key, item in value.items()}
    if kind is float and type(value) is int and abs(value) < 1e300:
        return float(value)
    if kind is float and type(value) is float and not isfinite(value):
        raise InputError(f"{name}: expected a finite number, got {value}")
    if kind in _NAMES and type(value) is not kind:
        raise InputError(f"{name}: expected {_NAMES[kind]}, got {_short(value)}")
    return _frozen(value)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return {name: hint for name, hint in get_type_hints(kind).items() if name in {f.name for f in fields(kind)}}  # type: ignore[arg-type]


def _refuse_unknown(names: Any, expected: Sequence[str], inside: str) -> None:
    unknown = next((name for name in names if name not in expected), None)
    if unknown is not None:
        message = f"expected one of {', '.join(expected)}{did_you_mean(unknown, expected)}"
        raise InputError(f"{_join(inside, unknown)}: there is no such field, {message}")


def _join(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _short(value: Any) -> str:
    return repr(value)[:60]
