"""One check: gather facts, judge them, record the alerts, and send the messages that are due."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from books.core import paths, redact
from books.core.clock import Clock, SystemClock
from books.core.faults import Exit, Halt
from books.operations.alerts import messages, sending, sent
from books.operations.alerts.facts import Sources, gather
from books.operations.alerts.messages import Message
from books.operations.alerts.rules import judge
from books.operations.alerts.sending import Address
from books.operations.alerts.sent import Alert
from books.operations.configuration import Configuration
from books.operations.session import Session
from books.operations.settings import WatchSettings
from books.store import Store

LOCK_SECONDS = 120
"""How long one check waits for another machine's, so that no message is sent twice."""


@dataclass
class Checked:
    """The result of a check."""

    changed: list[Alert]
    """Opened or closed by this check."""
    open: list[Alert]
    failures: list[str] = field(default_factory=list)
    """Why messages did not reach an address; the next check tries again."""

    def exit_code(self, addresses: Sequence[Address]) -> Exit:
        """Return 0 also with open alerts, 75 where a message is still to be sent, 78 where an address is unusable."""
        if not self.failures:
            return Exit.DONE
        return Exit.TRY_LATER if all(each.usable for each in addresses) else Exit.MISCONFIGURED


def check_environment(
    configuration: Configuration, on_unsent: Callable[[str], None]
) -> tuple[Sequence[Address], Checked]:
    """Check one environment; return the addresses of its settings and the result.

    Where the check itself is not possible, one message says so, and `on_unsent` is called for each address that
    message did not reach.

    Raises:
        Halt: the check is not possible: the store or a setting is in trouble.
    """
    watch = WatchSettings.from_config(configuration.plugin("books"))
    addresses = sending.addresses(watch.alert_urls, messages.bridge(configuration.vendor()))
    where = messages.place(configuration.vendor(), configuration.environment)
    marker = paths.resolve(f".books/unwatched-{configuration.environment}")
    try:
        with Session.opened(configuration) as session:
            checked = check(session.sources(), addresses, SystemClock())
    except (Halt, SQLAlchemyError) as error:
        halt = error if isinstance(error, Halt) else _store_trouble(error)
        for failure in notify_monitoring_down(marker, halt, addresses, where):
            on_unsent(failure)
        raise halt from None
    checked.failures += notify_monitoring_restored(marker, addresses, where)
    return addresses, checked


def send_test(configuration: Configuration) -> list[tuple[Address, str | None]]:
    """Send the test message to every address; return each address with its failure, None where it was sent.

    Raises:
        Halt: MISCONFIGURED; no addresses are set.
    """
    watch = WatchSettings.from_config(configuration.plugin("books"))
    addresses = sending.addresses(watch.alert_urls, messages.bridge(configuration.vendor()))
    if not addresses:
        raise Halt(
            "no alert_urls are set, so no message can be sent",
            exit_code=Exit.MISCONFIGURED,
            remedy="set BOOKS_ALERT_URLS, for example mailtos://user:password@example.com?to=you@example.com",
        )
    message = messages.trial(messages.place(configuration.vendor(), configuration.environment))
    return [(each, sending.send(each, message)) for each in addresses]


def _store_trouble(error: SQLAlchemyError) -> Halt:
    return Halt(
        f"the state store cannot be used: {redact.mask(str(getattr(error, 'orig', None) or type(error).__name__))}",
        exit_code=Exit.TRY_LATER,
        code="store_unavailable",
        remedy="check BOOKS_STORE_URL, and that the disk or the database server is available",
    )


def check(sources: Sources, addresses: Sequence[Address], clock: Clock) -> Checked:
    """Gather the facts, judge them, record the alerts and send what is due.

    Raises:
        Halt: TRY_LATER; another check has held the lock for two minutes.
    """
    store, connection = sources.store, sources.settings.connection
    with store.lock(f"alerts {connection}", LOCK_SECONDS):
        facts = gather(sources, clock)
        with store.begin() as conn:
            changed = sent.record_causes(conn, connection, judge(facts), facts.now)
            if not addresses:
                sent.drop_closing_messages(conn, connection)
            due = sent.due(conn, connection)
        where = messages.place(sources.vendor, sources.environment)
        failures = [failure for one in due for failure in _send(store, one, addresses, where)]
        with store.read() as conn:
            return Checked(changed, sent.current(conn, connection), failures)


def _send(store: Store, alert: Alert, addresses: Sequence[Address], where: str) -> list[str]:
    """Send an alert's message to each address that has not received it; commit the result before the next message."""
    if not addresses:
        return []
    message = messages.of(alert, where)
    missing = [each for each in addresses if each.name not in alert.reached]
    tried = {each.name: sending.send(each, message) for each in missing}
    failures = [failure for failure in tried.values() if failure is not None]
    reached = (*alert.reached, *(name for name, failure in tried.items() if failure is None))
    with store.begin() as conn:
        sent.save(conn, sent.after_sending(alert, reached, "; ".join(failures) or None, store.now(conn)))
    return failures


# Where the check is not possible, because the store or a setting is in trouble, the store cannot remember what was
# sent. An empty file does: it needs no room on a full disk.


def notify_monitoring_down(marker: Path, halt: Halt, addresses: Sequence[Address], where: str) -> list[str]:
    """Send one message that the bridge cannot be watched; return the failures.

    A message that reached no address is tried again by the next check.
    """
    if marker.exists():
        return []
    body = f"The alerts cannot be checked: {halt.message}.\n\nWhat to do: {halt.remedy or 'run `books status`.'}"
    title = f"{where}: the bridge cannot be watched"
    failures = _send_all(Message("failure", title, body), addresses)
    if addresses and len(failures) < len(addresses):
        with suppress(OSError):  # then the next check sends it again: once too often rather than never
            marker.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            marker.touch()
    return failures


def notify_monitoring_restored(marker: Path, addresses: Sequence[Address], where: str) -> list[str]:
    """Send one message that the bridge can be watched again; return the failures."""
    if not marker.exists():
        return []
    title = f"{where}: resolved: the bridge can be watched again"
    failures = _send_all(Message("success", title, "The alerts are checked again."), addresses)
    if len(failures) < len(addresses) or not addresses:
        marker.unlink()
    return failures


def _send_all(message: Message, addresses: Sequence[Address]) -> list[str]:
    tried = [sending.send(each, message) for each in addresses]
    return [failure for failure in tried if failure is not None]
