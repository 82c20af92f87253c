"""Times as QuickBooks writes them: with the Pacific offset, to the second in objects and the millisecond in answers."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

PACIFIC = ZoneInfo("America/Los_Angeles")


@lru_cache(maxsize=4096)
def stamp(epoch_seconds: int) -> str:
    """Return a second since 1970 as `2026-09-01T19:27:51-07:00`."""
    return datetime.fromtimestamp(epoch_seconds, PACIFIC).isoformat()


def answer_time(epoch: float) -> str:
    """Return the `time` of an answer, with milliseconds."""
    return datetime.fromtimestamp(epoch, PACIFIC).isoformat(timespec="milliseconds")


def utc(epoch: float) -> datetime:
    """Return seconds since 1970 as UTC."""
    return datetime.fromtimestamp(epoch, UTC)
