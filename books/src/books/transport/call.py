"""One call to a vendor, and the protocol `Transport`: a `Request` in, a `Response` out, one method, `send`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from books.core import money


class CallKind(StrEnum):
    """The kind of a call, for the rate limiter and the retry policy."""

    READ = "read"
    """Changes nothing: may be repeated, uses the budget but not the push lock."""
    WRITE = "write"
    """Changes the books: one in flight per company, never blindly repeated."""
    BATCH = "batch"
    """A write that also counts against the budget of batches."""
    IDEMPOTENT = "idempotent"
    """A write with the same effect once or twice (a PUT under our own id, a DELETE): may be repeated like a read."""


@dataclass(frozen=True)
class Request:
    """One HTTP call, complete: the same Request sent twice is the same bytes twice."""

    method: str
    url: str
    kind: CallKind
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    prove: Callable[[], None] | None = field(default=None, compare=False, repr=False)
    """Called right before the bytes are sent, each time. What it raises is raised, and nothing is sent.

    Such a request is not sent again after a wait: its caller decides again.
    """


@dataclass(frozen=True)
class Response:
    """An HTTP answer of any status. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON with exact numbers.

        Raises:
            ValueError: the body is not JSON (a gateway's HTML page, a cut answer).
        """
        return money.loads(self.body)


class Transport(Protocol):
    """Sends one request and returns the vendor's answer, whatever its status.

    Raises:
        Retry: the request never reached the vendor (refused, no route, name unknown).
        Unknown: it may have reached it (timed out, connection cut after the first byte was sent).
        Halt: nothing further can succeed (consent ended, time for this run used up).
    """

    def send(self, request: Request) -> Response:
        """Send the request."""
        ...


@dataclass(frozen=True)
class Turn:
    """The push lock of a company, held: no other run creates anything in it until the turn ends."""

    reserve: Callable[[], float]
    """Wait for the rate limiter's permit for the next batch; returns the seconds waited. Raises Halt if too long."""
    is_held: Callable[[], bool]
    """Returns whether the lock is still ours: a database server forgets it when it is restarted."""


Turns = Callable[[], AbstractContextManager[Turn]]
"""Waits for a turn and holds it. Raises Halt where others hold it for too long."""
