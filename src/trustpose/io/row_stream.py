"""Results with their rows, in batches of whole photos, ascending by id; and new rows written in the order of the file.

A JSON or CSV file is one batch. Parquet, one file or a folder of parts, comes in many, and its rows are sorted in
temporary files first where photos are not in order.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from trustpose.files import parse_json, read_bytes, shown
from trustpose.io.coco.results import ResultsFile, read_results
from trustpose.io.columns import Rows
from trustpose.io.output_files import check_not_inside
from trustpose.io.parquet import Rank, RowFiles, find_scattered, rows_in, runs, sort_by_photo
from trustpose.io.pose_stream import ResultsParts, has_whole_ids, open_in_batches
from trustpose.io.table_rows import FROM_FILE, FROM_ROW, SortedRows
from trustpose.io.tables import TableOrRows, Write, read_rows, row_writer
from trustpose.skeletons import Skeleton

_WRITTEN_AT_ONCE = 2**16  # rows that are brought back into the order of the file at a time
_MOST_FILES = 512  # that are open for it
_IN_ROW_GROUP = 8192  # rows of the output
WriteInOrder = Callable[[TableOrRows, Int[np.ndarray, " n"]], None]


@dataclass(frozen=True, eq=False)
class RowBatch:
    """Results on whole photos, their rows, and the position (n,) of each in its file, or in the files of a folder one
    after another."""

    results: ResultsFile
    rows: Rows
    position: Int[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class RowStream:
    """Results in batches of whole photos, `count` in all: those `held` in memory, or `parts` on disk."""

    path: str
    count: int
    held: ResultsFile | None = None
    parts: ResultsParts | None = None
    batch_rows: int | None = None
    folder: Any = field(default=None, repr=False)  # of sorted parts, removed with the stream

    @property
    def schema(self) -> Any:
        """The Arrow schema of Parquet's rows; None for results in memory, whose columns follow from their rows."""
        if self.parts is None:
            return None
        schema = self.parts.parts.schema
        for name in (FROM_FILE, FROM_ROW) if self.is_sorted else ():
            schema = schema.remove(schema.get_field_index(name))
        return schema

    def image_ids(self) -> Iterator[np.ndarray]:
        """Yield the ids of photos, texts where the rows have texts; an id may come several times."""
        if self.parts is not None:
            yield from runs(self.parts.parts)
            return
        assert self.held is not None and self.held.poses.image_id is not None
        texts = self.held.image_texts
        ids = np.unique(self.held.poses.image_id)
        yield ids if texts.are_numbers else np.array([texts.text_of[number] for number in ids.tolist()])

    def batches(self) -> Iterator[RowBatch]:
        """Yield all results, ascending by photo, those of a photo in their order.

        Raises InputError naming the file, the row, the field and what was expected.
        """
        if self.held is not None:
            assert self.held.poses.image_id is not None
            order = np.argsort(self.held.poses.image_id, kind="stable")
            results = self.held
            if (np.diff(order) < 0).any():
                columns = {name: getattr(results, name)[order] for name in ("poses", "score", "category_id")}
                results = replace(results, **columns)
            yield RowBatch(results, _FileRows(self.held.path, order), order)
            return
        assert self.parts is not None
        start, first_of_file = 0, np.cumsum([0, *map(rows_in, self.parts.parts.origins)])
        for results, rows in self.parts.batches(self.batch_rows):
            position = np.arange(start, start + len(rows))
            if isinstance(rows, SortedRows):
                file, number = rows.origin()
                position = first_of_file[file] + number
            start += len(rows)
            yield RowBatch(results, rows, position)

    def whole(self) -> RowBatch:
        """Return all results as one batch, in memory."""
        stream = self if self.parts is None else replace(self, batch_rows=self.count + 1)
        (batch,) = stream.batches()
        return batch

    def in_order(self, rank: Rank | None = None) -> "RowStream":
        """Return the stream with photos in ascending order of their ids, or of the ids' `rank`. Raises DiskError if
        there is no space to sort Parquet."""
        if self.parts is None:
            return self
        parts = self.parts.parts
        if all(has_whole_ids(parts, name) for name in ("image_id", "annotation_id")):
            folder = tempfile.TemporaryDirectory(prefix="trustpose-")
            ordered = replace(self.parts, parts=sort_by_photo(parts, Path(folder.name), rank))
            return replace(self, parts=ordered, folder=folder)
        return self if find_scattered(parts) is None else replace(self, batch_rows=self.count + 1)

    @property
    def has_text_ids(self) -> bool:
        """Whether ids of photos are texts."""
        if self.held is not None:
            return not self.held.image_texts.are_numbers
        assert self.parts is not None
        return not has_whole_ids(self.parts.parts)

    @property
    def is_sorted(self) -> bool:
        """Whether the rows were sorted in temporary files."""
        return self.parts is not None and bool(self.parts.parts.origins)


