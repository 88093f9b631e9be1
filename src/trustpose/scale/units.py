"""What a run at scale reads, cut into units: each is read by one task and yields one block of photos or several."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from trustpose.files import InputError
from trustpose.formats.coco.names import number_in_name
from trustpose.formats.photos import SUFFIXES, UNREAD_SUFFIXES
from trustpose.formats.video import SUFFIXES as VIDEO_SUFFIXES
from trustpose.poses.tables import package
from trustpose.scale.places import Place, places

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
    """What one task reads: photo files, a row group of a Parquet file, a tar, or a video.

    number: its place in the run. root, paths: of its files, as in `Place`. block: photos or frames in a block. ids: of
    photo files. group: the row group. column: with the photos' bytes or paths. first: the id of its first photo; None
    where the table has a column `image_id`. done: the numbers of its blocks that an earlier run finished.
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
        what = [self.kind, self.paths, self.block, self.ids, self.group, self.column, self.first]
        return hashlib.sha256(orjson.dumps(what)).hexdigest()[:12]

    def block_name(self, number: int, *, is_last: bool) -> str:
        """Return the name of one of its blocks: a function of what is read and nothing else."""
        return f"{self.number:07d}-{number:05d}-{self.digest}{LAST if is_last else ''}"

    def to_json(self) -> str:
        """Return the unit as text, to be sent to other machines."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def from_json(cls, text: str) -> "Unit":
        """The unit of `to_json`."""
        values: Any = orjson.loads(text)
        values |= {name: tuple(values[name]) for name in ("paths", "ids", "done")}
        return cls(**values)


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
    names: Sequence[str], block: int, *, recursive: bool = False, column: str | None = None, out: Place | None = None
) -> Inputs:
    """Find what the user's names stand for, without what is in `out`: files, folders, patterns and addresses (s3://,
    gs://) of photos, Parquet files, tars or videos, one of these kinds in a run. Raises InputError."""
    if block < 1:
        raise InputError(f"--block: expected at least 1, got {block}")
    every = tuple(suffix for suffixes in SUFFIXES_OF.values() for suffix in suffixes)
    found = list(dict.fromkeys(place for name in names for place in places(name, suffixes=every, recursive=recursive)))
    found = [place for place in found if out is None or not place.is_within(out)]
    if not found:
        raise InputError(f"{names[0]}: holds nothing but this run's own results (--out)")
    kinds: dict[str, Place] = {}
    for place in found:
        kinds.setdefault(_kind(place), place)
    if len(kinds) > 1:
        (one, first), (other, second), *_ = kinds.items()
        raise InputError(f"{first.name} and {second.name}: {one} and {other} in one run; give each a run of its own")
    kind = next(iter(kinds))
    if column is not None and kind != TABLE:
        raise InputError(f"--column {column}: is for Parquet files, not for {found[0].name}")
    if kind == PHOTOS:
        return _photos(found, block)
    if kind == TABLE:
        return _tables(found, block, column)
    units = [
        Unit(number, kind, place.root, (place.path,), block, first=number * FILE_IDS + (kind == TAR))
        for number, place in enumerate(found)
    ]
    return Inputs(kind, units)


def _kind(place: Place) -> str:
    return next((kind for kind, some in SUFFIXES_OF.items() if place.path.lower().endswith(some)), PHOTOS)


def _photos(found: list[Place], block: int) -> Inputs:
    """Cut a list of photo files; ids come from the numbers in their names, or are counted from 1, as in one process."""
    numbers = [number_in_name(Path(place.path)) for place in found]
    is_counted = len({number for number in numbers if number is not None}) < len(found)
    ids = list(range(1, len(found) + 1)) if is_counted else [number for number in numbers if number is not None]
    units = []
    for start, stop in _pieces(found, block):
        paths = tuple(place.path for place in found[start:stop])
        units.append(Unit(len(units), PHOTOS, found[start].root, paths, block, ids=tuple(ids[start:stop])))
    return Inputs(PHOTOS, units, len(found), is_counted)


def _pieces(found: list[Place], block: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of at most `block` files with the same root."""
    start = 0
    for at in range(1, len(found) + 1):
        if at == len(found) or at - start == block or found[at].root != found[start].root:
            yield start, at
            start = at


def _tables(found: list[Place], block: int, column: str | None) -> Inputs:
    """One unit for each row group; ids are those of a column image_id, or are counted from 1."""
    with ThreadPoolExecutor(_FOOTERS_AT_ONCE) as pool:
        tables = list(pool.map(_footer, found))
    units: list[Unit] = []
    row = 1
    for place, table in zip(found, tables, strict=True):
        chosen = _column(table["schema"], place, column)
        has_ids = "image_id" in table["schema"].names
        if units and has_ids != (units[0].first is None):
            raise InputError(f"{place.name}: some of these files have a column 'image_id' and some have none")
        for group, count in enumerate(table["rows"]):
            first = None if has_ids else row
            units.append(
                Unit(len(units), TABLE, place.root, (place.path,), block, group=group, column=chosen, first=first)
            )
            row += count
    if row == 1:
        raise InputError(f"{found[0].name}: holds no rows")
    return Inputs(TABLE, units, row - 1, units[0].first is not None)


def _footer(place: Place) -> dict[str, Any]:
    arrow = package("pyarrow")
    try:
        with place.open() as opened:
            file = package("pyarrow.parquet").ParquetFile(opened)
            rows = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
            return {"schema": file.schema_arrow, "rows": rows}
    except (OSError, arrow.ArrowException) as error:
        raise InputError(f"{place.name}: is not a readable Parquet file ({str(error).splitlines()[0]})") from None


def _column(schema: Any, place: Place, wanted: str | None) -> str:
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

    if wanted is not None and wanted not in schema.names:
        raise InputError(f"{place.name}: has no column {wanted!r} (--column); it has {', '.join(schema.names)}")
    known = (
        [wanted] if wanted is not None else [name for name in (*BYTES_COLUMNS, *PATH_COLUMNS) if name in schema.names]
    )
    found = next((name for name in known if is_usable(name)), None)
    if found is None:
        raise InputError(
            f"{place.name}: expected a column with photos' bytes ({', '.join(BYTES_COLUMNS)}) or paths "
            f"({', '.join(PATH_COLUMNS)}), or its name by --column; it has {', '.join(schema.names)}"
        )
    return found
