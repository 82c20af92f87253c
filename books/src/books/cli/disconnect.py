"""`books disconnect`: revoke the consent, and clear the company's ids from the store and OpsMerge."""

from __future__ import annotations

import click

from books.cli import Context
from books.cli.output import json_option, print_json, say
from books.core import redact
from books.core.faults import Exit, Halt
from books.operations import breadcrumbs
from books.operations.disconnect import Disconnected, disconnect
from books.operations.session import Session
from books.posting import crash

REFUSALS_SHOWN_MAX = 20


@click.command("disconnect")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@json_option
@click.pass_obj
def command(context: Context, *, yes: bool, as_json: bool) -> None:
    """Disconnect the QuickBooks company.

    Revokes the consent at Intuit, deletes the tokens, and clears QuickBooks' ids of customers and invoices from the
    store and from OpsMerge, there only of invoices that belong to this connection. History stays: what was sent and
    what came of it, the sync log, the drift; and, kept aside, which id each invoice had. After `books connect` the
    next push finds every invoice again by its number or that id and adopts it. If it is interrupted, run it again.
    """
    redact.install()
    session = Session.open(context.environment)
    if not yes:
        _confirm(session, for_scripts=as_json)
    disconnected = disconnect(session, crash.from_environment(crash.DISCONNECT_POINTS))
    for fault in disconnected.refusals[:REFUSALS_SHOWN_MAX]:
        say(f"{fault.message}. What to do: {fault.remedy}", err=True)
    if as_json:
        print_json(disconnected.as_json())
    else:
        _print(disconnected)


def _confirm(session: Session, *, for_scripts: bool) -> None:
    count = breadcrumbs.count_in_the_books(session.store, session.connection)
    say(
        f"This ends the connection {session.connection} ({session.configuration.environment}). "
        f"{count} posted invoices are no longer updated until it is connected again.",
        err=for_scripts,
    )
    if not click.confirm("Disconnect?", err=for_scripts):
        raise Halt("nothing was changed", exit_code=Exit.FAILED, code="not_confirmed")


def _print(disconnected: Disconnected) -> None:
    say(f"Disconnected: {disconnected.connection}")
    if disconnected.revoke_trouble:
        say(
            f"WARNING: the consent could not be revoked at Intuit ({disconnected.revoke_trouble}). The tokens are "
            "deleted here; to be sure, end the app's access in QuickBooks under Apps.",
            err=True,
        )
    say(
        f"{disconnected.invoices_given_up} invoices given up. In OpsMerge: {disconnected.opsmerge_told} updated, "
        f"{disconnected.opsmerge_said_so_already} already up to date, {disconnected.opsmerge_left} left because they "
        f"do not belong to this connection, {disconnected.opsmerge_refused} refused."
    )
    say("History is kept. After `books connect` the next push finds every invoice by its number and adopts it.")
