"""Sort Parquet that is too large for memory by photo: rows are distributed to files by ranges of image ids, and each
file is sorted by itself."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from trustpose.files import cannot_write
from trustpose.formats.parquet_order import is_ascending, runs
from trustpose.formats.parquet_parts import ROWS, ParquetParts
from trustpose.formats.table_rows import FROM_FILE, FROM_ROW, TableRows
from trustpose.poses.tables import package

_AT_ONCE = 2**16  # rows read at a time, and about as many of a sorted file
_MOST_FILES = 512  # open at a time; with more rows than 2**16 in each, the files are larger


def sort_by_photo(parts: ParquetParts, folder: Path) -> ParquetParts:
    """Return the rows in ascending order of their image ids, whole numbers, those of a photo in their order: the parts
    themselves if they are so, else sorted parts in `folder`, which exists and takes about the size of all columns.

    Memory does not grow with the rows up to 30 million; beyond, a 512th of them is sorted at a time. Raises InputError
    for an id that is not a whole number, DiskError if there is no space.
    """
    if is_ascending(parts):
        return parts
    arrow = package("pyarrow")
    origins = parts.schema.append(arrow.field(FROM_FILE, arrow.int32())).append(arrow.field(FROM_ROW, arrow.int64()))
    try:
        files = _distribute_rows(parts, origins, _file_limits(parts), folder)
        for file in files:
            _sort(file)
    except OSError as error:
        raise cannot_write(folder, error) from None
    return replace(
        parts, files=tuple(file.with_suffix(".parquet") for file in files), schema=origins, origins=parts.files
    )


def _file_limits(parts: ParquetParts) -> np.ndarray:
    """Return the ids at which files begin, so that each has about `_AT_ONCE` rows."""
    files = min(_MOST_FILES, -(-parts.rows // _AT_ONCE))
    step = 1 + parts.rows // (1000 * files)
    ids = np.sort(np.concatenate([run_ids[::step] for run_ids in runs(parts)]))
    return np.unique(ids[np.arange(1, files) * len(ids) // files])


def _distribute_rows(parts: ParquetParts, schema: Any, limits: np.ndarray, folder: Path) -> list[Path]:
    """Write each row to the file of its id, with where it comes from."""
    arrow = package("pyarrow")
    files = [folder / f"{number:05}.arrow" for number in range(len(limits) + 1)]
    with ExitStack() as opened:
        writers = [opened.enter_context(arrow.ipc.new_stream(str(file), schema)) for file in files]
        for table, file, row in parts.tables(parts.schema.names, _AT_ONCE):
            image = TableRows(parts.path, parts.noun, table, ((0, file, row),)).integers("image_id")
            assert image is not None
            numbers = [arrow.array(np.full(len(table), parts.files.index(Path(file)), np.int32))]
            numbers.append(arrow.array(np.arange(row, row + len(table))))
            whole = arrow.Table.from_arrays([*table.columns, *numbers], schema=schema)
            file_number = np.searchsorted(limits, image, side="right")
            whole = whole.take(arrow.array(np.argsort(file_number, kind="stable")))
            ends = np.cumsum(np.bincount(file_number, minlength=len(files)))
            for writer, start, end in zip(writers, [0, *ends[:-1].tolist()], ends.tolist(), strict=True):
                if end > start:
                    writer.write_table(whole.slice(start, end - start))
    return files


def _sort(file: Path) -> None:
    """Replace a file of rows by the same, sorted, as Parquet."""
    arrow = package("pyarrow")
    with arrow.ipc.open_stream(str(file)) as stream:
        table = stream.read_all()
    order = np.argsort(table.column("image_id").to_numpy(), kind="stable")
    package("pyarrow.parquet").write_table(
        table.take(arrow.array(order)), file.with_suffix(".parquet"), compression="none", row_group_size=ROWS
    )
    file.unlink()
