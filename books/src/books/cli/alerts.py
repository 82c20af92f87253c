"""`books alerts`: what is wrong now and was before, and the check that tells people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from sqlalchemy.exc import SQLAlchemyError

from books.cli import Context
from books.cli.output import json_option, print_json, print_table, say
from books.core import paths, redact
from books.core.clock import SystemClock
from books.core.faults import Exit, Halt
from books.core.settings import WatchSettings
from books.operations.alerts import journal, messages, sending
from books.operations.alerts.check import Checked, check, tell_blind, tell_seeing
from books.operations.alerts.journal import Alert
from books.operations.alerts.sending import Address
from books.operations.configuration import Configuration
from books.operations.session import Session

SHOWN = ("cause", "title", "message", "remedy", "opened_at", "seen_at", "resolved_at", "last_sent_at", "due", "failure")


@click.group("alerts", invoke_without_command=True)
@click.option("--test", "test", is_flag=True, help="Send one test message to every address of alert_urls.")
@click.option("--limit", type=click.IntRange(0, 10_000), default=20, show_default=True, help="Past alerts at the most.")
@json_option
@click.pass_context
def command(ctx: click.Context, *, test: bool, limit: int, as_json: bool) -> int:
    """Show what is wrong now and what was, and whether people could be told.

    `books alerts check` looks anew and sends what is due: run it on a schedule of its own.
    """
    if ctx.invoked_subcommand is not None:
        return Exit.DONE
    if test:
        return _test(ctx.obj)
    session = Session.open(ctx.obj.environment)
    with session.store.read() as conn:
        opened = journal.current(conn, session.connection)
        past = journal.past(conn, session.connection, limit)
    if as_json:
        print_json({"open": told(opened), "past": told(past)})
    else:
        _print(session, opened, past)
    return Exit.DONE


@command.command("check")
@json_option
@click.pass_obj
def check_command(context: Context, *, as_json: bool) -> int:
    """Look at everything now, and send what is due: one message per cause, and one when it is over.

    Ends with 0 whatever is wrong with the bridge, with 75 when a message could not be sent (the next check tries
    again), and with 69, 75 or 78 when nothing could be looked at.
    """
    configuration = Configuration(context.environment)
    addresses, checked = look(configuration)
    if as_json:
        print_json({"changed": told(checked.changed), "open": told(checked.open), "failures": checked.failures})
    else:
        _say(checked, addresses)
    return checked.exit_code(addresses)


def look(configuration: Configuration) -> tuple[Sequence[Address], Checked]:
    """Check once; where that cannot be done, tell so once.

    Raises:
        Halt: nothing can be looked at: the store or a setting is in trouble.
    """
    watch = WatchSettings.from_config(configuration.plugin("books"))
    addresses = sending.addresses(watch.alert_urls)
    marker = _marker(configuration)
    try:
        with Session.opened(configuration) as session:
            checked = check(session.sources(), addresses, SystemClock())
    except (Halt, SQLAlchemyError) as error:
        halt = error if isinstance(error, Halt) else _store_trouble(error)
        for failure in tell_blind(marker, halt, addresses, configuration.environment):
            say(f"not sent: {failure}", err=True)
        raise halt from None
    checked.failures += tell_seeing(marker, addresses, configuration.environment)
    return addresses, checked


def told(alerts: Iterable[Alert]) -> list[dict[str, Any]]:
    """Alerts as `--json` prints them."""
    return [{key: value for key, value in asdict(each).items() if key in SHOWN} for each in alerts]


def _marker(configuration: Configuration) -> Path:
    return paths.resolve(f".books/unwatched-{configuration.environment}")


def _store_trouble(error: SQLAlchemyError) -> Halt:
    return Halt(
        f"the state store cannot be used: {redact.mask(str(getattr(error, 'orig', None) or type(error).__name__))}",
        exit_code=Exit.TRY_LATER,
        code="store_unavailable",
        remedy="check store_url, and that the disk or the database server is there",
    )


def _test(context: Context) -> int:
    configuration = Configuration(context.environment)
    addresses = sending.addresses(WatchSettings.from_config(configuration.plugin("books")).alert_urls)
    if not addresses:
        raise Halt(
            "no alert_urls are set, so there is nobody to tell",
            exit_code=Exit.MISCONFIGURED,
            remedy="set BOOKS_ALERT_URLS, for example mailtos://user:password@example.com?to=you@example.com",
        )
    message = messages.trial(configuration.environment)
    failures = {each.name: sending.send(each, message) for each in addresses}
    for name, failure in failures.items():
        say(f"not sent: {failure}" if failure else f"sent: {name}", err=failure is not None)
    wrong = [failure for failure in failures.values() if failure is not None]
    return Checked([], [], wrong).exit_code(addresses)


def _print(session: Session, opened: Sequence[Alert], past: Sequence[Alert]) -> None:
    print_table(
        f"Open alerts of {session.connection}",
        ["since", "what", "where", "what to do", "told", "not sent, because"],
        [
            (each.opened_at, each.title, each.message, each.remedy, each.last_sent_at or "not yet", each.failure)
            for each in opened
        ],
    )
    print_table(
        "Past alerts",
        ["since", "until", "what", "not sent, because"],
        [(each.opened_at, each.resolved_at, each.title, each.failure) for each in past],
    )


def _say(checked: Checked, addresses: Sequence[Address]) -> None:
    for each in checked.changed:
        say(f"{'over' if each.resolved_at else 'new'}: {each.title}. {each.message}")
    for failure in checked.failures:
        say(f"not sent: {failure}", err=True)
    whom = f"{len(addresses)} addresses" if addresses else "nobody: alert_urls is not set"
    say(f"{len(checked.open)} alerts are open. Told: {whom}.")
