"""Rows that are needed again at the end: in memory while they are few, and in temporary files otherwise.

- `Spill`: rows of numbers in the order in which they came; `quantiles` of them.
- `SortedRows`: rows in the order of a number, by an external sort.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from trustpose.files import cannot_write

HELD_BYTES = 2**20  # of a `Spill` in memory
SPILL_BLOCK = 2**16  # rows that it reads back at a time
RUN_BYTES = 2**22  # that `SortedRows` sorts at a time, and then writes to a file
BLOCK = 2**17  # rows that it yields at a time
_DIGIT = 11  # bits of a number that one pass of `quantiles` looks at
_SIGN = np.uint64(1 << 63)

_Rows = tuple[np.ndarray, np.ndarray, np.ndarray]  # key (n,), group (n,), content (n, bytes)


class TemporaryRows:
    """A temporary file of rows of one type, removed with the object. Raises DiskError if there is no space."""

    def __init__(self) -> None:
        self._file: Any = None  # until there is a row
        self.rows = 0
        self._row: tuple[Any, tuple[int, ...]] = (None, ())

    def write(self, rows: np.ndarray) -> None:
        """Append rows (n, …)."""
        self._row = rows.dtype, rows.shape[1:]
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="trustpose-")  # noqa: SIM115 - closed with the object
            np.ascontiguousarray(rows).tofile(self._file)
            self._file.flush()
        except OSError as error:
            raise cannot_write(tempfile.gettempdir(), error) from None
        self.rows += len(rows)

    def read(self, start: int, end: int, out: np.ndarray | None = None) -> np.ndarray:
        """Return the rows from `start` to before `end`; in the first of `out`, if given."""
        kind, shape = self._row
        count = min(end, self.rows) - start
        rows = np.empty((count, *shape), kind) if out is None else out[:count]
        if rows.nbytes:
            os.preadv(self._file.fileno(), [rows.data], start * (rows.nbytes // count))
        return rows

    def read_columns(self, rows: slice, start: int, end: int) -> np.ndarray:
        """Return the columns from `start` to before `end` of rows (n, m)."""
        kind, (columns,) = self._row
        values = np.empty((rows.stop - rows.start, end - start), kind)
        for number, row in enumerate(values, rows.start):
            os.preadv(self._file.fileno(), [row], (number * columns + start) * kind.itemsize)
        return values


class Spill:
    """Rows of numbers of one type, appended batch by batch; slices of them, and `blocks` yields all again in order."""

    def __init__(self, kind: type[np.generic] = np.float64) -> None:
        self._kind = kind
        self._pending: list[np.ndarray] = []
        self._file: TemporaryRows | None = None
        self._rows = 0

    def append(self, rows: np.ndarray) -> None:
        """Append rows (n, …) of the same shape as before."""
        if not len(rows):
            return
        self._pending.append(rows.astype(self._kind))
        self._rows += len(rows)
        if sum(part.nbytes for part in self._pending) > HELD_BYTES:
            self._file = self._file or TemporaryRows()
            self._write()

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return the rows of a slice without steps."""
        start, end, _ = rows.indices(self._rows)
        if self._file is not None:
            self._write()
            return self._file.read(start, end)
        if len(self._pending) != 1:
            self._pending = [np.concatenate(self._pending or [np.zeros(0, self._kind)])]
        return self._pending[0][start:end]

    def blocks(self, size: int | None = None) -> Iterator[np.ndarray]:
        """Yield all rows, `size` (`SPILL_BLOCK`) at a time, the last block with the rest."""
        size = size or SPILL_BLOCK
        for start in range(0, self._rows, size):
            yield self[start : start + size]

    def _write(self) -> None:
        assert self._file is not None
        for part in self._pending:
            self._file.write(part)
        self._pending = []


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


def _sortable(values: np.ndarray) -> np.ndarray:
    """Return whole numbers in the order of the doubles."""
    bits = np.ascontiguousarray(values + 0.0).view(np.uint64)  # + 0.0: -0 equals 0
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _number(key: np.ndarray) -> np.ndarray:
    return np.where(key & _SIGN, key ^ _SIGN, ~key).view(np.float64)


