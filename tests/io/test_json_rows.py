"""Columns of pysimdjson's values are those of orjson's, and so are the errors."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustpose.files import InputError
from trustpose.io import json_rows
from trustpose.io.coco.results import ResultsFile, read_results
from trustpose.io.coco.truth import TruthFile, read_coco_truth
from trustpose.io.json_rows import ColumnRows, rows_in_blocks

pytest.importorskip("simdjson", reason="needs pysimdjson")

_numbers = (
    st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([-0.0, 1.0])
)
_cells = st.none() | st.booleans() | _numbers | st.text(max_size=3)
_pairs = st.lists(_numbers, min_size=2, max_size=2)
_values = _cells | _pairs | st.lists(_cells | st.lists(_numbers, min_size=1, max_size=2), max_size=3)
_rows = st.lists(st.dictionaries(st.sampled_from("abc"), _values, max_size=3), min_size=1, max_size=4)
_row = st.fixed_dictionaries({"a": _pairs, "b": _numbers, "c": st.text(max_size=3)})
_uniform = st.lists(_row, min_size=1, max_size=4)


def _read(rows: Any, read: str, *arguments: Any, **options: Any) -> Any:
    """What a column is read as: an array, or the message."""
    try:
        return getattr(rows, read)(*arguments, **options)
    except InputError as error:
        return str(error)


@given(rows=_rows | _uniform, optional=st.booleans())
def test_columns_are_those_of_python_objects(rows: list[dict[str, Any]], optional: bool) -> None:
    content = json.dumps(rows).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rows, "simdjson", None)
        try:
            (expected,) = rows_in_blocks(content, "f.json", "row")
        except InputError:  # an integer beyond orjson
            return
    (read,) = rows_in_blocks(content, "f.json", "row")
    assert read.rows == expected.rows and read.fields == expected.fields and len(read) == len(expected)
    for field in "abc":
        assert read.values(field) == expected.values(field)
        assert read.lengths(field) == expected.lengths(field)
        for method, arguments in (("lists", (field, 2)), ("numbers", (field,)), ("integers", (field,))):
            ours, theirs = (_read(of, method, *arguments, optional=optional) for of in (read, expected))
            np.testing.assert_array_equal(ours, theirs)
    keep = np.arange(len(rows)) % 2 == 0
    assert read.chosen(keep).rows == expected.chosen(keep).rows


def _columns(file: TruthFile | ResultsFile) -> dict[str, np.ndarray | None]:
    if isinstance(file, TruthFile):
        return file.truth.columns() | file.images.columns()
    return file.poses.columns() | {"ranked by": file.score, "category": file.category_id}


def test_files_are_read_alike(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read() -> list[TruthFile | ResultsFile]:
        truths = [read_coco_truth(data_dir / "coco" / f"{name}_gt.json") for name in ("val2017", "dev")]
        return [*truths, read_results(data_dir / "results" / "simplepose.dev.json", truth=truths[1])]

    by_simdjson = read()
    monkeypatch.setattr(json_rows, "simdjson", None)
    for ours, theirs in zip(by_simdjson, read(), strict=True):
        for (name, column), other in zip(_columns(ours).items(), _columns(theirs).values(), strict=True):
            np.testing.assert_array_equal(column, other, err_msg=name, strict=isinstance(column, np.ndarray))


def test_numbers_are_no_python_objects(data_dir: Path) -> None:
    content = (data_dir / "results" / "simplepose.dev.json").read_bytes()
    blocks = list(rows_in_blocks(content, "f.json", "result"))
    assert all(isinstance(rows, ColumnRows) for rows in blocks)
    assert all(rows._numbers("keypoints", 51) is not None for rows in blocks)


@pytest.mark.parametrize(
    "content",
    [
        b'[{"a": 1, "a": 2}]',  # the last counts, as in Python
        b'[{"a": 1, "b": 2}, {"a": 1, "a": 2}]',
        b'[{"a": 1, "b": 2}, {"a": 1, "c": 2}]',
        b'\xef\xbb\xbf[{"a": [1, 2]}]',
        b"[]",
        b"[" * 2000 + b"]" * 2000,
        b'[{"a": NaN}]',
        b"[1]",
        b'{"a": 1}',
        b'[{"a": "\xff"}]',
    ],
)
def test_unusual_texts_are_read_alike(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def read() -> Any:
        try:
            return [row for rows in rows_in_blocks(content, "f.json", "row") for row in rows.rows]
        except InputError as error:
            return str(error)

    ours = read()
    monkeypatch.setattr(json_rows, "simdjson", None)
    assert ours == read()
