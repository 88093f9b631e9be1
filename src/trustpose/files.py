"""Read and write files: errors are one line, output is complete or absent, and any file name can be written as text.

Reading (`read_bytes`, `read_json`), then writing (`atomic_write`, `write_json`, `new_folder`), then names of files that
are not UTF-8, which a JSON file, a page or a terminal must show all the same (`shown`, `find_shown`, `utf8_name`).
"""

import codecs
import errno
import hashlib
import os
import re
import shutil
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from secrets import token_hex
from typing import IO, Any

import orjson

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]

STDOUT = Path("-")  # the name of standard output in commands
BOM = b"\xef\xbb\xbf"  # that some editors put before UTF-8
SHOWN = "trustpose.shown"  # an error handler for stream encodings: writes what cannot be encoded as `shown` does
_STREAMS = (1, 2)  # the file descriptors of standard output and standard error
_UNFINISHED_SECONDS = 60  # younger temporary files stay: their writer may not have locked them yet
_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS})
_ESCAPED_BYTE = re.compile(r"\\x(5c|[89a-f][0-9a-f])")


class InputError(ValueError):
    """Invalid input of a user: the message names the file, the field, what was expected and what came.

    Commands print it as one line and exit with code 2. Of a message with more than 300 characters after the file's name
    the middle is left out.

    Example:
        >>> tp.read_poses("nothing.json")
        Traceback (most recent call last):
        trustpose.files.InputError: nothing.json: no such file
    """

    def __str__(self) -> str:
        name, colon, rest = super().__str__().partition(": ")
        return f"{name}{colon}{rest if len(rest) <= 300 else f'{rest[:200]} … {rest[-97:]}'}"


class DiskError(InputError):
    """The disk is full or broken: the input is valid, and the same command resumes or succeeds once there is space."""


def check_regular(path: str | Path) -> None:
    """Raise InputError if there is no file, or a directory, pipe, socket or device.

    Pipes (process substitution too) and devices are refused: inputs are read more than once, for their fingerprint, and
    a pipe without a writer or a device such as /dev/zero never ends.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise InputError(f"{path}: cannot be read ({_reason(error)})") from None
    if stat.S_ISREG(mode):
        return
    kinds = {"directory": stat.S_ISDIR, "pipe": stat.S_ISFIFO, "socket": stat.S_ISSOCK}
    kind = next((name for name, is_kind in kinds.items() if is_kind(mode)), "device")
    raise InputError(f"{path}: is a {kind}, expected a {'' if kind == 'directory' else 'regular '}file")


def read_bytes(path: str | Path, expected: str = "JSON") -> bytes:
    """Return the content of a regular file.

    Raises InputError if it is not a regular file, cannot be read or is empty, naming what was `expected`.
    """
    path = Path(path)
    check_regular(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({_reason(error)})") from None
    except MemoryError:
        raise InputError(f"{path}: is too large for this machine's memory ({path.stat().st_size} bytes)") from None
    if not content:
        raise InputError(f"{path}: the file is empty (0 bytes), expected {expected}")
    return content


def sha256_of(content: bytes) -> Callable[[], str]:
    """Start to compute the SHA-256 of a file's content beside other work; return a function that waits for it."""
    digest = hashlib.sha256()
    thread = threading.Thread(target=digest.update, args=(content,))
    thread.start()

    def wait() -> str:
        thread.join()
        return digest.hexdigest()

    return wait


def parse_json(content: bytes, path: str | Path) -> Any:
    """Parse a file's content as JSON. Raises InputError with the position of a syntax error."""
    try:
        return orjson.loads(content.removeprefix(BOM))
    except orjson.JSONDecodeError as error:
        detail = str(error).splitlines()[0]
        raise InputError(f"{path}: is not valid JSON ({detail})") from None
    except RecursionError:
        raise InputError(f"{path}: is not valid JSON (nested too deeply)") from None


