"""Parquet that is too large for memory: one file or a folder of parts, one row a pose or a person, read in
batches of whole photos.

Where the rows of a photo do not follow each other, they are sorted on disk first.

A batch has some thousand rows, whatever the size of the files and of their row groups, so that memory does not grow
with the data. The rows of a photo must follow each other; they may go on in the next row group or part.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from jaxtyping import Int

from trustpose.files import InputError, cannot_write
from trustpose.io.table_rows import FROM_FILE, FROM_ROW, SortedRows, TableRows
from trustpose.poses.tables import package

ROWS = 8192  # of a batch, and further rows of its last photo
ERRORS = "errors.parquet"  # in the folder of a prediction's parts: the photos that could not be read
_IDS_READ = 2**17  # of a column of ids at a time
_READ_AHEAD = 2**20  # bytes of a column at a time, however large its row group is


@dataclass(frozen=True)
class ParquetParts:
    """The rows of a Parquet file, or of the parts of a folder in the order of their names; `schema` has every column
    that a part has, `rows` is their number and `noun` what a row is, for messages."""

    path: str
    files: tuple[Path, ...]
    schema: Any
    rows: int
    noun: str = "result"
    origins: tuple[Path, ...] = ()  # of sorted rows: the files that their own columns name

    @cached_property
    def occurring(self) -> frozenset[str]:
        """Return the columns that a row has a value in, as far as the files' statistics say."""
        return frozenset(name for file in self.files for name in _columns_with_values(file))

    def batches(self, batch_rows: int | None = None) -> Iterator[TableRows]:
        """Yield all rows in order, whole photos together, some `batch_rows` (`ROWS`) rows at a time.

        Photos are whole where their rows follow each other, which `parquet_order.check_photos` finds out. Raises
        InputError naming a file that cannot be read.
        """
        arrow, batch_rows = package("pyarrow"), batch_rows or ROWS
        pending: list[tuple[Any, str, int]] = []  # tables with their file and first row there
        for part in self.tables(self.schema.names, batch_rows):
            pending.append(part)
            if sum(len(table) for table, *_ in pending) < batch_rows:
                continue
            content = arrow.concat_tables([table for table, *_ in pending])
            image = content.column("image_id").combine_chunks()
            last = _start_of_last(image)
            if not last:
                continue
            yield self._rows(content.slice(0, last), pending)
            pending = _drop_rows(pending, last)
        if pending:
            yield self._rows(arrow.concat_tables([table for table, *_ in pending]), pending)

    def rows_of_photos(self, chosen: Callable[[np.ndarray], np.ndarray]) -> TableRows:
        """Return the rows of some photos in memory, in order; `chosen` says which of some ids (n,) they are.

        Raises InputError for an id that is not a whole number.
        """
        arrow = package("pyarrow")
        tables, run_origins, count = [self.schema.empty_table()], list[tuple[int, str, int]](), 0
        for table, file, row in self.tables(self.schema.names, ROWS):
            ids = TableRows(self.path, self.noun, table, ((0, file, row),)).integers("image_id")
            rows = np.flatnonzero(chosen(ids))  # type: ignore[arg-type]
            if len(rows):
                starts = np.flatnonzero(np.diff(rows, prepend=-2) != 1)  # of rows that follow each other
                run_origins += [(count + int(start), file, row + int(rows[start])) for start in starts]
                tables.append(table.take(rows))
                count += len(rows)
        content = arrow.concat_tables(tables)
        if self.origins:
            return SortedRows(self.path, self.noun, content, (), self.origins)
        return TableRows(self.path, self.noun, content, tuple(run_origins))

    def runs(self, batch_rows: int = _IDS_READ) -> Iterator[Any]:
        """Yield `image_id` of each run of equal ones, in order, as Arrow arrays: all that the order of photos needs."""
        before = None
        for table, *_ in self.tables(["image_id"], batch_rows):
            image = table.column("image_id").combine_chunks()
            starts = _starts(image)
            if before is not None and len(starts) and image[0].equals(before):
                starts = starts[1:]
            before = image[len(image) - 1]
            yield image.take(package("pyarrow").array(starts))

    def _rows(self, content: Any, pending: list[tuple[Any, str, int]]) -> TableRows:
        starts = np.cumsum([0, *(len(table) for table, *_ in pending)])
        run_origins = [(int(start), file, row) for start, (_, file, row) in zip(starts, pending, strict=False)]
        kind = partial(SortedRows, origins=self.origins) if self.origins else TableRows
        return kind(self.path, self.noun, content, tuple(run_origins))

    def tables(self, names: list[str], batch_rows: int) -> Iterator[tuple[Any, str, int]]:
        """Yield tables of these columns with their file and the number of their first row in it."""
        arrow = package("pyarrow")
        schema = arrow.schema([self.schema.field(name) for name in names])
        for file in self.files:
            row = 0
            with (
                _readable(file),
                package("pyarrow.parquet").ParquetFile(file, buffer_size=_READ_AHEAD, pre_buffer=False) as opened,
            ):
                columns = [name for name in names if name in opened.schema_arrow.names]
                for batch in opened.iter_batches(batch_size=batch_rows, columns=columns):
                    if len(batch):
                        yield _with_schema(arrow.Table.from_batches([batch]), schema), str(file), row
                    row += len(batch)


