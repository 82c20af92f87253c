"""A tenant on the simulator, a real store of each kind, and the target run on Singer messages."""

from __future__ import annotations

import io
import json
import os
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import simplejson
from sqlalchemy import insert, select
from worlds import REALM, posting_row

from books.core.clock import VirtualClock
from books.store import Store
from books.store.tables_opsmerge import accounting_block, allocation
from books.store.tables_posting import posting
from books.writeback.balances import Balances
from target_opsmerge.target import TargetOpsMerge

CONNECTION = f"sandbox:{REALM}"
KEY = "om_sandbox_key"
TARGET = Path(sys.executable).with_name("target-opsmerge")
LINE = {"description": "Support", "quantity": 1, "unit_price": 100, "service_id": "svc_1", "tax_code_id": "tax_1"}
KEYS = {
    "postings": ["connection", "opsmerge_invoice_id"],
    "payments": ["connection", "id"],
    "invoices": ["connection", "id"],
}


def schema(stream: str) -> dict[str, Any]:
    names = KEYS.get(stream, ["id"])
    properties = {name: {"type": "string"} for name in names}
    return {
        "type": "SCHEMA",
        "stream": stream,
        "schema": {"type": "object", "properties": properties},
        "key_properties": names,
    }


def record(stream: str, row: dict[str, Any]) -> dict[str, Any]:
    return {"type": "RECORD", "stream": stream, "record": row}


@dataclass(frozen=True)
class Seen:
    """Calls that the simulator got in a run."""

    requests: list[dict[str, Any]]

    @property
    def writes(self) -> list[tuple[str, str]]:
        return [
            (row["method"], row["path"].removeprefix("/api/v1/psa")) for row in self.requests if row["method"] != "GET"
        ]

    @property
    def reads(self) -> list[str]:
        return [row["path"].removeprefix("/api/v1") for row in self.requests if row["method"] == "GET"]


