"""Decide whether and when a call is sent again: pure functions of numbers and answers."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import pendulum

from books.core.backoff import backoff_seconds
from books.core.faults import Fault, Retry, Unknown
from books.transport.call import CallKind, Response

TRIES_MAX = 5

THROTTLE_SECONDS = 60.0
"""The wait after a 429 without Retry-After, unless the vendor's `Access` knows better."""
THROTTLE_JITTER_SECONDS = 6.0
RETRY_AFTER_SECONDS_MIN = 1.0
"""`Retry-After: 0` would make a loop without a bound."""
RETRY_AFTER_SECONDS_MAX = 31 * 86_400.0

TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500

REPEATABLE = frozenset({CallKind.READ, CallKind.IDEMPOTENT})
"""Calls that may be made again although they may have happened."""

CallResult = Response | Fault
"""The result of one try: an answer of any status, or Retry, Unknown, Halt."""


def wait_seconds(
    kind: CallKind, tries: int, result: CallResult, now: pendulum.DateTime, chance: float, usual: float | None = None
) -> float | None:
    """Return the seconds to wait before the same call is made again; None: the result is final.

    `tries` counts those made, this one included; `chance` is a number in [0, 1); `usual` as `throttle_seconds`.
    """
    if isinstance(result, Response) and result.status == TOO_MANY_REQUESTS:  # it never ran, so any kind may be repeated
        return throttle_seconds(result.headers, now, chance, usual)
    if tries >= TRIES_MAX:
        return None
    if isinstance(result, Retry):  # it was never sent, so any kind
        return backoff_seconds(tries, chance)
    if kind in REPEATABLE and is_failure(result):
        return backoff_seconds(tries, chance)
    return None  # posting settles a write that may have happened; the rest is an answer


def is_failure(result: CallResult) -> bool:
    """Return whether the vendor gave no usable answer: a 5xx, none, or one that was cut off."""
    if isinstance(result, Response):
        return result.status >= SERVER_ERROR
    return isinstance(result, Unknown | Retry)


def throttle_seconds(
    headers: Mapping[str, str], now: pendulum.DateTime, chance: float, usual: float | None = None
) -> float:
    """Return how many seconds a 429 asks us to wait; `usual` where it names none, by default a minute and jitter."""
    named = retry_after_seconds(headers, now)
    if named is not None:
        return named
    return THROTTLE_SECONDS + chance * THROTTLE_JITTER_SECONDS if usual is None else usual


def retry_after_seconds(headers: Mapping[str, str], now: pendulum.DateTime) -> float | None:
    """Return the Retry-After header (RFC 9110, 10.2.3; seconds or a date) in seconds; None where there is none.

    A date is compared with the answer's own Date header, so that our clock need not be right.
    """
    value = headers.get("retry-after", "").strip()
    seconds = float(value) if value.isascii() and value.isdigit() else _seconds_until(value, headers.get("date"), now)
    if seconds is None:
        return None
    return min(max(seconds, RETRY_AFTER_SECONDS_MIN), RETRY_AFTER_SECONDS_MAX)


def _seconds_until(value: str, date: str | None, now: pendulum.DateTime) -> float | None:
    until = _http_date(value)
    if until is None:
        return None
    return (until - (_http_date(date or "") or now)).total_seconds()


def _http_date(value: str) -> pendulum.DateTime | None:
    try:
        return pendulum.instance(parsedate_to_datetime(value)) if value else None
    except (TypeError, ValueError):
        return None
