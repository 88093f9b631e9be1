"""The middleware of all requests: refuses them if the server is full or another site sent them, ends abandoned ones."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(frozen=True)
class Limits:
    """Limits of one request: the most bytes of a photo, a video and another file, pixels of a photo or frame, and
    frames of a video. Limits of the whole server: requests in progress, connections, bytes of photos in memory, bytes
    and number of files in the temporary folder. Times are in seconds, the slowest upload in bytes per second.
    """

    photo_bytes: int = 32_000_000
    video_bytes: int = 500_000_000
    file_bytes: int = 500_000_000
    pixels: int = 50_000_000
    frames: int = 3000
    requests: int = 24
    connections: int = 200
    memory_bytes: int = 200_000_000
    kept_bytes: int = 2_000_000_000
    kept_files: int = 256
    keep_seconds: float = 600  # before a file that nobody has used may make room for others
    stall_seconds: float = 20
    bytes_per_second: int = 20_000


_RETRY_SECONDS = 2
_DISCARD_SECONDS = 5.0
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


class Busy(Exception):
    """The server has no room for a request now; `seconds` later it may have."""

    def __init__(self, seconds: float = _RETRY_SECONDS) -> None:
        self.seconds = seconds

    def response(self) -> JSONResponse:
        """Return the answer 503, with Retry-After."""
        retry = {"Retry-After": str(max(1, round(self.seconds)))}
        return JSONResponse({"error": "the server is busy; try again in a moment"}, 503, retry)


class Gate:
    """The middleware: adds the headers, refuses other sites' requests, and counts those in progress.

    A client that leaves ends its request without a word.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits, self._in_progress = app, limits, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        with suppress(ClientDisconnect):
            await self._answer(scope, receive, send_with_headers)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        is_post = scope["method"] == "POST"
        if is_post and origin is not None and origin.partition("://")[2] != headers.get("host"):
            error = {"error": "expected a request of this server's own page"}
            await JSONResponse(error, 403)(scope, receive, send)
        elif is_post and self._in_progress >= self._limits.requests:
            await discard(_bodies(receive))
            await Busy().response()(scope, receive, send)
        else:
            self._in_progress += is_post
            try:
                await self._app(scope, receive, send)
            finally:
                self._in_progress -= is_post


async def discard(chunks: AsyncIterator[bytes]) -> None:
    """Read the rest of a refused request for a few seconds, as a client that still sends misses an early answer."""
    with suppress(TimeoutError, StopAsyncIteration):
        async with asyncio.timeout(_DISCARD_SECONDS):
            while True:
                await anext(chunks)


async def _bodies(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        yield message.get("body", b"")
