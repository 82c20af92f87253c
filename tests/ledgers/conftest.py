"""Every ledger that the conformance suite runs over, each with books of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from worlds import make_record

from books.core.clock import SystemClock, VirtualClock
from books.ledgers.contract import Books, Invoice, KeyScope, Ledger, LedgerInvoice, Member, NewCustomer, References
from books.ledgers.pretend import PretendBooks, PretendLedger
from books.ledgers.registry import PROVIDERS, vendor
from books.posting import records
from books.store import Store

sys.path.insert(0, str(Path(__file__).parent))  # so that tests here share `offices`


@dataclass
class Office:
    """A ledger with one customer, one item and one tax code, and what a test needs to talk to it."""

    ledger: Ledger
    open_books: Callable[..., Books]
    """Opens the books for reading back; its argument is, per entity, the time to read from, or None."""
    number: int = field(default=0)

    def invoice(self, **changes: Any) -> Invoice:
        """A new invoice of OpsMerge, with a number of its own."""
        self.number += 1
        return records.parse(make_record(self.number, **changes))

    def references(self, invoice: Invoice) -> References:
        """What the invoice's names stand for in this ledger; made where it is missing."""
        [customer] = self.ledger.find_customers(names=[invoice.client_name]) or self._made(invoice.client_name)
        [item] = self.ledger.find_items(names=["Managed Support"]) or self._item()
        code = next(each for each in self.ledger.tax_codes() if each.percent == 20)
        return References(customer, (item,) * len(invoice.lines), (code,) * len(invoice.lines))

    def _made(self, name: str) -> list[Any]:
        return list(self.ledger.create_customers([NewCustomer(name)], "key-customers"))

    def _item(self) -> list[Any]:
        from books.ledgers.contract import NewItem

        new = NewItem("Managed Support", "Sales of Product Income", "Cost of sales")
        return list(self.ledger.create_items([new], "key-items"))

    def body(self, invoice: Invoice) -> bytes:
        """The exact bytes for an invoice."""
        return self.ledger.draft(invoice, self.references(invoice), self.ledger.company())

    def member(self, bid: str, invoice: Invoice) -> Member:
        """One invoice of a batch."""
        return Member(bid, self.body(invoice))

    def post(self, *members: Member, key: str = "key-1") -> dict[str, Any]:
        """Create in one call."""
        with self.ledger.turn():
            return dict(self.ledger.create_invoices(members, key, lambda: None))

    def posted(self, invoice: Invoice, key: str) -> LedgerInvoice:
        """An invoice that is in the ledger."""
        made = self.post(self.member("1", invoice), key=key)["1"]
        assert isinstance(made, LedgerInvoice)
        return made


LEDGERS = ("pretend, a key per member", "pretend, a key per call", "quickbooks")


@pytest.fixture(params=LEDGERS)
def office(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Office]:
    if request.param.startswith("pretend"):
        scope = KeyScope.CALL if request.param.endswith("call") else KeyScope.MEMBER
        clock = VirtualClock()
        ledger = PretendLedger(clock, key_scope=scope)
        yield Office(ledger, lambda cursors: PretendBooks(ledger, clock, cursors))
        return
    yield from of_quickbooks(request.getfixturevalue("quickbooks_sim"), tmp_path)


def of_quickbooks(simulator: Any, folder: Path) -> Iterator[Office]:
    """A company on the simulator of QuickBooks Online."""
    from books.ledgers.quickbooks.settings import QuickBooksPullSettings

    store = Store.open(f"sqlite:///{folder}/books.db")
    config = {
        "realm_id": "9341453000000001",
        "client_id": "sandbox-client",
        "client_secret": "sandbox-secret",
        "refresh_token": "RT-sandbox-0001",
        "store_url": f"sqlite:///{folder}/books.db",
        "api_url": simulator.url,
        "token_url": simulator.url,
    }
    chosen, settings, clock = vendor("quickbooks"), QuickBooksPullSettings.from_config(config), SystemClock()
    ledger = chosen.open_ledger(settings.ledger, store, clock)
    yield Office(ledger, lambda cursors: chosen.open_books(settings, store, clock, cursors))
    store.close()


@pytest.fixture(params=sorted(PROVIDERS))
def each_vendor(request: pytest.FixtureRequest) -> Any:
    """Every vendor that the registry lists."""
    return vendor(request.param)
