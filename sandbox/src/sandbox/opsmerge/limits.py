"""The rate limit of one key, as a sliding minute on the simulator's clock."""

from __future__ import annotations

from collections import defaultdict, deque
from datetime import datetime, timedelta
from email.utils import format_datetime
from math import ceil

from sandbox.opsmerge.errors import ApiError
from sandbox.opsmerge.state import Switches

WINDOW_SECONDS = 60


class Limiter:
    """Remembers when each key's admitted requests of the last minute came."""

    def __init__(self) -> None:
        self._admitted: dict[str, deque[datetime]] = defaultdict(deque)

    def admit(self, key: str, now: datetime, switches: Switches) -> None:
        """Let the request in, or raise ApiError 429 that says when the next one may come."""
        if switches.requests_per_minute is None:
            return
        admitted = self._admitted[key]
        while admitted and abs((now - admitted[0]).total_seconds()) >= WINDOW_SECONDS:
            admitted.popleft()
        if len(admitted) >= switches.requests_per_minute:
            seconds = ceil(WINDOW_SECONDS - (now - admitted[0]).total_seconds())
            raise too_many(seconds, now, switches.retry_after)
        admitted.append(now)


def too_many(seconds: int, now: datetime, style: str) -> ApiError:
    """Return the 429 answer; `style` is that of the switch retry_after."""
    headers = {
        "seconds": {"Retry-After": str(seconds)},
        "date": {"Retry-After": format_datetime(now + timedelta(seconds=seconds), usegmt=True)},
    }.get(style, {})
    return ApiError(429, "rate_limited", "Too many requests; please come back later.", headers)
