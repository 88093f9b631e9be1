"""Read a unit, block by block: photos' names, ids and the content of their files; a video's clips without pixels."""

import shutil
import tarfile
import tempfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import UInt8

from trustpose.files import InputError
from trustpose.io.video import Video
from trustpose.poses.tables import package
from trustpose.scale.storage import READS, Attempt, StoragePath, is_remote
from trustpose.scale.units import PHOTOS, SUFFIXES_OF, TABLE, TAR, Unit

_OPENED = 4  # videos that a worker keeps open


class OpenVideo(Video):
    """A video on any storage; a remote one is copied to this machine's disk until it is closed. Raises InputError,
    naming it by the user's own name."""

    def __init__(self, file: StoragePath) -> None:
        self._folder = None if file.is_local else tempfile.TemporaryDirectory()
        path = file.local
        if self._folder is not None:
            path = Path(self._folder.name) / Path(file.path).name
            try:
                with file.open() as source, path.open("wb") as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)
            except OSError as error:
                self._folder.cleanup()
                raise InputError(f"{file.name}: cannot be read ({error})") from None
        try:
            super().__init__(path)
        except InputError as error:
            if self._folder is not None:
                self._folder.cleanup()
            raise InputError(str(error).replace(str(path), file.name, 1)) from None
        self.position = 0

    def close(self) -> None:
        """Release the file, and remove its copy."""
        super().close()
        if self._folder is not None:
            self._folder.cleanup()


def open_video(file: StoragePath) -> OpenVideo:
    """Open a video from its start. Raises InputError."""
    return OpenVideo(file)


def frame_count(video: OpenVideo) -> int:
    """Return the number of frames that the file states, or, if it states none, that can be decoded."""
    return video.count if video.count is not None else video.skip(None)


class Videos:
    """The videos that a worker has open, each at the frame where its last clip ended.

    Clips of a video come in order, some of them to other workers: those frames are decoded and passed over, so that a
    worker decodes a video at most once from its start to its end.
    """

    def __init__(self) -> None:
        self._opened: OrderedDict[StoragePath, OpenVideo] = OrderedDict()

    def frames(
        self, file: StoragePath, start: int, stop: int | None
    ) -> Iterator[tuple[int, UInt8[np.ndarray, "H W 3"]]]:
        """Yield number and pixels, RGB, of the frames from `start` up to `stop` or the end. Raises InputError."""
        video = self._opened.pop(file, None)
        if video is not None and video.position > start:
            video.close()
            video = None
        if video is None:
            video = open_video(file)
        try:
            video.position += video.skip(start - video.position)
            count = None if stop is None else stop - start
            for number, pixels in video.frames(count):
                video.position = start + number + 1
                yield start + number, pixels
        except BaseException:
            video.close()
            raise
        self._opened[file] = video
        while len(self._opened) > _OPENED:
            self._opened.popitem(last=False)[1].close()


_READS_AT_ONCE = 16  # files of one block: what is far away takes long to begin


@dataclass(frozen=True)
class Encoded:
    """An encoded photo: its id, its name for messages, and the content of its file; or the `reason` why it cannot be
    read."""

    image_id: int
    name: str
    content: bytes = field(default=b"", repr=False)
    reason: str = ""


@dataclass(frozen=True)
class Clip:
    """Frames of a video from number `start`, up to `stop` or to its end; frame 0 has the id `first`."""

    root: str
    path: str
    start: int
    stop: int | None
    first: int


@dataclass(frozen=True)
class Block:
    """The photos, or the clip, that are predicted and written at once. `name`: of its file, equal in every run."""

    name: str
    photos: tuple[Encoded, ...] = ()
    clip: Clip | None = None


def blocks(unit: Unit, attempt: Attempt | None = None) -> Iterator[Block]:
    """Yield the blocks of a unit without those that are done; each as soon as it is read.

    There is always a last one, empty if nothing can be read. What cannot be read is there with its reason: a photo, or
    the rest of a tar, a table or a video. attempt: notes at which block reading is; one at which it ended the process
    too often is the last one, with that reason.
    """
    if unit.kind == PHOTOS:
        unit_blocks: Iterator[Block] = _cut(unit, _photos(unit))
    elif unit.kind == TABLE:
        unit_blocks = _cut(unit, _rows(unit))
    elif unit.kind == TAR:
        unit_blocks = _cut(unit, _members(unit))
    else:
        unit_blocks = _clips(unit)
    for number in count():
        if attempt is not None:
            if attempt.ended.get(number, 0) >= READS:
                yield _given_up(unit, number)
                return
            attempt.note(number)
        block = next(unit_blocks, None)
        if block is None:
            return
        if number not in unit.done:
            yield block


def _given_up(unit: Unit, number: int) -> Block:
    """Return the last block of a unit that cannot be read any further: its id is that of the next photo, if known."""
    name = StoragePath(unit.root, unit.paths[0]).name
    prefix = f"row group {unit.group}: " if unit.kind == TABLE else ""
    reason = f"{prefix}reading it ended the process {READS} times, after {number * unit.block} photos or frames"
    unread = Encoded((unit.first or 0) + number * unit.block, name, reason=reason)
    return Block(unit.block_name(number, is_last=True), (unread,))


