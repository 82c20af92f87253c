"""`make bench`: measure the bridge in one run, mostly as ratios, and write docs/benchmarks.md.

Each section is a function that measures and returns Markdown; add one to SECTIONS. Seconds are this machine's;
calls, reads and ratios are the same everywhere.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pendulum
import reconciliation
import requests
from sqlalchemy import insert
from tables import table

from books.core.clock import Clock, SystemClock, VirtualClock
from books.ledgers.quickbooks.settings import QuickBooksSettings
from books.posting.records import to_text
from books.store import Store
from books.store.tables_infra import call
from books.transport.access import Limit, Window
from books.transport.call import CallKind
from books.transport.governor import Governor
from sandbox.control import Control
from sandbox.quickbooks import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, QuickBooksState, create_app
from sandbox.server import running
from target_quickbooks.target import TargetQuickBooks

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
REALM = "9341453000000001"
INVOICES = 1000
CLIENTS = 200
ROUNDS = 3
BATCH = 30
UNLIMITED = {"requests_per_second": 100_000, "requests_per_minute": 100_000, "batches_per_minute": 100_000}
PUBLISHED = {"requests_per_second": 10, "requests_per_minute": 500, "batches_per_minute": 40}
SUSTAINED_MINUTES = 60
WINDOW_SECONDS = 60
PERMITS = 5000
ASKS = 200
SCHEMA = {"type": "object", "properties": {"id": {"type": "string"}}}


def main() -> int:
    """Measure every section, or those named, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "sections", nargs="*", metavar="section", help=f"only these, and only to the terminal: {', '.join(SECTIONS)}"
    )
    wanted = parser.parse_args().sections
    logging.disable(logging.CRITICAL)
    started = time.monotonic()
    parts = [_head()]
    print(parts[0])
    for name in wanted or SECTIONS:
        print(f"{name} ...", file=sys.stderr)
        parts.append(SECTIONS[name]())
        print(f"\n{parts[-1]}", flush=True)
    if not wanted:
        PAGE.write_text("\n\n".join(parts) + "\n")
    print(f"{time.monotonic() - started:.0f} s" + ("" if wanted else f"; written to {PAGE}"), file=sys.stderr)
    return 0


def _head() -> str:
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return (
        "# Benchmarks\n\n"
        f"Written by `make bench` on {pendulum.today('UTC').to_date_string()}: {machine}. Each table is one run;"
        " compare within a table. Seconds are this machine's, against the bundled simulator in the same process."
    )


# Posting: the target against one call per invoice.


@dataclass
class Push:
    """The cost of one push of the same invoices."""

    calls: int = 0
    metered_reads: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    budget_seconds: float = 0.0
    """How long the default budgets make it wait, on a virtual clock."""


@dataclass
class Company:
    """A simulated company with an item and, if known before, its customers."""

    url: str
    control: Control
    calls: list[tuple[str, str]] = field(default_factory=list)

    def count(self, push: Push) -> None:
        """Count calls and reads in the simulator's log of requests, without token calls."""
        seen = [(each["method"], each["path"]) for each in self.control.requests() if "/v3/" in each["path"]]
        push.calls = len(seen)
        push.metered_reads = sum(method == "GET" or path.endswith("/query") for method, path in seen)


@contextmanager
def _company(*, known: bool) -> Iterator[Company]:
    with running(create_app(QuickBooksState())) as url:
        control = Control(url)
        control.switches(limits=False)
        income, cost = {"name": "Sales of Product Income"}, {"name": "Cost of sales"}
        item = {"Name": "Support", "Type": "Service", "IncomeAccountRef": income, "ExpenseAccountRef": cost}
        customers = [{"DisplayName": f"Client {number}"} for number in range(CLIENTS)] if known else []
        control.seed({"entities": {"Item": [item], "Customer": customers}})
        yield Company(url, control)


