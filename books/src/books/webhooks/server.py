"""Serve the receiver: its own socket, limits, an orderly shutdown."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from books.core.faults import Exit, Halt

CONNECTIONS_MAX = 256
HEADER_BYTES_MAX = 16 * 1024
REQUEST_SECONDS_MAX = 10.0
"""How long a client may take to send a request's head, from the connection or the last answer on; Intuit needs no
time."""

KEEP_ALIVE_SECONDS = 5
SHUTDOWN_SECONDS = 25


class BoundedProtocol(H11Protocol):
    """Closes a connection if the head of a request is not complete in time: uvicorn would wait for ever.

    The time counts from the connection's start and from each answer; uvicorn's own limit ends with the first byte.
    """

    def connection_made(self, transport: Any) -> None:
        """Start the time for the first head."""
        super().connection_made(transport)
        self._deadline = self._expect_head(after=None)

    def on_response_complete(self) -> None:
        """Start the time for the next head, unless it arrived with the last one: then wait for its answer."""
        answered = self.cycle
        super().on_response_complete()
        self._deadline.cancel()
        self._deadline = self._expect_head(after=answered)

    def _expect_head(self, after: Any) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(REQUEST_SECONDS_MAX, self._close_if_silent, after)

    def _close_if_silent(self, after: Any) -> None:
        if self.cycle is after and not self.transport.is_closing():
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._deadline.cancel()
        super().connection_lost(exc)


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free port.

    Raises:
        Halt: MISCONFIGURED; the address is in use, or not an address of this machine.
    """
    try:
        family, kind, protocol, _name, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)  # asyncio sends without delay only where TCP is named
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(CONNECTIONS_MAX)  # early clients wait instead of being refused
    except OSError as error:
        raise Halt(
            f"the receiver cannot listen on {host}:{port}: {error.strerror or error}",
            exit_code=Exit.MISCONFIGURED,
            code="address_unusable",
            remedy="choose another --port, or stop the process that listens there",
        ) from None
    return listening


def serve(app: Starlette, listening: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are finished first."""
    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS_MAX,
        h11_max_incomplete_event_size=HEADER_BYTES_MAX,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    uvicorn.Server(config).run(sockets=[listening])
