"""One look at everything: what is wrong is noted, and whoever is to be told is told."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from books.core.clock import Clock
from books.core.faults import Exit, Halt
from books.operations.alerts import journal, messages, sending
from books.operations.alerts.facts import Sources, gather
from books.operations.alerts.journal import Alert
from books.operations.alerts.messages import Message
from books.operations.alerts.rules import judge
from books.operations.alerts.sending import Address
from books.store import Store

LOCK_SECONDS = 120
"""How long one check waits for another machine's, so that nothing is told twice."""


@dataclass
class Checked:
    """What a check came to."""

    changed: list[Alert]
    """Opened or over since the last check."""
    open: list[Alert]
    failures: list[str] = field(default_factory=list)
    """Why messages did not reach an address; they are tried again by the next check."""

    def exit_code(self, addresses: Sequence[Address]) -> Exit:
        """0 also with open alerts: the check was done. 75: a message is still to be sent. 78: an address is no good."""
        if not self.failures:
            return Exit.DONE
        return Exit.TRY_LATER if all(each.usable for each in addresses) else Exit.MISCONFIGURED


def check(sources: Sources, addresses: Sequence[Address], clock: Clock) -> Checked:
    """Gather, judge, note, tell.

    Raises:
        Halt: TRY_LATER; another check has been at it for two minutes.
    """
    store, connection = sources.store, sources.settings.connection
    with store.lock(f"alerts {connection}", LOCK_SECONDS):
        facts = gather(sources, clock)
        with store.begin() as conn:
            changed = journal.follow(conn, connection, judge(facts), facts.now)
            if not addresses:
                journal.drop_untold(conn, connection)
            due = journal.due(conn, connection)
        failures = [failure for one in due for failure in _tell(store, one, addresses, sources.environment)]
        with store.read() as conn:
            return Checked(changed, journal.current(conn, connection), failures)


def _tell(store: Store, alert: Alert, addresses: Sequence[Address], environment: str) -> list[str]:
    """Send what is due to every address that has not got it yet; note what came of it before anything else is sent."""
    if not addresses:
        return []
    message = messages.of(alert, environment)
    missing = [each for each in addresses if each.name not in alert.reached]
    tried = {each.name: sending.send(each, message) for each in missing}
    failures = [failure for failure in tried.values() if failure is not None]
    reached = (*alert.reached, *(name for name, failure in tried.items() if failure is None))
    with store.begin() as conn:
        journal.save(conn, journal.sent(alert, reached, "; ".join(failures) or None, store.now(conn)))
    return failures


# When nothing can be looked at, because the store or a setting is in trouble, the store cannot remember what was told.
# An empty file does: it needs no room on a full disk.


def tell_blind(marker: Path, halt: Halt, addresses: Sequence[Address], environment: str) -> list[str]:
    """Say once that nothing can be watched; the failures. A message that reached nobody is tried again next time."""
    if marker.exists():
        return []
    body = f"The alerts cannot be checked: {halt.message}.\n\nWhat to do: {halt.remedy or 'run `books status`.'}"
    title = f"OpsMerge to QuickBooks ({environment}): the bridge cannot be watched"
    failures = _send_all(Message("failure", title, body), addresses)
    if addresses and len(failures) < len(addresses):
        _mark(marker)
    return failures


def tell_seeing(marker: Path, addresses: Sequence[Address], environment: str) -> list[str]:
    """Say once that it can be watched again; the failures."""
    if not marker.exists():
        return []
    title = f"OpsMerge to QuickBooks ({environment}): over: the bridge can be watched again"
    failures = _send_all(Message("success", title, "The alerts are checked again."), addresses)
    if len(failures) < len(addresses) or not addresses:
        marker.unlink()
    return failures


def _send_all(message: Message, addresses: Sequence[Address]) -> list[str]:
    tried = [sending.send(each, message) for each in addresses]
    return [failure for failure in tried if failure is not None]


def _mark(marker: Path) -> None:
    """Where even that fails, the next check says it again: once too often rather than never."""
    with suppress(OSError):
        marker.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        marker.touch()
