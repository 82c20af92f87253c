"""`books alerts`: open and past alerts, and the check that sends messages."""

from __future__ import annotations

from collections.abc import Sequence

import click

from books.cli import Context
from books.cli.output import json_option, print_json, print_table, say
from books.core.faults import Exit
from books.operations.alerts import check, sent
from books.operations.alerts.check import Checked
from books.operations.alerts.sending import Address
from books.operations.alerts.sent import Alert, as_rows
from books.operations.configuration import Configuration
from books.operations.session import Session


@click.group("alerts", invoke_without_command=True)
@click.option("--test", "test", is_flag=True, help="Send one test message to every address of alert_urls.")
@click.option(
    "--limit", type=click.IntRange(0, 10_000), default=20, show_default=True, help="Maximum number of past alerts."
)
@json_option
@click.pass_context
def command(ctx: click.Context, *, test: bool, limit: int, as_json: bool) -> int:
    """Show open and past alerts, and whether their messages could be sent.

    `books alerts check` checks now and sends what is due: run it on a schedule of its own.
    """
    if ctx.invoked_subcommand is not None:
        return Exit.DONE
    if test:
        return _test(ctx.obj)
    session = Session.open(ctx.obj.environment)
    with session.store.read() as conn:
        opened = sent.current(conn, session.connection)
        past = sent.past(conn, session.connection, limit)
    if as_json:
        print_json({"open": as_rows(opened), "past": as_rows(past)})
    else:
        _print(session, opened, past)
    return Exit.DONE


@command.command("check")
@json_option
@click.pass_obj
def check_command(context: Context, *, as_json: bool) -> int:
    """Check everything now and send what is due: one message per cause, and one when it is over.

    Ends with 0 also where something is wrong with the bridge, with 75 when a message could not be sent (the next check
    tries again), and with 69, 75 or 78 when the check itself was not possible.
    """
    configuration = Configuration(context.environment)
    addresses, checked = check.check_environment(configuration, _say_unsent)
    if as_json:
        print_json({"changed": as_rows(checked.changed), "open": as_rows(checked.open), "failures": checked.failures})
    else:
        _say(checked, addresses)
    return checked.exit_code(addresses)


def _say_unsent(failure: str) -> None:
    say(f"not sent: {failure}", err=True)


def _test(context: Context) -> int:
    tried = check.send_test(Configuration(context.environment))
    for address, failure in tried:
        say(f"not sent: {failure}" if failure else f"sent: {address.name}", err=failure is not None)
    failures = [failure for _, failure in tried if failure is not None]
    return Checked([], [], failures).exit_code([address for address, _ in tried])


def _print(session: Session, opened: Sequence[Alert], past: Sequence[Alert]) -> None:
    print_table(
        f"Open alerts of {session.connection}",
        ["since", "what", "where", "what to do", "sent", "why not sent"],
        [
            (each.opened_at, each.title, each.message, each.remedy, each.last_sent_at or "not yet", each.failure)
            for each in opened
        ],
    )
    print_table(
        "Past alerts",
        ["since", "until", "what", "why not sent"],
        [(each.opened_at, each.resolved_at, each.title, each.failure) for each in past],
    )


def _say(checked: Checked, addresses: Sequence[Address]) -> None:
    for each in checked.changed:
        say(f"{'resolved' if each.resolved_at else 'new'}: {each.title}. {each.message}")
    for failure in checked.failures:
        _say_unsent(failure)
    recipients = f"{len(addresses)} addresses" if addresses else "nobody, because alert_urls is not set"
    say(f"{len(checked.open)} alerts are open. Messages go to {recipients}.")