class SortedRows:
    """Rows of a number, the key, a whole number, the group, and `width` bytes; `blocks` yields them by ascending key.

    Rows of equal keys are ordered by group, then as they came. Blocks have the same rows whatever the batches were. For
    both, the rows of a group must come in one batch.

    An external sort. Some megabytes of rows at a time are sorted in memory; more are written to temporary files as
    sorted runs, which are merged once by reading a piece of each between two keys.
    """

    def __init__(self, width: int) -> None:
        self._run_rows = max(1, RUN_BYTES // (16 + width))
        self._pending: list[_Rows] = []
        self._count = 0  # of pending rows
        self._rows = 0
        self._files = TemporaryRows(), TemporaryRows(), TemporaryRows()
        self._runs: list[_Run] = []

    def add(
        self, key: Float[np.ndarray, " n"], group: Int[np.ndarray, " n"], content: UInt8[np.ndarray, "n w"]
    ) -> None:
        """Add a batch of rows. Raises DiskError if there is no space for temporary files."""
        self._rows += len(key)
        for start in range(0, len(key), self._run_rows):
            rows = slice(start, start + self._run_rows)
            self._pending.append((key[rows].astype(np.float64), group[rows].astype(np.int64), content[rows].copy()))
            self._count += len(self._pending[-1][0])
            if self._count >= self._run_rows:
                self._write_run()

    def __len__(self) -> int:
        return self._rows

    def blocks(self) -> Iterator[_Rows]:
        """Yield key, group and content of all rows in order, `BLOCK` at a time."""
        if self._runs and self._pending:
            self._write_run()
        if len(self._runs) > 1:
            self._merge_runs()
        if self._runs:
            for start in range(0, self._rows, BLOCK):
                key, group, content = (file.read(start, start + BLOCK) for file in self._files)
                yield key, group, content
        elif self._pending:
            self._pending = [_sorted(self._pending)]
            for start in range(0, self._rows, BLOCK):
                key, group, content = (column[start : start + BLOCK] for column in self._pending[0])
                yield key, group, content

    def _write_run(self) -> None:
        """Sort the pending rows, and write them to the temporary files."""
        self._runs.append(_Run.written(self._files, [_sorted(self._pending)]))
        self._pending = []
        self._count = 0

    def _merge_runs(self) -> None:
        """Write all runs as a single one, a piece of about `BLOCK` rows at a time."""
        files = TemporaryRows(), TemporaryRows(), TemporaryRows()
        self._runs = [_Run.written(files, self._pieces())]
        self._files = files

    def _pieces(self) -> Iterator[_Rows]:
        """Yield the rows of all runs in order."""
        starts = [run.start for run in self._runs]
        for cut in [*self._cuts(), None]:
            ends = [run.end if cut is None else run.up_to(self._files, *cut) for run in self._runs]
            pieces: list[_Rows] = [
                (self._files[0].read(start, end), self._files[1].read(start, end), self._files[2].read(start, end))
                for start, end in zip(starts, ends, strict=True)
                if end > start
            ]
            starts = ends
            if pieces:
                yield _sorted(pieces)

    def _cuts(self) -> list[tuple[float, int]]:
        """Return the keys and groups at which pieces of about `BLOCK` rows end, from the samples of all runs:
        everything up to them, in all runs, comes before everything behind them."""
        key, group = (np.concatenate([run.sample[column] for run in self._runs]) for column in range(2))
        step = BLOCK // _sample_step()
        order = np.lexsort((group, key))[step::step]
        return list(zip(key[order].tolist(), group[order].tolist(), strict=True))


def _sample_step() -> int:
    return max(1, BLOCK // 128)


@dataclass(frozen=True, eq=False)
class _Run:
    """Sorted rows from `start` to before `end` in files, and key and group of a sample of them, in steps."""

    start: int
    end: int
    sample: tuple[np.ndarray, np.ndarray]

    @classmethod
    def written(cls, files: tuple[TemporaryRows, ...], pieces: Iterable[_Rows]) -> "_Run":
        """Write pieces of a run, in order, at the end of the files."""
        start, step, samples = files[0].rows, _sample_step(), list[tuple[np.ndarray, np.ndarray]]()
        for piece in pieces:
            first = (start - files[0].rows) % step
            samples.append((piece[0][first::step].copy(), piece[1][first::step].copy()))
            for file, column in zip(files, piece, strict=True):
                file.write(column)
        key, group = (np.concatenate([sample[column] for sample in samples]) for column in range(2))
        return cls(start, files[0].rows, (key, group))

    def up_to(self, files: tuple[TemporaryRows, ...], key: float, group: int) -> int:
        """Return behind which row of the files this run's rows come after this key and group."""
        number = _count_up_to(*self.sample, key, group)
        low = self.start + max(number - 1, 0) * _sample_step()
        high = min(self.start + number * _sample_step(), self.end)
        return low + _count_up_to(files[0].read(low, high), files[1].read(low, high), key, group)


def _count_up_to(keys: np.ndarray, groups: np.ndarray, key: float, group: int) -> int:
    """Return how many of these sorted rows come up to this key and group, inclusive."""
    first, end = np.searchsorted(keys, key, "left"), np.searchsorted(keys, key, "right")
    return int(first + np.searchsorted(groups[first:end], group, "right"))


def _joined(parts: list[_Rows]) -> _Rows:
    if len(parts) == 1:
        return parts[0]
    key, group, content = (np.concatenate([part[column] for part in parts]) for column in range(3))
    return key, group, content


def _sorted(parts: list[_Rows]) -> _Rows:
    """Join parts, in the order of their keys, then of their groups."""
    key, group, content = _joined(parts)
    order = np.lexsort((group, key))  # stable
    return key[order], group[order], content[order]
