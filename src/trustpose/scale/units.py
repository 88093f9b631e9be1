"""The inputs of a run at scale, divided into units: one task reads a unit, and yields one or more blocks of photos."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from trustpose.files import InputError
from trustpose.io.coco.labels import number_in_name
from trustpose.io.photos import SUFFIXES, UNREAD_SUFFIXES
from trustpose.io.video import SUFFIXES as VIDEO_SUFFIXES
from trustpose.json_records import read_record
from trustpose.poses.tables import package
from trustpose.scale.storage import StoragePath, find_files

PHOTOS, TABLE, TAR, VIDEO = "photos", "parquet", "tar", "video"
SUFFIXES_OF = {
    PHOTOS: SUFFIXES + UNREAD_SUFFIXES,
    TABLE: (".parquet",),
    TAR: (".tar", ".tar.gz", ".tgz"),
    VIDEO: VIDEO_SUFFIXES,
}
BYTES_COLUMNS = ("bytes", "content", "image", "jpg", "jpeg", "png")
PATH_COLUMNS = ("path", "file", "file_name", "image_path", "url")
FILE_IDS = 10_000_000
"""Photos of tar number n have the ids n × this + 1, 2, …; frames of video number n have n × this + 0, 1, …"""
_FOOTERS_AT_ONCE = 16


@dataclass(frozen=True)
class Unit:
    """The input of one task: photo files, a row group of a Parquet file, a tar, or a video.

    number: its index in the run. root, paths: of its files, as in `StoragePath`. block: photos or frames in a block.
    ids: of photo files. group: the row group. column: with the photos' bytes or paths. first: the id of its first
    photo; None where the table has a column `image_id`. done: the numbers of its blocks that an earlier run finished.
    """

    number: int
    kind: str
    root: str
    paths: tuple[str, ...]
    block: int
    ids: tuple[int, ...] = ()
    group: int = 0
    column: str = ""
    first: int | None = None
    done: tuple[int, ...] = ()

    @property
    def digest(self) -> str:
        """Return twelve characters that are equal for the same part of the same files, cut in the same way."""
        description = [self.kind, self.paths, self.block, self.ids, self.group, self.column, self.first]
        return hashlib.sha256(orjson.dumps(description)).hexdigest()[:12]

    def block_name(self, number: int, *, is_last: bool) -> str:
        """Return the name of one of its blocks: a function of what is read and nothing else."""
        return f"{self.number:07d}-{number:05d}-{self.digest}{LAST if is_last else ''}"

    def to_json(self) -> str:
        """Return the unit as text, to be sent to other machines."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def from_json(cls, text: str) -> "Unit":
        """Build the unit from the output of `to_json`."""
        return read_record(cls, orjson.loads(text))


LAST = "-last"


@dataclass(frozen=True)
class Inputs:
    """The units of a run, their kind, and, where it is known before reading, the number of photos."""

    kind: str
    units: list[Unit]
    total: int | None = None
    is_numbered_here: bool = field(default=False)

    @property
    def fingerprint(self) -> str:
        """Return a value that is equal for the same files, in the same order, cut in the same way."""
        return hashlib.sha256("\n".join(unit.digest for unit in self.units).encode()).hexdigest()

    @property
    def what(self) -> str:
        """The word for what is read."""
        return "frames" if self.kind == VIDEO else "photos"


def find_inputs(
    names: Sequence[str],
    block: int,
    *,
    recursive: bool = False,
    column: str | None = None,
    out: StoragePath | None = None,
) -> Inputs:
    """Find what the user's names stand for, without what is in `out`: files, folders, patterns and addresses (s3://,
    gs://) of photos, Parquet files, tars or videos, one of these kinds in a run. Raises InputError."""
    if block < 1:
        raise InputError(f"--block: expected at least 1, got {block}")
    every = tuple(suffix for suffixes in SUFFIXES_OF.values() for suffix in suffixes)
    files = list(
        dict.fromkeys(file for name in names for file in find_files(name, suffixes=every, recursive=recursive))
    )
    files = [file for file in files if out is None or not file.is_within(out)]
    if not files:
        raise InputError(f"{names[0]}: holds nothing but this run's own results (--out)")
    kinds: dict[str, StoragePath] = {}
    for file in files:
        kinds.setdefault(_kind(file), file)
    if len(kinds) > 1:
        (first_kind, first), (second_kind, second), *_ = kinds.items()
        raise InputError(
            f"{first.name} and {second.name}: {first_kind} and {second_kind} in one run; give each a run of its own"
        )
    kind = next(iter(kinds))
    if column is not None and kind != TABLE:
        raise InputError(f"--column {column}: is for Parquet files, not for {files[0].name}")
    if kind == PHOTOS:
        return _photos(files, block)
    if kind == TABLE:
        return _tables(files, block, column)
    units = [
        Unit(number, kind, file.root, (file.path,), block, first=number * FILE_IDS + (kind == TAR))
        for number, file in enumerate(files)
    ]
    return Inputs(kind, units)


