"""`books forget`: erase a client's personal data here, and say what must be erased elsewhere."""

from __future__ import annotations

from typing import Any

import click

from books.cli import Context
from books.cli.output import json_option, print_json, print_table, say
from books.operations.configuration import Configuration
from books.operations.forget.everywhere import forget

KEPT = (
    "Kept, because the law requires it: numbers, ids, amounts, dates and outcomes of the invoices that are in "
    "QuickBooks, and of their payments."
)


@click.command("forget")
@click.option("--client", "wanted", required=True, help="The client's id in OpsMerge, or its name.")
@click.option("--yes", is_flag=True, help="Erase. Without it nothing is changed, only counted.")
@json_option
@click.pass_obj
def command(context: Context, *, wanted: str, yes: bool, as_json: bool) -> None:
    """Erase a client's personal data from the store, the warehouse, the reports, the logs and the plans.

    Erase the client in OpsMerge and QuickBooks first: the next run reads again what they still hold. May be repeated
    at any time.
    """
    result = forget(Configuration(context.environment), wanted, act=yes)
    if as_json:
        print_json(result)
    else:
        _print(result)


def _print(result: dict[str, Any]) -> None:
    if not result["erased"] and not result["not_yet"]:
        say(f"Nothing is stored of client {result['client']} that could be erased.")
    else:
        title = "Erased" if result["acted"] else "Would be erased; nothing was changed"
        rows = [(each["place"], each["what"], each["count"]) for each in result["erased"]]
        print_table(f"{title}: client {result['client']}", ["where", "what", "count"], rows)
        say(KEPT)
    if result["not_yet"]:
        say(f"Not erased yet, because not settled: {', '.join(result['not_yet'])}. Run it again after the next push.")
    for line in result["elsewhere"]:
        say(f"To do: {line}")
    if result["erased"] and not result["acted"]:
        say("To erase, run it again with --yes.")
