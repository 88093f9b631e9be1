"""What the sections of an audit share, each fed batch by batch with whole photos. From the ground up:

- `PhotoTable`, `Resampling` and `Findings`: what a number needs of each photo, as sums; draws of photos with
  replacement; and the intervals that follow.
- `Ranking`: the rows of all batches ordered by a score; `Curves`: precision and recall over them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from trustpose.evaluation.batch import Batch
from trustpose.metrics import bootstrap
from trustpose.metrics.average_precision import OKS_THRESHOLDS, Evaluation, PrecisionRecall
from trustpose.metrics.precision_draws import DRAWS_AT_ONCE, RankedCurves, joined_draws
from trustpose.metrics.spill import SortedRows, Spill, TemporaryRows

STEPS = len(OKS_THRESHOLDS)
_COUNT_BYTES = 2**26  # of the counts of photos in draws, in memory at a time
_PHOTOS = 2**16  # of which a `PhotoTable` has sums in memory at a time


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
        self._counts: np.ndarray | TemporaryRows | None = None

    def blocks(self, size: int | None = None) -> Iterator[tuple[slice, Int[np.ndarray, "b I"]]]:
        """Yield some draws at a time: which they are, and how often each photo occurs in each of them, until the next
        are yielded. `size` is their number, if there is memory for as many."""
        memory = _COUNT_BYTES // 2 // max(1, len(self.image_id))  # their readers need as much again
        size = max(1, min(memory, self.draws, size or self.draws))
        buffer: np.ndarray | None = None
        for draws in self._parts(size):
            counts = self._drawn()
            if isinstance(counts, TemporaryRows):
                buffer = np.empty((size, len(self.image_id)), np.int8) if buffer is None else buffer
                yield draws, counts.read(draws.start, draws.stop, buffer)
            else:
                yield draws, counts[draws]

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
            arguments = len(self.image_id), self.draws, self.seed
            if len(self.image_id) * self.draws <= _COUNT_BYTES:
                self._counts = bootstrap.resample_counts(*arguments)
            else:
                self._counts = TemporaryRows()
                for counts in bootstrap.resample_draws(*arguments):
                    self._counts.write(counts[None])
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

    Rows of equal score are ordered by photo, then as they came; for that the rows of a photo must come in one batch.
    Blocks have the same rows whatever the batches were. A row takes its score and photo (8 bytes each) and a bit for
    each flag.
    """

    def __init__(self, flags: int) -> None:
        self._flags = flags
        self._rows = SortedRows(-(-flags // 8))  # by −score

    def add(self, score: Float[np.ndarray, " D"], photo: Int[np.ndarray, " D"], flags: Bool[np.ndarray, "D F"]) -> None:
        """Add the rows of a batch of whole photos. Raises DiskError if there is no space for temporary files."""
        self._rows.add(-np.asarray(score, np.float64), photo, np.packbits(flags, axis=1))

    def __len__(self) -> int:
        return len(self._rows)

    def blocks(self) -> Iterator[tuple[Float[np.ndarray, " D"], Int[np.ndarray, " D"], Bool[np.ndarray, "D F"]]]:
        """Yield score, photo and flags of all rows in order."""
        for key, photo, bits in self._rows.blocks():
            yield -key, photo, np.unpackbits(bits, axis=1, count=self._flags).view(bool)


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
        people = np.repeat(resampling.sums(self._people)[:, list(groups)], STEPS, axis=1)
        columns = slice(groups[0] * STEPS, (groups[-1] + 1) * STEPS)
        pieces = ((photo, *np.split(flags, 2, axis=1)) for _, photo, flags in self._ranking.blocks())
        curves = RankedCurves((photo, hits[:, columns], ignored[:, columns]) for photo, hits, ignored in pieces)
        parts = (curves.in_draws(counts, people[draws]) for draws, counts in resampling.blocks(DRAWS_AT_ONCE))
        return joined_draws(parts, people.shape[1]).numbers(tuple(names))


def _by_pose(flags: np.ndarray) -> np.ndarray:
    """Return flags (A, D, T) as (D, A · T)."""
    return np.moveaxis(flags, 1, 0).reshape(flags.shape[1], flags.shape[0] * flags.shape[2])