class _FileRows(Rows):
    """The rows of a JSON or CSV file in an order (N,), read when they are first looked at."""

    def __init__(self, path: str, order: np.ndarray) -> None:
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "noun", "result")
        object.__setattr__(self, "_order", order)

    _order: np.ndarray

    @cached_property
    def rows(self) -> list[dict[str, Any]]:  # type: ignore[bad-override]
        """The rows as objects."""
        content = self._content()
        table = read_rows(content, self.path)
        rows = parse_json(content, self.path) if table is None else table
        return [rows[row] for row in self._order.tolist()]

    def has(self, field: str) -> bool:
        """Return whether a row has a field; where the file does not name it, its rows are not parsed."""
        return field.encode() in self._content() and field in self.fields

    def _content(self) -> bytes:
        return read_bytes(self.path)

    def place(self, row: int) -> str:
        """Name a row in an error message, by its number in the file."""
        return super().place(int(self._order[row]))

    def __len__(self) -> int:
        return len(self._order)


def open_rows(path: str | Path, *, skeleton: Skeleton | None = None, whole_photos: bool = True) -> RowStream:
    """Return the results in a file or a folder of Parquet parts, with their rows.

    Args:
        path: JSON, CSV, Parquet, or a folder of Parquet parts.
        skeleton: Of the keypoints; None: their number is that of the first row, and they have no names.
        whole_photos: Whether batches are of whole photos, ascending; else they are in the order of the file.

    Returns:
        The results. Only a photo's rows are in memory at once for Parquet, as whole batches; if its ids are texts and
        the rows of a photo are not together, all are.

    Raises:
        InputError: The file cannot be read, or a row of JSON or CSV is invalid.
        DiskError: There is no space to sort Parquet.
    """
    parts = open_in_batches(path, skeleton=skeleton)
    if parts is None:
        results = read_results(path, skeleton=skeleton)
        return RowStream(results.path, len(results.score), held=results)
    stream = RowStream(shown(path), len(parts), parts=parts)
    return stream.in_order() if whole_photos else stream


@contextmanager
def write_in_order(
    out: Path, schema: Any, stream: RowStream, *, has_further_rows: bool = False
) -> Iterator[WriteInOrder]:
    """Yield a function that writes rows, given their positions, in the order of these.

    Args:
        out: The file or folder, see `tables.row_writer`.
        schema: Of the rows; None for those of a stream in memory.
        stream: What the rows follow from. Rows of Parquet that come in another order than the file's go through
            temporary files.
        has_further_rows: Whether batches come in any order, and rows follow that are not the stream's, with positions
            after its own.

    Raises:
        InputError: The output cannot be written, or would become a part of the folder that is read.
        DiskError: There is no space.
    """
    check_not_inside(out, Path(stream.path))
    with row_writer(out, schema) as write:
        if schema is None:
            yield from _collected(write)
        elif not stream.is_sorted and not has_further_rows:
            yield lambda rows, position: write(_in_order(rows, position))
        else:
            positions = 2 * stream.count if has_further_rows else stream.count
            with tempfile.TemporaryDirectory(prefix="trustpose-") as folder:
                yield from _restored(write, schema, positions, Path(folder))


def _collected(write: Write) -> Iterator[WriteInOrder]:
    """Yield a function that keeps rows, then write all at once."""
    collected, positions = list[dict[str, Any]](), [np.zeros(0, np.int64)]

    def keep(rows: list[dict[str, Any]], position: Int[np.ndarray, " n"]) -> None:
        collected.extend(rows)
        positions.append(position)

    yield keep
    write([collected[row] for row in np.argsort(np.concatenate(positions), kind="stable").tolist()])


def _restored(write: Write, schema: Any, count: int, folder: Path) -> Iterator[WriteInOrder]:
    """Yield a function that keeps rows in files by ranges of positions, then write each file's in order."""
    step = max(_WRITTEN_AT_ONCE, -(-count // _MOST_FILES))
    with RowFiles(folder, schema, np.arange(step, count, step)) as files:
        yield files.add_rows
    for table in files.sorted_tables():
        for start in range(0, len(table), _IN_ROW_GROUP):
            write(table.slice(start, _IN_ROW_GROUP))


def _in_order(rows: TableOrRows, position: Int[np.ndarray, " n"]) -> TableOrRows:
    order = np.argsort(position, kind="stable")
    if isinstance(rows, list):
        return [rows[row] for row in order.tolist()]
    return rows if (np.diff(order) > 0).all() else rows.take(order)
