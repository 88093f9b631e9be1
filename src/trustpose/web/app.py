"""The web page: photos, videos, results files, audits and calibrators in a browser, served by FastAPI.

Poses, scores and texts are those of `predict/`, `evaluation/` and `report/`; the page only draws them. Everything that
it loads comes from this server, and nothing of it is inline, so that the content security policy can forbid the rest.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware
from uvicorn.protocols.http.h11_impl import H11Protocol

from trustpose.files import InputError
from trustpose.predict.base_predictor import BasePredictor
from trustpose.web import files, photos
from trustpose.web.requests import Busy, Gate, Limits
from trustpose.web.uploads import Stalled, Store, TooLarge

STATIC = Path(__file__).with_name("static")
_PAGES = {
    "": "index.html",
    "page.js": "page.js",
    "canvas.js": "canvas.js",
    "files.js": "files.js",
    "page.css": "page.css",
}


def create_app(predictor: BasePredictor, hosts: Sequence[str], limits: Limits = Limits()) -> FastAPI:  # noqa: B008
    """Return the application for one loaded predictor.

    hosts: the names under which it answers, so that another site's page cannot reach it under a name of its own that
    points here. Uploads go to a temporary folder, which is removed when the server stops.
    """
    store = Store(limits)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        store.close()

    app = FastAPI(title="trustpose", docs_url=None, redoc_url=None, openapi_url=None, lifespan=life)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    app.add_middleware(Gate, limits=limits)
    for error in (InputError, TooLarge, Stalled, Busy):
        app.exception_handler(error)(_refuse)
    for name, file in _PAGES.items():
        app.get(f"/{name}", response_model=None)(_page(STATIC / file))
    app.include_router(photos.router(predictor, store, limits))
    app.include_router(files.router(store, limits))
    return app


def _page(path: Path) -> Callable[[], FileResponse]:
    return lambda: FileResponse(path)


async def _refuse(_: Request, error: Exception) -> Response:
    """Answer bad input with one line."""
    if isinstance(error, Busy):
        return error.response()
    if isinstance(error, Stalled):
        return JSONResponse({"error": "the upload came too slowly"}, 408, {"Connection": "close"})
    if isinstance(error, TooLarge):
        return JSONResponse({"error": "the upload is larger than this server's limit"}, 413)
    line: Any = " ".join(str(error).split())
    return JSONResponse({"error": line}, 422)


_SHUTDOWN_SECONDS = 5


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there, at any free port for 0. Raises InputError, such as for a port in use."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise InputError(f"serve: cannot listen on {host} ({error.strerror})") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(100)
    except OSError as error:
        listener.close()
        raise InputError(f"serve: cannot listen on port {port} of {host} ({error.strerror}); see --port") from None
    return listener


def server_of(app: FastAPI, limits: Limits) -> uvicorn.Server:
    """Return the server, to be run on a socket of `listen`."""

    class Connection(H11Protocol):
        """A connection that is closed where no whole request head comes in time, which uvicorn waits for for ever."""

        stall_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.stall_timer = self.loop.call_later(limits.stall_seconds, self._close_idle)

        def _close_idle(self) -> None:
            if self.transport.is_closing():
                return
            if self.cycle is None or (self.cycle.response_complete and self.timeout_keep_alive_task is None):
                self.transport.close()
            else:
                self.stall_timer = self.loop.call_later(limits.stall_seconds, self._close_idle)

        def connection_lost(self, exc: Exception | None) -> None:
            if self.stall_timer is not None:
                self.stall_timer.cancel()
            super().connection_lost(exc)

    config = uvicorn.Config(
        app,
        http=Connection,
        log_level="error",
        server_header=False,
        date_header=False,
        limit_concurrency=limits.connections,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    return uvicorn.Server(config)
