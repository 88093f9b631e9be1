"""Files on this machine's disks, on S3 and on GCS behind one record, read and written by `pyarrow.fs`.

A storage path is a root and a path. The root is a folder of this machine, or an address such as
s3://bucket/folder?region=…: text that can be sent to other machines, which open it with their own credentials.

Count the attempts at a block: an input that kills its worker process must not stop a run for ever. A worker that is
killed leaves no error, and Ray starts its block again. So a worker writes a file when it begins a block, and removes
it at the end. The next worker that finds the file knows that the process was killed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from trustpose.files import DiskError, InputError, atomic_write, read_bytes
from trustpose.json_records import OpenRecord, parse_record
from trustpose.poses.tables import package
from trustpose.predict.sources import GLOB

_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]+://")
_NUMBERS = re.compile(r"\{(\d+)\.\.(\d+)\}")  # of WebDataset's names: shard-{000..127}.tar


@dataclass(frozen=True)
class StoragePath:
    """A file or folder: `path` within `root`; for a local file, `root` is the folder from which a relative path counts,
    for another the address of its bucket. Raises InputError if the address cannot be opened."""

    root: str
    path: str

    @classmethod
    def of(cls, name: str | Path) -> "StoragePath":
        """Build the storage path of a user's path or address."""
        text = str(name)
        if text.startswith("file://"):
            text = _filesystem(text)[1]
        if not is_remote(text):
            return cls(str(Path.cwd()), text)
        return cls(text, _filesystem(text)[1])

    @property
    def is_local(self) -> bool:
        """Whether the file is on this machine's own disks."""
        return not is_remote(self.root)

    @property
    def local(self) -> Path:
        """The absolute path of a local file."""
        return Path(self.root) / self.path

    @property
    def name(self) -> str:
        """The name for messages: the user's path, or the address."""
        return self.path if self.is_local else f"{self.root.partition('://')[0]}://{self.path}"

    def __truediv__(self, part: str) -> "StoragePath":
        return StoragePath(self.root, str(PurePosixPath(self.path) / part))

    def read(self, expected: str) -> bytes:
        """Return the file's content. Raises InputError if it cannot be read or is empty."""
        if self.is_local:
            try:
                return read_bytes(self.local, expected)
            except InputError as error:
                raise InputError(str(error).replace(str(self.local), self.path, 1)) from None
        try:
            with self.open() as file:
                content = file.read()
        except OSError as error:
            raise InputError(f"{self.name}: cannot be read ({_first_line(error)})") from None
        if not content:
            raise InputError(f"{self.name}: the file is empty (0 bytes), expected {expected}")
        return content

    def open(self) -> Any:
        """Open the file for random access; a `pyarrow.NativeFile`. Raises OSError."""
        if self.is_local:
            return package("pyarrow.fs").LocalFileSystem().open_input_file(str(self.local))
        return _filesystem(self.root)[0].open_input_file(self.path)

    def write(self, content: bytes) -> None:
        """Write the file atomically; it replaces one of the same name.

        A local file is written under a temporary name and renamed; an object of S3 or GCS appears when its upload is
        complete. Raises InputError, DiskError.
        """
        if self.is_local:
            with atomic_write(self.local) as file:
                file.write(content)
            return
        try:
            with _filesystem(self.root)[0].open_output_stream(self.path) as stream:
                stream.write(content)
        except OSError as error:
            raise DiskError(f"{self.name}: cannot be written ({_first_line(error)})") from None

    def exists(self) -> bool:
        """Return whether there is such a file or folder."""
        return self._info().type.name != "NotFound"

    def is_folder(self) -> bool:
        """Return whether it is a folder."""
        return self._info().type.name == "Directory"

    def files(self, *, recursive: bool = False) -> list["StoragePath"]:
        """Return the files of a folder, by name, hidden ones left out; [] if there is no such folder."""
        selector = package("pyarrow.fs").FileSelector(self._path, allow_not_found=True, recursive=recursive)
        within = PurePosixPath(self._path)
        paths = [
            PurePosixPath(info.path).relative_to(within) for info in self._files.get_file_info(selector) if info.is_file
        ]
        seen = [path for path in paths if not any(part.startswith(".") for part in path.parts)]
        return [self / str(path) for path in sorted(seen)]

    def is_within(self, folder: "StoragePath") -> bool:
        """Return whether it is in a folder, or in a folder of that."""
        if self.is_local and folder.is_local:
            return folder.local.resolve() in self.local.resolve().parents
        return self.is_local == folder.is_local and PurePosixPath(folder.path) in PurePosixPath(self.path).parents

    def remove(self) -> None:
        """Remove the file, if there is one. Raises InputError."""
        try:
            if self.exists():
                self._files.delete_file(self._path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise InputError(f"{self.name}: cannot be removed ({_first_line(error)})") from None

    def remove_folder(self) -> None:
        """Remove the folder with all that is in it, if there is one. Raises InputError."""
        try:
            if self.exists():
                self._files.delete_dir(self._path)
        except OSError as error:
            raise InputError(f"{self.name}: cannot be removed ({_first_line(error)})") from None

    def _info(self) -> Any:
        try:
            return self._files.get_file_info(self._path)
        except OSError as error:
            raise InputError(f"{self.name}: cannot be opened ({_first_line(error)})") from None

    @property
    def _files(self) -> Any:
        return package("pyarrow.fs").LocalFileSystem() if self.is_local else _filesystem(self.root)[0]

    @property
    def _path(self) -> str:
        return str(self.local) if self.is_local else self.path


def is_remote(name: str) -> bool:
    """Return whether a name is an address (s3://, gs://, …), not a path."""
    return _SCHEME.match(name) is not None


def find_files(name: str, *, suffixes: Sequence[str], recursive: bool = False) -> list[StoragePath]:
    """Return the files of a file's name, a folder or a pattern, sorted by name: those with one of the suffixes, but a
    file that is named itself in any case. {000..127} stands for each of these numbers. Raises InputError if there are
    none."""
    if "{" in name:
        return [
            file
            for spread_name in _spread(name)
            for file in find_files(spread_name, suffixes=suffixes, recursive=recursive)
        ]
    location = StoragePath.of(name)
    if location.is_folder():
        files = _with_suffix(location.files(recursive=recursive), suffixes)
        if not files:
            raise InputError(f"{name}: the folder holds no file of {', '.join(suffixes)}")
        return files
    if location.exists():
        return [location]
    if not GLOB & set(location.path):
        raise InputError(f"{name}: no such file or folder")
    pattern = PurePosixPath(location.path).parts
    first = next(index for index, part in enumerate(pattern) if GLOB & set(part))
    folder = StoragePath(location.root, str(PurePosixPath(*pattern[:first])) if first else ".")
    depth = len(PurePosixPath(folder.path).parts)
    candidates = folder.files(recursive=len(pattern) - first > 1 or "**" in pattern)
    files = [file for file in candidates if _fits(PurePosixPath(file.path).parts[depth:], pattern[first:])]
    files = _with_suffix(files, suffixes)
    if not files:
        raise InputError(f"{name}: no file fits this pattern")
    return files


def _fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Return whether a path fits a pattern, part by part; ** stands for any number of folders."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_fits(parts[start:], pattern[1:]) for start in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])


def _with_suffix(files: list[StoragePath], suffixes: Sequence[str]) -> list[StoragePath]:
    return [file for file in files if file.path.lower().endswith(tuple(suffixes))]


def _spread(name: str) -> list[str]:
    match = _NUMBERS.search(name)
    if match is None:
        return [name] if "{" not in name else [_refuse(name)]
    low, high = match[1], match[2]
    if int(low) > int(high):
        _refuse(name)
    numbers = [f"{number:0{len(low)}d}" for number in range(int(low), int(high) + 1)]
    return [
        spread_name
        for number in numbers
        for spread_name in _spread(name[: match.start()] + number + name[match.end() :])
    ]


def _refuse(name: str) -> str:
    raise InputError(f"{name}: expected two numbers in the braces, as in shard-{{000..127}}.tar")


@cache
def _filesystem(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path in it."""
    arrow = package("pyarrow")
    try:
        return package("pyarrow.fs").FileSystem.from_uri(address)
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{address}: cannot be opened ({_first_line(error)})") from None


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]


TOGETHER = 3
"""Times that a block is predicted as a whole before its photos are predicted one by one."""
ALONE = 2
"""Times that a photo is tried alone."""
READS = 10
"""Times that a part of a file is read. More, as nothing smaller can be blamed, and healthy ones die of other causes."""


@dataclass
class Attempt:
    """One attempt at a block, or at reading a unit, with the earlier attempts that its file records.

    begun: the number of attempts, this one included. ended: how often the process was killed at each item that `note`
    recorded: a photo by its index in the block, a block by its index in the unit.
    """

    file: StoragePath
    begun: int = 1
    ended: dict[int, int] = field(default_factory=dict)

    @classmethod
    def begin(cls, file: StoragePath) -> "Attempt":
        """Record the start of an attempt. Raises InputError, DiskError if the file cannot be written."""
        attempt = cls(file, *_earlier(file))
        attempt.begun += 1
        attempt._write(None)
        return attempt

    @property
    def is_alone(self) -> bool:
        """Whether the photos are to be predicted one by one: as a whole the block has ended its process too often."""
        return self.begun > TOGETHER

    def note(self, item: int | None) -> None:
        """Record the next item (None: no item that could be at fault). Raises InputError, DiskError."""
        self._write(item)

    def over(self) -> None:
        """Record that the process survived the attempt: removes the file."""
        self.file.remove()

    def _write(self, item: int | None) -> None:
        self.file.write(msgspec.json.encode(_Note(self.begun, self.ended, item)))


@dataclass(frozen=True)
class _Note(OpenRecord):
    """The file of an attempt: the fields of `Attempt`, and the item that it is at."""

    begun: int
    ended: dict[int, int]
    at: int | None


def _earlier(file: StoragePath) -> tuple[int, dict[int, int]]:
    """Return the number of earlier attempts, and how often they were killed at each item."""
    if not file.exists():
        return 0, {}
    try:
        note = parse_record(_Note, file.read("JSON"), file.name)
    except InputError:  # gone by now, or not ours
        return 0, {}
    killed = {} if note.at is None else {note.at: note.ended.get(note.at, 0) + 1}
    return note.begun, note.ended | killed
