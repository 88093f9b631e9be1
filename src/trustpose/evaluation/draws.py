"""What the sections of an audit share, each fed batch by batch with whole photos. From the ground up:

- `TemporaryRows` and `Spill`: rows that are needed again at the end stay in memory while they are few, and go to a
  temporary file otherwise; `quantiles` of them.
- `PhotoTable`, `Resampling` and `Findings`: what a number needs of each photo, as sums; draws of photos with
  replacement; and the intervals that follow.
- `Ranking`: the rows of all batches ordered by a score; `Curves`: precision and recall over them.

`Ranking` is an external sort. A row takes its score and photo (8 bytes each) and a bit for each flag. A quarter of a
million rows at a time are sorted in memory; more are written to temporary files as sorted runs, which are merged once
by reading a piece of each between two scores.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from trustpose.evaluation.batch import Batch
from trustpose.files import cannot_write
from trustpose.metrics import bootstrap
from trustpose.metrics.average_precision import (
    OKS_THRESHOLDS,
    Evaluation,
    PrecisionRecall,
    PrecisionRecallDraws,
    numbers_of_draws,
)

STEPS = len(OKS_THRESHOLDS)
RUN = 2**18  # rows that a `Ranking` sorts at a time, and then writes to a file
BLOCK = 2**17  # rows that it yields at a time
HELD_BYTES = 2**22  # of a `Spill` in memory
SPILL_BLOCK = 2**16  # rows that it reads back at a time
_COUNT_BYTES = 2**26  # of the counts of photos in draws, in memory at a time
_PHOTOS = 2**16  # of which a `PhotoTable` has sums in memory at a time
_DIGIT = 11  # bits of a number that one pass of `quantiles` looks at
_SIGN = np.uint64(1 << 63)

_Rows = tuple[np.ndarray, np.ndarray, np.ndarray]  # −score (n,), photo (n,), bits (n, bytes)


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

    def read(self, start: int, end: int) -> np.ndarray:
        """Return the rows from `start` to before `end`."""
        kind, shape = self._row
        width = kind.itemsize * int(np.prod(shape))
        content = bytearray(width * (min(end, self.rows) - start))
        os.preadv(self._file.fileno(), [content], width * start)
        return np.frombuffer(content, kind).reshape(-1, *shape)

    def read_columns(self, rows: slice, start: int, end: int) -> np.ndarray:
        """Return the columns from `start` to before `end` of rows (n, m)."""
        kind, (columns,) = self._row
        values = np.empty((rows.stop - rows.start, end - start), kind)
        for number, row in enumerate(values, rows.start):
            os.preadv(self._file.fileno(), [row], (number * columns + start) * kind.itemsize)
        return values


class Spill:
    """Rows of numbers of one type, appended batch by batch; `blocks` yields them again in order."""

    def __init__(self, kind: type[np.float64 | np.int64] = np.float64) -> None:
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
            for part in self._pending:
                self._file.write(part)
            self._pending = []

    def __len__(self) -> int:
        return self._rows

    def blocks(self, size: int | None = None) -> Iterator[np.ndarray]:
        """Yield all rows, `size` (`SPILL_BLOCK`) at a time, the last block with the rest."""
        size = size or SPILL_BLOCK
        if self._file is not None:
            for part in self._pending:
                self._file.write(part)
            self._pending = []
            for start in range(0, self._rows, size):
                yield self._file.read(start, start + size)
        elif self._pending:
            self._pending = [np.concatenate(self._pending)]
            for start in range(0, self._rows, size):
                yield self._pending[0][start : start + size]

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


def _sortable(values: np.ndarray) -> np.ndarray:
    """Return whole numbers in the order of the doubles."""
    bits = np.ascontiguousarray(values + 0.0).view(np.uint64)  # + 0.0: -0 equals 0
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _number(key: np.ndarray) -> np.ndarray:
    return np.where(key & _SIGN, key ^ _SIGN, ~key).view(np.float64)


class PhotoTable:
    """Sums (I, *shape) of each photo, appended batch by batch; photos ascend."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape
        self._rows = Spill()

    def append(self, sums: Real[np.ndarray, " I *S"]) -> None:
        """Append the sums of the next photos."""
        self._rows.append(sums)

    def pieces(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the sums of all photos, each piece with the number of its first."""
        first = 0
        for rows in self._rows.blocks(_PHOTOS):
            yield first, rows
            first += len(rows)


class Resampling:
    """B draws with replacement of the photos `image_id` (I,), ascending; the same for the same photos and `seed`.

    How often each photo is drawn, a byte each, is computed once; in a temporary file where it is too much for memory.
    """

    def __init__(self, image_id: Int[np.ndarray, " I"], draws: int, seed: int) -> None:
        self.image_id, self.draws, self.seed = image_id, draws, seed
        self._at_once = max(1, min(_COUNT_BYTES // max(1, len(image_id)), draws))
        self._counts: np.ndarray | TemporaryRows | None = None

    def blocks(self) -> Iterator[tuple[slice, Int[np.ndarray, "b I"]]]:
        """Yield some draws at a time: which they are, and how often each photo occurs in each of them."""
        for draws in self._parts(self._at_once):
            counts = self._drawn()
            yield draws, counts.read(draws.start, draws.stop) if isinstance(counts, TemporaryRows) else counts[draws]

    def of_photos(self, first: int, end: int) -> Iterator[tuple[slice, Int[np.ndarray, "b i"]]]:
        """Yield some draws at a time, and how often each photo from number `first` to before `end` occurs in them."""
        for draws in self._parts(max(1, _COUNT_BYTES // (8 * max(1, end - first)))):
            counts = self._drawn()
            if isinstance(counts, TemporaryRows):
                yield draws, counts.read_columns(draws, first, end)
            else:
                yield draws, counts[draws, first:end]

    def sums(
        self, table: PhotoTable, convert: Callable[[np.ndarray], np.ndarray] = lambda rows: rows
    ) -> Float[np.ndarray, " B *S"]:
        """Return the sums of a table, its rows converted, in each draw."""
        drawn = np.zeros((self.draws, *table.shape))
        for first, rows in table.pieces():
            converted = convert(rows)
            for draws, counts in self.of_photos(first, first + len(rows)):
                drawn[draws] += bootstrap.replicate_sums(counts, converted)
        return drawn

    def _parts(self, size: int) -> Iterator[slice]:
        for start in range(0, self.draws if len(self.image_id) else 0, size):
            yield slice(start, min(start + size, self.draws))

    def _drawn(self) -> "np.ndarray | TemporaryRows":
        if self._counts is None:
            blocks = bootstrap.resample_blocks(len(self.image_id), self.draws, self.seed, self._at_once)
            if self._at_once >= self.draws:
                self._counts = next(blocks)
            else:
                self._counts = TemporaryRows()
                for block in blocks:
                    self._counts.write(block)
        return self._counts


@dataclass
class Findings:
    """What sections state beside their numbers.

    Attributes:
        resampling: the draws of photos, the same for all sections.
        draws: by a number's dotted name, the number in each draw.
        intervals: and its 95 % interval.
        notes: sentences on what could not be computed, and why.
    """

    resampling: Resampling
    draws: dict[str, Float[np.ndarray, " B"]] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def interval(self, name: str, values: Float[np.ndarray, " B"]) -> None:
        """Store a number's draws, and their 95 % interval if it is defined in any draw."""
        self.draws[name] = values
        if len(values) and not np.isnan(values).all():
            self.intervals[name] = bootstrap.interval(values)


class Ranking:
    """Collects rows with a score and F flags, and yields them by descending score.

    Rows of equal score are ordered by photo, then as they came. Blocks have the same rows whatever the batches were.
    The rows of a photo must come in one batch.
    """

    def __init__(self, flags: int) -> None:
        self._flags = flags
        self._pending: list[_Rows] = []
        self._count = 0  # of pending rows
        self._rows = 0
        self._files = TemporaryRows(), TemporaryRows(), TemporaryRows()
        self._runs: list[_Run] = []

    def add(self, score: Float[np.ndarray, " D"], photo: Int[np.ndarray, " D"], flags: Bool[np.ndarray, "D F"]) -> None:
        """Add the rows of a batch of whole photos. Raises DiskError if there is no space for temporary files."""
        self._rows += len(score)
        for start in range(0, len(score), RUN):
            part = slice(start, start + RUN)
            rows = (-np.asarray(score[part], np.float64), photo[part].astype(np.int64))
            self._pending.append((*rows, np.packbits(flags[part], axis=1)))
            self._count += len(rows[0])
            if self._count >= RUN:
                self._write_run()

    def __len__(self) -> int:
        return self._rows

    def blocks(self) -> Iterator[tuple[Float[np.ndarray, " D"], Int[np.ndarray, " D"], Bool[np.ndarray, "D F"]]]:
        """Yield score, photo and flags of all rows in order."""
        if self._runs and self._pending:
            self._write_run()
        if len(self._runs) > 1:
            self._merge_runs()
        if self._runs:
            for start in range(0, self._rows, BLOCK):
                yield self._opened(*(file.read(start, start + BLOCK) for file in self._files))
        elif self._pending:
            self._pending = [_sorted(self._pending)]
            for start in range(0, self._rows, BLOCK):
                yield self._opened(*(column[start : start + BLOCK] for column in self._pending[0]))

    def _opened(
        self, key: np.ndarray, photo: np.ndarray, bits: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return score, photo and flags of some rows."""
        return -key, photo, np.unpackbits(bits, axis=1, count=self._flags).view(bool)

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
        """Return the −scores and photos at which pieces of about `BLOCK` rows end, from the samples of all runs:
        everything up to them, in all runs, comes before everything behind them."""
        key, photo = (np.concatenate([run.sample[column] for run in self._runs]) for column in range(2))
        step = BLOCK // _sample_step()
        order = np.lexsort((photo, key))[step::step]
        return list(zip(key[order].tolist(), photo[order].tolist(), strict=True))


def _sample_step() -> int:
    return max(1, BLOCK // 128)


@dataclass(frozen=True, eq=False)
class _Run:
    """Sorted rows from `start` to before `end` in files, and −score and photo of a sample of them, in steps."""

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
        key, photo = (np.concatenate([sample[column] for sample in samples]) for column in range(2))
        return cls(start, files[0].rows, (key, photo))

    def up_to(self, files: tuple[TemporaryRows, ...], key: float, photo: int) -> int:
        """Return behind which row of the files this run's rows come after this −score and photo."""
        number = _count_up_to(*self.sample, key, photo)
        low = self.start + max(number - 1, 0) * _sample_step()
        high = min(self.start + number * _sample_step(), self.end)
        return low + _count_up_to(files[0].read(low, high), files[1].read(low, high), key, photo)


def _count_up_to(keys: np.ndarray, photos: np.ndarray, key: float, photo: int) -> int:
    """Return how many of these sorted rows come up to this −score and photo, inclusive."""
    first, end = np.searchsorted(keys, key, "left"), np.searchsorted(keys, key, "right")
    return int(first + np.searchsorted(photos[first:end], photo, "right"))


def _joined(parts: list[_Rows]) -> _Rows:
    if len(parts) == 1:
        return parts[0]
    key, photo, bits = (np.concatenate([part[column] for part in parts]) for column in range(3))
    return key, photo, bits


def _sorted(parts: list[_Rows]) -> _Rows:
    """Join parts, in the order of their scores, then of their photos."""
    key, photo, bits = _joined(parts)
    order = np.lexsort((photo, key))  # stable
    return key[order], photo[order], bits[order]


class Curves:
    """Precision and recall at every OKS threshold, over poses ranked by one score, for G groups such as area ranges.

    Matching is within photos, so that a batch of whole photos says of each of its poses whether it is right at every
    threshold, and the poses of all batches in order give precision and recall.
    """

    def __init__(self, groups: int) -> None:
        self.groups = groups
        self._ranking = Ranking(2 * groups * STEPS)
        self._people = PhotoTable(groups)
        self._count = np.zeros(groups, np.int64)

    def add(
        self,
        batch: Batch,
        evaluations: Sequence[Evaluation],
        score: Float[np.ndarray, " N"],
        poses: Int[np.ndarray, " N"] | None = None,
        people: Int[np.ndarray, " M"] | None = None,
        within: Sequence[Bool[np.ndarray, " i"]] = (),
    ) -> None:
        """Count a batch.

        Args:
            batch: the batch.
            evaluations: of its poses, ranked by the same score; their area ranges are the first groups.
            score: (N,), of the poses that were evaluated.
            poses: (N,), which of the batch's poses these are; None: all.
            people: (M,), which of the batch's people were evaluated; None: all.
            within: for each further group, the photos of the batch in which its people are: the first area range there.
        """
        order = evaluations[0].order
        pose_image = batch.pose_image[order if poses is None else poses[order]]
        person_image = batch.person_image if people is None else batch.person_image[people]
        hits = [_by_pose(evaluation.true_positive) for evaluation in evaluations]
        ignored = [_by_pose(evaluation.pose_ignored) for evaluation in evaluations]
        counted = [~row for evaluation in evaluations for row in evaluation.person_ignored]
        for photos in within:
            inside = photos[pose_image][:, None]
            hits.append(hits[0][:, :STEPS] & inside)
            ignored.append(ignored[0][:, :STEPS] | ~inside)
            counted.append(counted[0] & photos[person_image])
        people_of_photos = np.stack(
            [np.bincount(person_image[row], minlength=len(batch.image_id)) for row in counted], axis=1
        )  # (I, G)
        self._people.append(people_of_photos)
        self._count += people_of_photos.sum(axis=0)
        self._ranking.add(score[order], batch.first + pose_image, np.concatenate([*hits, *ignored], axis=1))

    def precision_recall(self) -> tuple[Float[np.ndarray, "G T R"], Float[np.ndarray, "G T"]]:
        """Return interpolated precision and highest recall; −1 if no person counts."""
        curves = PrecisionRecall(np.repeat(self._count, STEPS))
        for _, _, flags in self._ranking.blocks():
            curves.add(*np.split(flags, 2, axis=1))
        return curves.precision().reshape(self.groups, STEPS, -1), curves.recall().reshape(self.groups, STEPS)

    def people(self) -> Int[np.ndarray, " G"]:
        """Return how many people count in each group."""
        return self._count

    def draws(self, resampling: Resampling, names: Sequence[str], groups: Sequence[int]) -> dict[str, np.ndarray]:
        """Return COCO's numbers of groups in every draw, each (B,), NaN where no person counts; the groups follow each
        other, and `names` are those of area ranges."""
        people = resampling.sums(self._people)[:, list(groups)]
        columns = slice(groups[0] * STEPS, (groups[-1] + 1) * STEPS)
        parts = []
        for draws, counts in resampling.blocks():
            curves = PrecisionRecallDraws(np.repeat(people[draws], STEPS, axis=1))
            for _, photo, flags in self._ranking.blocks():
                hits, ignored = np.split(flags, 2, axis=1)
                curves.add(counts, photo, hits[:, columns], ignored[:, columns])
            parts.append(numbers_of_draws(curves, tuple(names)))
        if not parts:
            return numbers_of_draws(PrecisionRecallDraws(np.zeros((0, len(groups) * STEPS))), tuple(names))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _by_pose(flags: np.ndarray) -> np.ndarray:
    """Return flags (A, D, T) as (D, A · T)."""
    return np.moveaxis(flags, 1, 0).reshape(flags.shape[1], flags.shape[0] * flags.shape[2])
