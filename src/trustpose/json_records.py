"""Read JSON into frozen dataclasses whose fields declare their types and ranges.

msgspec converts the values. This module refuses unknown fields, too, and says of a wrong value in one line the file,
the dotted name of the field, what was expected and what came. A check that involves several fields stands in the
record's `__post_init__`, as a ValueError "field: expected …"; one that needs more than the record, in a `naming` block.
"""

import dataclasses
import math
import reprlib
import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeGuard, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
import numpy as np
from msgspec import Meta

from trustpose.files import InputError, parse_json
from trustpose.names import did_you_mean, expected_one_of

T = TypeVar("T")
LARGEST = 1e12
_MOST_NUMBERS = 10_000  # no field holds a longer array
_LONGEST = 4000  # bits; Python refuses to print numbers of more than 4300 digits
_UNIONS = (Union, types.UnionType)
_WORDS: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
_SHAPES: dict[Any, str] = {tuple: "a list", list: "a list", Mapping: "an object", dict: "an object"}


def within(minimum: float, maximum: float | None = None) -> Meta:
    """The range of a number that a field declares: `Annotated[float, within(0, 1)]`; None for no maximum."""
    return Meta(ge=minimum, le=maximum)


def described(text: str) -> Meta:
    """What an error says was expected of a field, in the place of words made from its type."""
    return Meta(description=text)


def of_length(count: int, noun: str = "numbers") -> Meta:
    """The length of a list that a field declares: `Annotated[tuple[Number, ...], of_length(4)]`."""
    return Meta(min_length=count, max_length=count, description=f"{count} {noun}")


Number = Annotated[float, within(-LARGEST, LARGEST)]
Count = Annotated[int, within(1, 16384)]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1), described("a whole number of at most 64 bits")]
Text = Annotated[str, Meta(min_length=1)]
NumberOrText = Annotated[int | float | str, described("a number or a text")]
FileName = Annotated[
    str, Meta(pattern=r"^(?!\.{1,2}$|.:)[^/\\]+$", description="the bare name of a file next to this one")
]  # without folders, so that a JSON cannot refer to a file elsewhere


def read_record(kind: type[T], value: Any, path: str | Path = "", prefix: str = "", **derived: Any) -> T:
    """Convert a JSON value to the dataclass `kind`; unknown fields are refused unless it is an `OpenRecord`.

    Args:
        kind: A dataclass, whose fields may be records, too.
        value: What a JSON parser returned.
        path: The file, for messages; "" where the value comes from no file.
        prefix: The dotted name of the value in the file; "" for all of it.
        derived: Fields of the record that the JSON does not hold.

    Raises:
        InputError: One line with file, field, what was expected and what came.
    """
    if not derived and _is_simple(kind):
        with suppress(msgspec.ValidationError):  # the field is named below
            return msgspec.convert(value, kind)
    try:
        return _record(kind, value, prefix, derived)
    except _WrongField as error:
        name = error.name or ("" if path else kind.__name__)
        raise InputError(_line(path, name, error.message)) from None


def parse_record(kind: type[T], content: bytes, path: str | Path) -> T:
    """As `read_record` of a JSON text: straight from its bytes, without values in between.

    Raises InputError, also if the text is not JSON.
    """
    decoder = _decoder(kind)
    if decoder is not None:
        try:
            return decoder.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # what is wrong is named below
    return read_record(kind, parse_json(content, path), path)


def read_records(kind: type[T], values: Any, path: str | Path, noun: str) -> list[T]:
    """Convert each object of a list as `read_record`; messages name it by the noun and its index: "person 3"."""
    if not isinstance(values, list):
        raise InputError(f"{path}: expected a list of {noun}s, got {short(values)}")
    return [read_record(kind, value, f"{path}: {noun} {index}") for index, value in enumerate(values)]


def read_value(kind: Any, value: Any, path: str | Path, name: str) -> Any:
    """Convert the value of the field `name` to a type such as `FileName`; as `read_record`."""
    try:
        return _converted(kind, value, name)
    except _WrongField as error:
        raise InputError(_line(path, error.name, error.message)) from None


@contextmanager
def naming(path: str | Path, prefix: str = "") -> Iterator[None]:
    """Turn a ValueError "field: expected …" of the block into an InputError that names the file and the whole field."""
    try:
        yield
    except InputError:
        raise
    except ValueError as error:
        name, message = _name_and_message(error, prefix)
        raise InputError(_line(path, name, message)) from None


def short(value: Any) -> str:
    """Return at most 60 characters of a value's `repr`, for messages."""
    text = " ".join(_REPR.repr(value).split())
    return text if len(text) <= 60 else text[:57] + "…"


def is_number(value: Any) -> TypeGuard[float]:
    """Return whether a JSON value is a number of at most 1e12; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= LARGEST


def join_names(name: str, key: str) -> str:
    """Return a dotted name: that of the field `key` in the field `name`, "" for the whole value."""
    return f"{name}.{key}" if name else key


class OpenRecord:
    """The base of records that declare a part of another program's JSON: all other fields are ignored."""


