"""Files that come from outside and files that go out: one clear error, and nothing half-written."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import orjson


class InputError(ValueError):
    """Something the user gave is not what was expected; the message names the file, the field and the expectation.

    Commands print the message as one line and exit with code 2.
    """


def read_bytes(path: str | Path, expected: str = "JSON") -> bytes:
    """The content of a file. Raises InputError where it cannot be read or is empty, saying what was `expected`."""
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a directory, expected a file") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"{path}: cannot be read ({reason})") from None
    if not content:
        raise InputError(f"{path}: the file is empty (0 bytes), expected {expected}")
    return content


def parse_json(content: bytes, path: str | Path) -> Any:
    """The JSON value of a file's content. Raises InputError with the place where it stops being JSON."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        detail = str(error).splitlines()[0]
        raise InputError(f"{path}: is not valid JSON ({detail})") from None
    except RecursionError:
        raise InputError(f"{path}: is not valid JSON (nested too deeply)") from None


def read_json(path: str | Path) -> Any:
    """The JSON value in a file. Raises InputError where the file cannot be read or is not JSON."""
    return parse_json(read_bytes(path), path)


@contextmanager
def atomic_write(path: str | Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary file beside `path` for writing and rename it to `path` once the block ends without an error.

    Readers see the old file or the whole new one, never a part. Folders that are missing are made.
    Raises InputError where the place cannot be written to.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a directory, expected a file to write")
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:80]}.", suffix=".part")
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"{path}: cannot be written ({reason})") from None
    try:
        with os.fdopen(descriptor, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_json(path: str | Path, value: Any) -> None:
    """Write a JSON value (numpy arrays allowed) atomically, ended by a newline."""
    with atomic_write(path) as file:
        file.write(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE))


def _umask() -> int:
    """The process's file-mode mask; mkstemp ignores it, and a report that only its author can read surprises people."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
