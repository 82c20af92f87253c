"""`books preflight`: everything that would stop an invoice, before the first write and at any time."""

from __future__ import annotations

from collections.abc import Sequence

import click

from books.cli import Context
from books.cli.output import json_option, print_json, print_table, say
from books.core import paths
from books.core.faults import Exit
from books.ledgers.settings import PushSettings
from books.operations.preflight import Finding, State, inspect
from books.operations.preflight.findings import Suggestion
from books.operations.preflight.gather import read
from books.operations.session import Session


@click.command("preflight", short_help="Everything that would stop an invoice.")
@click.option(
    "--write",
    is_flag=True,
    help="Enter what has the same name on both sides into mappings.yml; entries that are there stay.",
)
@json_option
@click.pass_obj
def command(context: Context, *, write: bool, as_json: bool) -> int:
    """Check both sides and every invoice that is due; read only.

    Ends with 0 where nothing blocks (warnings or not), with 65 where invoices would be refused.
    """
    session = Session.open(context.environment)
    settings = session.push_settings()
    sides = read(session, settings)
    findings = inspect(sides)
    suggestions = [each.suggestion for each in findings if each.suggestion is not None]
    written = _write(settings, suggestions) if write else []
    blocks = any(each.state is State.BLOCKS for each in findings)
    if as_json:
        print_json(
            {
                "connection": session.connection,
                "blocks": blocks,
                "findings": [each.document() for each in findings],
                "written": [each.document() for each in written],
            }
        )
    else:
        _print(session, settings, findings, suggestions, written)
    return Exit.REJECTED if blocks else Exit.DONE


def _write(settings: PushSettings, suggestions: Sequence[Suggestion]) -> list[Suggestion]:
    from books.operations.preflight.writing import write

    return write(paths.resolve(settings.mapping_file), suggestions)


def _print(
    session: Session,
    settings: PushSettings,
    findings: Sequence[Finding],
    suggestions: Sequence[Suggestion],
    written: Sequence[Suggestion],
) -> None:
    print_table(
        f"Preflight of {session.connection}; nothing was written to either side",
        ["state", "what", "invoices", "where", "found", "what to do"],
        [
            (each.state.value, f"{each.area}: {each.what}", len(each.numbers) or "", each.where, each.says, each.to_do)
            for each in findings
        ],
    )
    for each in written:
        say(f"Entered into {settings.mapping_file}: {each.section}: {each.words}")
    if suggestions and not written:
        say(
            f"{len(suggestions)} have the same name on both sides; `books preflight --write` enters them into "
            f"{settings.mapping_file}."
        )
    _print_candidates(settings, findings)
    counts = {state: sum(each.state is state for each in findings) for state in State}
    say(f"{counts[State.BLOCKS]} block, {counts[State.WARNING]} warnings, {counts[State.OK]} ok.")
    if written:
        say("Check the new entries, then run `books preflight` again.")


def _print_candidates(settings: PushSettings, findings: Sequence[Finding]) -> None:
    """Print the entries that a person may choose from, each with both names, as lines of the file."""
    found = [each for finding in findings if finding.suggestion is None for each in finding.candidates]
    if found:
        say(f"Alike, but not the same name. Paste those that are right into {settings.mapping_file}:")
    for section in dict.fromkeys(each.section for each in found):
        say(f"{section}:")
        for each in found:
            if each.section == section:
                say(each.entry)
