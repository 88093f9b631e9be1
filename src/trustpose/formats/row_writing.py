"""Write rows of results that do not fit into memory, batch by batch: JSON, a Parquet file, or a folder of parts.

Each output is complete or absent: rows go to a temporary name, which is renamed at the end.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from trustpose.files import InputError, atomic_write, json_bytes, new_folder
from trustpose.formats.tables import check_format, csv_text
from trustpose.poses.tables import arrow_table, package

PART_ROWS = 100_000  # of a part in a folder
Write = Callable[[list[dict[str, Any]]], None]


@contextmanager
def row_writer(out: Path, schema: Any) -> Iterator[Write]:
    """Yield a function that appends rows: to JSON for `.json`, `-` and devices, to one CSV or Parquet file for `.csv`
    and `.parquet`, and for a name without a suffix to the parts of a new folder.

    `schema` is that of the columns of CSV and Parquet; JSON rows have their own fields. None: all rows are written at
    once, whose columns follow from them, and other suffixes, or none, are JSON. Raises InputError for another suffix,
    or if the output cannot be written.
    """
    suffix = out.suffix.lower()
    if suffix == ".parquet":
        check_format("parquet")
        with atomic_write(out) as file, _parquet(file, schema) as write:
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


def _json(file: Any) -> Iterator[Write]:
    separator = b"["

    def write(rows: list[dict[str, Any]]) -> None:
        nonlocal separator
        if rows:
            file.write(separator + json_bytes(rows).strip()[1:-1])
            separator = b","

    yield write
    file.write((b"[" if separator == b"[" else b"") + b"]\n")


def _csv(file: Any, schema: Any) -> Iterator[Write]:
    names = None if schema is None else schema.names

    def write(rows: list[dict[str, Any]]) -> None:
        nonlocal names
        has_header = file.tell() > 0
        names = names or list(dict.fromkeys(name for row in rows for name in row))
        file.write(csv_text(rows, names, has_header=not has_header).encode())

    yield write


@contextmanager
def _parquet(file: Any, schema: Any) -> Iterator[Write]:
    arrow = package("pyarrow")
    if schema is None:
        yield lambda rows: package("pyarrow.parquet").write_table(arrow_table(rows), file)
        return
    with package("pyarrow.parquet").ParquetWriter(file, schema) as writer:

        def write(rows: list[dict[str, Any]]) -> None:
            if rows:
                writer.write_table(arrow.Table.from_pylist(rows, schema=schema))

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

    def write(self, rows: list[dict[str, Any]]) -> None:
        if self._rows >= PART_ROWS:
            self._open.close()
            self._next()
        assert self._write is not None
        self._write(rows)
        self._rows += len(rows)

    def _next(self) -> None:
        file = self._open.enter_context(atomic_write(self._folder / f"part-{self._count:05}.parquet"))
        self._write = self._open.enter_context(_parquet(file, self._schema))
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


def with_track_id(source_schema: Any) -> Any:
    """Return the Arrow schema of rows that were read, with a column of track ids."""
    arrow = package("pyarrow")
    fields = [field for field in source_schema if field.name != "track_id"]
    return arrow.schema([*fields, arrow.field("track_id", arrow.int64())])


def tracked_rows(rows: list[dict[str, Any]], ids: list[int], names: list[str]) -> list[dict[str, Any]]:
    """Return rows with these columns and track ids, none for -1."""
    columns = set(names) - {"track_id"}
    return [
        {name: cell for name, cell in row.items() if name in columns} | ({} if track_id < 0 else {"track_id": track_id})
        for row, track_id in zip(rows, ids, strict=True)
    ]
