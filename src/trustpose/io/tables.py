"""Results as tables: JSON, CSV or Parquet, one row per pose or, tidy, per keypoint, written batch by batch, and
read.

In CSV a cell with several numbers is JSON, numbers have all their digits, and an empty cell is a field that the row
lacks. Parquet needs the extra `tables`.

Write rows of results that do not fit into memory, batch by batch: JSON, a Parquet file, or a folder of parts. Each
output is complete or absent: rows go to a temporary name, which is renamed at the end.
"""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from jaxtyping import Float, Int

from trustpose.files import InputError, atomic_write, json_bytes, new_folder, write_json
from trustpose.images import Images
from trustpose.io.cell_rows import CellRows
from trustpose.io.columns import Rows
from trustpose.io.companions import write_errors
from trustpose.io.csv_rows import read_table
from trustpose.io.parquet import is_table
from trustpose.io.table_rows import TableRows
from trustpose.names import expected_one_of
from trustpose.poses import Poses
from trustpose.poses.poses import Texts
from trustpose.poses.tables import arrow_table, package, tidy_rows

FORMATS = ("json", "csv", "parquet")
_LONGEST_HEADER = 10_000  # bytes
_LARGEST_CELL = 2**24  # characters; 133 keypoints with visibility have 20,000


def check_format(format_: str) -> None:
    """Raise InputError for an unknown format, and for Parquet if pyarrow is missing."""
    if format_ not in FORMATS:
        raise InputError(f"--format: {expected_one_of(FORMATS, format_)}")
    if format_ == "parquet":
        _parquet()


def write_table(
    path: str | Path,
    poses: Poses | None,
    *,
    format: str = "json",
    tidy: bool = False,
    images: Images | None = None,
    score: Float[np.ndarray, " N"] | None = None,
    category_id: Int[np.ndarray, " N"] | int = 1,
    texts: Texts | None = None,
) -> None:
    """Write poses as COCO results in a format of `FORMATS`, atomically; None stands for no poses.

    `score`, `category_id` and `texts` are as for `Poses.to_coco`. With `images`, rows have their photo's `file_name` if
    known, which our readers ignore. An error model of the poses goes into a file beside them (`io.companions`).
    Raises InputError, and ValueError as `Poses.to_coco` does.
    """
    check_format(format)
    rows = [] if poses is None else poses.to_coco(score=score, category_id=category_id, texts=texts)
    if images is not None and poses is not None and poses.image_id is not None:
        names = images.names()
        for row, image in zip(rows, poses.image_id.tolist(), strict=True):
            row |= {"file_name": names[image]} if image in names else {}
    if tidy and poses is not None:
        rows = tidy_rows(poses, rows)
    if format == "json":
        write_json(path, rows)
    elif format == "csv":
        with atomic_write(Path(path)) as file:
            file.write(csv_text(rows, list(dict.fromkeys(name for row in rows for name in row))).encode())
    else:
        content = io.BytesIO()
        _parquet().write_table(arrow_table(rows), content)
        with atomic_write(Path(path)) as file:
            file.write(content.getvalue())
    write_errors(path, None if poses is None else poses.error_model)


def read_rows(content: bytes, path: str | Path) -> list[dict[str, Any]] | None:
    """Return the rows of a table written by `write_table`, recognised by suffix; None for other files. Raises
    InputError."""
    table = read_columns(content, path)
    return None if table is None else table.rows


