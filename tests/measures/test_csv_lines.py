"""Lines of CSV from arrays are those of the csv module, for every text and number."""

import csv
import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trustpose.measures.csv_lines import DECIMALS, csv_cell, lines_of, number_columns, text_column

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
NUMBERS = st.one_of(
    st.floats(-2e4, 2e4),
    st.floats(-1e9, 1e9),
    st.sampled_from([np.nan, 0.0, -0.0, 0.00005, 9999.99995, 1e4, -1e8, 2.5e15]),
)


@given(arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 4)), elements=NUMBERS))
def test_numbers_are_the_shortest_with_their_value(numbers: np.ndarray) -> None:
    rows = lines_of(number_columns(numbers)).decode().splitlines()
    for row, line in zip(numbers.round(DECIMALS).tolist(), rows, strict=True):
        for number, cell in zip(row, line.split(",")[:-1], strict=True):
            assert cell == ("" if number != number else repr(number))


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5))
def test_texts_are_those_of_the_csv_module(rows: list[tuple[str, str]]) -> None:
    first, second = ([csv_cell(cell) for cell in cells] for cells in zip(*rows, strict=True))
    written = lines_of(text_column([f"{cell}," for cell in first]), text_column(second)).decode()
    assert list(csv.reader(io.StringIO(written, newline=""))) == [list(row) for row in rows]