def read_json(path: str | Path) -> Any:
    """Return the JSON value in a file. Raises InputError if the file cannot be read or is not JSON."""
    return parse_json(read_bytes(path), path)


@contextmanager
def atomic_write(path: str | Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open `path` for atomic writing: a temporary file next to it is renamed when the block ends without an error.

    Readers see the old file or the complete new one. Missing folders are created. A symbolic link stays, and its target
    is replaced; an existing file keeps its permissions, and its owner if the system allows it. Devices, pipes and
    standard output (`-`) are written directly. Raises InputError if the file cannot be written, DiskError if the disk
    is full or broken.
    """
    path = Path(path)
    target = path
    temporary: Path | None = None
    try:
        file = _open_directly(path, mode)
        if file is None:
            target = Path(os.path.realpath(path))
            temporary, file = _open_temporary(target, mode)
    except InputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise cannot_write(path, error) from None
    try:
        with file:
            yield file
        if temporary is not None:
            temporary.replace(target)
    except BaseException as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        write_failure = _write_failure(error, temporary)
        if write_failure is None:
            raise
        raise cannot_write(path, write_failure) from None


def write_json(path: str | Path, value: Any) -> None:
    """Write a JSON value (numpy arrays allowed) atomically, with a final newline."""
    with atomic_write(path) as file:
        file.write(json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """Return a JSON value (numpy arrays allowed), with a final newline; file names that are not UTF-8 as `shown`."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)
    except TypeError as error:
        if "surrogates" not in str(error):
            raise
    return json_bytes(_with_shown_names(value))


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yield a folder to write to, which becomes `out` when the block ends without an error, and is removed otherwise.

    Raises InputError if `out` exists or cannot be written.
    """
    if out.exists():
        raise InputError(f"{out}: exists already, --out expects a new folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    except OSError as error:
        raise cannot_write(out, error) from None
    try:
        yield temporary
        temporary.chmod(0o755)  # mkdtemp's folders are private to their owner
        temporary.rename(out)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def cannot_write(path: str | Path, error: OSError | ValueError) -> InputError:
    """Return the error that a file cannot be written, with the reason."""
    kind = DiskError if isinstance(error, OSError) and error.errno in _DISK_ERRORS else InputError
    name = "standard output" if Path(path) == STDOUT else path
    return kind(f"{name}: cannot be written ({_reason(error)})")


def is_stdout(path: Path) -> bool:
    """Return whether `path` writes to standard output: `-`, /dev/stdout or its current target.

    Never true for the null device, whose output disturbs nothing.
    """
    if path == STDOUT:
        return True
    with suppress(OSError, ValueError):
        status = path.stat()
        return os.path.samestat(status, os.fstat(1)) and not os.path.samestat(status, Path(os.devnull).stat())
    return False


def _open_directly(path: Path, mode: str) -> IO[Any] | None:
    """Open a device, a pipe or standard output; return None for a regular or new file."""
    encoding = None if "b" in mode else "utf-8"
    descriptor = 1 if path == STDOUT else None
    if descriptor is None:
        try:
            status = path.stat()
        except FileNotFoundError:
            return None
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{path}: is a directory, expected a file to write")
        # a file to which standard output is redirected has other writers with their own position
        descriptor = next((number for number in _STREAMS if _is_open_on(number, status)), None)
        if descriptor is None and stat.S_ISREG(status.st_mode):
            return None
    if descriptor is not None:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # it may be closed
                stream.flush()
    opened = os.open(path, os.O_WRONLY) if descriptor is None else os.dup(descriptor)
    return os.fdopen(opened, mode, encoding=encoding)


def _is_open_on(descriptor: int, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(status, os.fstat(descriptor))
    except OSError:  # it is closed
        return False


def _open_temporary(target: Path, mode: str) -> tuple[Path, IO[Any]]:
    """Create a file next to `target` that will replace it, with its permissions and owner if it exists."""
    target.parent.mkdir(parents=True, exist_ok=True)
    status = target.stat() if target.exists() else None
    if status is not None and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    _remove_unfinished(target)
    temporary = target.with_name(f".{target.name[:40]}.{token_hex(4)}.part")
    file = temporary.open(mode.replace("w", "x"), encoding=None if "b" in mode else "utf-8")  # closed by the caller
    if fcntl is not None:
        with suppress(OSError):  # some network disks have no locks
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if status is not None:
        if hasattr(os, "chown"):
            with suppress(OSError):
                os.chown(temporary, status.st_uid, status.st_gid)
        temporary.chmod(stat.S_IMODE(status.st_mode))
    return temporary, file


def _remove_unfinished(target: Path) -> None:
    """Remove temporary files that killed processes left beside `target`: not locked by any process, and old enough."""
    if fcntl is None:
        return
    for temporary in target.parent.glob(f".{escape(target.name[:40])}.{'[0-9a-f]' * 8}.part"):
        with suppress(OSError), temporary.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where the writer is alive
            if time.time() - temporary.stat().st_mtime > _UNFINISHED_SECONDS:
                temporary.unlink()


def _write_failure(error: BaseException | None, temporary: Path | None) -> OSError | None:
    """Return the failed write that caused an error; None if there is none to report.

    A failed write is an OSError that names no file, or the temporary one; the library that wrote (torch, zipfile) may
    have raised another error over it. A pipe whose reader has closed it is not a failure to report.
    """
    while isinstance(error, Exception):
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            return None if error.errno == errno.EPIPE else error
        error = error.__cause__ or error.__context__
    return None


def _with_shown_names(value: Any) -> Any:
    """Return a JSON value whose texts are all UTF-8."""
    if isinstance(value, dict):
        return {_with_shown_names(name): _with_shown_names(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_shown_names(item) for item in value]
    return shown(value) if isinstance(value, str) else value


def _reason(error: OSError | ValueError) -> str:
    """Return the system's words for an error, without its number and file, which the message names itself."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def shown(name: str | Path) -> str:
    r"""Return a file's name as UTF-8 text that `original_name` converts back: each byte that is not UTF-8 becomes \xNN.

    A name in UTF-8 is unchanged. In other names a backslash that would look like such a byte becomes \x5c.
    """
    text = os.fspath(name)
    try:
        text.encode()
    except UnicodeEncodeError:
        return _ESCAPED_BYTE.sub(lambda match: r"\x5c" + match[0][1:], text).encode("utf-8", SHOWN).decode()
    return text


def original_name(text: str) -> str:
    """Return the file's name, not UTF-8, that `shown` converts to this text."""
    return _ESCAPED_BYTE.sub(lambda match: "\\" if match[1] == "5c" else chr(0xDC00 + int(match[1], 16)), text)


def find_shown(folder: Path, text: str) -> Path:
    """Return the path of the file in a folder with this name, or with the name that `shown` converts to it.

    It need not exist.
    """
    path = folder / text
    return path if "\\x" not in text or path.exists() else folder / original_name(text)


@contextmanager
def utf8_name(path: Path) -> Iterator[str]:
    """Yield a UTF-8 name for opening a file whose name may not be UTF-8, for libraries that need one (OpenCV crashes).

    It is a symbolic link, removed when the block ends; a new file can be created through it.
    """
    if _is_utf8(str(path)):
        yield str(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        suffix = path.suffix if path.suffix.isascii() else ""
        link = Path(folder) / f"file{suffix}"
        link.symlink_to(path.absolute())
        yield str(link)


def _escape_unencodable(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    letters = error.object[error.start : error.end]
    return "".join(
        f"\\x{ord(letter) - 0xDC00:02x}"
        if 0xDC80 <= ord(letter) <= 0xDCFF
        else letter.encode("ascii", "backslashreplace").decode()
        for letter in letters
    ), error.end


codecs.register_error(SHOWN, _escape_unencodable)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
