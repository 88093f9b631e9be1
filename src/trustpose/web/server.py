"""The server behind the page: its port, its connections, and how it stops."""

import asyncio
import socket
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from trustpose.files import InputError
from trustpose.web.limits import Limits

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
