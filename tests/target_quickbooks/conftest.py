"""A QuickBooks simulator, both kinds of store, and a push of records through the real target."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import select
from worlds import REALM, make_line, make_record

from books.core.clock import VirtualClock
from books.core.faults import Halt
from books.posting.records import to_text
from books.store import Store
from books.store.tables_posting import attempt, posting, push_run
from target_quickbooks.target import TargetQuickBooks

sys.path.insert(0, str(Path(__file__).parent))  # so that tests here share `processes`

SCHEMA = {"type": "object", "properties": {"id": {"type": "string"}}}


@pytest.fixture
def record():
    return make_record


@pytest.fixture
def line():
    return make_line


@dataclass
class Pushed:
    """What one run left: its STATE lines, its log, its end."""

    states: list[str]
    log: str
    halt: Halt | None
    calls: Counter = field(default_factory=Counter)


class Bridge:
    """One company, one store; `push` is one run of the real target."""

    def __init__(self, sim, store_url, folder):
        self.sim = sim
        self.clock = VirtualClock()
        self.store_url = store_url
        self.folder = folder
        self.connection = f"sandbox:{REALM}"
        self.config = {
            "realm_id": REALM,
            "client_id": "sandbox-client",
            "client_secret": "sandbox-secret",
            "refresh_token": "RT-sandbox-0001",
            "api_url": sim.url,
            "token_url": sim.url,
            "store_url": store_url,
            "mapping_file": str(folder / "mappings.yml"),
            "default_income_account": "Sales of Product Income",
            "default_expense_account": "Cost of sales",
            "http_timeout": 2,
            "requests_per_second": 1000,
            "requests_per_minute": 100_000,
            "batches_per_minute": 10_000,
        }

    def push(self, *records, streams=None, **settings):
        messages = [*_stream("invoices", records)]
        for stream, rows in (streams or {}).items():
            messages += _stream(stream, rows)
        messages.append({"type": "STATE", "value": {"upto": len(records)}})
        before = self.calls()
        output, log, halt = io.StringIO(), io.StringIO(), None
        handler = logging.StreamHandler(log)
        logger = logging.getLogger("target-quickbooks")
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            with redirect_stdout(output):
                target = TargetQuickBooks(config={**self.config, **settings}, clock=self.clock)
                target.listen(io.StringIO("".join(to_text(message) + "\n" for message in messages)))
        except Halt as ended:
            halt = ended
        finally:
            logger.removeHandler(handler)
        return Pushed(output.getvalue().splitlines(), log.getvalue(), halt, self.calls() - before)

    def calls(self):
        """Calls to the vendor so far, tokens included, by (method, last part of the path)."""
        return Counter((each["method"], each["path"].rsplit("/", 1)[-1]) for each in self.sim.control.requests())

    def table(self, table):
        store = Store.open(self.store_url, self.clock)
        with store.read() as connection:
            rows = [dict(row) for row in connection.execute(select(table)).mappings()]
        store.close()
        return rows

    def postings(self):
        return {row["opsmerge_invoice_id"]: row for row in self.table(posting)}

    def attempts(self):
        return self.table(attempt)

    def runs(self):
        return self.table(push_run)

    def map(self, text):
        (self.folder / "mappings.yml").write_text("version: 1\n" + text)

    def books(self, entity="Invoice"):
        """What is live in the simulated company, by its own query language."""
        client = self.client()
        return list(client.rows(entity, "" if entity == "Invoice" else "Active IN (true,false)"))

    def client(self):
        from books.ledgers.quickbooks import open_client
        from books.ledgers.quickbooks.settings import QuickBooksSettings

        store = Store.open(self.store_url, self.clock)
        return open_client(QuickBooksSettings.from_config(self.config), store, self.clock)

    def retry(self, *numbers):
        from books.operations.retry import request_retry

        store = Store.open(self.store_url, self.clock)
        marked = request_retry(store, f"sandbox:{REALM}", numbers)
        store.close()
        return marked


def _stream(name, rows):
    schema = {"type": "SCHEMA", "stream": name, "key_properties": ["id"], "schema": SCHEMA}
    return [schema, *({"type": "RECORD", "stream": name, "record": row} for row in rows)]


@pytest.fixture
def bridge(quickbooks_sim, upper_store_url, tmp_path):
    """The target, the simulator without limits (the governor is tested elsewhere), a store of each kind."""
    quickbooks_sim.control.switches(limits=False)
    return Bridge(quickbooks_sim, upper_store_url, tmp_path)


@pytest.fixture
def make_bridge(quickbooks_sim, tmp_path):
    """As `bridge`, for a store of one's own."""
    quickbooks_sim.control.switches(limits=False)
    return lambda store_url: Bridge(quickbooks_sim, store_url, tmp_path)


@pytest.fixture
def sqlite_bridge(quickbooks_sim, tmp_path):
    """As `bridge`, on SQLite only: for rules that no store can change."""
    quickbooks_sim.control.switches(limits=False)
    return Bridge(quickbooks_sim, f"sqlite:///{tmp_path}/books/books.db", tmp_path)


@pytest.fixture
def dumps():
    return lambda value: json.dumps(value, default=str)
