"""`books forget`: erase a client's personal data here, and say what must be erased elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from books.cli import Context
from books.cli.output import json_option, print_json, print_table, say
from books.cli.plan import FOLDER
from books.core import paths
from books.operations.configuration import Configuration
from books.operations.forget import Client, Erased, find, in_files, in_store, in_warehouse
from books.store import Store

LOG_FOLDERS = (".meltano/logs", "logs", "transform/logs", ".demo/logs")
STORE_URL = "sqlite:///.books/books.db"

KEPT = (
    "Kept, because the law wants the books kept: numbers, ids, amounts, dates and outcomes of the invoices that are in "
    "QuickBooks, and of their payments."
)


@click.command("forget")
@click.option("--client", "wanted", required=True, help="The client's id in OpsMerge, or its name.")
@click.option("--yes", is_flag=True, help="Erase. Without it nothing is changed, only counted.")
@json_option
@click.pass_obj
def command(context: Context, *, wanted: str, yes: bool, as_json: bool) -> None:
    """Erase a client's personal data from the store, the warehouse, the reports, the logs and the plans.

    Erase the client in OpsMerge and QuickBooks first: the next run would read again what they still hold. May be
    repeated at any time.
    """
    configuration = Configuration(context.environment)
    store = Store.open(str(configuration.plugin("target-quickbooks").get("store_url", STORE_URL)))
    warehouses = _warehouses(configuration)
    client = find(store, wanted, _known(warehouses, wanted))
    told = _forget(configuration, store, warehouses, client, act=yes) if client else _nothing(wanted)
    if as_json:
        print_json(told)
    else:
        _print(told)


def _warehouses(configuration: Configuration) -> tuple[Path, ...]:
    """The file that loads write, and the published one."""
    build = paths.resolve(str(configuration.plugin("target-duckdb")["path"]))
    return build, build.with_name("books.duckdb")


def _known(warehouses: tuple[Path, ...], wanted: str) -> dict[str, Client]:
    found: dict[str, Client] = {}
    for path in warehouses:
        for key, client in in_warehouse.known(path, wanted).items():
            found[key] = client.joined(found[key]) if key in found else client
    return found


def _forget(
    configuration: Configuration, store: Store, warehouses: tuple[Path, ...], client: Client, *, act: bool
) -> dict[str, Any]:
    """Every place in turn; the store last, because it is where the client is found by."""
    waiting = in_store.still_needed(store, client)
    reports = warehouses[0].with_name("reports")
    plans = configuration.root / FOLDER / configuration.environment
    folders = [reports, plans, *(configuration.root / folder for folder in LOG_FOLDERS)]
    erased: list[Erased] = []
    erased += in_warehouse.erase(warehouses[0], client, act=act)
    erased += in_warehouse.erase_published(warehouses[1], client, act=act)
    erased += in_files.erase(folders, client, act=act)
    erased += in_store.erase(store, client, act=act)
    return {
        "client": client.id,
        "acted": act,
        "erased": [asdict(each) for each in erased],
        "not_yet": waiting,
        "elsewhere": list(_elsewhere(configuration, client)),
    }


def _nothing(wanted: str) -> dict[str, Any]:
    return {"client": wanted, "acted": False, "erased": [], "not_yet": [], "elsewhere": []}


def _elsewhere(configuration: Configuration, client: Client) -> Iterator[str]:
    """What only a person can do."""
    yield f"OpsMerge: anonymise client {client.id} there; what OpsMerge still holds comes back with the next run."
    customers = ", ".join(sorted(each.partition(":")[2] for each in client.customers))
    yield (
        f"QuickBooks: rename {f'customer {customers}' if customers else 'the customer'} and make it inactive; its "
        "invoices are kept for HMRC."
    )
    if client.shared_customers:
        shared = ", ".join(sorted(each.partition(":")[2] for each in client.shared_customers))
        yield f"QuickBooks: customer {shared} is shared with other clients and was left as it is here."
    for path in in_files.mentioned(_own_files(configuration), client):
        yield f"{path}: a file of yours names the client; take the lines out."
    yield "Backups of the store and the warehouse, e-mails, and copies of reports: delete them, or let them expire."


def _own_files(configuration: Configuration) -> list[Path]:
    target = configuration.plugin("target-quickbooks")
    names = (target.get("mapping_file", "mappings.yml"), target.get("plan_file"), "accepted.yml")
    return [paths.resolve(str(name)) for name in names if name]


def _print(told: dict[str, Any]) -> None:
    if not told["erased"] and not told["not_yet"]:
        say(f"Nothing is stored of client {told['client']} that could be erased.")
    else:
        title = "Erased" if told["acted"] else "Would be erased; nothing was changed"
        rows = [(each["place"], each["what"], each["count"]) for each in told["erased"]]
        print_table(f"{title}: client {told['client']}", ["where", "what", "count"], rows)
        say(KEPT)
    if told["not_yet"]:
        say(f"Not yet, because they are still to be settled: {', '.join(told['not_yet'])}. Run again after that.")
    for line in told["elsewhere"]:
        say(f"To do: {line}")
    if told["erased"] and not told["acted"]:
        say("Run it again with --yes to erase.")
