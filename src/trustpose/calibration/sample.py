"""At most so many results to fit a calibrator to: all those of photos that are drawn by their ids.

Trees read at most 300,000 keypoints and 100,000 poses, so that more results only make the numbers' intervals
narrower, and take memory. Which photos are drawn depends on the ids and the number of results alone, so that a fit in
memory and one that reads batches have the same people.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, UInt64

from trustpose.files import InputError
from trustpose.formats.coco.checks import check_result_boxes
from trustpose.formats.coco.results import ResultsFile, of_truth
from trustpose.formats.coco.results_in_batches import ResultsParts, open_results
from trustpose.formats.coco.truth import TruthFile
from trustpose.formats.coco.truth_in_batches import open_truth
from trustpose.formats.parquet_parts import ParquetParts
from trustpose.formats.table_rows import TableRows
from trustpose.skeletons import Skeleton

_IDS_AT_ONCE = 2**18


def limited(truth: TruthFile, results: ResultsFile, most: int) -> tuple[TruthFile, ResultsFile]:
    """Return the files themselves, or their drawn photos where there are more than `most` results."""
    photos, poses = truth.images, results.poses
    assert poses.image_id is not None and truth.truth.image_id is not None
    limit = photo_limit([poses.image_id], most)
    if limit is None:
        return truth, results
    keep, kept = is_drawn(poses.image_id, limit), is_drawn(truth.truth.image_id, limit)
    categories = truth.categories
    if categories is not None:
        categories = replace(categories, of_row=categories.of_row[kept])
    truth = replace(truth, truth=truth.truth[kept], images=photos[is_drawn(photos.id, limit)], categories=categories)
    drawn = replace(results, poses=poses[keep], score=results.score[keep], category_id=results.category_id[keep])
    return _noted(truth, int(keep.sum()), len(keep)), drawn


def read_limited(
    ground_truth: str | Path,
    results: str | Path,
    most: int,
    *,
    category: str | int | None = None,
    skeleton: Skeleton | None = None,
) -> tuple[TruthFile, ResultsFile]:
    """Return `limited` of Parquet results and of a ground truth, Parquet or JSON, of which no more is ever in memory.

    Rows of other photos are not checked. Raises InputError, and DiskError if a ground truth that must be sorted has no
    space for temporary files.
    """
    with tempfile.TemporaryDirectory(prefix="trustpose-") as folder:
        opened = open_truth(ground_truth, category, skeleton, Path(folder))
        read = open_results(results, keypoint_count=len(opened.header.keypoint_names), is_ordered=False)
        of_category = opened.header.category_id
        counts: list[int] = []
        limit = photo_limit(_photos(read.parts, of_category, counts), most)

        def chosen(ids: np.ndarray) -> np.ndarray:
            return np.ones(len(ids), bool) if limit is None else is_drawn(ids, limit)

        truth = opened.of_photos(chosen)
        found = _results(read, truth, chosen)
    return (truth if limit is None else _noted(truth, len(found.poses), sum(counts))), found


def _results(read: ResultsParts, truth: TruthFile, chosen: Callable[[np.ndarray], np.ndarray]) -> ResultsFile:
    rows = read.parts.rows_of_photos(chosen)
    if not len(rows):
        raise InputError(f"{read.path}: no photo was drawn, expected a higher --most")
    found = read.of_rows(rows)
    assert found.poses.image_id is not None
    check_result_boxes(rows, found.poses, truth.images.sizes(found.poses.image_id))
    found = replace(found, poses=replace(found.poses, skeleton=truth.truth.skeleton))
    return of_truth(found, truth, rows, common=False)


def _photos(parts: ParquetParts, category_id: int, counts: list[int]) -> Iterator[np.ndarray]:
    """Yield the photo of each result of a category, some at a time, and note how many in `counts`."""
    for table, file, row in parts.tables(["image_id", "category_id"], _IDS_AT_ONCE):
        rows = TableRows(parts.path, parts.noun, table, ((0, file, row),))
        image_id, category = rows.integers("image_id"), rows.integers("category_id", numerals=True)
        assert image_id is not None and category is not None
        of_category = image_id[category == category_id]
        counts.append(len(of_category))
        yield of_category


def photo_limit(image_ids: Iterable[Int[np.ndarray, " n"]], most: int) -> int | None:
    """Return the place below which photos are drawn, so that of these results, given by their photos in any order, at
    most `most` are; None if there are no more. Memory does not grow with their number."""
    if most < 1:
        raise InputError(f"most: expected at least 1 result, got {most}")
    limit: int | None = None
    waiting = np.zeros(0, np.uint64)
    for ids in image_ids:
        places = _places(ids)
        waiting = np.concatenate([waiting, places if limit is None else places[places < np.uint64(limit)]])
        if len(waiting) > 4 * most + _IDS_AT_ONCE:
            limit = int(np.partition(waiting, most)[most])
            waiting = waiting[waiting < np.uint64(limit)]
    return limit if len(waiting) <= most else int(np.partition(waiting, most)[most])


def is_drawn(image_id: Int[np.ndarray, " N"], limit: int) -> Bool[np.ndarray, " N"]:
    """Return which photos are drawn."""
    return _places(image_id) < np.uint64(limit)


def _places(image_id: Int[np.ndarray, " N"]) -> UInt64[np.ndarray, " N"]:
    """Return a number for each id that is as good as drawn at random: the finalizer of SplitMix64 (Steele, Lea & Flood,
    "Fast splittable pseudorandom number generators", 2014). Folds are drawn by another function."""
    one = image_id.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    one = (one ^ (one >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    one = (one ^ (one >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return one ^ (one >> np.uint64(31))


def _noted(truth: TruthFile, drawn: int, total: int) -> TruthFile:
    note = f"fitted on {drawn:,} of {total:,} results, those of photos drawn by their ids (--most)"
    return replace(truth, notes=(*truth.notes, note))
