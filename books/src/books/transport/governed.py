"""Wait for the rate limiter before each call, and record the result with it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from books.core.clock import Clock
from books.core.faults import Halt, Retry, Unknown
from books.transport import policy
from books.transport.call import CallKind, Request, Response, Transport, Turn
from books.transport.governor import PUSHES, Governor
from books.transport.policy import CallResult

logger = logging.getLogger(__name__)


class Governed:
    """Sends within the company's budgets, waiting at most `max_wait_seconds` for a permit.

    Raises:
        Halt: TRY_LATER; the wait would be too long. The call was not made.
    """

    def __init__(
        self, inner: Transport, governor: Governor, connection: str, clock: Clock, max_wait_seconds: float
    ) -> None:
        self._inner = inner
        self._governor = governor
        self._connection = connection
        self._clock = clock
        self._max_wait_seconds = max_wait_seconds
        self._in_turn = False
        self._has_permit = False

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Hold the push lock over several calls.

        Raises:
            Halt: TRY_LATER; somebody else held it for all of `max_wait_seconds`.
        """
        with self._governor.push_lock(self._connection, self._deadline()) as is_held:
            self._in_turn, self._has_permit = True, False
            try:
                yield Turn(self._reserve_batch, is_held)
            finally:
                self._in_turn = False

    def _reserve_batch(self) -> float:
        """Take the permit of the next batch beforehand, so that nothing waits between its claim and its sending."""
        started = self._clock.monotonic()
        self._governor.reserve(self._connection, CallKind.BATCH, self._deadline())
        self._has_permit = True
        return self._clock.monotonic() - started

    def _deadline(self) -> float:
        return self._clock.monotonic() + self._max_wait_seconds

    def _permit(self, request: Request) -> AbstractContextManager[float]:
        """Wait for the permit of one call. In a turn the push lock is held already, and a batch may have its permit."""
        if request.prove is not None and self._has_permit:
            self._has_permit = False
            return nullcontext(0.0)
        if self._in_turn and request.kind in PUSHES:
            return nullcontext(self._governor.reserve(self._connection, request.kind, self._deadline()))
        return self._governor.slot(self._connection, request.kind, self._deadline())

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
                seconds = policy.throttle_seconds(result.headers, self._clock.now(), self._clock.random())
                self._governor.pause(self._connection, seconds, "QuickBooks answered 429: too many requests")
            elif isinstance(result, Response):
                self._governor.record_answer(self._connection, metered=_is_metered(request.kind, result.status))
        except Halt as halt:
            logger.warning("The rate limiter could not record a call: %s", halt.message)


def _is_metered(kind: CallKind, status: int) -> bool:
    """Return whether Intuit meters the call: successful reads only (Intuit App Partner Program, CorePlus)."""
    return kind is CallKind.READ and 200 <= status < 300  # noqa: PLR2004 -- HTTP's range of success
