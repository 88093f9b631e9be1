"""JSON into declared records: what is converted, and what each wrong value is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
import pytest

from trustpose.files import BOM, InputError, parse_json
from trustpose.json_records import (
    Count,
    FileName,
    Int64,
    Number,
    OpenRecord,
    Shape,
    Text,
    described,
    naming,
    of_length,
    parse_record,
    read_record,
    read_records,
    read_value,
    within,
)

Share = Annotated[float, within(0, 1)]


@dataclass(frozen=True)
class Disc:
    share: Share
    kind: Literal["round", "square"] = "round"


@dataclass(frozen=True)
class Sheet:
    name: Text
    count: Count
    discs: tuple[Disc, ...] = ()
    first: Disc | None = None
    numbers: Mapping[str, Number] = field(default_factory=dict)
    size: Annotated[float | tuple[float, float], described("a number, or two")] = 1.0
    is_open: bool = False
    depth: Annotated[float, within(0)] = 0.0

    def __post_init__(self) -> None:
        if self.count < len(self.discs):
            raise ValueError(f"count: expected at least {len(self.discs)}, the number of discs, got {self.count}")


SHEET = {"name": "a", "count": 3}


def test_values_become_what_is_declared():
    value = SHEET | {"discs": [{"share": 1}], "first": {"share": 0.5, "kind": "square"}, "numbers": {"a": 2}}
    sheet = read_record(Sheet, value | {"size": [1, 2], "is_open": True})
    assert sheet == Sheet("a", 3, (Disc(1.0),), Disc(0.5, "square"), {"a": 2.0}, (1.0, 2.0), True)
    assert type(sheet.discs[0].share) is float and type(sheet.numbers["a"]) is float
    assert read_record(Sheet, {"name": "a", "first": None}, count=3) == Sheet("a", 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "f.json: field 'name': expected a text, got ''"),
        ({"count": 0}, "f.json: field 'count': expected a whole number from 1 to 16384, got 0"),
        ({"count": True}, "f.json: field 'count': expected a whole number from 1 to 16384, got True"),
        ({"count": 1.5}, "f.json: field 'count': expected a whole number from 1 to 16384, got 1.5"),
        ({"depth": -1}, "f.json: field 'depth': expected a number of at least 0, got -1"),
        ({"depth": float("nan")}, "f.json: field 'depth': expected a number of at least 0, got nan"),
        ({"discs": {}}, "f.json: field 'discs': expected a list, got {}"),
        (
            {"discs": [{"share": 1}, {"share": 2}]},
            "f.json: field 'discs.1.share': expected a number from 0 to 1, got 2",
        ),
        ({"discs": [{}]}, "f.json: field 'discs.0.share' is missing, expected a number from 0 to 1"),
        ({"discs": [{"share": 1}] * 4}, "f.json: field 'count': expected at least 4, the number of discs, got 3"),
        (
            {"first": {"share": 1, "kind": "squar"}},
            "f.json: field 'first.kind': expected one of round, square, got 'squar' (did you mean 'square'?)",
        ),
        ({"first": {"share": 1, "kind": 1}}, "f.json: field 'first.kind': expected one of round, square, got 1"),
        ({"first": 1}, "f.json: field 'first': expected an object, got 1"),
        ({"numbers": {"a": 1, "b": "2"}}, "f.json: field 'numbers.b': expected a number, got '2'"),
        ({"numbers": {"a": 1e300}}, "f.json: field 'numbers.a': expected a number, got 1e+300"),
        ({"size": [1]}, "f.json: field 'size': expected a number, or two, got [1]"),
        ({"is_open": 1}, "f.json: field 'is_open': expected true or false, got 1"),
        (
            {"nmae": "b"},
            "f.json: field 'nmae' is unknown, expected one of name, count, discs, first, numbers, size, is_open, depth"
            " (did you mean 'name'?)",
        ),
    ],
)
def test_a_wrong_field_is_named_with_what_was_expected_and_what_came(change, message):
    with pytest.raises(InputError) as error:
        read_record(Sheet, SHEET | change, "f.json")
    assert str(error.value) == message


def test_fields_inside_a_file_and_of_no_file():
    with pytest.raises(InputError, match=r"^f\.json: field 'sheet\.count': expected a whole number"):
        read_record(Sheet, SHEET | {"count": "3"}, "f.json", "sheet")
    with pytest.raises(InputError, match=r"^count is missing, expected a whole number from 1 to 16384$"):
        read_record(Sheet, {"name": "a"})
    with pytest.raises(InputError, match=r"^f\.json: expected an object, got \[\]$"):
        read_record(Sheet, [], "f.json")
    with pytest.raises(InputError, match=r"^f\.json: field 'count' is unknown"):  # what the caller derives is not read
        read_record(Sheet, SHEET, "f.json", count=3)


@dataclass(frozen=True)
class Row(OpenRecord):
    id: Int64
    at: Annotated[tuple[Number, ...], of_length(2)]
    names: list[Text] = field(default_factory=list)
    next: Disc | None = None
    counts: Mapping[int, int] = field(default_factory=dict)


ROW = b'{"id": 3, "at": [1, 2.5], "names": ["a", "\xc3\xa9"], "other": {}}'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ROW, None),
        (BOM + ROW, None),
        (ROW.replace(b"other", b"next").replace(b"{}", b'{"share": 1}, "counts": {"7": 2}'), None),
        (ROW.replace(b"other", b"counts").replace(b"{}", b'{"a": 2}'), "'counts': expected a whole number as each key"),
        (b'{"id": 3, "id": 4, "at": [1, 2]}', None),
        (ROW.replace(b"2.5", b"2.5, 3"), "field 'at': expected 2 numbers, got a list of 3"),
        (ROW.replace(b"2.5", b"1e999"), "is not valid JSON"),
        (ROW.replace(b"2.5", b"true"), "field 'at.1': expected a number, got True"),
        (ROW.replace(b'"a"', b'""'), "field 'names.0': expected a text, got ''"),
        (ROW.replace(b"3", b"9" * 30), "field 'id': expected a whole number of at most 64 bits"),
        (ROW.replace(b"\xc3", b"\xff"), "is not valid JSON"),
        (ROW.replace(b'"a"', rb'"\ud800"'), "is not valid JSON"),
        (ROW[:-1], "is not valid JSON"),
        (b"[" * 5000, "is not valid JSON"),
        (b"[]", "expected an object, got []"),
    ],
)
def test_a_text_gives_what_its_value_gives(content, message):
    if message is None:
        assert parse_record(Row, content, "f.json") == read_record(Row, parse_json(content, "f.json"))
        return
    with pytest.raises(InputError) as error:
        parse_record(Row, content, "f.json")
    assert str(error.value).startswith("f.json: ") and message in str(error.value)


@dataclass(frozen=True, eq=False)
class Arrays:
    matrix: Annotated[np.ndarray, Shape(2, 3)]
    row: Annotated[np.ndarray, Shape(None)] | None = None


def test_arrays_have_their_shape_whether_nested_or_flat():
    for matrix in ([[1, 2, 3], [4, 5, 6]], [1, 2, 3, 4, 5, 6], [[1], [2], [3], [4], [5], [6]]):
        arrays = read_record(Arrays, {"matrix": matrix, "row": [7]})
        np.testing.assert_array_equal(arrays.matrix, [[1, 2, 3], [4, 5, 6]])
    for matrix in ([1, 2, 3], [1, 2, 3, 4, 5, "a"], [[1, 2], [3]], [1, 2, 3, 4, 5, 1e13], [1, 2, 3, 4, 5, None], {}):
        with pytest.raises(InputError, match=r"^f: field 'matrix': expected 2 × 3 numbers, got "):
            read_record(Arrays, {"matrix": matrix}, "f")
    with pytest.raises(InputError, match=r"^f: field 'row': expected any number of numbers, got 'a'"):
        read_record(Arrays, {"matrix": [1] * 6, "row": "a"}, "f")


def test_a_file_name_names_nothing_elsewhere():
    assert read_value(FileName, "12:30.onnx", "f", "file") == "12:30.onnx"
    for name in ("", ".", "..", "a/b", "/a", "a/", "a\\b", "C:x", 3):
        with pytest.raises(
            InputError, match=r"^f: field 'file': expected the bare name of a file next to this one, got "
        ):
            read_value(FileName, name, "f", "file")


def test_errors_of_a_block_are_named():
    with (
        pytest.raises(InputError, match=r"^f\.json: field 'output\.stride': expected a divisor$"),
        naming("f.json", "output"),
    ):
        raise ValueError("stride: expected a divisor")
    with pytest.raises(InputError, match=r"^f\.json: my skeleton: a pair$"), naming("f.json"):
        raise ValueError("my skeleton: a pair")


def test_a_whole_number_may_have_a_point():
    """JSON has one kind of number; 64.5 is none that is whole."""
    assert read_value(Count, 64.0, "a.json", "width") == 64 and type(read_value(Count, 64.0, "a.json", "width")) is int
    with pytest.raises(InputError, match=r"a\.json: field 'width': expected a whole number from 1 to 16384, got 64\.5"):
        read_value(Count, 64.5, "a.json", "width")


@dataclass(frozen=True)
class Point(OpenRecord):
    x: Number
    tags: Annotated[tuple[str, ...], of_length(2, "texts")] = ("", "")


@dataclass(frozen=True)
class Photo(OpenRecord):
    points: tuple[Point, ...]
    matrix: Annotated[np.ndarray, Shape(2)] | None = None  # what msgspec does not know


def test_open_records_ignore_fields_at_any_depth():
    value = [{"points": [{"x": 1, "z": 3}], "more": 1}, {"points": []}]
    assert read_records(Photo, value, "f", "photo") == [Photo((Point(1.0),)), Photo(())]
    (photo,) = read_records(Photo, [{"points": [], "matrix": [1, 2], "more": 1}], "f", "photo")
    assert photo.matrix is not None and photo.matrix.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "f: expected a list of points, got {}"),
        ([{"x": 1}, 3], "f: point 1: expected an object, got 3"),
        ([{"x": 1}, {"x": 1e13}], "f: point 1: field 'x': expected a number, got 10000000000000.0"),
        ([{"x": float("inf")}], "f: point 0: field 'x': expected a number, got inf"),
        ([{"x": 1, "tags": ["a"] * 3}], "f: point 0: field 'tags': expected 2 texts, got a list of 3"),
        ([{"x": 1, "tags": ["a", 2]}], "f: point 0: field 'tags.1': expected a text, got 2"),
    ],
)
def test_a_wrong_object_of_a_list_is_named(value, message):
    with pytest.raises(InputError) as error:
        read_records(Point, value, "f", "point")
    assert str(error.value) == message
