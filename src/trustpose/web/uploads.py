"""What a browser sends: read with a limit, kept in one temporary folder under names of our own."""

import secrets
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from trustpose.files import InputError

MOST_KEPT = 32  # uploads and results; the oldest is dropped
MOST_KEPT_BYTES = 2_000_000_000


class TooLarge(Exception):
    """A request's body is larger than its limit."""


async def _limited(chunks: AsyncIterator[bytes], most: int) -> AsyncIterator[bytes]:
    """Yield a request's body. Raises TooLarge as soon as it has more than `most` bytes, and InputError if it has
    none."""
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > most:
            raise TooLarge
        yield chunk
    if not size:
        raise InputError("the upload is empty")


async def read_body(chunks: AsyncIterator[bytes], most: int) -> bytes:
    """Return a request's body. Raises TooLarge and InputError as above."""
    return b"".join([chunk async for chunk in _limited(chunks, most)])


async def save_body(chunks: AsyncIterator[bytes], path: Path, most: int) -> None:
    """Write a request's body to a new file; nothing is left of one that is refused, as in `read_body`."""
    try:
        with path.open("xb") as file:
            async for chunk in _limited(chunks, most):
                file.write(chunk)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@dataclass(frozen=True, eq=False)
class Kept:
    """A stored file, and what was read from it."""

    kind: str
    path: Path
    value: Any = None


@dataclass(eq=False)
class Store:
    """The files of one server, by unguessable keys, in a temporary folder that `close` removes.

    Names that a browser sends are never used. Beyond `MOST_KEPT` files or `MOST_KEPT_BYTES` the oldest are dropped.
    """

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="trustpose-")))
    _kept: "OrderedDict[str, Kept]" = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def new_path(self, suffix: str = "") -> Path:
        """Return the path of a file that does not exist yet; `suffix` is ours, not the browser's."""
        return self.folder / (secrets.token_hex(16) + suffix)

    def add(self, kind: str, path: Path, value: Any = None) -> str:
        """Keep a file of the folder; return its key."""
        key = secrets.token_urlsafe(16)
        with self._lock:
            self._kept[key] = Kept(kind, path, value)
            while len(self._kept) > 1 and (len(self._kept) > MOST_KEPT or self._bytes() > MOST_KEPT_BYTES):
                self._kept.popitem(last=False)[1].path.unlink(missing_ok=True)
        return key

    def get(self, key: object, kind: str) -> Kept:
        """Return the file of that key. Raises InputError if there is none, or if it is of another kind."""
        with self._lock:
            found = self._kept.get(key) if isinstance(key, str) else None
        if found is None or found.kind != kind:
            raise InputError(f"there is no such {kind} here (any more): upload it again")
        return found

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _bytes(self) -> int:
        return sum(kept.path.stat().st_size for kept in self._kept.values() if kept.path.is_file())
