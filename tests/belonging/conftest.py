"""One OpsMerge, two companies in QuickBooks, and an environment for each: real plugins in this process, real HTTP."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from books.core.clock import VirtualClock
from books.ledgers.quickbooks.settings import QuickBooksSettings
from books.ledgers.registry import vendor
from books.operations.disconnect import Disconnected, disconnect
from books.operations.session import Session
from books.store import Store
from tap_opsmerge.tap import TapOpsMerge
from tap_quickbooks_payments.tap import TapQuickBooksPayments
from target_opsmerge.target import TargetOpsMerge
from target_quickbooks.target import TargetQuickBooks

sys.path.insert(0, str(Path(__file__).parent))  # so that tests here share `as_released`

KEY = "om_sandbox_key"
REALMS = {"production": "9341453000000001", "sandbox": "9341453000000002"}
TOKENS = {"production": "RT-sandbox-0001", "sandbox": f"RT-sandbox-{REALMS['sandbox']}"}
LINE = {"description": "Support", "quantity": 1, "unit_price": 100, "service_id": "svc_1", "tax_code_id": "tax_1"}
SECRETS = {"client_id": "sandbox-client", "client_secret": "sandbox-secret"}


class Office:
    """One environment: its company, its store, its bookmarks, and what its jobs do."""

    def __init__(self, opsmerge: Any, quickbooks: Any, folder: Path, environment: str, *, is_test: bool | None) -> None:
        self.connection = f"{environment}:{REALMS[environment]}"
        self.realm = REALMS[environment]
        self.store_url = f"sqlite:///{folder}/{environment}/books.db"
        self.url = quickbooks.url
        self.token = TOKENS[environment]
        self.is_test = is_test
        self.state: dict[str, Any] = {}
        self.log = ""
        self._opsmerge = opsmerge
        self._folder = folder
        self._environment = environment
        self._clock = VirtualClock()

    # -- settings

    @property
    def to_opsmerge(self) -> dict[str, Any]:
        settings = {"api_url": f"{self._opsmerge.url}/api/v1", "api_key": KEY, "store_url": self.store_url}
        return settings if self.is_test is None else {**settings, "opsmerge_is_test": self.is_test}

    @property
    def to_quickbooks(self) -> dict[str, Any]:
        return {
            **SECRETS,
            "environment": self._environment,
            "realm_id": self.realm,
            "refresh_token": self.token,
            "store_url": self.store_url,
            "api_url": self.url,
            "token_url": self.url,
            "requests_per_second": 1000,
            "requests_per_minute": 100_000,
        }

    # -- jobs

    def push(self, **settings: Any) -> str:
        """The job push-invoices; its log."""
        self.log = ""
        messages = self._read_opsmerge()
        self._post(messages, **settings)
        if not settings.get("dry_run"):
            self._write_back(self._tap("postings", ("postings",)))
        return self.log

    def first_push(self) -> str:
        """A production company's first push: by a plan."""
        plan = str(self._folder / "plan.json")
        state = dict(self.state)
        self.push(dry_run=True, plan_file=plan)
        self.state = state
        return self.push(plan=plan)

    def pull(self) -> str:
        """The job pull-payments; its log."""
        self.log = ""
        self._write_back(self._tap("payments", ("payments", "invoices")))
        return self.log

    def disconnect(self) -> Disconnected:
        """The command."""
        plugins = {"target-opsmerge": self.to_opsmerge, "target-quickbooks": self.to_quickbooks}
        configuration: Any = SimpleNamespace(
            environment=self._environment,
            plugin=lambda name: plugins.get(name, {}),
            vendor=lambda: vendor("quickbooks"),
        )
        with closing(self.store()) as store:
            session = Session(configuration, QuickBooksSettings.from_config(self.to_quickbooks), store)
            return disconnect(session, lambda _point: None)

    def read_past(self) -> None:
        """Move the bookmarks over all that OpsMerge shows, as a push of an older version did without a look."""
        self._read_opsmerge()

    def store(self) -> Store:
        return Store.open(self.store_url, self._clock)

    # -- plugins

    def _read_opsmerge(self) -> str:
        config = {name: self.to_opsmerge[name] for name in ("api_url", "api_key")}
        tap = TapOpsMerge(config=config, state=self.state.get("opsmerge"), clock=self._clock)
        return self._sync(tap, "opsmerge")

    def _tap(self, name: str, streams: tuple[str, ...]) -> str:
        tap = TapQuickBooksPayments(config=self.to_quickbooks, state=self.state.get(name), clock=self._clock)
        for each, stream in tap.streams.items():
            stream.selected = each in streams
        try:
            return self._sync(tap, name)
        finally:
            if "store" in vars(tap):
                tap.store.close()

    def _sync(self, tap: Any, name: str) -> str:
        out = io.StringIO()
        with redirect_stdout(out):
            tap.sync_all()
        lines = out.getvalue().splitlines()
        states = [json.loads(line)["value"] for line in lines if '"type":"STATE"' in line.replace(" ", "")]
        self.state[name] = states[-1] if states else self.state.get(name)
        return out.getvalue()

    def _post(self, messages: str, **settings: Any) -> None:
        config = {
            **self.to_quickbooks,
            "mapping_file": str(self._folder / "mappings.yml"),
            "default_income_account": "Sales of Product Income",
            "default_expense_account": "Cost of sales",
            "batches_per_minute": 10_000,
            **(
                {"post_from": "2026-01-01", "duplicate_numbers_checked": "yes"}
                if self._environment == "production"
                else {}
            ),
            **settings,
        }
        with self._heard("target-quickbooks"):
            TargetQuickBooks(config=config, clock=self._clock).listen(io.StringIO(messages))

    def _write_back(self, messages: str) -> None:
        target = TargetOpsMerge(config=self.to_opsmerge, clock=self._clock)
        try:
            with self._heard("target-opsmerge"):
                target.listen(io.StringIO(messages))
        finally:
            if "writeback" in vars(target):
                target.writeback._store.close()

    @contextmanager
    def _heard(self, name: str) -> Iterator[None]:
        log = io.StringIO()
        handler, logger = logging.StreamHandler(log), logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            with redirect_stdout(io.StringIO()):
                yield
        finally:
            logger.removeHandler(handler)
            self.log += log.getvalue()


