"""Erase a client in every place, and name what only a person can erase."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from books.core import paths
from books.operations.configuration import Configuration
from books.operations.forget import in_files, in_store, in_warehouse
from books.operations.forget.client import ClientData, find
from books.operations.session import published_of, store_of

PLANS_FOLDER = "plans"
LOG_FOLDERS = (".meltano/logs", "logs", "transform/logs", ".demo/logs")


def forget(configuration: Configuration, wanted: str, *, act: bool) -> dict[str, Any]:
    """Erase the client of an id or a name, or without `act` count what would be erased.

    The result is what `books forget --json` prints. The store comes last, because the client is found by it.

    Raises:
        Halt: FAILED; several clients have the name.
    """
    published = published_of(configuration)
    build = paths.resolve(str(configuration.plugin("target-duckdb")["path"]))
    store = store_of(configuration)
    known: dict[str, ClientData] = {}
    for path in (build, published):
        for key, each in in_warehouse.known(path, wanted).items():
            known[key] = each.joined(known[key]) if key in known else each
    client = find(store, wanted, known)
    if client is None:
        return {"client": wanted, "acted": False, "erased": [], "not_yet": [], "elsewhere": []}
    plans = configuration.root / PLANS_FOLDER / configuration.environment
    folders = [build.with_name("reports"), plans, *(configuration.root / folder for folder in LOG_FOLDERS)]
    waiting = in_store.still_needed(store, client)
    erased = [
        *in_warehouse.erase(build, client, act=act),
        *in_warehouse.erase_published(published, client, act=act),
        *in_files.erase(folders, client, act=act),
        *in_store.erase(store, client, act=act),
    ]
    return {
        "client": client.id,
        "acted": act,
        "erased": [asdict(each) for each in erased],
        "not_yet": waiting,
        "elsewhere": list(_elsewhere(configuration, client)),
    }


def _elsewhere(configuration: Configuration, client: ClientData) -> Iterator[str]:
    """Yield what only a person can do."""
    yield f"OpsMerge: anonymise client {client.id} there; the next run reads again what OpsMerge still holds."
    ledger = configuration.vendor().words.ledger
    customers = ", ".join(sorted(each.partition(":")[2] for each in client.customers))
    yield (
        f"{ledger}: rename {f'customer {customers}' if customers else 'the customer'} and make it inactive; its "
        "invoices are kept for HMRC."
    )
    if client.shared_customers:
        shared = ", ".join(sorted(each.partition(":")[2] for each in client.shared_customers))
        yield f"{ledger}: customer {shared} is shared with other clients and was not erased here."
    target = configuration.plugin(configuration.vendor().target)
    names = (target.get("mapping_file", "mappings.yml"), target.get("plan_file"), "accepted.yml")
    for path in in_files.mentioned([paths.resolve(str(name)) for name in names if name], client):
        yield f"{path}: this file of yours names the client; remove those lines."
    yield "Backups of the store and the warehouse, e-mails, and copies of reports: delete them, or let them expire."
