"""Read CSV files of other tools as rows of cells, and columns of them as numbers."""

import csv
import io
from pathlib import Path

import numpy as np

from trustpose.files import InputError


def read_rows(content: bytes, path: str) -> list[list[str]]:
    """Return the rows that are not empty. Raises InputError."""
    try:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: is not a CSV file ({error})") from None
    return [row for row in rows if row]


def read_table(content: bytes, path: str | Path) -> tuple[list[str], list[list[str]]]:
    """Return the names in the first row, and the other rows, each with as many cells. Raises InputError."""
    try:
        names, *rows = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise InputError(f"{path}: is not a readable CSV file ({error})") from None
    wrong = next((index for index, row in enumerate(rows) if len(row) != len(names)), None)
    if wrong is not None:
        raise InputError(f"{path}: row {wrong}: expected {len(names)} cells, got {len(rows[wrong])}")
    return names, rows


def first_row(content: bytes) -> list[str]:
    """Return the cells of the first line, none if it is no CSV."""
    line = content[:100_000].removeprefix(b"\xef\xbb\xbf").partition(b"\n")[0]
    if line[:1] in (b"[", b"{"):
        return []
    try:
        return next(csv.reader([line.decode("utf-8").rstrip("\r")]), [])
    except (UnicodeDecodeError, csv.Error):
        return []


def numbers(rows: list[list[str]], start: int, stop: int, path: str, *, first_line: int) -> np.ndarray:
    """Return the cells from `start` to `stop` of each row as numbers (N, stop - start), NaN for an empty one.

    `first_line` is the line of the first row. Raises InputError, also for numbers that are not finite.
    """
    table = np.full((len(rows), stop - start), np.nan)
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells[start:stop]):
            if not cell.strip():
                continue
            try:
                table[row, column] = float(cell)
            except ValueError:
                raise InputError(
                    f"{path}: line {first_line + row}: expected a number, got the text {cell[:30]!r}"
                ) from None
    if np.isinf(table).any():
        raise InputError(
            f"{path}: line {first_line + int(np.argwhere(np.isinf(table))[0, 0])}: expected finite numbers"
        )
    return table


def check_width(rows: list[list[str]], width: int, path: str, *, first_line: int) -> None:
    """Raise InputError for a row of another number of cells."""
    for row, cells in enumerate(rows):
        if len(cells) != width:
            raise InputError(f"{path}: line {first_line + row}: expected {width} cells, got {len(cells)}")
