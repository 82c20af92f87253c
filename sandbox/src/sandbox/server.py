"""A simulator served over real HTTP from a thread of this process, on a loopback port."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment] # the way to say that there is none

LOCK_FILE = "in-use.lock"
START_SECONDS_MAX = 10.0
STOP_SECONDS_MAX = 10.0
TICK_SECONDS = 0.1


class CannotServeError(RuntimeError):
    """The server cannot start: the port is taken, or the address is not one of this machine alone."""


@contextmanager
def running(app: ASGIApp, *, host: str = "127.0.0.1", port: int = 0, grace_seconds: float = 0.0) -> Iterator[str]:
    """Serve `app` while the block runs; yields its base URL, without a slash at the end.

    Port 0 picks a free one. `grace_seconds` is how long requests in work may go on when the block ends.

    Raises:
        CannotServeError: the port is taken, the host is not a loopback address, or the app did not start.
    """
    listener = _listen(host, port)
    server = _Server(_config(app), grace_seconds)
    thread = threading.Thread(target=server.run, args=([listener],), name="sandbox-server", daemon=True)
    thread.start()
    try:
        if not server.answering.wait(START_SECONDS_MAX):
            raise CannotServeError(f"The simulator did not start within {START_SECONDS_MAX:g} s.")
        yield _url(host, listener.getsockname()[1])
    finally:
        server.stop()
        thread.join(STOP_SECONDS_MAX)


def check_loopback(host: str) -> str:
    """Return `host` when it names this machine alone.

    Raises:
        CannotServeError: it does not. The simulators know no real secrets and keep none, so they stay private.
    """
    with suppress(ValueError):
        if host == "localhost" or ip_address(host).is_loopback:
            return host
    raise CannotServeError(f"{host!r} is not a loopback address; the simulators serve this machine only (127.0.0.1).")


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Keep a state folder for this process; a kill gives it back. On Windows there is no such lock, and none is taken.

    Raises:
        CannotServeError: another process has it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        mark = (folder / LOCK_FILE).open("a")
    except OSError as error:
        raise CannotServeError(f"Cannot keep the state in {folder}: {error.strerror}.") from error
    with mark:
        try:
            if fcntl:
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CannotServeError(
                f"The state in {folder} is in use by another sandbox. Stop that one, or name another folder."
            ) from error
        yield


def _listen(host: str, port: int) -> socket.socket:
    """Bind before the thread starts, so that a taken port is the caller's exception and not a log line.

    The protocol is named because asyncio sends without delay (TCP_NODELAY) only on sockets that name it; without, each
    answer of two packets waits some 40 ms for the client's acknowledgement.
    """
    check_loopback(host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CannotServeError(_why_not(host, port, error)) from error
    return listener


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken. Stop what uses it, or choose another port (0 picks a free one)."
    return f"Cannot listen on {host}:{port}: {error.strerror}."


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        _cancellable(app), lifespan="auto", log_config=None, log_level="error", access_log=False, ws="none"
    )


def _cancellable(app: ASGIApp) -> ASGIApp:
    """Let a request that is cut at the end of the server end without a word: it is no error of the app."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(asyncio.CancelledError):
            await app(scope, receive, send)

    return call


@dataclass
class _Stop:
    """A request to stop that any thread can make, before or after the event loop exists."""

    asked: threading.Event = field(default_factory=threading.Event)
    loop: asyncio.AbstractEventLoop | None = None
    woken: asyncio.Event | None = None

    def ask(self) -> None:
        self.asked.set()
        if self.loop and self.woken:
            with suppress(RuntimeError):  # the loop has ended by itself
                self.loop.call_soon_threadsafe(self.woken.set)


class _Server(uvicorn.Server):
    """Uvicorn, but it says when it answers, stops at once, and never waits for a client that hangs."""

    def __init__(self, config: uvicorn.Config, grace_seconds: float) -> None:
        super().__init__(config)
        self.answering = threading.Event()
        self._grace_seconds = grace_seconds
        self._stop = _Stop()

    def stop(self) -> None:
        """Ask the server to stop, from any thread."""
        self._stop.ask()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening and say so."""
        self._stop.woken = asyncio.Event()
        self._stop.loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.answering.set()

    async def main_loop(self) -> None:
        """Keep the Date header fresh until somebody asks to stop."""
        counter = 0
        while not self._stop.asked.is_set():
            await self.on_tick(counter)
            counter = (counter + 1) % 10
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(_event(self._stop).wait(), TICK_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nothing new, let requests in work finish within the grace, then cut."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if tasks := set(self.server_state.tasks):
            await asyncio.wait(tasks, timeout=self._grace_seconds)
        await self._cut()
        await self.lifespan.shutdown()

    async def _cut(self) -> None:
        """Close the sockets of requests that still work, then end their tasks; in this order uvicorn logs no fault."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)
        if tasks := set(self.server_state.tasks):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=STOP_SECONDS_MAX)


def _event(stop: _Stop) -> asyncio.Event:
    if stop.woken is None:
        raise RuntimeError("the server has not started")
    return stop.woken
