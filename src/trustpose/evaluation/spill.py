"""Numbers of a stream that are needed again at its end: in memory while they are few, else in a temporary file."""

import os
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from trustpose.files import cannot_write

HELD_BYTES = 2**22  # of one spill in memory
BLOCK = 2**16  # rows that are read back at a time
_DIGIT = 11  # bits of a number that one pass of `quantiles` looks at


class TemporaryRows:
    """A temporary file of rows of one type, removed with the object. Raises DiskError if there is no space."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="trustpose-")  # noqa: SIM115 - closed with the object
        self.rows = 0
        self._row: tuple[Any, tuple[int, ...]] = (None, ())

    def write(self, rows: np.ndarray) -> None:
        """Append rows (n, …)."""
        self._row = rows.dtype, rows.shape[1:]
        try:
            np.ascontiguousarray(rows).tofile(self._file)
            self._file.flush()
        except OSError as error:
            raise cannot_write(tempfile.gettempdir(), error) from None
        self.rows += len(rows)

    def read(self, start: int, end: int) -> np.ndarray:
        """Return the rows from `start` to before `end`."""
        kind, shape = self._row
        width = kind.itemsize * int(np.prod(shape))
        content = bytearray(width * (min(end, self.rows) - start))
        os.preadv(self._file.fileno(), [content], width * start)
        return np.frombuffer(content, kind).reshape(-1, *shape)


class Spill:
    """Rows of numbers of one type, appended batch by batch. `blocks` yields them in order, as many at a time for any
    batches."""

    def __init__(self, kind: type[np.float64 | np.int64] = np.float64) -> None:
        self._kind = kind
        self._waiting: list[np.ndarray] = []
        self._file: TemporaryRows | None = None
        self._rows = 0

    def append(self, rows: np.ndarray) -> None:
        """Append rows (n, …) of the same shape as before."""
        if not len(rows):
            return
        self._waiting.append(rows.astype(self._kind))
        self._rows += len(rows)
        if sum(part.nbytes for part in self._waiting) > HELD_BYTES:
            self._file = self._file or TemporaryRows()
            for part in self._waiting:
                self._file.write(part)
            self._waiting = []

    def __len__(self) -> int:
        return self._rows

    def blocks(self, size: int | None = None) -> Iterator[np.ndarray]:
        """Yield all rows, `size` (`BLOCK`) at a time, the last block with the rest."""
        size = size or BLOCK
        if self._file is not None:
            for part in self._waiting:
                self._file.write(part)
            self._waiting = []
            for start in range(0, self._rows, size):
                yield self._file.read(start, start + size)
        elif self._waiting:
            self._waiting = [np.concatenate(self._waiting)]
            for start in range(0, self._rows, size):
                yield self._waiting[0][start : start + size]

    def array(self) -> np.ndarray:
        """Return all numbers in memory."""
        return np.concatenate([np.zeros(0, self._kind), *self.blocks()])


def quantiles(values: Spill, shares: Float[np.ndarray, " Q"]) -> Float[np.ndarray, " Q"]:
    """Return quantiles (Q,) of numbers without NaN, interpolated as by `numpy.quantile`; NaN without numbers.

    Exact, in memory that does not grow with the numbers: a radix search among their bits, a few of them in each pass.
    """
    count = len(values)
    if not count:
        return np.full(len(shares), np.nan)
    position = (count - 1) * shares
    low = np.floor(position).astype(np.int64)
    high = np.minimum(low + 1, count - 1)
    ranks, inverse = np.unique(np.concatenate([low, high]), return_inverse=True)
    numbers = _at_ranks(values, ranks)[inverse.reshape(-1)]
    below, above, share = numbers[: len(shares)], numbers[len(shares) :], position - low
    gap = above - below
    return np.where(share >= 0.5, above - gap * (1 - share), below + gap * share)


def _at_ranks(values: Spill, ranks: np.ndarray) -> np.ndarray:
    """Return the numbers at these ranks (R,), ascending from 0, of the sorted numbers."""
    prefix, rest = np.zeros(len(ranks), np.uint64), ranks.copy()
    shift = 64
    while shift:
        bits = min(_DIGIT, shift)
        shift -= bits
        prefixes = np.unique(prefix)
        count = np.zeros((len(prefixes), 2**bits), np.int64)
        for block in values.blocks():
            key = _sortable(block) >> np.uint64(shift)
            digit, before = (key & np.uint64(2**bits - 1)).astype(np.int64), key >> np.uint64(bits)
            row = np.minimum(np.searchsorted(prefixes, before), len(prefixes) - 1)
            inside = prefixes[row] == before
            cell = row[inside] * 2**bits + digit[inside]
            count += np.bincount(cell, minlength=count.size).reshape(count.shape)
        row = np.searchsorted(prefixes, prefix)
        upto = np.cumsum(count, axis=1)[row]
        digit = (upto <= rest[:, None]).sum(axis=1)
        rest -= np.where(digit > 0, upto[np.arange(len(row)), digit - 1], 0)
        prefix = (prefix << np.uint64(bits)) | digit.astype(np.uint64)
    return _number(prefix)


_SIGN = np.uint64(1 << 63)


def _sortable(values: np.ndarray) -> np.ndarray:
    """Return whole numbers in the order of the doubles."""
    bits = np.ascontiguousarray(values + 0.0).view(np.uint64)  # + 0.0: -0 equals 0
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _number(key: np.ndarray) -> np.ndarray:
    return np.where(key & _SIGN, key ^ _SIGN, ~key).view(np.float64)
