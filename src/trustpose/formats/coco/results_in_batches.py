"""COCO results that do not fit into memory, as Parquet: read in batches of whole photos."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from trustpose.files import InputError
from trustpose.formats.coco.checks import check_centres
from trustpose.formats.coco.results import ResultsFile, results_of_rows
from trustpose.formats.columns import Rows
from trustpose.formats.error_files import read_errors
from trustpose.formats.parquet_order import check_photos
from trustpose.formats.parquet_parts import ParquetParts, open_parts
from trustpose.formats.table_rows import TableRows
from trustpose.formats.tool_poses import blank_columns
from trustpose.geometry.box_checks import xywh_fault
from trustpose.geometry.boxes import xyxy_to_xywh
from trustpose.poses import ErrorModel, Poses
from trustpose.skeletons import Skeleton

_COLUMNS = {  # of the results' optional fields, the column of `Poses`
    "bbox": "box",
    "bbox_score": "box_score",
    "pose_score": "pose_score",
    "presence": "presence",
    "pose_quality": "pose_quality",
    "keypoint_quality": "quality",
    "visibility": "visibility",
    "visibility_label": "visibility_label",
    "track_id": "track_id",
    "annotation_id": "annotation_id",
}
_FIRST = 1000  # boxes that go before those of every later batch, as a few alone do not show their format


@dataclass(frozen=True, eq=False)
class ResultsParts:
    """Results in a Parquet file or a folder of parts. Every batch has `keypoint_count` keypoints, named by `skeleton`
    if known, the same columns filled: those that any row of the results has, and the error model beside the results."""

    parts: ParquetParts
    keypoint_count: int
    skeleton: Skeleton | None = None
    score_field: str = "score"
    error_model: ErrorModel | None = None

    @property
    def path(self) -> str:
        """The file or folder."""
        return self.parts.path

    def __len__(self) -> int:
        return self.parts.rows

    def batches(self, batch_rows: int | None = None) -> Iterator[tuple[ResultsFile, TableRows]]:
        """Yield results in batches of whole photos of about `batch_rows` rows (`parquet_parts.ROWS`), in order, with
        their rows. Text ids are numbered per batch. Raises InputError naming the part, the row, the field and what was
        expected."""
        boxes = BoxesInBatches()
        for rows in self.parts.batches(batch_rows):
            results = self.of_rows(rows)
            boxes.check(rows, results.poses)
            yield results, rows

    def of_rows(self, rows: Rows) -> ResultsFile:
        """Return rows as results. Raises InputError."""
        results = results_of_rows(
            rows,
            truth=None,
            keypoint_count=self.keypoint_count,
            skeleton=self.skeleton,
            score_field=self.score_field,
        )
        filled = {column for name, column in _COLUMNS.items() if name in self.parts.occurring}
        poses = results.poses
        if "pose_score" in self.parts.occurring and "pose_score" not in rows.fields:
            poses = replace(poses, pose_score=None)  # the file has that field: `score` is not in its place
        return replace(results, poses=replace(poses, **blank_columns(poses, filled), error_model=self.error_model))


def open_results(
    path: str | Path,
    *,
    keypoint_count: int | None = None,
    skeleton: Skeleton | None = None,
    score_field: str = "score",
    is_ordered: bool = True,
) -> ResultsParts:
    """Return the results in a Parquet file or a folder of parts, in which each photo's rows follow each other unless
    `is_ordered` is False.

    `keypoint_count` is that of the first row unless given, or the skeleton's. Raises InputError if there are no results
    or a photo's rows are in two places.
    """
    parts = open_parts(path)
    if not parts.rows:
        raise InputError(f"{path}: holds no results (no rows)")
    if keypoint_count is None and skeleton is None:
        first = next(iter(parts.batches(1)))
        keypoint_count = results_of_rows(
            first, truth=None, keypoint_count=None, skeleton=None, score_field=score_field
        ).poses.keypoint_count
    if is_ordered:
        check_photos(parts)
    count = keypoint_count if keypoint_count is not None else len(skeleton or ())
    return ResultsParts(parts, count, skeleton, score_field, read_errors(path))


class BoxesInBatches:
    """Checks boxes batch by batch. Whether boxes are fractions or corners shows in many of them, so that those of the
    first batch go before those of every later one, and alone show whether they are around the keypoints."""

    def __init__(self) -> None:
        self._first, self._sizes = np.zeros((0, 4)), np.zeros((0, 2), np.int64)

    def check(self, rows: Rows, poses: Poses, size: np.ndarray | None = None) -> None:
        """Raise InputError naming the row whose box is invalid in its photo of `size` (N, 2), 0 where unknown."""
        if poses.box is None:
            return
        with_box = np.flatnonzero(~np.isnan(poses.box).any(axis=1))
        box = xyxy_to_xywh(poses.box[with_box])
        sizes = np.zeros((len(with_box), 2), np.int64) if size is None else size[with_box]
        before = len(self._first)
        fault = xywh_fault(np.concatenate([self._first, box]), np.concatenate([self._sizes, sizes]))
        if fault is not None:
            row = int(with_box[max(fault[0] - before, 0)]) if len(with_box) else 0
            raise InputError(f"{rows.place(row)}: field 'bbox': {fault[1]}")
        if not before:
            check_centres(rows, poses)
            self._first, self._sizes = box[:_FIRST], sizes[:_FIRST]