def open_table(path: str | Path, noun: str = "result") -> ParquetParts | None:
    """Return the rows of Parquet, one file or a folder of parts; None for anything else. Raises as `open_parts`."""
    return open_parts(path, noun) if is_table(path) else None


def open_parts(path: str | Path, noun: str = "result") -> ParquetParts:
    """Return the rows of a Parquet file or of a folder's `*.parquet` files, `errors.parquet` left out.

    Raises InputError if there is none, one cannot be read, a column has different types in two parts, or `image_id` or
    `keypoints` is missing.
    """
    arrow = _package("pyarrow")
    files = parts_in(Path(path)) if Path(path).is_dir() else [Path(path)]
    if not files:
        raise InputError(f"{path}: the folder holds no Parquet files (*.parquet), expected the parts of a table")
    schema, rows, metadata = arrow.schema([]), 0, None
    for file in files:
        with _readable(file), _package("pyarrow.parquet").ParquetFile(file) as opened:
            rows += opened.metadata.num_rows
            metadata = metadata or opened.schema_arrow.metadata
            if opened.metadata.num_rows:
                schema = _merge_schemas(schema, opened.schema_arrow, file)
    for name in ("image_id", "keypoints"):
        if rows and name not in schema.names:
            raise InputError(f"{path}: column {name!r} is missing, expected one row per {noun} (not --tidy)")
    return ParquetParts(str(path), tuple(files), schema.with_metadata(metadata), rows, noun)


def is_table(path: str | Path) -> bool:
    """Return whether a path is Parquet: a file, or a folder of parts."""
    path = Path(path)
    return path.suffix.lower() == ".parquet" or (path.is_dir() and bool(parts_in(path)))


def rows_in(file: Path) -> int:
    """Return the number of rows of a Parquet file."""
    return package("pyarrow.parquet").read_metadata(file).num_rows


def parts_in(folder: Path) -> list[Path]:
    """Return the Parquet files of a folder and its subfolders by path, without hidden ones and `errors.parquet`.

    Raises InputError.
    """
    try:
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".parquet" and path.is_file())
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror or error})") from None
    hidden = {path for path in paths if any(part.startswith(".") for part in path.relative_to(folder).parts)}
    return [path for path in paths if path not in hidden and path.name != ERRORS]


class _readable:
    """Turn errors of reading a Parquet file into an InputError that names it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        if not self.path.is_file():
            raise InputError(f"{self.path}: no such file")

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, OSError | ValueError | MemoryError | KeyError | TypeError | NotImplementedError):
            if isinstance(error, InputError):
                return
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(f"{self.path}: is not a readable Parquet file ({first})") from None


def _package(name: str) -> Any:
    try:
        return package(name)
    except ImportError as error:
        raise InputError(str(error)) from None


def _merge_schemas(schema: Any, part_schema: Any, file: Path) -> Any:
    """Return all columns of two schemas; a column without values in one has the other's type, and numbers the wider."""
    arrow = _package("pyarrow")
    fields = {field.name: field for field in schema}
    for field in part_schema:
        earlier_field = fields.get(field.name)
        try:
            same_name = [field] if earlier_field is None else [earlier_field, field]
            pair = [arrow.schema([arrow.field(field.name, member.type)]) for member in same_name]
            fields[field.name] = arrow.unify_schemas(pair, promote_options="permissive").field(0)
        except arrow.ArrowException:
            expected = f"{earlier_field and earlier_field.type}, as in the parts before"
            raise InputError(f"{file}: column {field.name!r}: expected {expected}, got {field.type}") from None
    return arrow.schema(list(fields.values()))


def _with_schema(table: Any, schema: Any) -> Any:
    """Return the table with all columns of a schema, null where it has none."""
    arrow = package("pyarrow")
    columns = [
        table.column(field.name).cast(field.type)
        if field.name in table.column_names
        else arrow.nulls(len(table), field.type)
        for field in schema
    ]
    return arrow.Table.from_arrays(columns, schema=schema)


