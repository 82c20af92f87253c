"""An alert in words, as it is sent: what is wrong, where, what to do; and that it is over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from books.operations.alerts.journal import MORE, OVER, Alert
from books.operations.alerts.rules import listed, moment

LINES_MAX = 20
"""Things named in one message."""


@dataclass(frozen=True)
class Message:
    """One message, the same for every address. `kind` is Apprise's: failure, success or info."""

    kind: str
    title: str
    body: str


def of(alert: Alert, environment: str) -> Message:
    """The message that an alert still has to send."""
    where = f"OpsMerge to QuickBooks ({environment})"
    if alert.due == OVER:
        return Message("success", f"{where}: over: {alert.title}", "\n".join(_over(alert)))
    return Message("failure", f"{where}: {alert.title}", "\n".join(_wrong(alert)))


def trial(environment: str) -> Message:
    """The message of `books alerts --test`."""
    body = "This is the test that was asked for. Alerts of this bridge reach you here. Nothing is wrong."
    return Message("info", f"OpsMerge to QuickBooks ({environment}): test", body)


def _over(alert: Alert) -> Iterator[str]:
    yield f"It was so from {moment(alert.opened_at)} to {moment(alert.resolved_at)}. Nothing is left to do about it."


def _wrong(alert: Alert) -> Iterator[str]:
    yield alert.message
    lines = [line for line in alert.news.values() if line]
    if lines and alert.due == MORE:
        yield "New since the last message:"
    yield from (f"- {line}" for line in listed(lines, LINES_MAX))
    yield ""
    yield f"What to do: {alert.remedy}"
