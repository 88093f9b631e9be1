"""At most so many results to fit a calibrator to: all those of photos that are drawn by their ids.

Trees read at most 300,000 keypoints and 100,000 poses, so that more results only make the numbers' intervals
narrower, and take memory. Which photos are drawn depends on the ids and the number of results alone, so that all
layouts of the same rows have the same people.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from trustpose.calibration.options import MAX_RESULTS
from trustpose.datasets.folds import draw_number
from trustpose.datasets.ground_truth import open_ground_truth
from trustpose.files import InputError
from trustpose.formats.coco.pose_stream import common_ids, open_poses, paired_batches
from trustpose.formats.coco.results import ResultsFile
from trustpose.formats.coco.together import image_ids, joined_files, of_photos
from trustpose.formats.coco.truth import TruthFile
from trustpose.skeletons import Skeleton


def files_to_fit(
    ground_truth: str | Path | TruthFile,
    results: str | Path,
    max_results: int | None = MAX_RESULTS,
    *,
    category: str | int | None = None,
    skeleton: Skeleton | None = None,
    common: bool = False,
) -> tuple[TruthFile, ResultsFile]:
    """Read a ground truth and results of any layout; where there are more than `max_results` results, those of some
    photos, drawn by their ids. Of Parquet no more than twice as many are ever in memory.

    Raises InputError, and DiskError if rows that must be sorted have no space for temporary files.
    """
    truth = open_ground_truth(ground_truth, category, skeleton)
    stream = open_poses(results, truth, common=common)
    drawn = DrawnPhotos(max_results)
    for pair in paired_batches(truth, stream, common_ids(truth, [stream]) if common else None):
        drawn.add(*pair)
    return drawn.files(stream.path)


def limited(truth: TruthFile, results: ResultsFile, max_results: int) -> tuple[TruthFile, ResultsFile]:
    """Return the files themselves, or their drawn photos where there are more than `max_results` results."""
    drawn = DrawnPhotos(max_results)
    drawn.add(truth, results)
    return drawn.files(results.path)


class DrawnPhotos:
    """Collects whole photos with at most `max_results` results: which, depends on their ids alone."""

    def __init__(self, max_results: int | None) -> None:
        if max_results is not None and max_results < 1:
            raise InputError(f"max_results: expected at least 1 result, got {max_results}")
        self._max_results, self._limit = max_results, np.uint64(2**64 - 1)
        self._pieces: list[tuple[TruthFile, ResultsFile]] = []
        self._results, self._kept = 0, 0

    def add(self, truth: TruthFile, results: ResultsFile) -> None:
        """Add whole photos."""
        self._results += len(results.poses)
        self._pieces.append(self._drawn(truth, results))
        self._kept += len(self._pieces[-1][1].poses)
        if self._max_results is not None and self._kept > 2 * self._max_results:
            self._draw()

    def _drawn(self, truth: TruthFile, results: ResultsFile) -> tuple[TruthFile, ResultsFile]:
        ids = truth.images.id
        inside = draw_number(ids) < self._limit
        return (truth, results) if inside.all() else of_photos(truth, results, ids[inside])[:2]

    def _draw(self) -> None:
        if self._max_results is None or self._kept <= self._max_results:
            return
        numbers = np.concatenate([draw_number(image_ids(results)) for _, results in self._pieces])
        self._limit = np.partition(numbers, self._max_results)[self._max_results]
        self._pieces = [self._drawn(*pair) for pair in self._pieces]
        self._kept = sum(len(results.poses) for _, results in self._pieces)

    def files(self, path: str) -> tuple[TruthFile, ResultsFile]:
        """Return the drawn photos, with a note if not all are. Raises InputError if none is."""
        self._draw()
        if not self._kept:
            raise InputError(f"{path}: no photo was drawn, expected a higher --max-results")
        truth, results = joined_files(self._pieces)
        if self._kept == self._results:
            return truth, results
        note = (
            f"fitted on {self._kept:,} of {self._results:,} results, those of photos drawn by their ids (--max-results)"
        )
        return replace(truth, notes=(*truth.notes, note)), results
