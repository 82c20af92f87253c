"""Whatever a bookkeeper does and however the news travels, one more run makes OpsMerge right to the penny."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

INVOICES = 3
PAYMENTS = ("190", "191", "192")


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """The rules are the same in every store; the other tests try both kinds."""
    return f"sqlite:///{tmp_path}/books/books.db"


deeds = some.lists(
    some.tuples(
        some.sampled_from(PAYMENTS),
        some.sampled_from(["allocate", "allocate", "allocate", "void", "delete"]),
        some.lists(some.integers(0, 12_000), min_size=INVOICES, max_size=INVOICES),
    ),
    min_size=1,
    max_size=8,
)


class Bookkeeper:
    """QuickBooks as far as payments go: every deed makes a new version of a payment."""

    def __init__(self, world: Any, invoices: list[str]) -> None:
        self._world = world
        self._invoices = invoices
        self.versions: list[dict[str, Any]] = []
        self.newest: dict[str, dict[str, Any]] = {}

    def do(self, payment_id: str, deed: str, pennies: list[int]) -> None:
        if self.newest.get(payment_id, {}).get("status") in ("deleted", "voided"):
            return
        amounts = [Decimal(each) / 100 for each in pennies] if deed == "allocate" else []
        parts = [(str(130 + place), self._invoices[place], amount) for place, amount in enumerate(amounts) if amount]
        row = self._world.payment(payment_id, *parts)
        if deed == "void":
            row["status"] = "voided"
        if deed == "delete":
            row = {"connection": row["connection"], "id": payment_id, "status": "deleted"}
        self.versions.append(row)
        self.newest[payment_id] = row

    def paid(self, place: int) -> Decimal:
        """What QuickBooks' payments give an invoice now."""
        rows = (part for row in self.newest.values() for part in row.get("allocations") or ())
        return sum((part["amount"] for part in rows if part["transaction_id"] == str(130 + place)), Decimal("0.00"))


QUICK = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
LONG = settings(QUICK, max_examples=500, derandomize=False)


@QUICK
@given(deeds=deeds, chance=some.randoms(use_true_random=False))
def test_one_more_run_makes_it_right(world: Any, deeds: Any, chance: Any) -> None:
    """After any deeds, with news lost, repeated and out of order, one run on the newest rows makes the sums equal."""
    live_through(world, deeds, chance)


@pytest.mark.soak
@LONG
@given(deeds=deeds, chance=some.randoms(use_true_random=False))
def test_one_more_run_makes_it_right_over_many_histories(world: Any, deeds: Any, chance: Any) -> None:
    """The same over many more histories."""
    live_through(world, deeds, chance)


def live_through(world: Any, deeds: Any, chance: Any) -> None:
    """One history in QuickBooks, its news as they travel, one last run, and the comparison."""
    world.control.reset()
    world.control.seed({"clients": [{"id": "cl_1", "name": "Acme"}], "services": [{"id": "svc_1", "name": "Support"}]})
    world.sync_tokens.clear()
    world.fresh_store()
    invoices = [world.invoice() for _ in range(INVOICES)]
    books = Bookkeeper(world, invoices)
    for deed in deeds:
        books.do(*deed)
        heard = [row for row in books.versions if chance.random() < 0.5] * 2
        chance.shuffle(heard)
        if chance.random() < 0.5:
            world.payments(*heard)
    world.payments(*books.newest.values(), complete=chance.random() < 0.5)
    shown = [Decimal(world.shown(invoice)[1]) for invoice in invoices]
    assert shown == [books.paid(place) for place in range(INVOICES)]
    assert world.payments(*books.newest.values()).writes == []