class World:
    """OpsMerge, the store, and the target between a tap's messages and both."""

    def __init__(self, sim: Any, store_url: str, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self.sim = sim
        self.control = sim.control
        self.store_url = store_url
        self.clock = VirtualClock()
        self._capsys = capsys
        self._folder = folder
        self._stores = 0
        self.control.seed(
            {"clients": [{"id": "cl_1", "name": "Acme"}], "services": [{"id": "svc_1", "name": "Support"}]}
        )
        self.sync_tokens: dict[str, int] = {}

    @property
    def config(self) -> dict[str, Any]:
        return {"api_url": self.sim.url + "/api/v1", "api_key": KEY, "store_url": self.store_url}

    def invoice(self, **details: Any) -> str:
        """A new open invoice of 120.00; its id."""
        return str(self.control.deed("create_invoice", client_id="cl_1", lines=[LINE], **details)["id"])

    def posted(self, invoice_id: str, quickbooks_id: str | None, **more: Any) -> dict[str, Any]:
        """A row of the postings stream."""
        return {
            "provider": "quickbooks",
            "connection": CONNECTION,
            "company_id": REALM,
            "opsmerge_invoice_id": invoice_id,
            "number": "INV-2026-0001",
            "outcome": "created",
            "external_id": quickbooks_id,
            "fault_code": None,
            "fault_message": None,
            "remedy": None,
            "finished_at": "2026-11-02T09:00:00+00:00",
            "seq": 1,
            **more,
        }

    def payment(self, payment_id: str, *allocations: tuple[str, str | None, Any], **more: Any) -> dict[str, Any]:
        """A row of the payments stream, each newer than the last. An allocation: QuickBooks id, OpsMerge id, amount."""
        token = self.sync_tokens[payment_id] = self.sync_tokens.get(payment_id, -1) + 1
        return {
            "connection": CONNECTION,
            "id": payment_id,
            "txn_date": "2026-11-02",
            "total_amount": Decimal("0.00"),
            "currency": "GBP",
            "payment_ref_number": f"BACS {payment_id}",
            "payment_method": "BACS",
            "status": "active",
            "allocations": [
                {
                    "transaction_type": "Invoice",
                    "transaction_id": transaction_id,
                    "invoice_number": None,
                    "opsmerge_invoice_id": invoice_id,
                    "amount": Decimal(str(amount)),
                }
                for transaction_id, invoice_id, amount in allocations
            ],
            "sync_token": str(token),
            "updated_at": f"2026-11-02T09:{token:02d}:00+00:00",
            **more,
        }

    def balance(self, external_id: str, owed: str) -> dict[str, Any]:
        """A row of the stream `invoices`: an invoice of 120.00, and what is still owed of it."""
        return {
            "connection": CONNECTION,
            "id": external_id,
            "status": "live",
            "total_amount": Decimal("120.00"),
            "balance": Decimal(owed),
            "currency": "GBP",
            "sync_token": "1",
            "updated_at": "2026-11-02T09:00:00+00:00",
        }

    def remainders(self) -> dict[str, Decimal]:
        """What no payment explains, by QuickBooks' id of the invoice."""
        with self.store() as store:
            return {each.external_id: each.remainder for each in Balances(store).unexplained(CONNECTION)}

    def messages(self, stream: str, *rows: dict[str, Any], complete: bool = False) -> list[dict[str, Any]]:
        told = [schema(stream), *(record(stream, row) for row in rows)]
        return [*told, {"type": "ACTIVATE_VERSION", "stream": stream, "version": 1}] if complete else told

    def run(self, *messages: dict[str, Any], closing: bool = True) -> Seen:
        """Run the target on messages and a closing STATE; the calls that it made."""
        before = len(self.control.requests())
        self._capsys.readouterr()
        target = TargetOpsMerge(config=self.config, clock=self.clock)
        lines = [*messages, *([{"type": "STATE", "value": {"bookmarks": {"run": before}}}] if closing else [])]
        try:
            target.listen(io.StringIO("".join(simplejson.dumps(each, use_decimal=True) + "\n" for each in lines)))
        finally:
            if "writeback" in vars(target):
                target.writeback._store.close()
        self.states = [json.loads(line) for line in self._capsys.readouterr().out.splitlines() if line]
        return Seen(self.control.requests()[before:])

    def payments(self, *rows: dict[str, Any], complete: bool = False) -> Seen:
        return self.run(*self.messages("payments", *rows, complete=complete))

    def postings(self, *rows: dict[str, Any]) -> Seen:
        return self.run(*self.messages("postings", *rows))

    def know_posting(self, invoice_id: str, external_id: str, currency: str = "GBP") -> None:
        """A posting in the store, as target-quickbooks leaves it."""
        row = posting_row(invoice_id, external_id, currency=currency)
        with self.store() as store, store.begin() as connection:
            connection.execute(insert(posting).values(**row))

    def store(self) -> Any:
        from contextlib import closing

        return closing(Store.open(self.store_url, self.clock))

    def shown(self, invoice_id: str) -> tuple[str, str]:
        """Status and amount paid of an invoice, as OpsMerge shows it."""
        document = self.sim.state.need("invoice", invoice_id)
        return document["status"], str(document["amount_paid"])

    def block(self, invoice_id: str) -> Any:
        return self.sim.state.need("invoice", invoice_id)["accounting"]

    def fresh_store(self) -> None:
        """Go on with an empty SQLite store, as after its loss."""
        self._stores += 1
        self.store_url = f"sqlite:///{self._folder}/store-{self._stores}/books.db"

    def ledger(self) -> list[Any]:
        with self.store() as store, store.read() as connection:
            return list(connection.execute(select(allocation).order_by(allocation.c.payment_id)).mappings())

    def blocks(self) -> list[Any]:
        with self.store() as store, store.read() as connection:
            return list(connection.execute(select(accounting_block)).mappings())


@pytest.fixture
def world(opsmerge_sim: Any, upper_store_url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> World:
    return World(opsmerge_sim, upper_store_url, capsys, tmp_path)


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("TAP_", "TARGET_", "MELTANO"))}
