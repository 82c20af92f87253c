"""The tap against the QuickBooks simulator, over real HTTP, with a real store."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import simplejson
from sqlalchemy import insert

from books.store import Store
from books.store.tables_posting import posting, push_run
from sandbox.pytest_plugin import Simulator
from tap_quickbooks_payments.tap import TapQuickBooksPayments

REALM = "9341453000000001"
CONNECTION = f"sandbox:{REALM}"
ENTITIES = ("payments", "invoices", "credit_memos", "customers", "accounts")


class Reading:
    """What a run of the tap wrote."""

    def __init__(self, output: str) -> None:
        self.messages = [simplejson.loads(line, use_decimal=True) for line in output.splitlines()]

    def rows(self, stream: str) -> list[dict[str, Any]]:
        return [each["record"] for each in self.messages if each["type"] == "RECORD" and each["stream"] == stream]

    def row(self, stream: str, key: str) -> dict[str, Any]:
        return [row for row in self.rows(stream) if row["id"] == key][-1]

    @property
    def state(self) -> dict[str, Any]:
        return [each["value"] for each in self.messages if each["type"] == "STATE"][-1]

    def extract(self, stream: str) -> dict[str, Any] | None:
        said = [
            each["extract"]
            for each in self.messages
            if each["type"] == "SCHEMA" and "extract" in each and each["stream"] == stream
        ]
        return said[-1] if said else None

    def versions(self, stream: str) -> list[int]:
        return [
            each["version"] for each in self.messages if each["type"] == "ACTIVATE_VERSION" and each["stream"] == stream
        ]


class Company:
    """A simulated company with its bookkeeper, and the tap that reads it."""

    def __init__(self, sim: Simulator, folder: Path) -> None:
        self.url = sim.url
        self.control = sim.control
        self.store_url = f"sqlite:///{folder / 'store' / 'books.db'}"

    def config(self, **settings: Any) -> dict[str, Any]:
        return {
            "realm_id": REALM,
            "client_id": "sandbox-client",
            "client_secret": "sandbox-secret",
            "refresh_token": "RT-sandbox-0001",
            "store_url": self.store_url,
            "api_url": self.url,
            "token_url": self.url,
            "requests_per_second": 1000,
            "requests_per_minute": 100_000,
            **settings,
        }

    def tap(self, *streams: str, state: Any = None, clock: Any = None, **settings: Any) -> TapQuickBooksPayments:
        tap = TapQuickBooksPayments(config=self.config(**settings), state=state, clock=clock)
        for name, stream in tap.streams.items():
            stream.selected = name in streams
        return tap

    def read(self, *streams: str, state: Any = None, clock: Any = None, **settings: Any) -> Reading:
        """Run the tap on these streams (all entities, where none is named) and return what it wrote."""
        out = io.StringIO()
        with redirect_stdout(out):
            self.tap(*(streams or ENTITIES), state=state, clock=clock, **settings).sync_all()
        return Reading(out.getvalue())

    def calls(self) -> list[str]:
        """Paths of the API calls so far, without the company; tokens are not counted."""
        return [each["path"].rsplit("/", 1)[-1] for each in self.control.requests() if "/v3/company/" in each["path"]]

    def seed(self, **entities: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
        return self.control.seed({"entities": entities})["ids"]

    def invoice(self, number: str, *amounts: str, customer: str = "O'Brien & Söhne") -> dict[str, Any]:
        lines = [
            {
                "DetailType": "SalesItemLineDetail",
                "Amount": Decimal(amount),
                "SalesItemLineDetail": {"ItemRef": {"name": "Support"}, "TaxCodeRef": {"name": "20.0% S"}},
            }
            for amount in amounts
        ]
        return {"DocNumber": number, "CustomerRef": {"name": customer}, "TxnDate": "2026-11-02", "Line": lines}

    def posted(self, external_id: str, seq: int = 1, **columns: Any) -> None:
        """Put a posting into the store."""
        row = {
            "connection": CONNECTION,
            "opsmerge_invoice_id": f"om_{external_id}",
            "provider": "quickbooks",
            "company_id": REALM,
            "number": f"INV-{external_id}",
            "outcome": "created",
            "external_id": external_id,
            "net": Decimal("100.00"),
            "attempts": 1,
            "seq": seq,
            "generation": 0,
            "content_sha256": "",
            "seen_sha256": "",
            "mapping_sha256": "",
            "record": "{}",
            "retry": False,
            **columns,
        }
        self._insert(posting, row)

    def pushed(self, key: str, started_at: Any, finished_at: Any) -> None:
        counts = (
            "seen",
            "created",
            "adopted",
            "existing",
            "rejected",
            "conflict",
            "held",
            "unknown",
            "left_out",
            "calls",
            "metered",
        )
        row = {
            "connection": CONNECTION,
            "id": key,
            "started_at": started_at,
            "finished_at": finished_at,
            "complete": finished_at is not None,
            **dict.fromkeys(counts, 0),
        }
        self._insert(push_run, row)

    def _insert(self, table: Any, row: dict[str, Any]) -> None:
        store = Store.open(self.store_url)
        with store.begin() as connection:
            connection.execute(insert(table).values(**row))
        store.close()


@pytest.fixture
def company(quickbooks_sim: Simulator, tmp_path: Path) -> Company:
    """A company with one customer, one item and no documents."""
    company = Company(quickbooks_sim, tmp_path)
    company.control.switches(limits=False)  # the governor has tests of its own
    accounts = {
        "IncomeAccountRef": {"name": "Sales of Product Income"},
        "ExpenseAccountRef": {"name": "Cost of sales"},
    }
    company.seed(
        Customer=[{"DisplayName": "O'Brien & Söhne"}], Item=[{"Name": "Support", "Type": "Service", **accounts}]
    )
    return company
