"""Measure the QuickBooks simulator in one run: invoices posted in batches, a large company seeded, its pages read.

Prints rates, and ratios that hold on any machine: a batch against single posts, the last page against the first, a
large company against a small one. `--check` exits with 1 if a promise of the README is not kept.
Use: python bench/simulator.py [--invoices 100000] [--seconds 5] [--json] [--check]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests

from sandbox.control import Control
from sandbox.quickbooks import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, QuickBooksState, create_app
from sandbox.server import running

REALM = "9341453000000001"
BATCH = 30
PAGE = 1000
SMALL = 1000
PER_SECOND_MIN = 1000
SEED_SECONDS_MAX = 30.0
PAGE_SECONDS_MAX = 1.0


@dataclass
class Connection:
    """An app that is connected to the simulator."""

    url: str
    control: Control
    session: requests.Session

    def post(self, path: str, body: Any) -> dict[str, Any]:
        """POST JSON; the answer is read completely, but only a small one is parsed."""
        answer = self.session.post(f"{self.url}/v3/company/{REALM}/{path}", data=json.dumps(body))
        answer.raise_for_status()
        return dict(answer.json()) if len(answer.content) < 2000 else {}  # noqa: PLR2004 -- small answers

    def rows(self, start: int) -> int:
        """Return how many invoices a page has."""
        where = "MetaData.LastUpdatedTime >= '2000-01-01'"
        query = f"select * from Invoice where {where} startposition {start} maxresults {PAGE}"
        answer = self.session.get(f"{self.url}/v3/company/{REALM}/query", params={"query": query})
        answer.raise_for_status()
        return answer.content.count(b'"DocNumber"')


@contextmanager
def connected() -> Iterator[Connection]:
    """Run a new simulator in this process, on one core, without rate limits."""
    state = QuickBooksState()
    with running(create_app(state)) as url:
        control, session = Control(url), requests.Session()
        session.trust_env = False
        control.switches(limits=False)
        form = {"grant_type": "refresh_token", "refresh_token": REFRESH_TOKEN}
        grant = session.post(f"{url}/oauth2/v1/tokens/bearer", auth=(CLIENT_ID, CLIENT_SECRET), data=form).json()
        session.headers.update(
            {
                "Authorization": f"Bearer {grant['access_token']}",
                "Accept": "application/json",
                "Content-Type": "application/json",
            }
        )
        yield Connection(url, control, session)
    state.close()


def invoice(number: str) -> dict[str, Any]:
    """Return an invoice of one line with VAT for customer 1."""
    detail = {"Qty": 2, "UnitPrice": 5, "TaxCodeRef": {"value": "6"}}
    line = {"DetailType": "SalesItemLineDetail", "Amount": 10, "SalesItemLineDetail": detail}
    return {"CustomerRef": {"value": "1"}, "DocNumber": number, "Line": [line]}


def batch(client: Connection, name: str) -> None:
    """Post thirty invoices in one request."""
    items = [{"bId": str(n), "operation": "create", "Invoice": invoice(f"{name}-{n}")} for n in range(BATCH)]
    client.post(f"batch?requestid={name}", {"BatchItemRequest": items})


def rate(seconds: float, work: Callable[[int], None]) -> tuple[float, float]:
    """Return how often `work` is done per second, and per second of CPU time.

    The second figure is what one core does that nothing else uses; client and simulator share it.
    """
    began, worked, count = time.perf_counter(), time.process_time(), 0
    while (spent := time.perf_counter() - began) < seconds:
        work(count)
        count += 1
    return count / spent, count / (time.process_time() - worked)


def median_seconds(work: Callable[[], object], times: int = 5) -> float:
    """Return the median duration of some work."""
    durations = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        durations.append(time.perf_counter() - began)
    return statistics.median(durations)


def measure(invoices: int, seconds: float) -> dict[str, float]:
    """Return all figures of one run."""
    with connected() as client:
        client.post("customer", {"DisplayName": "Bench"})
        batched, batched_alone = (figure * BATCH for figure in rate(seconds, lambda n: batch(client, f"b{n}")))
        single, _ = rate(seconds, lambda n: client.post("invoice", invoice(f"s{n}")) and None)
    with connected() as client:
        client.control.seed({"synthetic": {"invoices": SMALL, "customers": 100}})
        small = median_seconds(lambda: client.rows(1))
    with connected() as client:
        began = time.perf_counter()
        client.control.seed({"synthetic": {"invoices": invoices, "customers": 500}})
        seeded = time.perf_counter() - began
        first, last = (median_seconds(lambda start=start: client.rows(start)) for start in (1, invoices - PAGE + 1))
    return {
        "invoices_per_second_in_batches_of_30": round(batched),
        "invoices_per_core_second_in_batches_of_30": round(batched_alone),
        "invoices_per_second_one_by_one": round(single),
        "batched_to_single": round(batched / single, 1),
        "seeded_invoices": invoices,
        "seed_seconds": round(seeded, 2),
        "seeded_per_second": round(invoices / seeded),
        "first_page_ms": round(first * 1000, 1),
        "last_page_ms": round(last * 1000, 1),
        "last_to_first_page": round(last / first, 2),
        "large_to_small_company_page": round(first / small, 2),
    }


def broken_promises(figures: dict[str, float]) -> list[str]:
    """Return the README's promises that these figures do not keep."""
    kept = {
        f"{PER_SECOND_MIN} invoices a second of one core": (
            figures["invoices_per_core_second_in_batches_of_30"] >= PER_SECOND_MIN
        ),
        f"seeded within {SEED_SECONDS_MAX:g} s": figures["seed_seconds"] <= SEED_SECONDS_MAX,
        f"a page within {PAGE_SECONDS_MAX:g} s": figures["last_page_ms"] <= PAGE_SECONDS_MAX * 1000,
    }
    return [promise for promise, held in kept.items() if not held]


def main() -> int:
    """Measure, print, and check if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--invoices", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core for client and simulator together
    figures = measure(options.invoices, options.seconds)
    if options.json:
        print(json.dumps(figures))
    else:
        print("\n".join(f"{name:42} {value:>12,}" for name, value in figures.items()))
    broken = broken_promises(figures) if options.check else []
    for promise in broken:
        print(f"not kept: {promise}", file=sys.stderr)
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
