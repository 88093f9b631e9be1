"""One stream for every layout: a ground truth and the results on it, in batches of whole photos, ascending by id.

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

from trustpose.file_names import shown
from trustpose.files import InputError
from trustpose.formats.coco.results import ResultsFile, of_truth, read_results
from trustpose.formats.coco.results_in_batches import BoxesInBatches, ResultsParts, open_results
from trustpose.formats.coco.together import limited_to
from trustpose.formats.coco.truth import TruthFile
from trustpose.formats.coco.truth_in_batches import TruthBatches
from trustpose.formats.columns import Rows
from trustpose.formats.error_files import results_sha256
from trustpose.formats.parquet_order import check_photos, find_scattered, runs
from trustpose.formats.parquet_parts import parts_in
from trustpose.formats.parquet_sorting import sort_by_photo
from trustpose.formats.table_rows import TableRows

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
        found = piece.between(0, 1)
        read = found.parts.of_rows(found.rows) if isinstance(found, _TablePiece) else self.held
        assert read is not None
        poses = replace(read.poses, skeleton=truth.truth.skeleton)
        return replace(read, poses=poses[:0], score=read.score[:0], category_id=read.category_id[:0])


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

    def __init__(self, read: ResultsFile, rows: np.ndarray, *, is_checked: bool) -> None:
        assert read.poses.image_id is not None
        self.image_id = read.poses.image_id[rows]
        self._read, self._rows, self._is_checked = read, rows, is_checked

    def between(self, start: int, end: int) -> "_HeldPiece":
        """See `_Piece`."""
        return _HeldPiece(self._read, self._rows[start:end], is_checked=self._is_checked)

    def on(self, truth: TruthFile, *, common: bool) -> ResultsFile:
        """See `_Piece`."""
        read, rows = self._read, self._rows
        if len(rows) < len(read.score) or (np.diff(rows) < 0).any():
            read = replace(read, poses=read.poses[rows], score=read.score[rows], category_id=read.category_id[rows])
        if self._is_checked:
            return read
        numbered = _NumberedRows(read.path, rows)
        return of_truth(read, truth, numbered, common=common, is_part=True)


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
        read = self.parts.of_rows(self.rows)
        poses = replace(read.poses, skeleton=truth.truth.skeleton)
        found = of_truth(replace(read, poses=poses), truth, self.rows, common=common, is_part=True)
        self._boxes.check(self.rows, read.poses, truth.images.sizes(self.image_id))
        return found


def is_table(path: str | Path) -> bool:
    """Return whether a path is Parquet: a file, or a folder of parts."""
    path = Path(path)
    return path.suffix.lower() == ".parquet" or (path.is_dir() and bool(parts_in(path)))


def held_stream(read: ResultsFile) -> PoseStream:
    """Return results in memory as a stream of one batch."""
    return PoseStream(read.path, read.sha256, len(read.score), held=read)


def open_poses(
    path: str | Path, truth: TruthBatches, *, score_field: str = "score", common: bool = False
) -> PoseStream:
    """Return the results of a file or a folder of Parquet parts, ranked by `score_field`, on a ground truth; with
    `common`, also results in photos that it lacks. Raises InputError, and DiskError without space to sort."""
    header = truth.header
    if is_table(path) or Path(path).is_dir():
        parts = open_results(path, keypoint_count=len(header.keypoint_names), score_field=score_field, is_ordered=False)
        if not truth.has_text_ids and all(_is_whole(parts, name) for name in ("image_id", "annotation_id")):
            folder = tempfile.TemporaryDirectory(prefix="trustpose-")
            ordered = replace(parts, parts=sort_by_photo(parts.parts, Path(folder.name)))
            digest = results_sha256(Path(path)) or ""
            return PoseStream(shown(path), digest, len(parts), parts=ordered, folder=folder)
    if truth.people is not None:
        return held_stream(read_results(path, truth=truth.people, score_field=score_field, common=common))
    count = len(header.keypoint_names)
    read = read_results(path, keypoint_count=count, skeleton=header.truth.skeleton, score_field=score_field)
    return held_stream(read)


def with_photos_together(results: ResultsParts, folder: Path) -> ResultsParts:
    """Return results in which the rows of each photo follow each other.

    Args:
        results: The results in any order.
        folder: An existing folder, which takes sorted rows as long as the returned results are read.

    Returns:
        The results themselves if their photos are together, else sorted by photo, those of a photo in their order.

    Raises:
        InputError: The photos are not together, and their ids are texts.
        DiskError: There is no space to sort.
    """
    if find_scattered(results.parts) is None:
        return results
    if not _is_whole(results, "image_id"):
        check_photos(results.parts)
    return replace(results, parts=sort_by_photo(results.parts, folder))


def _is_whole(parts: ResultsParts, name: str) -> bool:
    schema = parts.parts.schema
    return name not in schema.names or str(schema.field(name).type) in ("int64", "int32", "int16", "int8", "null")


def common_ids(truth: TruthBatches, results: Sequence[PoseStream]) -> Int[np.ndarray, " i"]:
    """Return the photos that a ground truth and all results have, ascending. Raises InputError if there are none."""
    ids = reduce(np.intersect1d, [one.image_ids() for one in results], truth.image_ids())
    if not len(ids):
        files = ", ".join(one.path for one in results)
        raise InputError(f"{truth.header.path}: none of its photos is in {files}, --common expects some")
    return ids


def paired_batches(
    truth: TruthBatches, results: PoseStream, photos: Int[np.ndarray, " i"] | None = None
) -> Iterator[Pair]:
    """Yield pieces of a ground truth, and all results in its photos; with `photos` those of these photos alone, and
    `left_out` counts the others.

    Raises InputError naming what is wrong with a row, or without `photos` a photo that the ground truth lacks.
    """
    common = photos is not None
    coming = results.pieces(is_checked=truth.people is not None)
    waiting, empty = next(coming, None), results.empty(truth.header)
    for piece, is_last in _with_last(truth.batches(is_whole=results.held is not None)):
        last, taken = np.iinfo(np.int64).max if is_last else int(piece.images.id.max()), []
        while waiting is not None:
            end = int(np.searchsorted(waiting.image_id, last, "right"))
            if end:
                taken.append(waiting.between(0, end).on(piece, common=common))
            if end < len(waiting.image_id):
                waiting = waiting.between(end, len(waiting.image_id))
                break
            waiting = next(coming, None)
        found = _joined(taken) if taken else empty
        yield (piece, found) if photos is None else limited_to(piece, found, photos)


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
