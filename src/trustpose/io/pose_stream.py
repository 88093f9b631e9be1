"""`PoseStream`: results in batches of whole photos, ascending by id, whatever the layout of the file.

A JSON or CSV file is read at once, and is one batch; Parquet, one file or a folder of parts, comes in many, and its
rows are sorted in temporary files first where photos are not in order.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Int

from trustpose.files import InputError, shown
from trustpose.geometry.boxes import xywh_fault, xyxy_to_xywh
from trustpose.io.coco.labels import check_centres
from trustpose.io.coco.results import ResultsFile, limited_to, of_truth, read_results, results_of_rows
from trustpose.io.coco.truth import TruthFile
from trustpose.io.columns import Rows
from trustpose.io.companions import read_errors, results_sha256
from trustpose.io.parquet import ParquetParts, check_photos, open_parts, open_table, runs, sort_by_photo
from trustpose.io.table_rows import TableRows
from trustpose.io.tool_poses import blank_columns
from trustpose.io.truth_stream import TruthBatches, held_truth
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
    parts = _results_of_parts(open_parts(path), keypoint_count, skeleton, score_field)
    if is_ordered:
        check_photos(parts.parts)
    return parts


def open_in_batches(
    path: str | Path,
    *,
    keypoint_count: int | None = None,
    skeleton: Skeleton | None = None,
    score_field: str = "score",
) -> ResultsParts | None:
    """Return the results in Parquet, one file or a folder of parts, as `open_results` does, with photos in any order;
    None for JSON and CSV, which are read at once. Raises InputError."""
    parts = open_parts(path) if Path(path).is_dir() else open_table(path)
    return None if parts is None else _results_of_parts(parts, keypoint_count, skeleton, score_field)


def _results_of_parts(
    parts: ParquetParts, keypoint_count: int | None, skeleton: Skeleton | None, score_field: str
) -> ResultsParts:
    if not parts.rows:
        raise InputError(f"{parts.path}: holds no results (no rows)")
    if keypoint_count is None and skeleton is None:
        first = next(iter(parts.batches(1)))
        keypoint_count = results_of_rows(
            first, truth=None, keypoint_count=None, skeleton=None, score_field=score_field
        ).poses.keypoint_count
    count = keypoint_count if keypoint_count is not None else len(skeleton or ())
    return ResultsParts(parts, count, skeleton, score_field, read_errors(parts.path))


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


Pair = tuple[TruthFile, ResultsFile]


class _Piece(Protocol):
    """Some results, ascending by photo."""

    image_id: np.ndarray

    def between(self, start: int, end: int) -> "_Piece":
        """Return the results from `start` to before `end`."""
        ...

    def on(self, truth: TruthFile, *, common: bool) -> ResultsFile:
        """Return the results on these photos' people; with `common` without those in other photos, which are an error
        otherwise. Raises InputError naming what is wrong with a row."""
        ...


@dataclass(frozen=True, eq=False)
class PoseStream:
    """Results in batches of whole photos, `count` in all: those `held` in memory, or `parts` on disk."""

    path: str
    sha256: str
    count: int
    held: ResultsFile | None = None
    parts: ResultsParts | None = None
    folder: Any = field(default=None, repr=False)  # of sorted parts, removed with the stream

    def image_ids(self) -> Int[np.ndarray, " i"]:
        """Return the ids of the photos that have results, ascending."""
        if self.held is not None:
            assert self.held.poses.image_id is not None
            return np.unique(self.held.poses.image_id)
        assert self.parts is not None
        return np.unique(np.concatenate([np.zeros(0, np.int64), *runs(self.parts.parts)]))

    def pieces(self, *, is_checked: bool) -> Iterator[_Piece]:
        """Yield all results, ascending by photo; `is_checked`: those in memory have been read with their truth."""
        if self.held is not None:
            assert self.held.poses.image_id is not None
            rows = np.argsort(self.held.poses.image_id, kind="stable")
            yield _HeldPiece(self.held, rows, is_checked=is_checked)
            return
        assert self.parts is not None
        boxes = BoxesInBatches()
        for rows in self.parts.parts.batches():
            yield _TablePiece(self.parts, rows, boxes)

    def empty(self, truth: TruthFile) -> ResultsFile:
        """Return no results, with the columns that all have."""
        piece = next(self.pieces(is_checked=True))
        part = piece.between(0, 1)
        results = part.parts.of_rows(part.rows) if isinstance(part, _TablePiece) else self.held
        assert results is not None
        poses = replace(results.poses, skeleton=truth.truth.skeleton)
        return replace(results, poses=poses[:0], score=results.score[:0], category_id=results.category_id[:0])


class _NumberedRows(Rows):
    """No rows, but their numbers in the file, for error messages."""

    def __init__(self, path: str, in_file: np.ndarray) -> None:
        super().__init__(path, "result", [])
        object.__setattr__(self, "in_file", in_file)

    in_file: np.ndarray

    def place(self, row: int) -> str:
        """Name a row."""
        return f"{self.path}: {self.noun} {self.in_file[row]}"


class _HeldPiece:
    """Results in memory."""

    def __init__(self, results: ResultsFile, rows: np.ndarray, *, is_checked: bool) -> None:
        assert results.poses.image_id is not None
        self.image_id = results.poses.image_id[rows]
        self._read, self._rows, self._is_checked = results, rows, is_checked

    def between(self, start: int, end: int) -> "_HeldPiece":
        """See `_Piece`."""
        return _HeldPiece(self._read, self._rows[start:end], is_checked=self._is_checked)

    def on(self, truth: TruthFile, *, common: bool) -> ResultsFile:
        """See `_Piece`."""
        results, rows = self._read, self._rows
        if len(rows) < len(results.score) or (np.diff(rows) < 0).any():
            results = replace(
                results, poses=results.poses[rows], score=results.score[rows], category_id=results.category_id[rows]
            )
        if self._is_checked:
            return results
        numbered = _NumberedRows(results.path, rows)
        return of_truth(results, truth, numbered, common=common, is_part=True)


class _TablePiece:
    """Rows of Parquet."""

    def __init__(self, parts: ResultsParts, rows: TableRows, boxes: BoxesInBatches) -> None:
        image_id = rows.integers("image_id")
        assert image_id is not None
        self.image_id, self.parts, self.rows, self._boxes = image_id, parts, rows, boxes

    def between(self, start: int, end: int) -> "_TablePiece":
        """See `_Piece`."""
        return _TablePiece(self.parts, self.rows.between(start, end), self._boxes)

    def on(self, truth: TruthFile, *, common: bool) -> ResultsFile:
        """See `_Piece`."""
        results = self.parts.of_rows(self.rows)
        poses = replace(results.poses, skeleton=truth.truth.skeleton)
        results_on_truth = of_truth(replace(results, poses=poses), truth, self.rows, common=common, is_part=True)
        self._boxes.check(self.rows, results.poses, truth.images.sizes(self.image_id))
        return results_on_truth


def held_stream(results: ResultsFile) -> PoseStream:
    """Return results in memory as a stream of one batch."""
    return PoseStream(results.path, results.sha256, len(results.score), held=results)


def open_poses(
    path: str | Path, truth: TruthBatches, *, score_field: str = "score", common: bool = False
) -> PoseStream:
    """Return the results of a file or a folder of Parquet parts, ranked by `score_field`, on a ground truth; with
    `common`, also results in photos that it lacks. Raises InputError, and DiskError without space to sort."""
    header = truth.header
    parts = open_in_batches(path, keypoint_count=len(header.keypoint_names), score_field=score_field)
    has_whole = parts is not None and all(has_whole_ids(parts.parts, name) for name in ("image_id", "annotation_id"))
    if parts is not None and has_whole and not truth.has_text_ids:
        folder = tempfile.TemporaryDirectory(prefix="trustpose-")
        ordered = replace(parts, parts=sort_by_photo(parts.parts, Path(folder.name)))
        digest = results_sha256(Path(path)) or ""
        return PoseStream(shown(path), digest, len(parts), parts=ordered, folder=folder)
    if truth.people is not None:
        return held_stream(read_results(path, truth=truth.people, score_field=score_field, common=common))
    count = len(header.keypoint_names)
    results = read_results(path, keypoint_count=count, skeleton=header.truth.skeleton, score_field=score_field)
    return held_stream(results)


def has_whole_ids(parts: ParquetParts, name: str = "image_id") -> bool:
    """Return whether a column of ids holds whole numbers, if it is there."""
    schema = parts.schema
    return name not in schema.names or str(schema.field(name).type) in ("int64", "int32", "int16", "int8", "null")


def common_ids(truth: TruthBatches, results: Sequence[PoseStream]) -> Int[np.ndarray, " i"]:
    """Return the photos that a ground truth and all results have, ascending. Raises InputError if there are none."""
    ids = reduce(np.intersect1d, [stream.image_ids() for stream in results], truth.image_ids())
    if not len(ids):
        files = ", ".join(stream.path for stream in results)
        raise InputError(f"{truth.header.path}: none of its photos is in {files}, but --common needs photos in common")
    return ids


def paired_batches(
    truth: TruthBatches, results: PoseStream, photos: Int[np.ndarray, " i"] | None = None
) -> Iterator[Pair]:
    """Yield pieces of a ground truth, and all results in its photos; with `photos` those of these photos alone, and
    `left_out` counts the others.

    Raises InputError naming what is wrong with a row, or without `photos` a photo that the ground truth lacks.
    """
    common = photos is not None
    pieces = results.pieces(is_checked=truth.people is not None)
    pending, no_results = next(pieces, None), results.empty(truth.header)
    for piece, is_last in _with_last(truth.batches(is_whole=results.held is not None)):
        last, results_of_piece = np.iinfo(np.int64).max if is_last else int(piece.images.id.max()), []
        while pending is not None:
            end = int(np.searchsorted(pending.image_id, last, "right"))
            if end:
                results_of_piece.append(pending.between(0, end).on(piece, common=common))
            if end < len(pending.image_id):
                pending = pending.between(end, len(pending.image_id))
                break
            pending = next(pieces, None)
        joined = _joined(results_of_piece) if results_of_piece else no_results
        yield (piece, joined) if photos is None else limited_to(piece, joined, photos)


def read_results_on(path: str | Path, truth: TruthFile) -> ResultsFile:
    """Return the results in the photos of a ground truth, of a file or a folder of parts, of which Parquet is read in
    batches. Raises InputError, also if there are none."""
    held = held_truth(truth)
    stream = open_poses(path, held, common=True)
    photos = common_ids(held, [stream])
    pieces = [results for _, results in paired_batches(held, stream, photos) if len(results.score)]
    if not pieces:
        raise InputError(f"{path}: holds no results of category {truth.category_id}")
    return replace(_joined(pieces), path=stream.path, sha256=stream.sha256)


def _joined(pieces: list[ResultsFile]) -> ResultsFile:
    if len(pieces) == 1:
        return pieces[0]
    left_out = Counter[str]()
    for piece in pieces:
        left_out.update(piece.left_out)
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in ("score", "category_id")
    }
    poses = type(pieces[0].poses).concatenate([piece.poses for piece in pieces])
    return replace(pieces[0], poses=poses, left_out=dict(left_out), **columns)


def _with_last(pieces: Iterator[TruthFile]) -> Iterator[tuple[TruthFile, bool]]:
    """Yield pieces, each with whether it is the last."""
    before = next(pieces)
    for piece in pieces:
        yield before, False
        before = piece
    yield before, True