def posting() -> str:
    """Measure 1,000 invoices with target-quickbooks, and with a target that makes one call for each."""
    naive, known, new = (_median(each) for each in (_naive, lambda: _ours(known=True), lambda: _ours(known=False)))
    known.budget_seconds, new.budget_seconds = _waits(known=True), _waits(known=False)
    rows = [
        _row("one call per invoice, known customers", naive, naive),
        _row("target-quickbooks, known customers", known, naive),
        _row("target-quickbooks, new customers", new, naive),
    ]
    columns = ["target", "calls", "metered reads", "s without limits", "s in the budgets", "CPU ms per invoice"]
    return (
        f"## Posting {INVOICES:,} invoices of {CLIENTS} customers\n\n"
        f"{table([*columns, 'fewer calls', 'faster in the budgets'], rows)}\n\n"
        f"Median of {ROUNDS}. The one-call target looks each customer up once and posts each invoice by itself: no"
        " intent, no look-up of numbers, no retry. Seconds are over loopback, where a call costs next to nothing; the"
        " default budgets (450 requests and 36 batches a minute, 8 requests a second) add the waits that the governor"
        " makes on a virtual clock. CPU is that of the target's thread, reading Singer and writing the store included."
    )


def _row(name: str, push: Push, naive: Push) -> list[str]:
    return [
        name,
        f"{push.calls:,}",
        f"{push.metered_reads:,}",
        f"{push.seconds:.1f}",
        f"{push.seconds + push.budget_seconds:.0f}",
        f"{push.cpu_seconds / INVOICES * 1000:.2f}",
        f"{naive.calls / push.calls:.1f} x",
        f"{(naive.seconds + naive.budget_seconds) / (push.seconds + push.budget_seconds):.1f} x",
    ]


def _median(measure: Callable[[], Push]) -> Push:
    pushes = [measure() for _ in range(ROUNDS)]
    pushes[0].seconds = statistics.median(each.seconds for each in pushes)
    pushes[0].cpu_seconds = statistics.median(each.cpu_seconds for each in pushes)
    return pushes[0]


def _ours(*, known: bool) -> Push:
    push = Push()
    with _company(known=known) as company, _timed(push):
        _run_target(company.url, SystemClock(), UNLIMITED)
        company.count(push)
    return push


def _waits(*, known: bool) -> float:
    """Return how long the default budgets make the target wait."""
    clock = VirtualClock()
    with _company(known=known) as company:
        _run_target(company.url, clock, {})
    return clock.monotonic()


@contextmanager
def _timed(push: Push) -> Iterator[None]:
    started, cpu_started = time.perf_counter(), time.thread_time()
    yield
    push.seconds, push.cpu_seconds = time.perf_counter() - started, time.thread_time() - cpu_started


