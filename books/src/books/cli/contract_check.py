"""`books contract-check`: the OpsMerge API as this version assumes it, against its description and real answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

import click

from books.cli import Context
from books.cli.output import json_option, print_json, print_table, say
from books.core.clock import SystemClock
from books.core.faults import Exit, Halt
from books.operations.configuration import Configuration
from books.opsmerge import api, contract
from books.opsmerge.client import fetch_description, open_client
from books.opsmerge.contract import Difference
from books.opsmerge.description import Description
from books.opsmerge.settings import OpsMergeSettings, read_url

DESCRIPTION_PATH = "/api/docs/openapi.yaml"
BYTES_MAX = 64 * 1024 * 1024


@click.command("contract-check")
@click.option("--file", "file", type=click.Path(path_type=Path), help="An OpenAPI document here; nothing is called.")
@click.option("--url", help="Where the document is. Default: /api/docs/openapi.yaml on the OpsMerge host.")
@json_option
@click.pass_obj
def command(context: Context, *, file: Path | None, url: str | None, as_json: bool) -> int:
    """Compare the OpsMerge API that this version assumes with OpsMerge's own description of it, and with real answers.

    Every path, method, parameter, field and type is compared, and one real page of each list is read. Ends with 0 where
    nothing breaks, else with 1.
    """
    if file is not None and url is not None:
        raise click.UsageError("Give --file or --url, not both.")
    config = Configuration(context.environment).plugin("tap-opsmerge")
    api_url = read_url(config)
    place = str(file or url or _beside(api_url))
    text = _read(file) if file is not None else fetch_description(place, api_url, _key(config), SystemClock())
    description = Description.read(text, place)
    differences = contract.compare(description, urlsplit(api_url).path)
    reads_pages = file is None and _key(config) is not None
    if reads_pages:
        differences = [
            *contract.read_pages(open_client(OpsMergeSettings.from_config(config), SystemClock())),
            *differences,
        ]
    breaks = sum(each.breaks for each in differences)
    counts = {"breaks": breaks, "stays_empty": len(differences) - breaks, "calls": len(api.OPERATIONS)}
    if as_json:
        rows = [asdict(each) for each in differences]
        print_json(
            {"description": place, "title": description.title, **counts, "pages_read": reads_pages, "differences": rows}
        )
    else:
        _print(differences, place, breaks, reads_pages=reads_pages)
    return Exit.FAILED if breaks else Exit.DONE


def _beside(api_url: str) -> str:
    parts = urlsplit(api_url)
    return f"{parts.scheme}://{parts.netloc}{DESCRIPTION_PATH}"


def _key(config: dict[str, object]) -> str | None:
    """The API key, where there is one: the description should need none."""
    return OpsMergeSettings.from_config(config).api_key if config.get("api_key") else None


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            text = opened.read(BYTES_MAX + 1)
    except OSError as error:
        raise click.UsageError(f"{file} cannot be read: {error.strerror}") from error
    if len(text) > BYTES_MAX:
        raise Halt(
            f"{file} is larger than {BYTES_MAX} bytes", exit_code=Exit.MISCONFIGURED, remedy="give the OpenAPI document"
        )
    return text


def _print(differences: Sequence[Difference], place: str, breaks: int, *, reads_pages: bool) -> None:
    if differences:
        print_table(
            f"Where {place} differs from what this version assumes",
            ["breaks", "where", "what differs", "what follows"],
            [("yes" if each.breaks else "no", each.place, each.what, each.effect) for each in differences],
        )
    pages = "one real page of each list was read" if reads_pages else "no real page was read"
    say(f"{len(api.OPERATIONS)} calls compared with {place}; {pages}. {breaks or 'Nothing'} breaks.")
    if breaks:
        say("What is assumed stands in books/src/books/opsmerge/api.py: correct it there, or tell us.")
