"""`books retry`: send invoices again."""

from __future__ import annotations

import click

from books.cli import Context
from books.cli.output import json_option, print_json, say
from books.core.faults import Exit
from books.operations.retry import rejected_numbers, request_retry
from books.operations.session import Session


@click.command("retry")
@click.argument("numbers", nargs=-1)
@click.option("--all-rejected", is_flag=True, help="Every rejected invoice.")
@json_option
@click.pass_obj
def command(context: Context, *, numbers: tuple[str, ...], all_rejected: bool, as_json: bool) -> int:
    """Send the invoices NUMBERS again with the next push.

    A rejected invoice is sent as it is then. One that a bookkeeper deleted or voided in QuickBooks is posted again;
    one that is still there is found and left alone, so none is posted twice.
    """
    if bool(numbers) == all_rejected:
        raise click.UsageError("Name invoices, or give --all-rejected.")
    session = Session.open(context.environment)
    wanted = rejected_numbers(session.store, session.connection) if all_rejected else numbers
    marked = sorted(request_retry(session.store, session.connection, wanted))
    if as_json:
        print_json({"marked": marked})
    else:
        say(f"Marked for the next push: {', '.join(marked) or 'none'}.")
    missing = sorted(set(wanted) - set(marked))
    if missing:
        say(f"Not marked, because unknown here or not settled yet: {', '.join(missing)}.", err=True)
    return Exit.FAILED if missing else Exit.DONE