def read_columns(content: bytes, path: str | Path) -> Rows | None:
    """Return the rows that `read_rows` returns, as columns until they are needed as objects. Raises InputError."""
    suffix = Path(path).suffix.lower()
    if suffix == ".parquet":
        try:
            table = _parquet().read_table(io.BytesIO(content))
        except (OSError, ValueError, MemoryError, KeyError, TypeError, NotImplementedError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: is not a readable Parquet file ({str(error).splitlines()[0]})") from None
        names = table.column_names
        twice = next((name for index, name in enumerate(names) if name in names[:index]), None)
        if twice is not None:
            raise InputError(f"{path}: column {twice[:40]!r} occurs twice, expected each once")
        rows = TableRows(str(path), "result", table, ((0, str(path), 0),))
    elif suffix == ".csv":
        csv.field_size_limit(_LARGEST_CELL)
        names, lines = read_table(content, path)
        rows = CellRows(str(path), "result", names, lines)
    else:
        return None
    if len(rows) and "keypoints" not in names:
        raise InputError(f"{path}: column 'keypoints' is missing, expected one row per pose (not --tidy)")
    return rows


def is_results_table(path: str | Path) -> bool:
    """Return whether a path is a table as `write_table` writes it: Parquet, one file or a folder of parts, or CSV with
    a column `keypoints`, one row a pose."""
    path = Path(path)
    if path.suffix.lower() != ".csv" or not path.is_file():
        return is_table(path)
    with path.open("rb") as file:
        return b"keypoints" in file.readline(_LONGEST_HEADER).strip().split(b",")


def csv_text(rows: list[dict[str, Any]], names: Sequence[str], *, has_header: bool = True) -> str:
    """Return rows as CSV with these columns."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if has_header:
        writer.writerow(names)
    writer.writerows([_cell(row.get(name)) for name in names] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return orjson.dumps(value).decode()


def _parquet() -> Any:
    try:
        return package("pyarrow.parquet")
    except ImportError as error:
        raise InputError(str(error)) from None


PART_ROWS = 100_000  # of a part in a folder
_JSON_ROWS = 8192  # of which the text is in memory
TableOrRows = Any  # a `pyarrow.Table`, or its rows as objects without absent fields: `list[dict[str, Any]]`
Write = Callable[[TableOrRows], None]


@contextmanager
def row_writer(out: Path, schema: Any) -> Iterator[Write]:
    """Yield a function that appends rows: to JSON for `.json`, `-` and devices, to one CSV or Parquet file for `.csv`
    and `.parquet`, and for a name without a suffix to the parts of a new folder.

    `schema` is that of the columns of CSV and Parquet, and of Arrow tables in the place of rows; JSON rows have their
    own fields. None: all rows are written at once, whose columns follow from them, and other suffixes, or none, are
    JSON. Raises InputError for another suffix, or if the output cannot be written.
    """
    suffix = out.suffix.lower()
    if suffix == ".parquet":
        check_format("parquet")
        with atomic_write(out) as file, _parquet_writer(file, schema) as write:
            yield write
    elif suffix == ".csv":
        with atomic_write(out) as file:
            yield from _csv(file, schema)
    elif suffix == ".json" or schema is None or out == Path("-") or (out.exists() and not out.is_file()):
        with atomic_write(out) as file:
            yield from _json(file)
    elif not suffix:
        with new_folder(out) as folder, _Parts(folder, schema) as parts:
            yield parts.write
    else:
        raise InputError(f"{out}: expected .json, .csv, .parquet or the name of a new folder for parts, got {suffix}")


def _objects(rows: TableOrRows) -> list[dict[str, Any]]:
    """Return rows as objects, without absent fields."""
    if isinstance(rows, list):
        return rows
    return [{name: cell for name, cell in row.items() if cell is not None} for row in rows.to_pylist()]


def _json(file: Any) -> Iterator[Write]:
    separator = b"["

    def write(rows: TableOrRows) -> None:
        nonlocal separator
        for start in range(0, len(rows), _JSON_ROWS):
            file.write(separator + json_bytes(_objects(rows[start : start + _JSON_ROWS])).strip()[1:-1])
            separator = b","

    yield write
    file.write((b"[" if separator == b"[" else b"") + b"]\n")


def _csv(file: Any, schema: Any) -> Iterator[Write]:
    names = None if schema is None else schema.names

    def write(table: TableOrRows) -> None:
        nonlocal names
        rows = _objects(table)
        has_header = file.tell() > 0
        names = names or list(dict.fromkeys(name for row in rows for name in row))
        file.write(csv_text(rows, names, has_header=not has_header).encode())

    yield write


@contextmanager
def _parquet_writer(file: Any, schema: Any) -> Iterator[Write]:
    arrow = package("pyarrow")
    if schema is None:
        yield lambda rows: package("pyarrow.parquet").write_table(arrow_table(rows), file)
        return
    with package("pyarrow.parquet").ParquetWriter(file, schema) as writer:

        def write(rows: TableOrRows) -> None:
            if len(rows):
                table = arrow.Table.from_pylist(rows, schema=schema) if isinstance(rows, list) else rows
                writer.write_table(table)

        yield write


class _Parts:
    """A folder of parts named by their order, each of `PART_ROWS` rows and what a batch has beyond."""

    def __init__(self, folder: Path, schema: Any) -> None:
        self._folder, self._schema = folder, schema
        self._open, self._rows, self._count = ExitStack(), 0, 0
        self._write: Write | None = None

    def __enter__(self) -> "_Parts":
        self._next()
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)

    def write(self, rows: TableOrRows) -> None:
        if self._rows >= PART_ROWS:
            self._open.close()
            self._next()
        assert self._write is not None
        self._write(rows)
        self._rows += len(rows)

    def _next(self) -> None:
        file = self._open.enter_context(atomic_write(self._folder / f"part-{self._count:05}.parquet"))
        self._write = self._open.enter_context(_parquet_writer(file, self._schema))
        self._rows, self._count = 0, self._count + 1


def results_schema(source_schema: Any, names: frozenset[str]) -> Any:
    """Return the Arrow schema of results with these fields, in the order of `Poses.to_coco`; ids have the type that
    they have in `source_schema`, that of the rows that were read."""
    arrow = package("pyarrow")
    number, whole = arrow.float64(), arrow.int64()
    numbers, labels = arrow.list_(number), arrow.list_(whole)
    kinds = {"image_id": whole, "category_id": whole, "keypoints": numbers, "score": number, "annotation_id": whole}
    kinds |= {"track_id": whole, "bbox": numbers, "bbox_score": number, "pose_score": number}
    kinds |= {"presence": number, "pose_quality": number}
    kinds |= {"keypoint_quality": numbers, "visibility": arrow.list_(numbers), "visibility_label": labels}
    kinds |= {"keypoint_missing": labels, "file_name": arrow.string()}
    for name in ("image_id", "annotation_id"):
        if name in source_schema.names and not arrow.types.is_integer(source_schema.field(name).type):
            kinds[name] = arrow.string()
    return arrow.schema([(name, kind) for name, kind in kinds.items() if name in names])


def with_columns(source_schema: Any, **kinds: str) -> Any:
    """Return an Arrow schema of rows that were read, with further columns in the place of those of the same name.

    Args:
        source_schema: Of the rows that were read.
        kinds: The type of each further column: "int64", "float64", "list" of float64, or "labels", a list of int64.

    Returns:
        The schema, further columns last; one of the same name keeps its position.
    """
    arrow = package("pyarrow")
    types = {"int64": arrow.int64(), "float64": arrow.float64(), "list": arrow.list_(arrow.float64())}
    types["labels"] = arrow.list_(arrow.int64())
    fields = {field.name: field for field in source_schema}
    fields |= {name: arrow.field(name, types[kind]) for name, kind in kinds.items()}
    return arrow.schema(list(fields.values()))


def with_track_id(source_schema: Any) -> Any:
    """Return the Arrow schema of rows that were read, with a column of track ids."""
    arrow = package("pyarrow")
    fields = [field for field in source_schema if field.name != "track_id"]
    return arrow.schema([*fields, arrow.field("track_id", arrow.int64())])


def tracked_rows(rows: list[dict[str, Any]], ids: list[int], names: list[str] | None = None) -> list[dict[str, Any]]:
    """Return rows with track ids, none for -1; with `names` only these columns."""
    columns = set(names or frozenset[str]().union(*rows)) - {"track_id"}
    return [
        {name: cell for name, cell in row.items() if name in columns} | ({} if track_id < 0 else {"track_id": track_id})
        for row, track_id in zip(rows, ids, strict=True)
    ]
