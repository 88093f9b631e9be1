"""The journal of a run: its results line by line, so that an interrupted run can be resumed.

Each line is the CRC-32 of its JSON, eight hexadecimal digits, a space, and the JSON.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Annotated, Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from trustpose.files import InputError, cannot_write, json_bytes, read_bytes
from trustpose.json_records import Int64, OpenRecord, parse_record, within
from trustpose.poses import Poses
from trustpose.poses.rows import counted
from trustpose.predict.photos import Prediction

T = TypeVar("T")
_FORMAT = "trustpose journal 2"
_EARLIER = b'{"format":"trustpose journal'  # start of a journal before lines had checksums
_DTYPES = dict.fromkeys(("track_id", "image_id", "annotation_id"), np.int64)
_DTYPES |= {"missing": np.bool_, "visibility_label": np.int8}


_Size = Annotated[int, within(0)]


@dataclass(frozen=True)
class _Head(OpenRecord):
    format: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Entry(OpenRecord):
    image_id: Int64
    shape: tuple[_Size, _Size]  # N, K
    poses: dict[str, list[Any]]  # the columns of `Poses` that are not None


class Journal:
    """An append-only file: first the settings of the run, then one line for each finished photo.

    An incomplete last line of a killed run is removed; damage elsewhere is detected by the lines' checksums. Numbers
    are stored exactly. `done` holds the poses of each photo that an earlier run finished. If `is_resumed` and there is
    no file, the run starts from the beginning. Raises InputError if the file is not a journal, if its settings differ,
    or if it cannot be written.
    """

    def __init__(self, path: Path, settings: dict[str, Any], *, is_resumed: bool) -> None:
        self.path = path
        self.done: dict[int, Poses] = {}
        self._form: tuple[int, frozenset[str]] | None = None
        length = self._read(settings) if is_resumed and path.exists() and path.stat().st_size else 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = path.open("r+b" if length else "wb")
            self._file.truncate(length)
            self._file.seek(length)
        except OSError as error:
            raise cannot_write(path, error) from None
        if not length:
            self._write({"format": _FORMAT, "settings": settings})

    def add(self, image_id: int, poses: Poses) -> None:
        """Record a finished photo. Raises InputError if its poses do not match those of an earlier run."""
        if not self._fits(poses):
            raise InputError(
                f"{self.path}: holds poses of a different kind from this run's; start over without --resume"
            )
        filled = {name: column for name, column in poses.columns().items() if column is not None}
        columns = {name: np.ascontiguousarray(column) for name, column in filled.items()}  # orjson requires it
        self._write({"image_id": image_id, "shape": poses.xy.shape[:2], "poses": columns})

    def remove(self) -> None:
        """Remove the journal, after the run is finished and its results are written."""
        self._close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        with suppress(OSError):  # a failed write, which was already reported
            self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        content = json_bytes(line)[:-1]
        try:
            self._file.write(b"%08x %b\n" % (zlib.crc32(content), content))
            self._file.flush()
        except OSError as error:
            raise cannot_write(self.path, error) from None

    def _fits(self, poses: Poses) -> bool:
        """Return whether poses have as many keypoints and the same fields as those before; empty ones may lack some."""
        if not len(poses):
            return True
        form = poses.keypoint_count, frozenset(name for name, column in poses.columns().items() if column is not None)
        self._form = self._form or form
        return form == self._form

    def _read(self, settings: dict[str, Any]) -> int:
        """Fill `done`; return the length of the complete lines in bytes."""
        content = read_bytes(self.path)
        whole = content[: content.rfind(b"\n") + 1]
        if not whole:
            return 0
        head, *lines = whole.removesuffix(b"\n").split(b"\n")
        first = _Head() if head.startswith(_EARLIER) else self._record(_Head, head, 1)
        if first.format != _FORMAT:
            raise InputError(f"{self.path}: is not a journal of this version of trustpose; start over without --resume")
        check_same_settings(self.path, first.settings, settings)
        for number, line in enumerate(lines, start=2):
            entry = self._record(_Entry, line, number)
            try:
                poses = _poses(entry)
            except (TypeError, ValueError, OverflowError):
                raise self._damaged(number) from None
            if not self._fits(poses):
                raise self._damaged(number)
            self.done[entry.image_id] = poses
        return len(whole)

    def _record(self, kind: type[T], line: bytes, number: int) -> T:
        """Parse a line. Raises InputError if its checksum or content is wrong."""
        if line[:9] == b"%08x " % zlib.crc32(line[9:]):
            with suppress(InputError):  # not as runs write it
                return parse_record(kind, line[9:], self.path)
        raise self._damaged(number)

    def _damaged(self, number: int) -> InputError:
        return InputError(f"{self.path}: line {number} is damaged; start over without --resume")


def check_same_settings(path: Path | str, before: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Raise InputError, naming the first setting that differs, if a run cannot go on with these settings."""
    for name in [*settings, *before]:
        if settings.get(name) != before.get(name):
            old, new = (_shown(value.get(name)) for value in (before, settings))
            raise InputError(
                f"{path}: cannot resume with other settings: {name} was {old}, now {new}; start over without --resume"
            )


def _poses(entry: _Entry) -> Poses:
    count, keypoints = entry.shape
    tails = {name: (keypoints,) for name in ("score", "quality", "missing", "visibility_label")}
    tails |= {"xy": (keypoints, 2), "visibility": (keypoints, 3)}
    columns = {
        name: np.array(column, dtype=_DTYPES.get(name, np.float64)).reshape(
            count, *tails.get(name, (4,) if name == "box" else ())
        )
        for name, column in entry.poses.items()
    }
    return Poses(**columns)  # type: ignore[arg-type]


def _shown(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "…"


@runtime_checkable
class Drawings(Protocol):
    """Draws a run: `follow` is shown each prediction in order, `draw` then draws it, in threads, and `add` takes the
    drawings in order. Closed after the last one. `paths` are the files that it writes."""

    paths: Sequence[Path]

    def __enter__(self) -> Any: ...
    def __exit__(self, *_: Any) -> Any: ...
    def follow(self, prediction: Prediction) -> None: ...
    def draw(self, prediction: Prediction) -> Any: ...
    def add(self, drawn: Any) -> None: ...


@dataclass(frozen=True)
class Step:
    """One finished photo or frame: its number of people, the total number of photos or frames (None: unknown), and its
    problem, if any."""

    people: int
    total: int | None
    problem: str | None = None


@dataclass(eq=False, repr=False)
class Done:
    """The result of a run: poses by image id in the order of the photos; the number of people predicted and the time in
    seconds (without those from the journal); one line per kind of problem; the same for each video beside others, by
    its folder; what a run that replaced an earlier one did not write and left in the folder; the number of people left
    out below `min_presence` or as doubles (without those from the journal); and the name of the results file."""

    poses: dict[int, Poses]
    predicted: int
    seconds: float
    complaints: list[str]
    videos: "dict[str, Done]" = field(default_factory=dict)
    leftover_files: list[Path] = field(default_factory=list)
    left_out: int = 0
    file: str = ""

    def __repr__(self) -> str:
        """One line: how many people on how many photos, the time, and what went wrong."""
        people, photos = counted(self.people, "person", "people"), counted(len(self.poses), "photo")
        problems = "".join(f"; {line}" for line in self.complaints)
        videos = f" and {counted(len(self.videos), 'video')}" if self.videos else ""
        return f"Done({people} on {photos}{videos}, {self.seconds:.1f} s{problems})"

    @property
    def people(self) -> int:
        """How many."""
        return sum(map(len, self.poses.values()))


Tell = Callable[[Step], None]
