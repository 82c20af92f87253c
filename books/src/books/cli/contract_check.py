"""`books contract-check`: the OpsMerge API as this version assumes it, against the live description."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

import click

from books.cli import Context
from books.cli.meltano import Configuration
from books.cli.output import say
from books.cli.session import json_option, print_json, print_table
from books.clock import SystemClock
from books.faults import Exit, Halt
from books.opsmerge import contract
from books.opsmerge.client import fetch_description
from books.opsmerge.contract import Comparison, Level
from books.opsmerge.description import Description
from books.opsmerge.settings import OpsMergeSettings, read_url

DESCRIPTION_PATH = "/api/docs/openapi.yaml"
BYTES_MAX = 64 * 1024 * 1024


@click.command("contract-check")
@click.option("--file", "file", type=click.Path(path_type=Path), help="An OpenAPI document on this machine.")
@click.option("--url", help="Where the document is. Default: /api/docs/openapi.yaml on the OpsMerge host.")
@json_option
@click.pass_obj
def command(context: Context, *, file: Path | None, url: str | None, as_json: bool) -> int:
    """Hold the OpsMerge API that this version assumes against OpsMerge's own description of it.

    Says what differs, how bad it is, and which setting or line adapts. Ends with 0 where nothing breaks, else with 1.
    """
    if file is not None and url is not None:
        raise click.UsageError("Give --file or --url, not both.")
    config = Configuration(context.environment).plugin("tap-opsmerge")
    api_url = read_url(config)
    place = str(file or url or _beside(api_url))
    text = _read(file) if file is not None else fetch_description(place, api_url, _key(config), SystemClock())
    description = Description.read(text, place)
    comparison = contract.compare(description, urlsplit(api_url).path)
    if as_json:
        print_json({"description": place, "title": description.title, **_told(comparison)})
    else:
        _print(comparison, place)
    return Exit.FAILED if comparison.breaks else Exit.DONE


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


def _told(comparison: Comparison) -> dict[str, object]:
    counts = {level.value: sum(each.level is level for each in comparison.differences) for level in Level}
    differences = [{**asdict(each), "level": each.level.value} for each in comparison.differences]
    return {"calls": comparison.calls, "facts": comparison.facts, **counts, "differences": differences}


def _print(comparison: Comparison, place: str) -> None:
    shown = [each for each in comparison.differences if each.level is not Level.HARMLESS]
    if shown:
        print_table(
            f"Where {place} differs from what this version assumes",
            ["how bad", "where", "what differs", "what follows", "what adapts"],
            [(each.level.value, each.place, each.what, each.effect, each.adapts) for each in shown],
        )
    told = _told(comparison)
    say(
        f"{comparison.calls} calls and {comparison.facts} facts compared with {place}: {told['breaks']} break, "
        f"{told['degrades']} degrade, {told['harmless']} are more than we use (--json lists them)."
    )
    if not comparison.breaks:
        say("Nothing breaks.")