def _columns_with_values(file: Path) -> set[str]:
    """Return the columns of a file that are not null in all rows, as its statistics show; all where it has none."""
    metadata = package("pyarrow.parquet").read_metadata(file)
    columns = set()
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            statistics = column.statistics if column.is_stats_set else None
            if statistics is None or not statistics.has_null_count or statistics.null_count < column.num_values:
                columns.add(column.path_in_schema.split(".")[0])
    return columns


def _starts(image: Any) -> np.ndarray:
    """Return where runs of equal ids begin in an Arrow array."""
    compute = package("pyarrow.compute")
    if not len(image):
        return np.zeros(0, np.int64)
    differs = compute.not_equal(image.slice(1), image.slice(0, len(image) - 1)).fill_null(True)
    return np.concatenate([[0], np.flatnonzero(differs.to_numpy(zero_copy_only=False)) + 1])


def _start_of_last(image: Any) -> int:
    return int(_starts(image)[-1])


def _drop_rows(pending: list[tuple[Any, str, int]], row: int) -> list[tuple[Any, str, int]]:
    """Return what is left of tables after their first `row` rows."""
    rest = []
    for table, file, first in pending:
        if row < len(table):
            rest.append((table.slice(row), file, first + row))
        row = max(row - len(table), 0)
    return rest


_RUNS_AT_ONCE = 1_000_000  # ids of runs compared at a time


def is_ascending(parts: ParquetParts, rank: Callable[[np.ndarray], np.ndarray] | None = None) -> bool:
    """Return whether photos come in ascending order of their ids, or of the ids' `rank`, each once."""
    last: Any = None
    for run_ids in runs(parts):
        ids = run_ids if rank is None else rank(run_ids)
        ordered = ids if last is None else np.concatenate([[last], ids])
        if (ordered[1:] <= ordered[:-1]).any():
            return False
        last = ids[-1]
    return True


def check_photos(parts: ParquetParts) -> None:
    """Raise InputError naming a photo whose rows are in two places, with rows of others between them."""
    twice = find_scattered(parts)
    if twice is not None:
        raise InputError(
            f"{parts.path}: field 'image_id': the rows of photo {twice!r} are not contiguous; "
            f"expected each photo's {parts.noun}s together"
        )


def find_scattered(parts: ParquetParts) -> Any:
    """Return the id of a photo whose rows are in two places; None if each photo's rows follow each other.

    Ascending ids take one pass; others are compared a part of them at a time, so that memory is bounded.
    """
    if is_ascending(parts):
        return None
    share = 1 + sum(len(ids) for ids in runs(parts)) // _RUNS_AT_ONCE
    for remainder in range(share):
        ids_of_part = [ids[_part(ids, share) == remainder] for ids in runs(parts)]
        ids, count = np.unique(np.concatenate(ids_of_part), return_counts=True)
        if (count > 1).any():
            return ids[count > 1][0].item()
    return None


def find_duplicate(parts: ParquetParts, field: str) -> Any:
    """Return a whole number that occurs twice in a column; None if each occurs once. Nulls do not count."""
    share = 1 + parts.rows // _RUNS_AT_ONCE
    for remainder in range(share):
        ids_of_part = [np.zeros(0, np.int64)]
        for table, *_ in parts.tables([field], _IDS_READ):
            ids = table.column(field).drop_null().to_numpy()
            ids_of_part.append(ids[_part(ids, share) == remainder])
        ids, count = np.unique(np.concatenate(ids_of_part), return_counts=True)
        if (count > 1).any():
            return ids[count > 1][0].item()
    return None


def runs(parts: ParquetParts) -> Iterator[np.ndarray]:
    """Yield the image ids, numbers or texts, of runs of rows with the same one."""
    for image in parts.runs():
        ids = image.drop_null().to_numpy(zero_copy_only=False)
        if len(ids):
            yield ids.astype(np.str_) if ids.dtype == object else ids


def _part(ids: np.ndarray, share: int) -> np.ndarray:
    if ids.dtype.kind in "iu":
        return ids % share
    return np.array([crc32(str(image_id).encode()) % share for image_id in ids.tolist()])


_AT_ONCE = 2**16  # rows read at a time, and about as many of a sorted file
_KEY = "key"  # column of the rows' keys in temporary files
_MOST_FILES = 512  # open at a time; with more rows than 2**16 in each, the files are larger


Rank = Callable[[Int[np.ndarray, " N"]], Int[np.ndarray, " N"]]
"""Image ids (N,) to numbers, by which they are ordered."""


