"""Lines of CSV from arrays, without a Python object per cell: cells are columns of bytes, and unused bytes are 0.

Numbers have up to four decimals, as the shortest text that has the same value: 12.5, 0.0001, -3.0; NaN is empty.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8, UInt32

DECIMALS = 4
_GROUP = 10**DECIMALS  # digits are looked up by fours
_LARGEST = _GROUP**2  # whole part that has two groups


def _words(texts: Sequence[str]) -> UInt32[np.ndarray, " n"]:
    """Return texts of up to four letters as words of four bytes."""
    return np.array([text.encode() for text in texts], dtype="S4").view(np.uint32)


_FULL = _words([f"{number:04}" for number in range(_GROUP)])
_FIRST = _words([str(number) for number in range(_GROUP)])
_LAST = _words([f"{number:04}".rstrip("0") or "0" for number in range(_GROUP)])
_SIGN, _POINT, _COMMA = _words(["", "-"]), _words(["."])[0], _words([","])[0]


def csv_cell(cell: object) -> str:
    """Return a cell as CSV has it, in quotes where it has to be."""
    text = str(cell)
    if not any(character in text for character in ',"\n\r'):
        return text
    quoted = text.replace('"', '""')
    return f'"{quoted}"'


def text_column(texts: Sequence[str]) -> UInt8[np.ndarray, "R W"]:
    """Return texts as rows of bytes, R rows as wide as the longest."""
    encoded = np.array([text.encode() for text in texts], dtype=np.bytes_)
    return encoded.view(np.uint8).reshape(len(encoded), -1) if len(encoded) else np.zeros((0, 1), np.uint8)


def number_columns(numbers: Float[np.ndarray, "R C"]) -> UInt8[np.ndarray, "R W"]:
    """Return rows of numbers as bytes, with a comma after each."""
    rows, columns = numbers.shape
    with np.errstate(invalid="ignore"):
        scaled = np.rint(np.abs(numbers) * _GROUP)
        largest = np.nanmax(scaled, initial=0)
        if largest >= _LARGEST * _GROUP:  # more digits than two groups have, or infinite
            return _long_numbers(numbers)
        is_empty = np.isnan(scaled)
        kind = np.int32 if largest < np.iinfo(np.int32).max else np.int64
        whole, decimals = np.divmod(np.where(is_empty, 0, scaled).astype(kind), kind(_GROUP))
    cells = np.zeros((rows, columns, 6), np.uint32)
    cells[..., 0] = _SIGN[np.signbit(numbers).astype(np.intp)]
    is_long = whole >= _GROUP
    if is_long.any():
        high, low = np.divmod(whole, kind(_GROUP))
        cells[..., 1] = np.where(is_long, _FIRST[high], 0)
        cells[..., 2] = np.where(is_long, _FULL[low], _FIRST[low])
    else:
        cells[..., 2] = _FIRST[whole]
    cells[..., 3] = _POINT
    cells[..., 4] = _LAST[decimals]
    cells[is_empty] = 0
    cells[..., 5] = _COMMA
    return cells.reshape(rows, -1).view(np.uint8)


def _long_numbers(numbers: np.ndarray) -> np.ndarray:
    rounded = numbers.round(DECIMALS).tolist()
    return text_column(["".join("," if cell != cell else f"{cell!r}," for cell in row) for row in rounded])


def lines_of(*columns: UInt8[np.ndarray, "R _"]) -> bytes:
    """Return the rows of columns one after another, each ended by a line feed."""
    ends = np.full((len(columns[0]), 1), ord("\n"), np.uint8)
    return np.concatenate([*columns, ends], axis=1).tobytes().translate(None, b"\0")
