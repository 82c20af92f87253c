"""Retry a call where repeating it is safe, bounded in tries and in time."""

from __future__ import annotations

import logging

from books.core.clock import Clock
from books.core.faults import Exit, Halt, Retry, Unknown
from books.transport import policy
from books.transport.access import Access
from books.transport.call import Request, Response, Transport
from books.transport.policy import CallResult

logger = logging.getLogger(__name__)


class Retrying:
    """Repeats calls as `policy.wait_seconds` decides. The waits of one call add up to at most `max_wait_seconds`.

    After the last try a 5xx answer is returned, like any answer, and a fault is raised. A request with `prove` is sent
    once: its caller has to look it up again after a wait.

    Raises:
        Halt: TRY_LATER; the vendor asks for a longer wait than is allowed. The call was refused, it did not happen.
        Retry, Unknown: as `inner` raised them last; Unknown at once where the call may not be repeated.
    """

    def __init__(self, inner: Transport, clock: Clock, max_wait_seconds: float, access: Access | None = None) -> None:
        self._inner = inner
        self._clock = clock
        self._max_wait_seconds = max_wait_seconds
        self._access = access

    def send(self, request: Request) -> Response:
        """Send the request, and repeat it where that is safe."""
        if request.prove is not None:
            return self._inner.send(request)
        deadline = self._clock.monotonic() + self._max_wait_seconds
        tries = 1
        result = self._try(request)
        while (wait_seconds := self._wait_seconds(request, tries, result)) is not None:
            if self._clock.monotonic() + wait_seconds > deadline:
                break
            logger.info("Sending %s again in %.1f seconds: %s", request.method, wait_seconds, _in_words(result))
            self._clock.sleep(wait_seconds)
            tries += 1
            result = self._try(request)
        return self._settle(result, wait_seconds)

    def _try(self, request: Request) -> CallResult:
        try:
            return self._inner.send(request)
        except (Retry, Unknown) as fault:
            return fault

    def _wait_seconds(self, request: Request, tries: int, result: CallResult) -> float | None:
        usual = None
        if self._access is not None and isinstance(result, Response):
            usual = self._access.throttle_seconds(result.headers)
        return policy.wait_seconds(request.kind, tries, result, self._clock.now(), self._clock.random(), usual)

    def _settle(self, result: CallResult, wait_seconds: float | None) -> Response:
        """Return the final answer, or raise the final fault."""
        if not isinstance(result, Response):
            raise result
        if result.status == policy.TOO_MANY_REQUESTS:
            raise Halt(
                f"rate limited (429): the next call may be made in {wait_seconds or 0:.0f} seconds, "
                "later than max_wait_seconds allows",
                exit_code=Exit.TRY_LATER,
                code="429",
                remedy="run again later",
                vendor_request_id=self._access.request_id(result.headers) if self._access else None,
            )
        return result


def _in_words(result: CallResult) -> str:
    return f"answer {result.status}" if isinstance(result, Response) else result.message
