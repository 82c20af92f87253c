"""`books disconnect`: the consent is given back, and the ids of this company leave the store and OpsMerge."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import click

from books import transport
from books.cli import Context
from books.cli.connect import seeds_of
from books.cli.output import json_option, print_json, say
from books.core import redact
from books.core.clock import SystemClock
from books.core.faults import Exit, Halt
from books.operations import breadcrumbs
from books.operations.session import Session
from books.opsmerge import OpsMergeSettings, open_client
from books.posting import crash
from books.posting.crash import Checkpoint
from books.writeback.accounting import EFFECTS_LOCK, EFFECTS_WAIT_SECONDS, AccountingBlocks, BlockCounts

REFUSALS_SHOWN_MAX = 20


@dataclass(frozen=True)
class Parted:
    """What was done. `revoke_trouble` says why Intuit could not be told, empty where it was."""

    connection: str
    revoke_trouble: str
    invoices_given_up: int
    opsmerge_told: int
    opsmerge_said_so_already: int
    opsmerge_left: int
    """They belong to another connection in OpsMerge, or bear no id of this one: nothing to clear."""
    opsmerge_refused: int


@click.command("disconnect")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@json_option
@click.pass_obj
def command(context: Context, *, yes: bool, as_json: bool) -> None:
    """Disconnect the QuickBooks company.

    Revokes the consent at Intuit, forgets the tokens, and clears QuickBooks' ids of customers and invoices from the
    store and from OpsMerge, there only of invoices that belong to this connection. History stays: what was sent and
    what came of it, the sync log, the drift; and, kept aside, which id each invoice had. After `books connect` the
    next push finds every invoice again by its number or that id and adopts it. Killed half-way, it goes on when it is
    run again.
    """
    redact.install()
    session = Session.open(context.environment)
    if not yes:
        _ask(session, for_scripts=as_json)
    parted = part(session, crash.from_environment(crash.DISCONNECT_POINTS))
    if as_json:
        print_json(asdict(parted))
    else:
        _print(parted)


def part(session: Session, checkpoint: Checkpoint) -> Parted:
    """Revoke, give up the ids, tell OpsMerge: each step may be repeated.

    Raises:
        Halt: OpsMerge could not be told now; everything else is done, and the next call goes on with it.
    """
    clock = SystemClock()
    blocks = AccountingBlocks(
        session.store, open_client(OpsMergeSettings.from_config(session.configuration.plugin("target-opsmerge")), clock)
    )
    tokens = transport.tokens_of(session.settings, session.store, clock)
    trouble = tokens.revoke()
    tokens.retire_seeds(seeds_of(session.configuration))
    checkpoint("revoked")
    given_up = 0
    for rows in breadcrumbs.give_up(session.store, session.connection):
        blocks.take_in(rows)
        given_up += len(rows)
    checkpoint("given_up")
    told = _tell_opsmerge(session, blocks)
    checkpoint("opsmerge_told")
    words = f"{trouble.message}. {trouble.remedy}" if trouble else ""
    left = len(told.left) + len(told.shown)
    return Parted(session.connection, words, given_up, told.written, told.already, left, len(told.refused))


def _tell_opsmerge(session: Session, blocks: AccountingBlocks) -> BlockCounts:
    try:
        with session.store.lock(EFFECTS_LOCK, EFFECTS_WAIT_SECONDS):
            counts = blocks.tell(clearing=True)
    except Halt as halt:
        raise Halt(
            f"{session.connection} is disconnected, but OpsMerge was not told of every invoice: {halt.message}",
            exit_code=halt.exit_code,
            code=halt.code,
            remedy=f"{halt.remedy}; then run `books disconnect` again: it goes on where it stopped",
            vendor_request_id=halt.vendor_request_id,
        ) from halt
    for fault in counts.refused[:REFUSALS_SHOWN_MAX]:
        say(f"{fault.message}. What to do: {fault.remedy}", err=True)
    return counts


def _ask(session: Session, *, for_scripts: bool) -> None:
    count = breadcrumbs.count_in_the_books(session.store, session.connection)
    say(
        f"This ends the connection {session.connection} ({session.configuration.environment}). "
        f"{count} posted invoices are no longer followed until it is connected again.",
        err=for_scripts,
    )
    if not click.confirm("Disconnect?", err=for_scripts):
        raise Halt("nothing was changed", exit_code=Exit.FAILED, code="not_confirmed")


def _print(parted: Parted) -> None:
    say(f"Disconnected: {parted.connection}")
    if parted.revoke_trouble:
        say(
            f"WARNING: Intuit could not be told ({parted.revoke_trouble}). The tokens are forgotten here; to be sure, "
            "end the app's access in QuickBooks under Apps.",
            err=True,
        )
    say(
        f"{parted.invoices_given_up} invoices given up; OpsMerge told of {parted.opsmerge_told}, "
        f"{parted.opsmerge_said_so_already} said so already, {parted.opsmerge_left} left because they are not this "
        f"connection's there, {parted.opsmerge_refused} refused."
    )
    say("History is kept. `books connect` connects again: every invoice is then found by its number and adopted.")
