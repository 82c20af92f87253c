"""The text of an alert as it is sent: what is wrong, where, and what to do; or that it is over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from books.ledgers.registry import Vendor
from books.operations.alerts.rules import listed, moment
from books.operations.alerts.sent import MORE, OVER, Alert

LINES_MAX = 20
"""Items named in one message."""


@dataclass(frozen=True)
class Message:
    """One message, the same for every address. `kind` is Apprise's: failure, success or info."""

    kind: str
    title: str
    body: str


def bridge(vendor: Vendor) -> str:
    """Return the bridge's name."""
    return f"OpsMerge to {vendor.words.ledger}"


def place(vendor: Vendor, environment: str) -> str:
    """Return which bridge a message is about."""
    return f"{bridge(vendor)} ({environment})"


def of(alert: Alert, where: str) -> Message:
    """Return the message that an alert still has to send; `where` as `place` names it."""
    if alert.due == OVER:
        resolved_at = alert.resolved_at or alert.seen_at
        lasted = (resolved_at - alert.opened_at).in_words()
        body = (
            f"Resolved after {lasted}, from {moment(alert.opened_at)} to {moment(resolved_at)}. Nothing is left to do."
        )
        return Message("success", f"{where}: resolved: {alert.title}", body)
    return Message("failure", f"{where}: {alert.title}", "\n".join(_lines(alert)))


def trial(where: str) -> Message:
    """Return the message of `books alerts --test`."""
    body = "This is the test message you asked for. Alerts of this bridge reach you here. Nothing is wrong."
    return Message("info", f"{where}: test", body)


def _lines(alert: Alert) -> Iterator[str]:
    yield alert.message
    lines = [line for line in alert.news.values() if line]
    if lines and alert.due == MORE:
        yield "New since the last message:"
    yield from (f"- {line}" for line in listed(lines, LINES_MAX))
    yield ""
    yield f"What to do: {alert.remedy}"