def sort_by_photo(parts: ParquetParts, folder: Path, rank: Rank | None = None) -> ParquetParts:
    """Return the rows in ascending order of their image ids, whole numbers, or of the ids' `rank`, those of a photo in
    their order: the parts themselves if they are so, else sorted parts in `folder`, which exists and takes about the
    size of all columns.

    Memory does not grow with the rows up to 30 million; beyond, a 512th of them is sorted at a time. Raises InputError
    for an id that is not a whole number, DiskError if there is no space.
    """
    if is_ascending(parts, rank):
        return parts
    rank = rank or (lambda image_id: image_id)
    arrow, files = package("pyarrow"), list[Path]()
    origins = parts.schema.append(arrow.field(FROM_FILE, arrow.int32())).append(arrow.field(FROM_ROW, arrow.int64()))
    try:
        for table in _distribute_rows(parts, origins, _file_limits(parts, rank), folder, rank).sorted_tables():
            files.append(folder / f"{len(files):05}.parquet")
            package("pyarrow.parquet").write_table(table, files[-1], compression="none", row_group_size=ROWS)
    except OSError as error:
        raise cannot_write(folder, error) from None
    return replace(parts, files=tuple(files), schema=origins, origins=parts.files)


def _file_limits(parts: ParquetParts, rank: Rank) -> np.ndarray:
    """Return the ranks at which files begin, so that each has about `_AT_ONCE` rows."""
    files = min(_MOST_FILES, -(-parts.rows // _AT_ONCE))
    step = 1 + parts.rows // (1000 * files)
    ids = np.sort(np.concatenate([rank(run_ids[::step]) for run_ids in runs(parts)]))
    return np.unique(ids[np.arange(1, files) * len(ids) // files])


def _distribute_rows(parts: ParquetParts, schema: Any, limits: np.ndarray, folder: Path, rank: Rank) -> "RowFiles":
    """Write each row to the file of its id, with where it comes from."""
    arrow = package("pyarrow")
    with RowFiles(folder, schema, limits) as files:
        for table, file, row in parts.tables(parts.schema.names, _AT_ONCE):
            image = TableRows(parts.path, parts.noun, table, ((0, file, row),)).integers("image_id")
            assert image is not None
            numbers = [arrow.array(np.full(len(table), parts.files.index(Path(file)), np.int32))]
            numbers.append(arrow.array(np.arange(row, row + len(table))))
            files.add(arrow.Table.from_arrays([*table.columns, *numbers], schema=schema), rank(image))
    return files


class RowFiles:
    """Files of rows by ranges of a number, the key of a row, so that each file can be sorted in memory.

    Args:
        folder: An existing folder.
        schema: Of the rows.
        limits: (f,) ascending, the keys at which files begin, but the first.
    """

    def __init__(self, folder: Path, schema: Any, limits: Int[np.ndarray, " f"]) -> None:
        arrow = package("pyarrow")
        self._schema, self._limits = schema, limits
        self._files = [folder / f"{number:05}.arrow" for number in range(len(limits) + 1)]
        self._with_key = schema.append(arrow.field(_KEY, arrow.int64()))
        self._opened = ExitStack()
        self._writers: list[Any] = []

    def __enter__(self) -> "RowFiles":
        arrow = package("pyarrow")
        for file in self._files:
            self._writers.append(self._opened.enter_context(arrow.ipc.new_stream(str(file), self._with_key)))
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()

    def add(self, table: Any, key: Int[np.ndarray, " n"]) -> None:
        """Add an Arrow table of rows, with their keys."""
        arrow = package("pyarrow")
        table = arrow.Table.from_arrays([*table.columns, arrow.array(key)], schema=self._with_key)
        file_number = np.searchsorted(self._limits, key, side="right")
        table = table.take(arrow.array(np.argsort(file_number, kind="stable")))
        ends = np.cumsum(np.bincount(file_number, minlength=len(self._files)))
        for writer, start, end in zip(self._writers, [0, *ends[:-1].tolist()], ends.tolist(), strict=True):
            if end > start:
                writer.write_table(table.slice(start, end - start))

    def add_rows(self, rows: Any, key: Int[np.ndarray, " n"]) -> None:
        """Add rows, objects or an Arrow table, with their keys."""
        table = package("pyarrow").Table.from_pylist(rows, schema=self._schema) if isinstance(rows, list) else rows
        self.add(table, key)

    def sorted_tables(self) -> Iterator[Any]:
        """Yield each file's rows in the order of their keys, those with the same key as they were added, and remove the
        file."""
        arrow = package("pyarrow")
        for file in self._files:
            with arrow.ipc.open_stream(str(file)) as stream:
                table = stream.read_all()
            file.unlink()
            order = np.argsort(table.column(_KEY).to_numpy(), kind="stable")
            yield table.drop_columns([_KEY]).take(arrow.array(order))