def _kind(file: StoragePath) -> str:
    return next((kind for kind, suffixes in SUFFIXES_OF.items() if file.path.lower().endswith(suffixes)), PHOTOS)


def _photos(files: list[StoragePath], block: int) -> Inputs:
    """Cut a list of photo files; ids come from the numbers in their names, or are counted from 1, as in one process."""
    numbers = [number_in_name(Path(file.path)) for file in files]
    is_counted = len({number for number in numbers if number is not None}) < len(files)
    ids = list(range(1, len(files) + 1)) if is_counted else [number for number in numbers if number is not None]
    units = []
    for start, stop in _pieces(files, block):
        paths = tuple(file.path for file in files[start:stop])
        units.append(Unit(len(units), PHOTOS, files[start].root, paths, block, ids=tuple(ids[start:stop])))
    return Inputs(PHOTOS, units, len(files), is_counted)


def _pieces(files: list[StoragePath], block: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of at most `block` files with the same root."""
    start = 0
    for index in range(1, len(files) + 1):
        if index == len(files) or index - start == block or files[index].root != files[start].root:
            yield start, index
            start = index


def _tables(files: list[StoragePath], block: int, column: str | None) -> Inputs:
    """One unit for each row group; ids are those of a column image_id, or are counted from 1."""
    with ThreadPoolExecutor(_FOOTERS_AT_ONCE) as pool:
        tables = list(pool.map(_footer, files))
    units: list[Unit] = []
    row = 1
    for file, table in zip(files, tables, strict=True):
        chosen = _column(table["schema"], file, column)
        has_ids = "image_id" in table["schema"].names
        if units and has_ids != (units[0].first is None):
            raise InputError(f"{file.name}: some of these files have a column 'image_id' and some have none")
        for group, count in enumerate(table["rows"]):
            first = None if has_ids else row
            units.append(
                Unit(len(units), TABLE, file.root, (file.path,), block, group=group, column=chosen, first=first)
            )
            row += count
    if row == 1:
        raise InputError(f"{files[0].name}: holds no rows")
    return Inputs(TABLE, units, row - 1, units[0].first is not None)


def _footer(source: StoragePath) -> dict[str, Any]:
    arrow = package("pyarrow")
    try:
        with source.open() as opened:
            file = package("pyarrow.parquet").ParquetFile(opened)
            rows = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
            return {"schema": file.schema_arrow, "rows": rows}
    except (OSError, arrow.ArrowException) as error:
        raise InputError(f"{source.name}: is not a readable Parquet file ({str(error).splitlines()[0]})") from None


def _column(schema: Any, table: StoragePath, column: str | None) -> str:
    """Return the column with the photos: the wanted one, else the first known name of bytes, else of paths."""
    types = package("pyarrow.types")

    def is_usable(name: str) -> bool:
        kind = schema.field(name).type
        is_text = types.is_string(kind) or types.is_large_string(kind)
        is_bytes = types.is_binary(kind) or types.is_large_binary(kind)
        return (
            (is_text and name not in BYTES_COLUMNS)
            or is_bytes
            or (types.is_struct(kind) and kind.get_field_index("bytes") >= 0)
        )

    if column is not None and column not in schema.names:
        raise InputError(f"{table.name}: has no column {column!r} (--column); it has {', '.join(schema.names)}")
    names = (
        [column] if column is not None else [name for name in (*BYTES_COLUMNS, *PATH_COLUMNS) if name in schema.names]
    )
    usable = next((name for name in names if is_usable(name)), None)
    if usable is None:
        raise InputError(
            f"{table.name}: expected a column with photos' bytes ({', '.join(BYTES_COLUMNS)}) or paths "
            f"({', '.join(PATH_COLUMNS)}), or its name by --column; it has {', '.join(schema.names)}"
        )
    return usable
