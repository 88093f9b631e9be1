"""Poses of many batches in the order of evaluation, by descending score, with what each counts as: an external sort.

A pose takes its score, its image id (8 bytes each) and two bits for each curve, an area range at an OKS threshold. A
million poses at a time are sorted in memory; more are written to temporary files as sorted runs, which are merged by
reading a piece of each between two scores.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.files import cannot_write
from trustpose.metrics.average_precision import PrecisionRecall

RUN = 2**20  # poses that are sorted at a time
BLOCK = 2**17  # poses of a block in order, as far as scores and photos tell them apart

_Run = tuple[np.ndarray, np.ndarray, np.ndarray]  # −score (n,), image id (n,), bits (n, bytes)


class RankedPoses:
    """Collects poses with C curves; `blocks` yields them by descending score, then by image id, then as they came,
    which is the order of `average_precision.evaluate`. A photo's poses must come in one batch. Use it in a `with`
    statement, which removes its files."""

    def __init__(self, curves: int) -> None:
        self._curves = curves
        self._waiting: list[_Run] = []
        self._runs = 0
        self._samples: list[tuple[np.ndarray, np.ndarray]] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def add(
        self,
        score: Float[np.ndarray, " D"],
        image_id: Int[np.ndarray, " D"],
        true_positive: Bool[np.ndarray, "D C"],
        pose_ignored: Bool[np.ndarray, "D C"],
    ) -> None:
        """Add the poses of a batch of whole photos. Raises DiskError if there is no space for temporary files."""
        if not len(score):
            return
        bits = np.packbits(np.concatenate([true_positive, pose_ignored], axis=1), axis=1)
        self._waiting.append((-score, image_id.astype(np.int64), bits))
        if sum(len(one[0]) for one in self._waiting) >= RUN:
            self._spill()

    def curves(self, people: Int[np.ndarray, " C"]) -> PrecisionRecall:
        """Return precision and recall of all poses, where `people` (C,) count."""
        found = PrecisionRecall(people)
        for true_positive, pose_ignored in self.blocks():
            found.add(true_positive, pose_ignored)
        return found

    def blocks(self) -> Iterator[tuple[Bool[np.ndarray, "D C"], Bool[np.ndarray, "D C"]]]:
        """Yield all poses in order."""
        if self._runs and self._waiting:
            self._spill()
        if not (self._runs or self._waiting):
            return
        in_memory = None if self._runs else [_sorted(self._waiting)]
        samples = self._samples if in_memory is None else [_sample(in_memory[0])]

        def opened() -> list[_Run]:
            """The runs; those on disk are mapped anew for each block, so that what was read does not stay in memory."""
            return in_memory or [self._run(number) for number in range(self._runs)]

        before = [0] * len(opened())
        for cut in [*_cuts(samples), None]:
            runs = opened()
            ends = [len(run[0]) if cut is None else _up_to(run, *cut) for run in runs]
            pieces = [
                (np.array(run[0][start:end]), np.array(run[1][start:end]), np.array(run[2][start:end]))
                for run, start, end in zip(runs, before, ends, strict=True)
                if end > start
            ]
            del runs
            before = ends
            if pieces:
                flags = np.unpackbits(_sorted(pieces)[2], axis=1, count=2 * self._curves).view(bool)
                yield flags[:, : self._curves], flags[:, self._curves :]

    def _spill(self) -> None:
        self._folder = self._folder or tempfile.TemporaryDirectory(prefix="trustpose-")
        run = _sorted(self._waiting)
        self._samples.append(_sample(run))
        try:
            for name, column in zip(_NAMES, run, strict=True):
                column.tofile(Path(self._folder.name) / f"{self._runs}.{name}")
        except OSError as error:
            raise cannot_write(self._folder.name, error) from None
        self._runs += 1
        self._waiting = []

    def _run(self, number: int) -> _Run:
        """Return a run on disk, of which only what is used is read."""
        assert self._folder is not None
        files = [Path(self._folder.name) / f"{number}.{name}" for name in _NAMES]
        kinds = (np.float64, np.int64, np.uint8)
        key, image, bits = (np.memmap(file, kind, "r") for file, kind in zip(files, kinds, strict=True))
        return key, image, bits.reshape(len(key), -1)


_NAMES = ("score", "image", "bits")


def _sorted(parts: list[_Run]) -> _Run:
    key, image, bits = (np.concatenate([part[at] for part in parts]) for at in range(3))
    order = np.lexsort((image, key))  # stable
    return key[order], image[order], bits[order]


def _cuts(samples: list[tuple[np.ndarray, np.ndarray]]) -> list[tuple[float, int]]:
    """Return the −scores and image ids at which blocks of about `BLOCK` poses end, from some poses of each run:
    everything up to them, in all runs, is in order before everything behind them."""
    key, image = (np.concatenate([one[at] for one in samples]) for at in range(2))
    every = BLOCK // _sample_step()
    order = np.lexsort((image, key))[every::every]
    return list(zip(key[order].tolist(), image[order].tolist(), strict=True))


def _sample(run: _Run) -> tuple[np.ndarray, np.ndarray]:
    """Return −score and image id of some poses of a run, to find where blocks end."""
    step = _sample_step()
    return run[0][::step].copy(), run[1][::step].copy()


def _sample_step() -> int:
    return max(1, BLOCK // 128)


def _up_to(run: _Run, key: float, image: int) -> int:
    """Return how many poses of a run come up to this key and image, inclusive."""
    low, high = np.searchsorted(run[0], key, "left"), np.searchsorted(run[0], key, "right")
    return int(low + np.searchsorted(run[1][low:high], image, "right"))
