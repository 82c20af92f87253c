"""Faults planned for the n-th request that matches: what a network, a gateway or a bad day does to an API."""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KINDS: dict[str, str] = {
    "refuse": "nothing listens: the request dies unread and new connections are refused for `seconds` (0.5)",
    "delay": "answered `seconds` (1) later, otherwise as usual",
    "hang": "no answer until the client gives up; applied first when `after` is true",
    "cut_before": "connection reset, nothing applied",
    "cut_after": "applied, then the connection is reset without an answer",
    "5xx_before": "`status` (503) and nothing applied; `html` gives a gateway's page",
    "5xx_after": "applied, then `status` (504)",
    "html": "`status` (502) as a gateway's HTML page; applied first when `after` is true",
    "truncated": "applied; the answer breaks off in the middle, then the connection closes",
    "late": "applied only when the client has given up (or on release), `seconds` (0) after that",
    "401": "as if the token had expired; nothing applied",
    "429": "as if over the limit; nothing applied; `retry_after` seconds in a header where given",
    "code": "refused with the vendor's error `code`, with HTTP `status` where given; nothing applied",
}
NUMBERS = {"nth": (1, 1_000_000), "times": (0, 1_000_000), "status": (200, 599), "retry_after": (0, 86_400)}
SECONDS_MAX = 3600.0


@dataclass
class PlannedFault:
    """A fault for requests number `nth` to `nth + times - 1` of those that match; `times` 0 means from then on."""

    kind: str
    method: str | None = None
    path: str | None = None
    contains: str | None = None
    nth: int = 1
    times: int = 1
    seconds: float | None = None
    status: int | None = None
    code: str | None = None
    retry_after: int | None = None
    html: bool = False
    after: bool = False
    seen: int = 0

    def matches(self, method: str, path: str, query: str, body: bytes) -> bool:
        """Return whether the fault is for this request. `path` is a part of the path, or a pattern with `*`."""
        return (
            (self.method is None or self.method == method)
            and (self.path is None or _path_matches(self.path, path))
            and (self.contains is None or self.contains.encode() in body or self.contains in query)
        )

    def strikes(self) -> bool:
        """Count one more matching request; true when it is one of those to be hit."""
        self.seen += 1
        return self.seen >= self.nth and (self.times == 0 or self.seen < self.nth + self.times)

    @property
    def spent(self) -> bool:
        """Return whether the fault applies to no further request."""
        return self.times > 0 and self.seen >= self.nth + self.times - 1


def _path_matches(pattern: str, path: str) -> bool:
    return fnmatch.fnmatchcase(path, pattern) if "*" in pattern else pattern in path


def parse_fault(plan: Mapping[str, Any]) -> PlannedFault:
    """Read `{"match": {"method", "path", "contains"}, "kind", "nth", "times", ...}`.

    Raises:
        ValueError: an unknown kind or key, or a number out of range; the message names it.
    """
    match = plan.get("match") or {}
    if not isinstance(match, Mapping):
        raise ValueError("match must be an object with method, path or contains")  # noqa: TRY004 -- the request is wrong, not our call
    _known(match, {"method", "path", "contains"})
    options = {key: value for key, value in plan.items() if key != "match" and value is not None}
    _known(options, {"kind", "seconds", "html", "after", "code", *NUMBERS})
    kind = str(options.pop("kind", ""))
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}")
    _numbers(options)
    method = match.get("method")
    return PlannedFault(
        kind=kind,
        method=str(method).upper() if method else None,
        path=_text(match.get("path")),
        contains=_text(match.get("contains")),
        **options,
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _known(given: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(given) - known):
        raise ValueError(f"unknown: {', '.join(unknown)}; known: {', '.join(sorted(known))}")


def _numbers(options: dict[str, Any]) -> None:
    for name, (least, most) in NUMBERS.items():
        if name in options and (not isinstance(options[name], int) or not least <= options[name] <= most):
            raise ValueError(f"{name} must be a whole number from {least} to {most}")
    seconds = options.get("seconds", 0)
    if not isinstance(seconds, (int, float)) or not 0 <= seconds <= SECONDS_MAX:
        raise ValueError(f"seconds must be from 0 to {SECONDS_MAX:g}")
    for name in ("html", "after"):
        if name in options:
            options[name] = bool(options[name])
    if "code" in options:
        options["code"] = str(options["code"])


@dataclass
class FaultPlan:
    """The faults yet to strike, in the order planned; the first that strikes wins."""

    codes: frozenset[str] = frozenset()
    """What the kind `code` may name."""
    planned: list[PlannedFault] = field(default_factory=list)
    releases: int = 0
    _waiting: set[asyncio.Event] = field(default_factory=set)

    def add(self, fault: PlannedFault) -> None:
        """Add a fault.

        Raises:
            ValueError: a code that this simulator does not know.
        """
        if fault.kind == "code" and fault.code not in self.codes:
            raise ValueError(f"code must be one of {', '.join(sorted(self.codes))}")
        self.planned.append(fault)

    def clear(self) -> None:
        """Remove all faults, and release the requests that hang."""
        self.planned.clear()
        self.release()

    def take(self, method: str, path: str, query: str, body: bytes) -> PlannedFault | None:
        """Return the fault for this request, if there is one; every matching fault counts the request."""
        struck = [plan for plan in self.planned if plan.matches(method, path, query, body) and plan.strikes()]
        self.planned = [plan for plan in self.planned if not plan.spent]
        return struck[0] if struck else None

    def release(self) -> None:
        """Let every hanging and late request go on at once."""
        self.releases += 1
        for event in self._waiting:
            event.set()

    def waiter(self) -> asyncio.Event:
        """Return an event that `release` sets; give it back with `forget`."""
        event = asyncio.Event()
        self._waiting.add(event)
        return event

    def forget(self, event: asyncio.Event) -> None:
        """Remove the event of a wait that is over."""
        self._waiting.discard(event)

    def rows(self) -> list[dict[str, Any]]:
        """Return the faults that are still to come, as JSON."""
        return [dict(vars(plan)) for plan in self.planned]