@dataclasses.dataclass(frozen=True)
class Shape:
    """The sides of an array of numbers, None for any length: `Annotated[np.ndarray, Shape(3, 3)]` declares one.

    Its JSON are lists, flat or within one another, of numbers of at most 1e12.
    """

    sides: tuple[int | None, ...]

    def __init__(self, *sides: int | None) -> None:
        object.__setattr__(self, "sides", sides)

    @property
    def expected(self) -> str:
        """What a message says was expected: "3 × 3 numbers"."""
        sides = " × ".join("any number of" if side is None else str(side) for side in self.sides)
        return f"{sides} numbers" if sides else "a number"

    def array(self, value: Any) -> np.ndarray | None:
        """Return the array (float64) of a JSON value; None if it is none of this shape."""
        try:
            array = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            return None
        if array.size > _MOST_NUMBERS or not (np.abs(array) <= LARGEST).all():
            return None
        if None in self.sides:
            return array.ravel()
        sides = [side for side in self.sides if side is not None]
        return array.reshape(sides) if array.size == math.prod(sides) else None


@cache
def declared_fields(kind: type) -> dict[str, Any]:
    """Return the types of a dataclass' fields by name, with what `Annotated` says."""
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind) if field.init}  # type: ignore[arg-type]


class _Repr(reprlib.Repr):
    def repr_int(self, x: int, level: int) -> str:
        return super().repr_int(x, level) if x.bit_length() < _LONGEST else f"a number of {x.bit_length()} bits"


_REPR = _Repr()  # for values nested as deeply as Python's stack
_REPR.maxstring = _REPR.maxother = 80


class _WrongField(Exception):
    """A field's dotted name, and what is wrong with it."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(name, message)
        self.name, self.message = name, message


def _line(path: str | Path, name: str, message: str) -> str:
    gap = " " if message.startswith("is ") else ": "
    if not path:
        return f"{name}{gap}{message}" if name else message
    return f"{path}: field '{name}'{gap}{message}" if name else f"{path}: {message}"


def _name_and_message(error: BaseException, prefix: str) -> tuple[str, str]:
    """Split "field: expected …"."""
    name, colon, message = str(error).partition(": ")
    is_field = bool(colon) and all(part.isidentifier() or part.isdecimal() for part in name.split("."))
    return (join_names(prefix, name), message) if is_field else (prefix, str(error))


def _record(kind: type[T], value: Any, name: str, derived: Mapping[str, Any]) -> T:
    """Convert to a dataclass. Raises _WrongField for the first wrong field."""
    if not isinstance(value, Mapping):
        raise _WrongField(name, f"expected an object, got {short(value)}")
    hints = {field: hint for field, hint in declared_fields(kind).items() if field not in derived}
    if issubclass(kind, OpenRecord):
        value = {field: value[field] for field in hints if field in value}
    unknown = next((field for field in value if field not in hints), None)
    if unknown is not None:
        message = f"is unknown, expected one of {', '.join(hints)}{did_you_mean(unknown, hints)}"
        raise _WrongField(join_names(name, str(unknown)), message)
    converted = {field: _converted(hints[field], item, join_names(name, field)) for field, item in value.items()}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        is_required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if field.name in hints and field.name not in value and is_required:
            raise _WrongField(join_names(name, field.name), f"is missing, expected {_expected(hints[field.name])}")
    try:
        return kind(**converted, **derived)
    except InputError:
        raise
    except ValueError as error:
        raise _WrongField(*_name_and_message(error, name)) from None


def _converted(kind: Any, value: Any, name: str) -> Any:
    """Convert to a field's type. Raises _WrongField for the first wrong part of it."""
    if kind is Any or (get_origin(kind) is Annotated and get_args(kind)[0] is Any):
        return value
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _record(kind, value, name, {})
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated and isinstance(arguments[1], Shape):
        array = arguments[1].array(value)
        if array is None:
            raise _WrongField(name, _mismatch(kind, value))
        return array
    if origin is Annotated and get_origin(arguments[0]) in _UNIONS:
        try:
            return _converted(arguments[0], value, name)
        except _WrongField:
            raise _WrongField(name, _mismatch(kind, value)) from None
    if origin in _UNIONS:
        kinds = [argument for argument in arguments if argument is not types.NoneType]
        if value is None and len(kinds) < len(arguments):
            return None
        return _converted(kinds[0], value, name) if len(kinds) == 1 else _one_of_types(kind, kinds, value, name)
    if kind == Count and isinstance(value, float) and value.is_integer():
        value = int(value)  # a size of 64.0, as programs write it that have no whole numbers
    if _is_simple(kind):
        with suppress(msgspec.ValidationError):  # a part of it is named below
            return msgspec.convert(value, kind)
    if _is_of_floats(kind):
        with suppress(msgspec.ValidationError):
            numbers = msgspec.convert(value, kind)
            if _are_finite(numbers):
                return numbers
    if origin is Annotated and arguments[1].min_length is not None and isinstance(value, list):
        if not arguments[1].min_length <= len(value) <= (arguments[1].max_length or len(value)):
            raise _WrongField(name, f"expected {_expected(kind)}, got a list of {len(value)}")
        return _converted(arguments[0], value, name)
    is_list = origin is list or (origin is tuple and arguments[-1] is Ellipsis)
    if is_list and isinstance(value, list | tuple):
        return origin(_converted(arguments[0], item, join_names(name, str(index))) for index, item in enumerate(value))
    if isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, Mapping):
        return {
            _key(arguments[0], key, name): _converted(arguments[1], item, join_names(name, str(key)))
            for key, item in value.items()
        }
    try:
        converted = msgspec.convert(value, kind)
    except msgspec.ValidationError:
        raise _WrongField(name, _mismatch(kind, value)) from None
    if isinstance(converted, float) and not math.isfinite(converted):
        raise _WrongField(name, f"expected a finite number, got {value}")
    return converted


