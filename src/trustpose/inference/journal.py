"""What a run has done so far, line by line beside its results, so that a run that was killed can go on."""

from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import orjson

from trustpose.files import InputError, parse_json, read_bytes
from trustpose.poses import Poses

_FORMAT = "trustpose journal 1"
_DTYPES = {"track_id": np.int64, "image_id": np.int64, "annotation_id": np.int64}


class Journal:
    """An append-only file: first the settings of the run, then one line for each photo that is done.

    A line that a killed run left unfinished is cut off. Numbers survive exactly. `done` holds the poses of each photo
    that an earlier run did. With `is_resumed` and no file there, the run begins at its start.
    Raises InputError where the file is no journal, where the settings are not those of the run that wrote it, or where
    it cannot be written.
    """

    def __init__(self, path: Path, settings: dict[str, Any], *, is_resumed: bool) -> None:
        self.path = path
        self.done: dict[int, Poses] = {}
        length = self._read(settings) if is_resumed and path.exists() and path.stat().st_size else 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = path.open("r+b" if length else "wb")
            self._file.truncate(length)
            self._file.seek(length)
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from None
        if not length:
            self._write({"format": _FORMAT, "settings": settings})

    def add(self, image_id: int, poses: Poses) -> None:
        """Note that a photo is done."""
        filled = {name: column for name, column in vars(poses).items() if column is not None}
        columns = {name: np.ascontiguousarray(column) for name, column in filled.items()}  # orjson takes no other
        self._write({"image_id": image_id, "shape": poses.xy.shape[:2], "poses": columns})

    def remove(self) -> None:
        """The run is finished and its results are written."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE))
        self._file.flush()

    def _read(self, settings: dict[str, Any]) -> int:
        """Fill `done`; the length of the whole lines in bytes."""
        content = read_bytes(self.path)
        whole = content[: content.rfind(b"\n") + 1]
        head, *lines = whole.splitlines() or [b""]
        if not head:
            return 0
        first = parse_json(head, self.path)
        if not isinstance(first, dict) or first.get("format") != _FORMAT:
            raise InputError(f"{self.path}: is no journal of this version of trustpose; start anew without --resume")
        before = first.get("settings", {})
        for name in [*settings, *before]:
            if settings.get(name) != before.get(name):
                was, now = (_shown(value.get(name)) for value in (before, settings))
                raise InputError(
                    f"{self.path}: cannot go on with other settings: {name} was {was}, now {now}; "
                    "start anew without --resume"
                )
        for line in lines:
            entry = parse_json(line, self.path)
            try:
                self.done[int(entry["image_id"])] = _poses(entry)
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(f"{self.path}: is damaged ({error}); start anew without --resume") from None
        return len(whole)


def _poses(entry: dict[str, Any]) -> Poses:
    count, keypoints = entry["shape"]
    tails = {"xy": (keypoints, 2), "score": (keypoints,), "quality": (keypoints,), "visibility": (keypoints, 3)}
    columns = {
        name: np.array(column, dtype=_DTYPES.get(name, np.float64)).reshape(
            count, *tails.get(name, (4,) if name == "box" else ())
        )
        for name, column in entry["poses"].items()
    }
    return Poses(**columns)


def _shown(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "…"
