"""The log of requests a simulator received: for tests to count, and for people to look at."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

ENTRIES_MAX = 20_000
BODY_CHARACTERS_MAX = 100_000
KEPT_HEADERS = frozenset({"accept", "content-type", "user-agent", "idempotency-key", "if-match"})


@dataclass
class Entry:
    """One request. `at` is virtual time; `started_ms` and `ms` are real, since the log began and for the answer.

    `status` is None where no answer was sent; `fault` is the kind of the planned fault that hit it, if one did.
    """

    n: int
    at: str
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: str
    started_ms: float
    status: int | None = None
    ms: float | None = None
    fault: str | None = None
    bytes_out: int = 0
    applied: bool = False
    """Whether the request reached the books, whatever the client got as an answer."""


class RequestLog:
    """The newest entries, oldest first; bounded."""

    def __init__(self, entries_max: int = ENTRIES_MAX) -> None:
        self._entries: deque[Entry] = deque(maxlen=entries_max)
        self._count = 0
        self.in_work = 0
        """Requests that have arrived and are not over, also those that a fault holds up."""

    def __len__(self) -> int:
        """Return how many requests came since the log was last emptied, including those no longer kept."""
        return self._count

    def open(
        self, *, at: str, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, started_ms: float
    ) -> Entry:
        """Record a request as it arrives."""
        self._count += 1
        self.in_work += 1
        entry = Entry(
            n=self._count,
            at=at,
            method=method,
            path=path,
            query=query,
            headers={name: value for name, value in headers.items() if name in KEPT_HEADERS},
            body=_readable(path, body),
            started_ms=started_ms,
        )
        self._entries.append(entry)
        return entry

    def close(self, entry: Entry, ms: float) -> None:
        """Record that a request is over."""
        entry.ms = ms
        self.in_work -= 1

    def clear(self) -> None:
        """Forget all; numbering begins again."""
        self._entries.clear()
        self._count = 0

    def rows(self, *, method: str | None = None, path: str | None = None) -> list[dict[str, Any]]:
        """Return entries as JSON, filtered by method or by a part of the path."""
        return [
            asdict(entry)
            for entry in self._entries
            if (method is None or entry.method == method.upper()) and (path is None or path in entry.path)
        ]


def _readable(path: str, body: bytes) -> str:
    """Return the body, but never one with a token or a code: only OAuth paths receive those."""
    if "oauth2" in path:
        return f"({len(body)} bytes, not kept: may hold secrets)"
    return body[:BODY_CHARACTERS_MAX].decode("utf-8", "replace")