def _key(kind: Any, key: str, name: str) -> Any:
    """Convert an object's key, a text in JSON, to its declared type. Raises _WrongField for the field `name`."""
    try:
        return msgspec.convert(key, kind, strict=False)
    except msgspec.ValidationError:
        raise _WrongField(name, f"expected {_expected(kind)} as each key, got {short(key)}") from None


@cache
def _decoder(kind: type[T]) -> msgspec.json.Decoder[T] | None:
    return msgspec.json.Decoder(kind) if _is_simple(kind) else None


@cache
def _is_simple(kind: Any) -> bool:
    """Whether msgspec converts a type just as this module does. It ignores fields that a record does not have, takes
    numbers that are not finite, and crashes for some unions."""
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and issubclass(kind, OpenRecord):
        return all(map(_is_simple, declared_fields(kind).values()))
    if origin is Annotated and arguments[0] is float:
        return any(meta.le is not None and (meta.ge, meta.gt) != (None, None) for meta in arguments[1:])
    if origin is Annotated:
        return not isinstance(arguments[1], Shape) and _is_simple(arguments[0])
    if origin in (tuple, list, dict, Mapping, *_UNIONS):
        kinds = set(arguments) - {Ellipsis, types.NoneType}
        return (origin not in _UNIONS or len(kinds) == 1) and all(map(_is_simple, kinds))
    return kind in (int, str, bool, Any)


@cache
def _is_of_floats(kind: Any) -> bool:
    """Whether a type is a list of floats, or of lists of them: msgspec converts it at once, but takes NaN."""
    is_list = get_origin(kind) in (tuple, list)
    return is_list and all(part is float or _is_of_floats(part) for part in set(get_args(kind)) - {Ellipsis})


def _are_finite(numbers: Any) -> bool:
    return all(map(_are_finite, numbers)) if isinstance(numbers, tuple | list) else math.isfinite(numbers)


def _one_of_types(kind: Any, kinds: Sequence[Any], value: Any, name: str) -> Any:
    """Convert to the first of several types that takes the value. Not by msgspec, which 0.22 crashes for unions such as
    `Annotated[float, within(0, 1)] | tuple[float, float]`."""
    problem = _WrongField(name, _mismatch(kind, value))
    for member in kinds:
        try:
            return _converted(member, value, name)
        except _WrongField as error:
            if error.name != name:  # it is wrong in a part only
                problem = error
    raise problem


def _mismatch(kind: Any, value: Any) -> str:
    if get_origin(kind) is Literal and isinstance(value, str):
        return expected_one_of(map(str, get_args(kind)), value)
    return f"expected {_expected(kind)}, got {short(value)}"


def _expected(kind: Any) -> str:
    """Describe the values of a type for "expected …"."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated and isinstance(arguments[1], Shape):
        return arguments[1].expected
    if origin is Annotated:
        text = _expected(arguments[0])
        for meta in arguments[1:]:
            text = meta.description or text + _range(meta)
        return text
    if origin is Literal:
        return ("one of " if len(arguments) > 1 else "") + ", ".join(map(str, arguments))
    if origin in _UNIONS:
        return " or ".join(_expected(argument) for argument in arguments if argument is not types.NoneType)
    shape = next(
        (text for shape, text in _SHAPES.items() if isinstance(origin, type) and issubclass(origin, shape)), ""
    )
    return shape or _WORDS.get(kind, "an object" if dataclasses.is_dataclass(kind) else "a value")


def _range(meta: Meta) -> str:
    """Describe a number's range: " from 0 to 1", " of at least 0", " above 0, up to 1000", ""."""
    has_minimum = meta.ge is not None and meta.ge > -LARGEST
    has_maximum = meta.le is not None and meta.le < LARGEST
    if has_minimum:
        return f" from {meta.ge:g} to {meta.le:g}" if has_maximum else f" of at least {meta.ge:g}"
    above = "" if meta.gt is None else f" above {meta.gt:g}"
    return above + (f"{',' if above else ''} up to {meta.le:g}" if has_maximum else "")
