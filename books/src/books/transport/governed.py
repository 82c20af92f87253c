"""Wait for the rate limiter before each call, and record the result with it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from books.core.clock import Clock
from books.core.faults import Halt, Retry, Unknown
from books.transport import policy
from books.transport.access import Access
from books.transport.call import CallKind, Request, Response, Transport, Turn
from books.transport.governor import PUSHES, Governor, Permit
from books.transport.policy import CallResult

logger = logging.getLogger(__name__)


class Governed:
    """Sends within the company's budgets, waiting at most `max_wait_seconds` for a permit.

    Raises:
        Halt: TRY_LATER; the wait would be too long. The call was not made.
    """

    def __init__(
        self,
        inner: Transport,
        governor: Governor,
        access: Access,
        connection: str,
        clock: Clock,
        max_wait_seconds: float,
    ) -> None:
        self._inner = inner
        self._governor = governor
        self._access = access
        self._connection = connection
        self._clock = clock
        self._max_wait_seconds = max_wait_seconds
        self._in_turn = False
        self._taken: Permit | None = None

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Hold the push lock over several calls.

        Raises:
            Halt: TRY_LATER; somebody else held it for all of `max_wait_seconds`.
        """
        with self._governor.push_lock(self._connection, self._deadline()) as is_held:
            self._in_turn, self._taken = True, None
            try:
                yield Turn(self._reserve_batch, is_held)
            finally:
                self._in_turn = False
                self._end_taken()

    def _reserve_batch(self) -> float:
        """Take the permit of the next batch beforehand, so that nothing waits between its claim and its sending."""
        started = self._clock.monotonic()
        self._end_taken()
        self._taken = self._governor.reserve(self._connection, CallKind.BATCH, self._deadline())
        return self._clock.monotonic() - started

    def _end_taken(self) -> None:
        """End a permit that was taken beforehand and not used."""
        unused, self._taken = self._taken, None
        if unused is not None:
            self._governor.end(unused)

    def _deadline(self) -> float:
        return self._clock.monotonic() + self._max_wait_seconds

    @contextmanager
    def _permit(self, request: Request) -> Iterator[None]:
        """Wait for the permit of one call. In a turn the push lock is held already, and a batch may have its permit.

        While a batch's permit is held, the other calls of this process ride on its lease: one is made at a time.
        """
        if request.prove is not None and self._taken is not None:
            permit, self._taken = self._taken, None
        elif self._in_turn and request.kind in PUSHES:
            permit = self._governor.reserve(
                self._connection, request.kind, self._deadline(), in_flight=self._taken is None
            )
        else:
            free = self._taken is None
            with self._governor.slot(self._connection, request.kind, self._deadline(), in_flight=free):
                yield
            return
        try:
            yield
        finally:
            self._governor.end(permit)

    def send(self, request: Request) -> Response:
        """Wait for a permit, then send the request."""
        with self._permit(request):
            try:
                answer = self._inner.send(request)
            except (Retry, Unknown) as fault:
                self._record(request, fault)
                raise
            self._record(request, answer)
            return answer

    def _record(self, request: Request, result: CallResult) -> None:
        """Record the result with the rate limiter. A store that fails now must not hide the answer."""
        try:
            if policy.is_failure(result):
                self._governor.record_failure(self._connection)
            elif isinstance(result, Response) and result.status == policy.TOO_MANY_REQUESTS:
                headers, usual = result.headers, self._access.throttle_seconds(result.headers)
                seconds = policy.throttle_seconds(headers, self._clock.now(), self._clock.random(), usual)
                reason = f"{self._access.ledger} answered 429: too many requests"
                self._governor.pause(self._connection, seconds, reason)
            elif isinstance(result, Response):
                is_metered, left = self._access.is_metered(request.kind, result), self._access.left(result.headers)
                self._governor.record_answer(self._connection, metered=is_metered, left=left)
        except Halt as halt:
            logger.warning("The rate limiter could not record a call: %s", halt.message)
