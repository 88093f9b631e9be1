"""Uploads: read within limits of size and time, and stored in one temporary folder under names of our own."""

import asyncio
import secrets
import shutil
import tempfile
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from fastapi import Request

from trustpose.files import InputError
from trustpose.web.requests import Busy, Limits, discard


class TooLarge(Exception):
    """A request's body is larger than its limit."""


class Stalled(Exception):
    """A request's body comes too slowly."""


class Budget:
    """Bytes that all requests may hold together."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.held_bytes = max_bytes, 0

    def take(self, size: int) -> None:
        """Reserve bytes. Raises Busy if the budget is exhausted."""
        if self.held_bytes + size > self.max_bytes:
            raise Busy
        self.held_bytes += size

    def give(self, size: int) -> None:
        """Give back bytes that were taken."""
        self.held_bytes -= size


class Share:
    """The bytes of a budget that one request holds until its block ends."""

    def __init__(self, budget: "Budget | Store") -> None:
        self._budget, self.size = budget, 0

    def cover(self, size: int) -> None:
        """Take what is missing to `size` bytes. Raises Busy."""
        if size > self.size:
            self._budget.take(size - self.size)
            self.size = size

    def __enter__(self) -> "Share":
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.give(self.size)


async def read_chunks(request: Request, max_bytes: int, limits: Limits, share: Share) -> AsyncIterator[bytes]:
    """Yield a request's body, of at most `max_bytes` bytes, which `share` covers.

    Raises TooLarge, Busy, Stalled, InputError where the body is empty, and ClientDisconnect.
    """
    chunks, size, started = request.stream(), 0, time.monotonic()
    declared = request.headers.get("content-length", "")
    try:
        if declared.isdigit():
            _check_size(int(declared), max_bytes, share)
        while chunk := await _next_chunk(chunks, limits, size, time.monotonic() - started):
            size += len(chunk)
            _check_size(size, max_bytes, share)
            yield chunk
    except (TooLarge, Busy):
        await discard(chunks)
        raise
    if not size:
        raise InputError("the upload is empty")


def _check_size(size: int, max_bytes: int, share: Share) -> None:
    if size > max_bytes:
        raise TooLarge
    share.cover(size)


async def _next_chunk(chunks: AsyncIterator[bytes], limits: Limits, size: int, seconds: float) -> bytes:
    """Return the next bytes, b"" at the end. Raises Stalled after a pause, and where the whole comes too slowly."""
    seconds_left = limits.stall_seconds + size / limits.bytes_per_second - seconds
    try:
        async with asyncio.timeout(min(limits.stall_seconds, seconds_left)):
            return await anext(chunks, b"")
    except TimeoutError:
        raise Stalled from None


async def read_body(request: Request, max_bytes: int, limits: Limits, share: Share) -> bytes:
    """Return a request's body. Raises as `read_chunks`."""
    content = bytearray()
    async for chunk in read_chunks(request, max_bytes, limits, share):
        content += chunk
    return bytes(content)


async def save_body(request: Request, path: Path, max_bytes: int, limits: Limits, share: Share) -> None:
    """Write a request's body to a new file; nothing is left of a refused one. Raises as `read_chunks`."""
    try:
        with path.open("xb") as file:
            async for chunk in read_chunks(request, max_bytes, limits, share):
                file.write(chunk)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@dataclass(eq=False)
class StoredUpload:
    """A stored file, and what was read from it."""

    kind: str
    path: Path
    value: Any
    size: int
    since: float = field(default_factory=time.monotonic)
    is_used: bool = False
    users: int = 0


@dataclass(eq=False)
class Store:
    """The files of one server, by unguessable keys, in a temporary folder that `close` removes.

    Names that a browser sends are never used. To make room, files are dropped that were used or have waited for
    `limits.keep_seconds`, those first whose last use is oldest, and never one that a request is using.
    """

    limits: Limits = field(default_factory=Limits)
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="trustpose-")))
    _uploads: "OrderedDict[str, StoredUpload]" = field(default_factory=OrderedDict)
    _held: int = 0
    _lock: Lock = field(default_factory=Lock)

    def new_path(self, suffix: str = "") -> Path:
        """Return the path of a file that does not exist yet; `suffix` is ours, not the browser's."""
        return self.folder / (secrets.token_hex(16) + suffix)

    def take(self, size: int) -> None:
        """Count the bytes of a file to come. Raises Busy where dropping files makes no room for them."""
        with self._lock:
            while self._held + size > self.limits.kept_bytes:
                self._drop()
            self._held += size

    def give(self, size: int) -> None:
        """Give back bytes that were taken."""
        with self._lock:
            self._held -= size

    def add(self, kind: str, path: Path, value: Any = None, share: Share | None = None) -> str:
        """Keep a file of the folder, and the bytes that `share` holds for it; return its key. Raises Busy."""
        key = secrets.token_urlsafe(16)
        try:
            with self._lock:
                while len(self._uploads) >= self.limits.kept_files:
                    self._drop()
            if share is None:
                self.take(path.stat().st_size)
        except Busy:
            path.unlink()
            raise
        size = path.stat().st_size if share is None else share.size
        if share is not None:
            share.size = 0
        with self._lock:
            self._uploads[key] = StoredUpload(kind, path, value, size)
        return key

    @contextmanager
    def using(self, key: object, kind: str) -> Iterator[StoredUpload]:
        """Yield the file of that key, which stays until the block ends. Raises InputError if there is none, or if it is
        of another kind."""
        with self._lock:
            upload = self._uploads.get(key) if isinstance(key, str) else None
            if upload is None or upload.kind != kind:
                raise InputError(f"there is no such {kind} here (any more): upload it again")
            self._uploads.move_to_end(str(key))
            upload.users += 1
        try:
            yield upload
            upload.is_used = True
        finally:
            with self._lock:
                upload.users -= 1

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _drop(self) -> None:
        """Drop the file whose last use is oldest. Raises Busy where none may be dropped."""
        seconds, soonest = time.monotonic(), self.limits.keep_seconds
        for key, upload in self._uploads.items():
            seconds_to_wait = 0.0 if upload.is_used else upload.since + self.limits.keep_seconds - seconds
            if seconds_to_wait <= 0 and not upload.users:
                upload.path.unlink(missing_ok=True)
                self._held -= upload.size
                del self._uploads[key]
                return
            soonest = min(soonest, max(seconds_to_wait, 1))
        raise Busy(soonest)