class World:
    """OpsMerge and QuickBooks, and what people see there."""

    def __init__(self, opsmerge: Any, quickbooks: Any, folder: Path) -> None:
        self.opsmerge = opsmerge
        self.quickbooks = quickbooks
        self._folder = folder
        quickbooks.control.switches(limits=False)
        quickbooks.control.seed({"realm": REALMS["sandbox"], "company": {"CompanyName": "Sandbox company"}})
        control = opsmerge.control
        control.deed("save_client", id="cl_1", name="Hartley & Sons")
        control.deed("save_service", id="svc_1", name="Managed Support")
        control.deed("save_tax_code", id="tax_1", name="VAT", rate=20, quickbooks_tax_code="20.0% S")

    def office(self, environment: str, *, is_test: bool | None = None) -> Office:
        """An environment with a store of its own."""
        return Office(self.opsmerge, self.quickbooks, self._folder, environment, is_test=is_test)

    def invoices(self, count: int) -> list[str]:
        """New open invoices of 120.00; their ids."""
        deed = self.opsmerge.control.deed
        return [str(deed("create_invoice", client_id="cl_1", lines=[LINE])["id"]) for _ in range(count)]

    def shown(self, invoice_id: str) -> dict[str, Any]:
        """An invoice as OpsMerge's API shows it."""
        return dict(self._call("GET", f"/psa/invoices/{invoice_id}").json())

    def link(self, invoice_id: str) -> tuple[str, str | None]:
        """Connection and external id of its accounting block."""
        block = self.shown(invoice_id)["accounting"] or {}
        return block.get("connection"), block.get("external_id")

    def links(self, invoice_ids: list[str]) -> list[tuple[str, str | None]]:
        return [self.link(each) for each in invoice_ids]

    def set_block(self, invoice_id: str, connection: str, external_id: str | None) -> None:
        """A block as another writer leaves it."""
        block = {"provider": "quickbooks", "connection": connection, "external_id": external_id}
        block |= {"status": "posted" if external_id else "held", "error": None, "synced_at": "2026-11-02T09:00:00Z"}
        assert self._call("PUT", f"/psa/invoices/{invoice_id}/accounting", json=block).ok

    def set_payment(self, invoice_id: str, external_id: str) -> None:
        """A payment in full as another writer leaves it."""
        payment = {"amount": 120.00, "currency": "GBP", "paid_on": "2026-11-03", "method": None, "reference": None}
        assert self._call("PUT", f"/psa/invoices/{invoice_id}/payments/{external_id}", json=payment).ok

    def number(self, invoice_id: str) -> str:
        return str(self.shown(invoice_id)["number"])

    def pay(self, office: Office, invoice_id: str) -> None:
        """A bookkeeper records a payment in full in the environment's company."""
        number = self.number(invoice_id)
        self.quickbooks.control.deed(
            "record_payment", realm=office.realm, invoice=number, amount=120, reference="BACS 1"
        )

    def in_quickbooks(self, office: Office) -> list[str]:
        """The numbers of the company's invoices."""
        books = self.quickbooks.state.books(office.realm)
        live = books.db.all('SELECT id FROM "entity_Invoice" WHERE realm = ? AND deleted = 0', office.realm)
        return sorted(books.need("Invoice", str(row[0]))["DocNumber"] for row in live)

    def writes(self) -> list[tuple[str, str]]:
        """Every write that OpsMerge's API has had."""
        rows = self.opsmerge.control.requests()
        return [(row["method"], row["path"].removeprefix("/api/v1/psa")) for row in rows if row["method"] != "GET"]

    def _call(self, method: str, path: str, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {KEY}"}
        return requests.request(method, f"{self.opsmerge.url}/api/v1{path}", headers=headers, timeout=10, **more)


@pytest.fixture
def world(opsmerge_sim: Any, quickbooks_sim: Any, tmp_path: Path) -> World:
    return World(opsmerge_sim, quickbooks_sim, tmp_path)
