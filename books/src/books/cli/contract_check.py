"""`books contract-check`: the OpsMerge API as this version assumes it, compared with its description and real pages."""

from __future__ import annotations

from pathlib import Path

import click

from books.cli import Context
from books.cli.output import json_option, print_json, print_table, say
from books.core.faults import Exit
from books.operations.configuration import Configuration
from books.operations.contract_check import ContractCheck, check_contract
from books.opsmerge import api


@click.command("contract-check")
@click.option("--file", "file", type=click.Path(path_type=Path), help="An OpenAPI document here; nothing is called.")
@click.option("--url", help="Where the document is. Default: /api/docs/openapi.yaml on the OpsMerge host.")
@json_option
@click.pass_obj
def command(context: Context, *, file: Path | None, url: str | None, as_json: bool) -> int:
    """Compare the OpsMerge API that this version assumes with OpsMerge's own description of it, and with real pages.

    Every path, method, parameter, field and type is compared, and one real page of each list is read. Ends with 0 where
    nothing breaks, else with 1.
    """
    if file is not None and url is not None:
        raise click.UsageError("Give --file or --url, not both.")
    check = check_contract(Configuration(context.environment).plugin("tap-opsmerge"), file=file, url=url)
    if as_json:
        print_json(check.as_json())
    else:
        _print(check)
    return Exit.FAILED if check.breaks else Exit.DONE


def _print(check: ContractCheck) -> None:
    if check.differences:
        print_table(
            f"Where {check.place} differs from what this version assumes",
            ["breaks", "where", "what differs", "effect"],
            [("yes" if each.breaks else "no", each.place, each.what, each.effect) for each in check.differences],
        )
    pages = "one real page of each list was read" if check.pages_read else "no real page was read"
    say(f"{len(api.OPERATIONS)} calls compared with {check.place}; {pages}. {check.breaks or 'Nothing'} breaks.")
    if check.breaks:
        say("The assumptions are in books/src/books/opsmerge/api.py: correct them there, or report the difference.")
