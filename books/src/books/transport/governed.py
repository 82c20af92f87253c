"""Waits for leave before each call, and tells the governor how it went."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from books.core.clock import Clock
from books.core.faults import Halt, Retry, Unknown
from books.transport import policy
from books.transport.call import CallKind, Request, Response, Transport, Turn
from books.transport.governor import PUSHES, Governor
from books.transport.policy import Outcome

logger = logging.getLogger(__name__)


class Governed:
    """Sends within the company's budgets. One wait for leave is at most `max_wait_seconds` long.

    Raises:
        Halt: TRY_LATER; leave would come too late. The call was not made.
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
        self._has_grant = False

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Hold the push lock over several calls.

        Raises:
            Halt: TRY_LATER; somebody else held it for all of `max_wait_seconds`.
        """
        with self._governor.push_lock(self._connection, self._deadline()) as is_held:
            self._in_turn, self._has_grant = True, False
            try:
                yield Turn(self._leave_ahead, is_held)
            finally:
                self._in_turn = False

    def _leave_ahead(self) -> float:
        """Take the grant of the next batch ahead, so that nothing waits between its claim and its sending."""
        started = self._clock.monotonic()
        self._governor.grant(self._connection, CallKind.BATCH, self._deadline())
        self._has_grant = True
        return self._clock.monotonic() - started

    def _deadline(self) -> float:
        return self._clock.monotonic() + self._max_wait_seconds

    def _leave(self, request: Request) -> AbstractContextManager[float]:
        """Leave for one call. In a turn the push lock is held already, and a batch that has to be proved may too."""
        if request.prove is not None and self._has_grant:
            self._has_grant = False
            return nullcontext(0.0)
        if self._in_turn and request.kind in PUSHES:
            return nullcontext(self._governor.grant(self._connection, request.kind, self._deadline()))
        return self._governor.slot(self._connection, request.kind, self._deadline())

    def send(self, request: Request) -> Response:
        """Send it when its turn has come."""
        with self._leave(request):
            try:
                answer = self._inner.send(request)
            except (Retry, Unknown) as fault:
                self._note(request, fault)
                raise
            self._note(request, answer)
            return answer

    def _note(self, request: Request, outcome: Outcome) -> None:
        """Tell the governor. A store that fails now must not hide the answer: the next call asks it again."""
        try:
            self._tell(request, outcome)
        except Halt as halt:
            logger.warning("The governor could not note a call: %s", halt.message)

    def _tell(self, request: Request, outcome: Outcome) -> None:
        if policy.is_failure(outcome):
            self._governor.failed(self._connection)
        elif isinstance(outcome, Response) and outcome.status == policy.TOO_MANY_REQUESTS:
            seconds = policy.throttle_seconds(outcome.headers, self._clock.now(), self._clock.random())
            self._governor.pause(self._connection, seconds, "QuickBooks answered 429: too many requests")
        elif isinstance(outcome, Response):
            self._governor.answered(self._connection, metered=_is_metered(request.kind, outcome.status))


def _is_metered(kind: CallKind, status: int) -> bool:
    """Intuit meters successful calls that read (Intuit App Partner Program, CorePlus)."""
    return kind is CallKind.READ and 200 <= status < 300  # noqa: PLR2004 -- HTTP's range of success