def _run_target(url: str, clock: Clock, budgets: dict[str, int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        config = {
            "realm_id": REALM,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "refresh_token": REFRESH_TOKEN,
            "api_url": url,
            "token_url": url,
            "store_url": f"sqlite:///{folder}/books.db",
            "mapping_file": f"{folder}/mappings.yml",
            **budgets,
        }
        printed = io.StringIO()
        with redirect_stdout(printed):
            TargetQuickBooks(config=config, clock=clock).listen(io.StringIO(_messages()))
        if '{"upto": ' not in printed.getvalue():
            raise RuntimeError("the target did not finish")


def _messages() -> str:
    head = {"type": "SCHEMA", "stream": "invoices", "key_properties": ["id"], "schema": SCHEMA}
    records = [{"type": "RECORD", "stream": "invoices", "record": _invoice(number)} for number in range(INVOICES)]
    messages = [head, *records, {"type": "STATE", "value": {"upto": INVOICES}}]
    return "".join(to_text(message) + "\n" for message in messages)


def _invoice(number: int) -> dict[str, Any]:
    net, tax = Decimal("100.00"), Decimal("20.00")
    line = {
        "id": f"li_{number}",
        "position": 1,
        "description": "Support",
        "quantity": 1,
        "unit_price": net,
        "service_id": "svc_1",
        "service_name": "Support",
        "tax_code_id": "tx_1",
        "tax_code_name": "20.0% S",
        "tax_rate": 20,
        "net_amount": net,
        "tax_amount": tax,
    }
    return {
        "id": f"inv_{number}",
        "number": f"INV-{number:06}",
        "status": "open",
        "issue_date": "2026-11-02",
        "due_date": "2026-12-02",
        "currency": "GBP",
        "client_id": f"cl_{number % CLIENTS}",
        "client_name": f"Client {number % CLIENTS}",
        "lines": [line],
        "subtotal": net,
        "tax_total": tax,
        "total": net + tax,
        "accounting_excluded": False,
    }


class OneCallEach:
    """The usual kind of target: per record one POST, and a look-up of its customer if not yet known."""

    def __init__(self, url: str, slot: Callable[[CallKind], None]) -> None:
        self._base = f"{url}/v3/company/{REALM}"
        self._slot = slot
        self._session = requests.Session()
        self._session.trust_env = False
        form = {"grant_type": "refresh_token", "refresh_token": REFRESH_TOKEN}
        token_url = f"{url}/oauth2/v1/tokens/bearer"
        grant = self._session.post(token_url, auth=(CLIENT_ID, CLIENT_SECRET), data=form).json()
        self._session.headers.update({"Authorization": f"Bearer {grant['access_token']}", "Accept": "application/json"})
        self._ids: dict[tuple[str, str], str] = {}

    def post(self, record: dict[str, Any]) -> None:
        """Post one invoice."""
        lines = [
            {
                "DetailType": "SalesItemLineDetail",
                "Amount": float(line["net_amount"]),
                "SalesItemLineDetail": {
                    "ItemRef": {"value": self._id("Item", "Name", line["service_name"])},
                    "TaxCodeRef": {"value": self._id("TaxCode", "Name", line["tax_code_name"])},
                },
            }
            for line in record["lines"]
        ]
        body = {
            "DocNumber": record["number"],
            "TxnDate": record["issue_date"],
            "CustomerRef": {"value": self._id("Customer", "DisplayName", record["client_name"])},
            "GlobalTaxCalculation": "TaxExcluded",
            "Line": lines,
        }
        self._slot(CallKind.WRITE)
        self._session.post(f"{self._base}/invoice", json=body).raise_for_status()

    def _id(self, entity: str, field_name: str, name: str) -> str:
        if (entity, name) not in self._ids:
            self._slot(CallKind.READ)
            query = f"select * from {entity} where {field_name} = '{name}'"
            answer = self._session.get(f"{self._base}/query", params={"query": query}).json()
            self._ids[entity, name] = answer["QueryResponse"][entity][0]["Id"]
        return self._ids[entity, name]


def _naive() -> Push:
    push = Push()
    with _company(known=True) as company, _timed(push):
        target = OneCallEach(company.url, lambda _kind: None)
        for number in range(INVOICES):
            target.post(_invoice(number))
        company.count(push)
    kinds = [CallKind.READ] * push.metered_reads + [CallKind.WRITE] * (push.calls - push.metered_reads)
    push.budget_seconds = _permitted_at(kinds, {})[-1]
    return push


# The rate limiter: how much of the budget is used, and never more.


def _permitted_at(kinds: list[CallKind], budgets: dict[str, int]) -> list[float]:
    """Return when each call of a list is permitted, one after the other, on a virtual clock."""
    clock = VirtualClock()
    settings = QuickBooksSettings(realm_id=REALM, client_id="c", client_secret="s", **budgets)  # noqa: S106 -- no secret
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(f"sqlite:///{folder}/books.db", clock)
        governor = Governor(store, clock, settings.access.limits)
        stamps = []
        for kind in kinds:
            with governor.slot(settings.connection, kind, clock.monotonic() + 300):
                stamps.append(clock.monotonic())
        store.close()
    return stamps


def sustained() -> str:
    """Measure an hour of batches, at the default budgets and at QuickBooks' published limits."""
    rows = [_sustained_row("defaults", {}, 36), _sustained_row("QuickBooks' published limits", PUBLISHED, 40)]
    columns = [
        "budgets",
        "batches a minute",
        "invoices a minute",
        "of the budget",
        "most in any 60 s",
        "windows over it",
    ]
    return (
        f"## Sustained rate\n\n{table(columns, rows)}\n\n"
        f"{SUSTAINED_MINUTES} minutes on a virtual clock through the real governor and its store, {BATCH} invoices in a"
        " batch, a look-up of numbers with every third. The budget is per company, so more processes do not change it."
        " The first minute's burst is left out of the rate."
    )


def _sustained_row(name: str, budgets: dict[str, int], batches_per_minute: int) -> list[str]:
    count = batches_per_minute * (SUSTAINED_MINUTES + 1)
    kinds = [kind for number in range(count) for kind in _calls_of(number)]
    stamps = [at for at, kind in zip(_permitted_at(kinds, budgets), kinds, strict=True) if kind is CallKind.BATCH]
    after = [at for at in stamps if at > stamps[batches_per_minute - 1]]
    rate = len(after) / ((after[-1] - stamps[batches_per_minute - 1]) / WINDOW_SECONDS)
    most = max(
        sum(at <= other < at + WINDOW_SECONDS for other in stamps[place : place + 200])
        for place, at in enumerate(stamps)
    )
    over = sum(last - first < WINDOW_SECONDS for first, last in zip(stamps, stamps[batches_per_minute:], strict=False))
    return [name, f"{rate:.2f}", f"{rate * BATCH:,.0f}", f"{rate / batches_per_minute:.1%}", str(most), str(over)]


def _calls_of(number: int) -> list[CallKind]:
    return [CallKind.READ, CallKind.BATCH] if number % 3 == 0 else [CallKind.BATCH]


def asking() -> str:
    """Measure one ask of the rate limiter, with an empty log of permits and with a long one."""
    access = QuickBooksSettings(realm_id=REALM, client_id="c", client_secret="s", **UNLIMITED).access  # noqa: S106 -- no secret
    every = (*access.limits, Limit("day", 100_000, window=Window.DAY), Limit("flight", 4, window=Window.IN_FLIGHT))
    kinds = {"QuickBooks' three windows": access.limits, "and a day, and calls in flight": every}
    rows = []
    for name, limits in kinds.items():
        empty, long = (_ask_seconds(limits, permits) * 1000 for permits in (0, PERMITS))
        rows.append([name, f"{empty:.2f}", f"{long:.2f}", f"{long / empty:.2f} x"])
    columns = ["limits", "ms, empty log", f"ms, {PERMITS:,} permits", "long to empty"]
    return (
        f"## Asking the rate limiter\n\n{table(columns, rows)}\n\n"
        f"Median of {ASKS} permits from a SQLite store on this machine's disk, the commit included."
    )


def _ask_seconds(limits: Sequence[Limit], permits: int) -> float:
    """Return the median time of an ask that gets its permit, with so many permits of the last minute in the log."""
    clock, seconds = SystemClock(), []
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(f"sqlite:///{folder}/books.db", clock)
        with store.begin() as conn:
            now = store.steady(conn)
            stamp = {"connection": "sandbox:1", "kind": CallKind.READ.value, "epoch": now.epoch}
            for place in range(permits):
                conn.execute(insert(call).values(**stamp, at=now.seconds - 30 * place / permits))
        governor = Governor(store, clock, limits)
        for _ in range(ASKS):
            started = time.perf_counter()
            with governor.slot("sandbox:1", CallKind.READ, clock.monotonic() + 9):
                seconds.append(time.perf_counter() - started)
        store.close()
    return statistics.median(seconds)


def simulator() -> str:
    """Measure the QuickBooks simulator itself: every test and figure above depends on its speed."""
    import simulator

    figures = simulator.measure(invoices=100_000, seconds=5)
    rows = "\n".join(f"| {name.replace('_', ' ')} | {plain(value)} |" for name, value in figures.items())
    return f"## The QuickBooks simulator\n\n| figure | value |\n| --- | ---: |\n{rows}"


def webhooks() -> str:
    """Measure from a recorded payment to Paid, and how fast the receiver answers."""
    import receiver

    return receiver.markdown(receiver.measure())


def plain(value: float) -> str:
    """Return a number with four significant figures, without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"  # noqa: PLR2004 -- no decimals from there on


SECTIONS: dict[str, Callable[[], str]] = {
    "posting": posting,
    "sustained": sustained,
    "asking": asking,
    "simulator": simulator,
    "webhooks": webhooks,
    **reconciliation.SECTIONS,
}

if __name__ == "__main__":
    sys.exit(main())
