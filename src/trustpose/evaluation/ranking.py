"""Rows of a stream in the order of a score, highest first: an external sort.

A row takes its score and photo (8 bytes each) and a bit for each flag. A million rows at a time are sorted in memory;
more are written to temporary files as sorted runs, which are merged by reading a piece of each between two scores.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.evaluation.spill import TemporaryRows

RUN = 2**20  # rows that are sorted at a time
BLOCK = 2**17  # rows of a block

_Rows = tuple[np.ndarray, np.ndarray, np.ndarray]  # −score (n,), photo (n,), bits (n, bytes)


class Ranking:
    """Collects rows with F flags. `blocks` yields them by descending score, then by photo, then as they came, as many
    at a time whatever the batches. The rows of a photo must come in one batch."""

    def __init__(self, flags: int) -> None:
        self._flags = flags
        self._waiting: list[_Rows] = []
        self._count = 0  # of rows that wait
        self._runs: list[tuple[TemporaryRows, TemporaryRows, TemporaryRows]] = []
        self._samples: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, score: Float[np.ndarray, " D"], photo: Int[np.ndarray, " D"], flags: Bool[np.ndarray, "D F"]) -> None:
        """Add the rows of a batch of whole photos. Raises DiskError if there is no space for temporary files."""
        for start in range(0, len(score), RUN):
            part = slice(start, start + RUN)
            rows = (-np.asarray(score[part], np.float64), photo[part].astype(np.int64))
            self._waiting.append((*rows, np.packbits(flags[part], axis=1)))
            self._count += len(rows[0])
            if self._count >= RUN:
                self._write_run()

    def blocks(self) -> Iterator[tuple[Float[np.ndarray, " D"], Int[np.ndarray, " D"], Bool[np.ndarray, "D F"]]]:
        """Yield score, photo and flags of all rows in order."""
        pending, count = list[_Rows](), 0
        for rows in self._ordered():
            pending.append(rows)
            count += len(rows[0])
            if count >= BLOCK:
                joined = _joined(pending)
                for start in range(0, count - BLOCK + 1, BLOCK):
                    yield self._opened(joined, start, start + BLOCK)
                rest = count - count % BLOCK
                pending, count = [(joined[0][rest:], joined[1][rest:], joined[2][rest:])], count % BLOCK
        if count:
            yield self._opened(_joined(pending), 0, count)

    def _opened(self, rows: _Rows, start: int, end: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        flags = np.unpackbits(rows[2][start:end], axis=1, count=self._flags).view(bool)
        return -rows[0][start:end], rows[1][start:end], flags

    def _ordered(self) -> Iterator[_Rows]:
        """Yield all rows in order, in pieces of any size."""
        if not self._runs:
            if self._waiting:
                self._waiting = [_sorted(self._waiting)]
                yield self._waiting[0]
            return
        if self._waiting:
            self._write_run()
        before = [0] * len(self._runs)
        for cut in [*self._cuts(), None]:
            ends = [run[0].rows if cut is None else _up_to(run, *cut) for run in self._runs]
            pieces = [
                (run[0].read(start, end), run[1].read(start, end), run[2].read(start, end))
                for run, start, end in zip(self._runs, before, ends, strict=True)
                if end > start
            ]
            before = ends
            if pieces:
                yield _sorted(pieces)

    def _write_run(self) -> None:
        rows, files = _sorted(self._waiting), (TemporaryRows(), TemporaryRows(), TemporaryRows())
        for file, column in zip(files, rows, strict=True):
            file.write(column)
        step = max(1, BLOCK // 128)
        self._samples.append((rows[0][::step].copy(), rows[1][::step].copy()))
        self._runs.append(files)
        self._waiting, self._count = [], 0

    def _cuts(self) -> list[tuple[float, int]]:
        """Return the −scores and photos at which pieces of about `BLOCK` rows end, from a sample of each run:
        everything up to them, in all runs, comes before everything behind them."""
        key, photo = (np.concatenate([sample[column] for sample in self._samples]) for column in range(2))
        step = BLOCK // max(1, BLOCK // 128)
        order = np.lexsort((photo, key))[step::step]
        return list(zip(key[order].tolist(), photo[order].tolist(), strict=True))


def _joined(parts: list[_Rows]) -> _Rows:
    if len(parts) == 1:
        return parts[0]
    key, photo, bits = (np.concatenate([part[column] for part in parts]) for column in range(3))
    return key, photo, bits


def _sorted(parts: list[_Rows]) -> _Rows:
    key, photo, bits = _joined(parts)
    order = np.lexsort((photo, key))  # stable
    return key[order], photo[order], bits[order]


def _up_to(run: tuple[TemporaryRows, TemporaryRows, TemporaryRows], key: float, photo: int) -> int:
    """Return how many rows of a run come up to this key and photo, inclusive: a binary search on the disk."""
    low, high = 0, run[0].rows
    while low < high:
        middle = (low + high) // 2
        if (run[0].read(middle, middle + 1)[0], run[1].read(middle, middle + 1)[0]) <= (key, photo):
            low = middle + 1
        else:
            high = middle
    return low
