"""Walk a ground truth and results that do not fit into memory together, photo by photo, in batches."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from trustpose.formats.coco.results import ResultsFile, of_truth
from trustpose.formats.coco.results_in_batches import BoxesInBatches, ResultsParts
from trustpose.formats.coco.truth import TruthFile
from trustpose.formats.coco.truth_in_batches import TruthBatches
from trustpose.formats.table_rows import TableRows


@dataclass(frozen=True, eq=False)
class Joined:
    """Iterate over pairs of pieces of the ground truth and all results in its photos; both come in ascending order of
    photos. Raises InputError naming what is wrong with a row, or a photo that the ground truth lacks."""

    truth: TruthBatches
    results: ResultsParts
    boxes: BoxesInBatches = field(default_factory=BoxesInBatches)

    def __iter__(self) -> Iterator[tuple[TruthFile, ResultsFile]]:
        coming = self.results.parts.batches()
        waiting = next(coming, None)
        empty = None if waiting is None else self._empty(waiting)
        for truth in self.truth.batches():
            last, taken = int(truth.images.id.max()), []
            while waiting is not None:
                image = _ids(waiting)
                end = int(np.searchsorted(image, last, "right"))
                if end:
                    taken.append(waiting.between(0, end))
                if end < len(waiting):
                    waiting = waiting.between(end, len(waiting))
                    break
                waiting = next(coming, None)
            assert empty is not None
            yield truth, self._of_pieces(taken, truth, empty)
        if waiting is not None:
            of_truth(self._read(waiting, truth), truth, waiting, common=False)  # names the photo

    def _of_pieces(self, pieces: list[TableRows], truth: TruthFile, empty: ResultsFile) -> ResultsFile:
        read = []
        for one in pieces:
            found = self._read(one, truth)
            read.append(of_truth(found, truth, one, common=False, is_part=True))
            self.boxes.check(one, found.poses, truth.images.sizes(_ids(one)))
        if not read:
            return empty
        if len(read) == 1:
            return read[0]
        poses = type(read[0].poses).concatenate([one.poses for one in read])
        joined: dict[str, Any] = {
            name: np.concatenate([getattr(one, name) for one in read]) for name in ("score", "category_id")
        }
        return replace(read[0], poses=poses, **joined)

    def _read(self, rows: TableRows, truth: TruthFile) -> ResultsFile:
        read = self.results.of_rows(rows)
        return replace(read, poses=replace(read.poses, skeleton=truth.truth.skeleton))

    def _empty(self, rows: TableRows) -> ResultsFile:
        read = self._read(rows.between(0, 1), self.truth.header)
        return replace(read, poses=read.poses[:0], score=read.score[:0], category_id=read.category_id[:0])


def _ids(rows: TableRows) -> np.ndarray:
    ids = rows.integers("image_id")
    assert ids is not None
    return ids
