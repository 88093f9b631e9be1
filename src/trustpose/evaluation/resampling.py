"""The bootstrap of an audit: draws of photos, sums over the photos of a draw, and the intervals that follow."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int, Real

from trustpose.evaluation.spill import Spill
from trustpose.metrics import bootstrap

_COUNT_BYTES = 2**26  # of draws at a time
_PHOTOS = 2**16  # of which sums are in memory at a time


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
    """B draws with replacement of the photos `image_id` (I,), ascending; the same for the same photos and `seed`."""

    def __init__(self, image_id: Int[np.ndarray, " I"], draws: int, seed: int) -> None:
        self.image_id, self.draws, self.seed = image_id, draws, seed
        self._counts: list[np.ndarray] | None = None

    def blocks(self) -> Iterator[tuple[slice, Int[np.ndarray, "b I"]]]:
        """Yield how often each photo occurs in each draw, some draws at a time."""
        photos, start = len(self.image_id), 0
        if not (self.draws and photos):
            return
        size = max(1, _COUNT_BYTES // photos)
        if size < self.draws:
            counts: Iterable[np.ndarray] = bootstrap.resample_blocks(photos, self.draws, self.seed, size)
        else:
            self._counts = self._counts or [bootstrap.resample_counts(photos, self.draws, self.seed)]
            counts = self._counts
        for rows in counts:
            yield slice(start, start + len(rows)), rows
            start += len(rows)

    def sums(
        self, table: PhotoTable, convert: Callable[[np.ndarray], np.ndarray] = lambda rows: rows
    ) -> Float[np.ndarray, " B *S"]:
        """Return the sums of a table, its rows converted, in each draw."""
        drawn = np.zeros((self.draws, *table.shape))
        for draws, counts in self.blocks():
            for first, rows in table.pieces():
                drawn[draws] += bootstrap.replicate_sums(counts[:, first : first + len(rows)], convert(rows))
        return drawn


@dataclass
class Findings:
    """What sections collect beside their numbers: draws and their intervals by dotted name, and notes."""

    resampling: Resampling
    draws: dict[str, Float[np.ndarray, " B"]] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def interval(self, name: str, values: Float[np.ndarray, " B"]) -> None:
        """Store a number's draws, and their 95 % interval if it is defined in any draw."""
        self.draws[name] = values
        if len(values) and not np.isnan(values).all():
            self.intervals[name] = bootstrap.interval(values)
