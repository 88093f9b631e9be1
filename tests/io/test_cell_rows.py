"""Columns of CSV cells are those of the rows as Python objects, and so are the errors."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustpose.files import InputError
from trustpose.io import cell_rows
from trustpose.io.cell_rows import CellRows
from trustpose.io.coco.results import read_results
from trustpose.io.columns import Rows
from trustpose.io.tables import write_table

_numbers = st.integers(-(2**60), 2**60).map(str) | st.floats(-1e6, 1e6).map(repr)
_unusual = ["", "1,2", "[]", "[1, 2]", "[1,[2]]", "[[1,2]]", "[1, 2", "true", "null", "01", "text", '"1"', "9e99"]
_cells = _numbers | st.sampled_from([*_unusual, "[1,9e99,2]", "\ud800"])
_pairs = st.tuples(_numbers, _numbers).map(lambda pair: f"[{pair[0]}, {pair[1]}]")
_lines = st.lists(st.tuples(_cells, _cells | _pairs), min_size=1, max_size=5) | st.lists(
    st.tuples(_numbers, _pairs), min_size=1, max_size=5
)


def _read(rows: Rows, method: str, *arguments: Any, **options: Any) -> Any:
    """What a column is read as: an array, or the message."""
    try:
        return getattr(rows, method)(*arguments, **options)
    except InputError as error:
        return str(error)


@given(lines=_lines, optional=st.booleans(), cells=st.sampled_from([2, 1024]))
def test_columns_are_those_of_python_objects(lines: list[tuple[str, str]], optional: bool, cells: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cell_rows, "_CELLS", cells)
        read = CellRows("f.csv", "row", ["a", "b"], [list(line) for line in lines])
        expected = Rows.of(read.rows, "f.csv", "row")
        assert read.fields == expected.fields and len(read) == len(expected)
        for field in "abc":
            assert read.values(field) == expected.values(field)
            assert read.first(field) == expected.first(field)
            assert [read.value(field, row) for row in range(len(lines))] == expected.values(field)
            for method, arguments in (("lists", (field, 2)), ("numbers", (field,)), ("integers", (field,))):
                ours, theirs = (_read(of, method, *arguments, optional=optional) for of in (read, expected))
                np.testing.assert_array_equal(ours, theirs)
        keep = np.arange(len(lines)) % 2 == 0
        assert read.chosen(keep).rows == expected.chosen(keep).rows


def test_results_in_csv_are_read_without_python_rows(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = read_results(data_dir / "results" / "simplepose.dev.json")
    write_table(tmp_path / "results.csv", results.poses, format="csv")
    monkeypatch.setattr(CellRows, "rows", property(lambda _: pytest.fail("rows as objects")))
    read = read_results(tmp_path / "results.csv").poses
    for name in ("xy", "score", "image_id", "annotation_id", "box"):
        np.testing.assert_array_equal(getattr(read, name), getattr(results.poses, name))
