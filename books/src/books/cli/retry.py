"""`books retry`: let rejected invoices be sent again."""

from __future__ import annotations

import click
from sqlalchemy import select, update

from books.cli import Context
from books.cli.session import Session, json_option, print_json
from books.faults import Exit
from books.store.tables_posting import posting

RETRYABLE = ("rejected", "conflict", "held", "created", "adopted")


@click.command("retry")
@click.argument("numbers", nargs=-1)
@click.option("--all-rejected", is_flag=True, help="Every rejected invoice.")
@json_option
@click.pass_obj
def command(context: Context, *, numbers: tuple[str, ...], all_rejected: bool, as_json: bool) -> int:
    """Send the invoices NUMBERS again with the next push.

    A rejected one is sent as it is then. One that a bookkeeper deleted or voided in QuickBooks is posted anew;
    one that is still there is found and left alone, so nothing is ever doubled.
    """
    if bool(numbers) == all_rejected:
        raise click.UsageError("Name invoices, or give --all-rejected.")
    session = Session.open(context)
    marked = mark(session, numbers)
    if as_json:
        print_json({"marked": marked})
    else:
        click.echo(f"Marked for the next push: {', '.join(marked) or 'none'}.")
    missing = sorted(set(numbers) - set(marked))
    if missing:
        click.echo(f"Not known, or still being settled: {', '.join(missing)}.", err=True)
    return Exit.FAILED if missing else Exit.DONE


def mark(session: Session, numbers: tuple[str, ...]) -> list[str]:
    """Mark postings; none named means every rejected one. Returns the numbers marked."""
    chosen = (
        posting.c.number.in_(numbers) & posting.c.outcome.in_(RETRYABLE) if numbers else posting.c.outcome == "rejected"
    )
    where = (posting.c.connection == session.connection) & chosen
    with session.store.begin() as conn:
        marked = sorted(conn.execute(select(posting.c.number).where(where)).scalars())
        conn.execute(update(posting).where(where).values(retry=True))
    return marked
