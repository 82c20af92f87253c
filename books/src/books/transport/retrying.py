"""Sends a call again where that cannot do harm, bounded in tries and in time."""

from __future__ import annotations

import logging

from books.core.clock import Clock
from books.core.faults import Exit, Halt, Retry, Unknown
from books.transport import policy
from books.transport.call import Request, Response, Transport
from books.transport.policy import Outcome

logger = logging.getLogger(__name__)


class Retrying:
    """Repeats by `policy.wait_seconds`. The waits of one call add up to at most `max_wait_seconds`.

    A 5xx answer that stays is returned, like any answer; a fault that stays is raised again. A request that has to be
    proved is sent once: whoever waits has to look again before sending.

    Raises:
        Halt: TRY_LATER; the vendor asks to wait longer than we may. The call was refused, it did not happen.
        Retry, Unknown: as `inner` raised them last; Unknown at once where the call may not be repeated.
    """

    def __init__(self, inner: Transport, clock: Clock, max_wait_seconds: float) -> None:
        self._inner = inner
        self._clock = clock
        self._max_wait_seconds = max_wait_seconds

    def send(self, request: Request) -> Response:
        """Send it, again where need be."""
        if request.prove is not None:
            return self._inner.send(request)
        deadline = self._clock.monotonic() + self._max_wait_seconds
        tries = 1
        outcome = self._try(request)
        while (wait_seconds := self._wait_seconds(request, tries, outcome)) is not None:
            if self._clock.monotonic() + wait_seconds > deadline:
                break
            logger.info("Sending %s again in %.1f seconds: %s", request.method, wait_seconds, _words(outcome))
            self._clock.sleep(wait_seconds)
            tries += 1
            outcome = self._try(request)
        return _settle(outcome, wait_seconds)

    def _try(self, request: Request) -> Outcome:
        try:
            return self._inner.send(request)
        except (Retry, Unknown) as fault:
            return fault

    def _wait_seconds(self, request: Request, tries: int, outcome: Outcome) -> float | None:
        return policy.wait_seconds(request.kind, tries, outcome, self._clock.now(), self._clock.random())


def _settle(outcome: Outcome, wait_seconds: float | None) -> Response:
    """Give up or be done: the answer, or what is to be raised."""
    if not isinstance(outcome, Response):
        raise outcome
    if outcome.status == policy.TOO_MANY_REQUESTS:
        raise Halt(
            f"rate limited (429): the next may go in {wait_seconds or 0:.0f} seconds, "
            "later than max_wait_seconds allows",
            exit_code=Exit.TRY_LATER,
            code="429",
            remedy="run again later",
            vendor_request_id=outcome.headers.get("intuit_tid"),
        )
    return outcome


def _words(outcome: Outcome) -> str:
    return f"answer {outcome.status}" if isinstance(outcome, Response) else outcome.message