def _cut(unit: Unit, photos: Iterable[Encoded]) -> Iterator[Block]:
    """Cut photos to blocks: full ones, but the last, which may be empty if it is the first."""
    pending: list[Encoded] = []
    number = 0
    for photo in photos:
        if len(pending) == unit.block:
            yield Block(unit.block_name(number, is_last=False), tuple(pending))
            number, pending = number + 1, []
        pending.append(photo)
    yield Block(unit.block_name(number, is_last=True), tuple(pending))


def _photos(unit: Unit) -> Iterator[Encoded]:
    if unit.done:
        return
    with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
        photos = (
            Encoded(image_id, StoragePath(unit.root, path).name)
            for image_id, path in zip(unit.ids, unit.paths, strict=True)
        )
        files = [StoragePath(unit.root, path) for path in unit.paths]
        yield from pool.map(_with_content, photos, files)


def _with_content(photo: Encoded, file: StoragePath) -> Encoded:
    try:
        return replace(photo, content=file.read("an image"))
    except InputError as error:
        return replace(photo, reason=reason_of(error, photo.name))


def _rows(unit: Unit) -> Iterator[Encoded]:
    """Yield the rows of a row group: bytes, a structure with bytes, or paths, which count from the table's folder."""
    arrow, table = package("pyarrow"), StoragePath(unit.root, unit.paths[0])
    ids = unit.first or 0
    try:
        with table.open() as opened:
            file = package("pyarrow.parquet").ParquetFile(opened)
            names = [name for name in ("image_id", "file_name", "path") if name in file.schema_arrow.names]
            batches = file.iter_batches(unit.block, row_groups=[unit.group], columns=[unit.column, *names])
            for batch in batches:
                rows = [_row(row, unit, table, ids + index) for index, row in enumerate(batch.to_pylist())]
                ids += len(rows)
                with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
                    yield from pool.map(_resolved, rows)
    except (OSError, arrow.ArrowException) as error:
        reason = f"row group {unit.group} cannot be read ({str(error).splitlines()[0]})"
        yield Encoded(ids, table.name, reason=reason)


def _row(row: dict[str, Any], unit: Unit, table: StoragePath, counted: int) -> tuple[Encoded, StoragePath | None]:
    """Return one row's photo, and its file if the table has only its path."""
    image_id = counted if unit.first is not None else row["image_id"]
    cell, name = row[unit.column], row.get("file_name") or row.get("path")
    if isinstance(cell, dict):
        cell, name = cell.get("bytes"), cell.get("path") or name
    if isinstance(cell, str):
        file = (
            StoragePath.of(cell)
            if is_remote(cell)
            else StoragePath(table.root, str(PurePosixPath(table.path).parent / cell))
        )
        return Encoded(image_id or 0, file.name), file
    name = name if isinstance(name, str) else f"{table.name}, image {image_id}"
    if image_id is None:
        return Encoded(0, name, reason="its image_id is null"), None
    return Encoded(image_id, name, cell or b"", reason="" if cell else "the file is empty (0 bytes)"), None


def _resolved(row: tuple[Encoded, StoragePath | None]) -> Encoded:
    photo, file = row
    return photo if file is None or photo.reason else _with_content(photo, file)


def _members(unit: Unit) -> Iterator[Encoded]:
    """Yield the photos of a tar, in its order; what else is in it, such as JSON, is passed over."""
    tar_file, photos = StoragePath(unit.root, unit.paths[0]), 0
    try:
        with tar_file.open() as opened, tarfile.open(fileobj=opened, mode="r|*") as tar:
            for member in tar:
                if member.isfile() and member.name.lower().endswith(SUFFIXES_OF[PHOTOS]):
                    photos += 1
                    file = tar.extractfile(member)
                    assert file is not None
                    yield Encoded((unit.first or 0) + photos - 1, f"{tar_file.name}/{member.name}", file.read())
    except (OSError, EOFError, tarfile.TarError) as error:
        reason = (
            f"cannot be read after {photos} photos ({str(error).splitlines()[0] if str(error) else 'it ends there'})"
        )
        yield Encoded((unit.first or 0) + photos, tar_file.name, reason=reason)


def _clips(unit: Unit) -> Iterator[Block]:
    """Yield the clips of a video; the last one goes to its end, wherever that is."""
    file = StoragePath(unit.root, unit.paths[0])
    first = unit.first or 0
    try:
        with closing(open_video(file)) as video:
            frames = frame_count(video)
    except InputError as error:
        unread = Encoded(first, file.name, reason=reason_of(error, file.name))
        yield Block(unit.block_name(0, is_last=True), (unread,))
        return
    clips = max(1, -(-frames // unit.block))
    for number in range(clips):
        is_last = number == clips - 1
        start, stop = number * unit.block, None if is_last else (number + 1) * unit.block
        clip = Clip(file.root, file.path, start, stop, first)
        yield Block(unit.block_name(number, is_last=is_last), clip=clip)


def reason_of(error: Exception, name: str) -> str:
    """Return why a photo cannot be read, without its name and in one line."""
    return " ".join(str(error).removeprefix(f"{name}: ").split())
