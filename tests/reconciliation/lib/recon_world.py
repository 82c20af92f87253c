"""Two sides that agree, and the deeds that make them differ: what the reconciliation is tried on.

A `World` holds rows of the raw tables, as the loader writes them. `agreeing(seed, invoices)` makes one in which every
penny matches; each function in `PLANTS` spoils one invoice or payment, and says which drift must then be found.
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import duckdb

REALM = "9341453000000001"
CONNECTION = f"sandbox:{REALM}"
PUSHED_AT = datetime(2026, 11, 22, 5, 50)  # noqa: DTZ001 -- the warehouse holds UTC without a zone
READ_AT = datetime(2026, 11, 22, 6, 0)  # noqa: DTZ001 -- the warehouse holds UTC without a zone
READ_ENDED_AT = datetime(2026, 11, 22, 6, 1)  # noqa: DTZ001 -- the warehouse holds UTC without a zone
RUN_AT = datetime(2026, 11, 22, 6, 2)  # noqa: DTZ001 -- the warehouse holds UTC without a zone
LONG_AGO = datetime(2026, 11, 20, 9, 0)  # noqa: DTZ001 -- the warehouse holds UTC without a zone
HOSTILE = '<script>alert("x")</script>'  # what a ledger may hold, and nothing may run
PENNY = Decimal("0.01")
LEDGER_CODES = {"tx_20": "6", "tx_5": "7", "tx_0": "10", "tx_ex": "11"}
TAX_CODES = [("tx_20", Decimal(20)), ("tx_5", Decimal(5)), ("tx_0", Decimal(0)), ("tx_ex", Decimal(0))]

Row = dict[str, Any]
Drift = tuple[str, str]


def pennies(amount: Decimal) -> Decimal:
    """Whole pennies, halves up."""
    return amount.quantize(PENNY, ROUND_HALF_UP)


@dataclass
class World:
    """Rows per raw table, keyed by the id that the plants go by."""

    dice: random.Random
    opsmerge: dict[str, Row] = field(default_factory=dict)
    opsmerge_payments: dict[str, Row] = field(default_factory=dict)
    quickbooks: dict[str, Row] = field(default_factory=dict)
    quickbooks_payments: dict[str, Row] = field(default_factory=dict)
    credit_memos: dict[str, Row] = field(default_factory=dict)
    customers: dict[str, Row] = field(default_factory=dict)
    postings: dict[str, Row] = field(default_factory=dict)
    push_runs: list[Row] = field(default_factory=list)
    loads: list[tuple[str, str, datetime, datetime, bool]] = field(default_factory=list)
    journals: dict[str, Decimal] = field(default_factory=dict)
    accepted: list[Row] = field(default_factory=list)
    series: list[Row] = field(default_factory=list)
    mapped: list[Row] = field(default_factory=list)
    untouched: list[str] = field(default_factory=list)
    last_id: int = 70_000

    def tables(self) -> Iterator[tuple[str, list[Row]]]:
        """Every raw table and its rows."""
        yield "raw_opsmerge.invoices", list(self.opsmerge.values())
        yield "raw_opsmerge.payments", list(self.opsmerge_payments.values())
        yield "raw_quickbooks.invoices", list(self.quickbooks.values())
        yield "raw_quickbooks.payments", list(self.quickbooks_payments.values())
        yield "raw_quickbooks.credit_memos", list(self.credit_memos.values())
        yield "raw_quickbooks.customers", list(self.customers.values())
        yield "raw_quickbooks.accounts", self.accounts()
        yield "raw_quickbooks.postings", list(self.postings.values())
        yield "raw_quickbooks.push_runs", self.push_runs

    def accounts(self) -> list[Row]:
        """The receivables accounts, one per currency, as QuickBooks keeps them: what is owed, and open journals."""
        owed: dict[str, Decimal] = defaultdict(Decimal, self.journals)
        for row in self.quickbooks.values():
            owed[row["currency"]] += row["balance"] if row["status"] == "live" else 0
        for row in self.quickbooks_payments.values():
            owed[row["currency"]] -= row["unapplied_amount"] if row["status"] == "active" else 0
        for row in self.credit_memos.values():
            owed[row["currency"]] -= row.get("remaining_credit", 0)
        return [
            {
                "realm_id": REALM,
                "id": f"ar-{currency}",
                "name": f"Debtors {currency}",
                "account_type": "Accounts Receivable",
                "currency": currency,
                "current_balance": balance,
                "status": "active",
            }
            for currency, balance in owed.items()
        ]

    def fresh(self) -> str:
        """An id that nothing else bears."""
        self.last_id += 1
        return str(self.last_id)

    def partner(self, invoice_id: str) -> Row:
        """The QuickBooks invoice that the posting names."""
        return self.quickbooks[self.postings[invoice_id]["external_id"]]

    def take(self, wanted: Callable[[Row], bool] = lambda _: True) -> str:
        """An invoice nobody has spoiled yet."""
        for invoice_id in self.untouched:
            if wanted(self.opsmerge[invoice_id]):
                self.untouched.remove(invoice_id)
                return invoice_id
        raise LookupError("the world is too small for this plant")

    def payments_of(self, invoice_id: str) -> list[Row]:
        """The OpsMerge payments of an invoice."""
        return [row for row in self.opsmerge_payments.values() if row["invoice_id"] == invoice_id]


# --- a world in which both sides agree


def agreeing(seed: int, invoices: int = 120) -> World:
    """Both sides hold the same: posted and paid, in two currencies, over six months; drafts are left for the plants."""
    world = World(random.Random(seed))
    world.push_runs.append(
        {
            "connection": CONNECTION,
            "id": "push-1",
            "started_at": PUSHED_AT,
            "finished_at": PUSHED_AT + timedelta(seconds=20),
            "complete": True,
        }
    )
    for system, streams in {
        "opsmerge": ["invoices", "payments"],
        "quickbooks": ["invoices", "payments", "postings", "credit_memos", "customers", "accounts"],
    }.items():
        world.loads += [(system, stream, READ_AT, READ_ENDED_AT, True) for stream in streams]
    for number in range(1, invoices + 1):
        _post(world, _invoice(world, number))
    _pay_some(world)
    world.untouched = list(world.opsmerge)
    world.dice.shuffle(world.untouched)
    return world


def _invoice(world: World, number: int) -> Row:
    client = world.dice.randint(1, max(2, len(world.opsmerge) // 6 + 2))
    lines = [_line(world.dice, position) for position in range(1, world.dice.randint(1, 5) + 1)]
    issued = date(2026, 6, 1) + timedelta(days=world.dice.randint(0, 170))
    net, tax = sum(line["net_amount"] for line in lines), sum(line["tax_amount"] for line in lines)
    row = {
        "id": f"inv_{number}",
        "number": f"INV-2026-{number:04d}",
        "status": "open",
        "issue_date": issued,
        "due_date": issued + timedelta(days=30),
        "currency": "EUR" if client % 9 == 0 else "GBP",
        "client_id": f"cl_{client}",
        "client_name": f"Client {client} & Söhne's",
        "lines": lines,
        "subtotal": net,
        "tax_total": tax,
        "total": net + tax,
        "amount_paid": Decimal("0.00"),
        "balance": net + tax,
        "accounting_excluded": False,
        "opened_at": LONG_AGO,
        "voided_at": None,
        "created_at": LONG_AGO,
        "updated_at": LONG_AGO,
    }
    world.opsmerge[row["id"]] = row
    return row


def _line(dice: random.Random, position: int) -> Row:
    code, rate = dice.choice(TAX_CODES)
    quantity = Decimal(dice.choice(["1", "2", "3", "0.5", "7.25", "12"]))
    price = Decimal(dice.randint(100, 40_000)) * PENNY
    net = pennies(quantity * price)
    return {
        "id": f"l{position}",
        "position": position,
        "description": f"Service {dice.randint(1, 20)}",
        "quantity": quantity,
        "unit_price": price,
        "tax_code_id": code,
        "tax_rate": rate,
        "net_amount": net,
        "tax_amount": pennies(net * rate / 100),
    }


def _post(world: World, invoice: Row) -> Row:
    """The same invoice in QuickBooks, its VAT rounded once per tax code, and the posting that tells of it."""
    number = invoice["id"].removeprefix("inv_")
    customer = invoice["client_id"].removeprefix("cl_")
    world.customers[customer] = {
        "realm_id": REALM,
        "id": customer,
        "display_name": invoice["client_name"],
        "active": True,
    }
    tax = _tax_by_code(invoice["lines"])
    row = {
        "realm_id": REALM,
        "id": f"1{number}",
        "doc_number": invoice["number"],
        "txn_date": invoice["issue_date"],
        "due_date": invoice["due_date"],
        "customer_id": customer,
        "customer_name": invoice["client_name"],
        "currency": invoice["currency"],
        "net_amount": invoice["subtotal"],
        "tax_amount": tax,
        "total_amount": invoice["subtotal"] + tax,
        "balance": invoice["subtotal"] + tax,
        "status": "live",
        "lines": [_ledger_line(line) for line in invoice["lines"]],
        "tax_lines": _tax_lines(invoice["lines"]),
        "payment_ids": [],
        "private_note": f"OpsMerge invoice {invoice['id']}",
        "created_at": LONG_AGO,
        "updated_at": LONG_AGO,
    }
    world.quickbooks[row["id"]] = row
    world.postings[invoice["id"]] = {
        "provider": "quickbooks",
        "connection": CONNECTION,
        "company_id": REALM,
        "opsmerge_invoice_id": invoice["id"],
        "number": invoice["number"],
        "outcome": "created",
        "external_id": row["id"],
        "currency": invoice["currency"],
        "net": invoice["subtotal"],
        "tax": invoice["tax_total"],
        "total": invoice["total"],
        "ledger_total": row["total_amount"],
        "ledger_tax": tax,
        "attempts": 1,
        "first_attempted_at": LONG_AGO,
        "attempted_at": LONG_AGO,
        "finished_at": LONG_AGO,
        "seq": int(number),
        "written_to_opsmerge": True,
    }
    invoice["accounting"] = {"connection": CONNECTION, "external_id": row["id"], "status": "posted"}
    return row


def _tax_by_code(lines: list[Row]) -> Decimal:
    return sum((line["amount"] for line in _tax_lines(lines)), Decimal("0.00"))


def _tax_lines(lines: list[Row]) -> list[Row]:
    """QuickBooks' own VAT lines: one per tax code, rounded once."""
    nets: dict[tuple[str, Decimal], Decimal] = defaultdict(Decimal)
    for line in lines:
        nets[line["tax_code_id"], line["tax_rate"]] += line["net_amount"]
    return [
        {
            "tax_rate_id": LEDGER_CODES[code],
            "tax_percent": rate,
            "net_taxable": net,
            "amount": pennies(net * rate / 100),
        }
        for (code, rate), net in nets.items()
    ]


def _ledger_line(line: Row) -> Row:
    return {
        "id": line["id"],
        "item_id": "1",
        "item_name": "Services",
        "description": line["description"],
        "quantity": line["quantity"],
        "unit_price": line["unit_price"],
        "amount": line["net_amount"],
        "tax_code_id": LEDGER_CODES[line["tax_code_id"]],
    }


def _pay_some(world: World) -> None:
    """Full payments, part payments, and one payment over several invoices of a client; all brought back."""
    by_client: dict[tuple[str, str], list[str]] = defaultdict(list)
    for invoice in world.opsmerge.values():
        by_client[invoice["client_id"], invoice["currency"]].append(invoice["id"])
    for ids in by_client.values():
        if world.dice.random() < 0.3 and len(ids) >= 3:
            pay(world, {one: world.partner(one)["balance"] for one in ids[:3]})
            ids = ids[3:]  # noqa: PLW2901 -- the rest is paid one by one
        for one in ids:
            share = world.dice.choice([0, 0, 1, 1, 2])
            if share:
                pay(world, {one: pennies(world.partner(one)["balance"] / share)})


def pay(world: World, amounts: dict[str, Decimal], *, back: bool = True, paid_on: date = date(2026, 11, 10)) -> str:
    """Record one payment in QuickBooks over these invoices and, unless told otherwise, bring it back to OpsMerge."""
    payment_id = str(9000 + len(world.quickbooks_payments))
    first = world.partner(next(iter(amounts)))
    allocations = []
    for invoice_id, amount in amounts.items():
        partner = world.partner(invoice_id)
        partner["balance"] -= amount
        allocations.append({"transaction_type": "Invoice", "transaction_id": partner["id"], "amount": amount})
    world.quickbooks_payments[payment_id] = {
        "realm_id": REALM,
        "id": payment_id,
        "txn_date": paid_on,
        "total_amount": sum(amounts.values(), Decimal("0.00")),
        "unapplied_amount": Decimal("0.00"),
        "currency": first["currency"],
        "customer_id": first["customer_id"],
        "customer_name": first["customer_name"],
        "payment_ref_number": f"BACS {payment_id}",
        "status": "active",
        "allocations": allocations,
        "created_at": LONG_AGO,
        "updated_at": LONG_AGO,
    }
    if back:
        for invoice_id, amount in amounts.items():
            bring_back(world, payment_id, invoice_id, amount, paid_on)
    return payment_id


def bring_back(world: World, payment_id: str, invoice_id: str, amount: Decimal, paid_on: date) -> Row:
    """The OpsMerge payment of one allocation, and what it does to the invoice."""
    external_id = f"{REALM}:{payment_id}:{world.postings[invoice_id]['external_id']}"
    return by_hand(world, invoice_id, amount, paid_on, reference=f"BACS {payment_id}", external_id=external_id)


def by_hand(
    world: World,
    invoice_id: str,
    amount: Decimal,
    paid_on: date,
    reference: str | None = None,
    external_id: str | None = None,
) -> Row:
    """A payment in OpsMerge, and what it does to the invoice."""
    invoice = world.opsmerge[invoice_id]
    row = {
        "id": f"pay_{len(world.opsmerge_payments) + 1}",
        "invoice_id": invoice_id,
        "amount": amount,
        "currency": invoice["currency"],
        "paid_on": paid_on,
        "method": "bank",
        "reference": reference,
        "external_id": external_id,
        "voided": False,
        "updated_at": LONG_AGO,
    }
    world.opsmerge_payments[row["id"]] = row
    invoice["amount_paid"] += amount
    invoice["balance"] -= amount
    invoice["status"] = "open" if invoice["balance"] > 0 else "paid"
    return row


def unpay(world: World, payment: Row) -> None:
    """Void an OpsMerge payment; the invoice owes it again."""
    invoice = world.opsmerge[payment["invoice_id"]]
    payment["voided"] = True
    invoice["amount_paid"] -= payment["amount"]
    invoice["balance"] += payment["amount"]
    invoice["status"] = "open"


def natural(world: World) -> set[Drift]:
    """What an agreeing world shows of itself: VAT pennies, proved."""
    return {
        ("A03", invoice["number"])
        for invoice in world.opsmerge.values()
        if invoice["id"] in world.postings and world.partner(invoice["id"])["tax_amount"] != invoice["tax_total"]
    }


# --- deeds that spoil it


def _unpaid(row: Row) -> bool:
    return row["amount_paid"] == 0 and row["total"] > 10


def _fully_paid(row: Row) -> bool:
    return row["status"] == "paid" and row["balance"] == 0


def _exact(world: World) -> Callable[[Row], bool]:
    """Unpaid, and with no VAT pennies of its own."""
    return lambda row: _unpaid(row) and world.partner(row["id"])["tax_amount"] == row["tax_total"]


def _of_unnamed_customer(world: World) -> Callable[[Row], bool]:
    """Of a customer that no deed has renamed yet."""

    def wanted(row: Row) -> bool:
        customer = world.customers[world.partner(row["id"])["customer_id"]]
        return _exact(world)(row) and customer["display_name"] == row["client_name"]

    return wanted


def _of_large_client(world: World) -> Callable[[Row], bool]:
    """Of a client with so many invoices that a few of them under other customers change nothing."""
    sizes = Counter(row["client_id"] for row in world.opsmerge.values())
    return lambda row: _exact(world)(row) and sizes[row["client_id"]] > 5


def _forget(world: World, invoice_id: str) -> None:
    del world.quickbooks[world.postings.pop(invoice_id)["external_id"]]


def _number(world: World, invoice_id: str) -> str:
    return str(world.opsmerge[invoice_id]["number"])


def _unposted(world: World, **change: Any) -> str:
    one = world.take(_exact(world))
    _forget(world, one)
    world.opsmerge[one].update(change)
    return one


def missing(world: World) -> set[Drift]:
    return {("I01", _number(world, _unposted(world)))}


def unknown_in_quickbooks(world: World) -> set[Drift]:
    source = world.partner(world.take(_exact(world)))
    one = world.fresh()
    world.quickbooks[one] = {**source, "id": one, "doc_number": f"QB {one}", "private_note": None}
    return {("I02", f"QB {one}")}


def raised_in_quickbooks_on_purpose(world: World) -> set[Drift]:
    """An invoice of a series that accepted.yml lists."""
    [(_, number)] = unknown_in_quickbooks(world)
    row = next(row for row in world.quickbooks.values() if row["doc_number"] == number)
    row["doc_number"] = number = f"till-{row['id']}"
    world.series = [{"prefix": "TILL-", "reason": "shop", "accepted_by": "Kim", "until": date(2026, 11, 22)}]
    return {("D07", number)}


def copied(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    copy = world.fresh()
    world.quickbooks[copy] = {**world.partner(one), "id": copy}
    return {("I03", _number(world, one))}


def opted_out_but_present(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    world.opsmerge[one]["accounting_excluded"] = True
    return {("I05", _number(world, one))}


def draft_but_present(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    world.opsmerge[one]["status"] = "draft"
    return {("I06", _number(world, one))}


def voided_in_opsmerge(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    world.opsmerge[one].update(status="voided", voided_at=LONG_AGO)
    return {("I07", _number(world, one))}


def voided_in_quickbooks(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    zero = Decimal("0.00")
    world.partner(one).update(
        status="voided", net_amount=zero, tax_amount=zero, total_amount=zero, balance=zero, private_note="Voided"
    )
    return {("I08", _number(world, one))}


def deleted_in_quickbooks(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    world.partner(one)["status"] = "deleted"
    return {("I09", _number(world, one))}


def absent_from_quickbooks(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    del world.quickbooks[world.postings[one]["external_id"]]
    return {("I09", _number(world, one))}


def _neighbours(row: Row) -> set[str]:
    number = int(row["id"].removeprefix("inv_"))
    return {f"inv_{number - 1}", f"inv_{number + 1}"}


def gone_from_opsmerge(world: World) -> set[Drift]:
    one = world.take(lambda row: _exact(world)(row) and _neighbours(row) <= world.opsmerge.keys())
    number = _number(world, one)
    del world.opsmerge[one]
    return {("I10", number), ("I16", f"after INV-2026-{int(number.rsplit('-')[-1]) - 1:04d}")}


def link_lost_in_opsmerge(world: World) -> set[Drift]:
    """A block that bears no id any more, one with another id, and one that another connection cleared."""
    changes = [{"external_id": None}, {"external_id": "1"}, {"connection": "sandbox:111", "external_id": None}]
    lost = [world.take(_exact(world)) for _ in changes]
    for one, change in zip(lost, changes, strict=True):
        world.opsmerge[one]["accounting"] = {**world.opsmerge[one]["accounting"], **change}
    return {("I19", _number(world, one)) for one in lost}


def taken_by_another_connection(world: World) -> set[Drift]:
    """A sandbox leaves what belongs to another connection: no drift."""
    one = world.take(_exact(world))
    world.opsmerge[one]["accounting"] = {"connection": "production:9", "external_id": "1"}
    return set()


def never_written_to_opsmerge(world: World) -> set[Drift]:
    """A connection that may not write to OpsMerge has no block there, and none is missed."""
    one = world.take(_exact(world))
    world.postings[one]["written_to_opsmerge"] = False
    world.opsmerge[one]["accounting"] = None
    return set()


def customer_entered_twice(world: World) -> set[Drift]:
    first = world.partner(world.take(_of_unnamed_customer(world)))["customer_id"]
    twin, name = world.fresh(), f"Söhne & Söhne No {first}"
    world.customers[first]["display_name"] = name
    world.customers[twin] = {"realm_id": REALM, "id": twin, "display_name": name.upper() + ".", "active": True}
    return {("U01", min(first, twin)), ("H05", first)}


def posted_elsewhere(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    posting = world.postings[one]
    del world.quickbooks[posting["external_id"]]
    posting.update(connection="sandbox:111", company_id="111")
    return {("I11", _number(world, one))}


def rejected(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    posting = dict(world.postings[one])
    _forget(world, one)
    world.postings[one] = {
        **posting,
        "outcome": "rejected",
        "external_id": None,
        "fault_code": "6000",
        "fault_message": "no VAT rate",
        "remedy": "Set the tax code.",
    }
    return {("I12", _number(world, one))}


def closed_period(world: World) -> set[Drift]:
    found = rejected(world)
    [(_, number)] = found
    next(row for row in world.postings.values() if row["number"] == number)["fault_code"] = "6210"
    return {("I15", number)}


def held(world: World) -> set[Drift]:
    [(_, number)] = rejected(world)
    next(row for row in world.postings.values() if row["number"] == number)["outcome"] = "held"
    return {("I18", number)}


def number_taken(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    world.partner(one).update(customer_id=world.fresh(), private_note=None)
    world.postings[one].update(outcome="conflict", external_id=None, fault_code="number_taken")
    return {("I17", _number(world, one))}


def renumbered(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    world.partner(one)["doc_number"] = f"X-{world.fresh()}"
    return {("I13", _number(world, one))}


def recreated(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    other = world.fresh()
    world.quickbooks[other] = {**world.quickbooks.pop(world.postings[one]["external_id"]), "id": other}
    return {("I14", _number(world, one))}


def scaled(row: Row, net: Decimal, tax: Decimal) -> None:
    """Edit net and VAT of a QuickBooks invoice, and with them its VAT lines, its total and its balance."""
    change = net + tax - row["total_amount"]
    row["tax_lines"] = [*row["tax_lines"], {"tax_rate_id": "6", "amount": tax - row["tax_amount"]}]
    row.update(net_amount=net, tax_amount=tax, total_amount=net + tax, balance=row["balance"] + change)


def net_edited(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    partner = world.partner(one)
    scaled(partner, partner["net_amount"] + 5, partner["tax_amount"] + 1)
    return {("A01", _number(world, one))}


def tax_edited(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    partner = world.partner(one)
    scaled(partner, partner["net_amount"], partner["tax_amount"] + Decimal("7.77"))
    return {("A02", _number(world, one))}


def line_reworded(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    partner = world.partner(one)
    partner["lines"] = [{**partner["lines"][0], "description": "Something else"}, *partner["lines"][1:]]
    return {("A04", _number(world, one))}


def lines_lost(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    world.partner(one)["lines"] = []
    return {("A04", _number(world, one))}


def tax_code_changed(world: World) -> set[Drift]:
    """Zero-rated in OpsMerge, exempt in QuickBooks: the same VAT, another box."""
    one = world.take(lambda row: _exact(world)(row) and any(line["tax_code_id"] == "tx_0" for line in row["lines"]))
    partner = world.partner(one)
    partner["lines"] = [
        {**line, "tax_code_id": "11" if line["tax_code_id"] == "10" else line["tax_code_id"]}
        for line in partner["lines"]
    ]
    return {("A05", _number(world, one))}


def tax_codes_swapped(world: World) -> set[Drift]:
    """Two lines of the same net bear each other's tax code: every sum stays what it was."""
    one = world.take(lambda row: _exact(world)(row) and len(row["lines"]) == 1)
    row, partner, posting = world.opsmerge[one], world.partner(one), world.postings[one]
    share = {"quantity": Decimal(1), "unit_price": Decimal(50), "net_amount": Decimal("50.00")}
    row["lines"] = [
        {
            **row["lines"][0],
            **share,
            "id": place,
            "description": f"Swapped {place}",
            "tax_code_id": code,
            "tax_rate": rate,
        }
        for place, (code, rate) in enumerate(TAX_CODES[:2])
    ]
    for line in row["lines"]:
        line["tax_amount"] = pennies(line["net_amount"] * line["tax_rate"] / 100)
    row.update(
        subtotal=Decimal("100.00"), tax_total=Decimal("12.50"), total=Decimal("112.50"), balance=Decimal("112.50")
    )
    partner.update(net_amount=Decimal("100.00"), tax_amount=Decimal("12.50"), total_amount=Decimal("112.50"))
    partner.update(balance=Decimal("112.50"), tax_lines=_tax_lines(row["lines"]))
    posting.update(net=Decimal("100.00"), tax=Decimal("12.50"), total=Decimal("112.50"))
    partner["lines"] = [_ledger_line(line) for line in row["lines"]]
    first, second = partner["lines"]
    first["tax_code_id"], second["tax_code_id"] = second["tax_code_id"], first["tax_code_id"]
    return {("A05", _number(world, one))}


def vat_lines_do_not_add_up(world: World) -> set[Drift]:
    """QuickBooks' VAT is not what its own VAT lines come to."""
    one = world.take(_exact(world))
    line, *others = world.partner(one)["tax_lines"]
    world.partner(one)["tax_lines"] = [{**line, "amount": line["amount"] + 1}, *others]
    return {("Q01", _number(world, one))}


def amount_paid_without_a_payment(world: World) -> set[Drift]:
    """OpsMerge says that it is paid, and has no payment: nothing that could be recorded in QuickBooks."""
    one = world.take(_exact(world))
    row = world.opsmerge[one]
    row.update(amount_paid=row["total"], balance=Decimal("0.00"), status="paid")
    return {("O01", _number(world, one)), ("S01", _number(world, one))}


def amount_paid_without_a_balance(world: World) -> set[Drift]:
    """OpsMerge's amount paid is neither its payments nor its total less its balance."""
    one = world.take(_exact(world))
    world.opsmerge[one]["amount_paid"] += Decimal("0.01")
    return {("O01", _number(world, one))}


def paid_while_opsmerge_was_read(world: World) -> set[Drift]:
    """The invoice was read before the payment, the payment after it: the next run sees both."""
    one = world.take(_exact(world))
    row = dict(world.opsmerge[one])
    payment = by_hand(world, one, Decimal("2.00"), date(2026, 11, 22))
    payment["updated_at"] = READ_AT + timedelta(seconds=20)
    world.opsmerge[one].update(amount_paid=row["amount_paid"], balance=row["balance"], status=row["status"])
    return {("T05", _number(world, one))}


def currency_changed(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    world.partner(one)["currency"] = "USD"
    return {("A06", _number(world, one))}


def other_customer(world: World) -> set[Drift]:
    one = world.take(_of_large_client(world))
    other, name = world.fresh(), f"Somebody {world.last_id}"
    world.customers[other] = {"realm_id": REALM, "id": other, "display_name": name, "active": True}
    world.partner(one).update(customer_id=other, customer_name=name)
    return {("H01", _number(world, one))}


def clients_of_their_own(world: World) -> list[tuple[str, list[str]]]:
    """Clients whose customer still bears their name, none of whose invoices is spoiled: client and invoices."""
    invoices: dict[str, list[str]] = defaultdict(list)
    for row in world.opsmerge.values():
        invoices[row["client_id"]].append(row["id"])
    spare = set(world.untouched)
    return [
        (client, ids)
        for client, ids in invoices.items()
        if spare.issuperset(ids)
        and all(one in world.postings for one in ids)
        and {world.partner(one)["customer_id"] for one in ids} == {client.removeprefix("cl_")}
        and world.customers[client.removeprefix("cl_")]["display_name"] == world.opsmerge[ids[0]]["client_name"]
    ]


def _all_under_another_client(world: World) -> tuple[str, list[str]]:
    """Move every invoice of a small client to the customer of another client: the client's customer, its invoices."""
    small, *_, other = sorted(clients_of_their_own(world), key=lambda found: (len(found[1]), found[0]))
    client, ids = small
    name = world.opsmerge[other[1][0]]["client_name"]
    for one in ids:
        world.untouched.remove(one)
        world.partner(one).update(customer_id=other[0].removeprefix("cl_"), customer_name=name)
    return client.removeprefix("cl_"), ids


def all_under_another_clients_customer(world: World) -> set[Drift]:
    """No invoice of the client says whose they are, but an active customer bears the client's name."""
    customer, ids = _all_under_another_client(world)
    decomposed = world.customers[customer]["display_name"].upper().replace("Ö", "O\u0308")
    world.customers[customer]["display_name"] = f" {decomposed.replace(' ', '  ')}."
    return {("H01", _number(world, one)) for one in ids}


def all_under_another_client_without_a_customer(world: World) -> set[Drift]:
    """Nobody in QuickBooks bears the client's name, but the customer bears that of another client."""
    customer, ids = _all_under_another_client(world)
    del world.customers[customer]
    return {("H01", _number(world, one)) for one in ids}


def _shift(when: date, days: int) -> date:
    return when + timedelta(days=days)


def only_invoice_moved(world: World) -> set[Drift]:
    """A client with one invoice: no other invoices say whose it is, but a customer of the client's name does."""
    one = world.take(_exact(world))
    other, name = world.fresh(), f"Newcomer {world.last_id}"
    world.opsmerge[one].update(client_id=f"cl_{other}", client_name=name)
    world.customers[other] = {"realm_id": REALM, "id": other, "display_name": name, "active": True}
    return {("H01", _number(world, one))}


def customer_renamed(world: World) -> set[Drift]:
    one = world.take(_of_unnamed_customer(world))
    customer = world.partner(one)["customer_id"]
    world.customers[customer]["display_name"] = f"Renamed {world.fresh()}"
    return {("H05", customer)}


def copied_under_another_number(world: World) -> set[Drift]:
    """The copy bears our note, so it is known for what it is, whatever its number."""
    one = world.take(_exact(world))
    copy = world.fresh()
    world.quickbooks[copy] = {**world.partner(one), "id": copy, "doc_number": f"C-{copy}"}
    return {("I03", f"C-{copy}")}


def overpaid_by_a_penny(world: World) -> set[Drift]:
    """QuickBooks' gross is a penny more: paid in full there leaves a balance of -0.01 in OpsMerge, and no drift."""
    one = world.take(
        lambda row: _with_pennies(world)(row) and world.partner(row["id"])["tax_amount"] > row["tax_total"]
    )
    pay(world, {one: world.partner(one)["balance"]})
    return set()


def date_moved(world: World) -> set[Drift]:
    one = world.take(lambda row: _exact(world)(row) and row["issue_date"].day < 20)
    world.partner(one)["txn_date"] = _shift(world.opsmerge[one]["issue_date"], 1)
    return {("H02", _number(world, one))}


def month_moved(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    world.partner(one)["txn_date"] = _shift(world.opsmerge[one]["issue_date"], 40)
    return {("H03", _number(world, one))}


def due_date_lost(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    world.partner(one)["due_date"] = None
    return {("H04", _number(world, one))}


def paid_by_hand_in_opsmerge(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    by_hand(world, one, world.opsmerge[one]["total"], date(2026, 11, 12), reference="cheque 7")
    return {("S01", _number(world, one)), ("P01", _number(world, one))}


def paid_in_quickbooks_only(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    pay(world, {one: world.partner(one)["balance"]}, back=False)
    return {("S02", _number(world, one)), ("P02", _number(world, one))}


def part_paid_in_quickbooks_only(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    pay(world, {one: Decimal("3.00")}, back=False)
    return {("S03", _number(world, one)), ("P02", _number(world, one))}


def status_stale(world: World) -> set[Drift]:
    one = world.take(_fully_paid)
    world.opsmerge[one]["status"] = "overdue"
    return {("S05", _number(world, one))}


def credited(world: World) -> set[Drift]:
    """A credit note set against the invoice by a payment of nothing, not brought back."""
    one = world.take(_exact(world))
    payment_id = pay(world, {one: Decimal("4.00")}, back=False)
    payment = world.quickbooks_payments[payment_id]
    payment["total_amount"] = Decimal("0.00")
    memo = world.fresh()
    payment["allocations"].append({"transaction_type": "CreditMemo", "transaction_id": memo, "amount": Decimal("4.00")})
    partner = world.partner(one)
    world.credit_memos[memo] = {
        "realm_id": REALM,
        "id": memo,
        "doc_number": f"CN-{memo}",
        "txn_date": date(2026, 11, 1),
        "customer_name": partner["customer_name"],
        "currency": partner["currency"],
        "total_amount": Decimal("4.00"),
        "status": "live",
    }
    return {("S06", _number(world, one)), ("P02", _number(world, one)), ("D06", payment_id), ("C01", f"CN-{memo}")}


def deposit_on_the_invoice(world: World) -> set[Drift]:
    """QuickBooks says that less is owed, and no payment says why."""
    one = world.take(_exact(world))
    world.partner(one)["balance"] -= Decimal("2.50")
    return {("S04", _number(world, one))}


def deposit_known_to_both(world: World) -> set[Drift]:
    """OpsMerge has the deposit as a payment: both agree on what is owed, and still it is no payment in QuickBooks."""
    one = world.take(_exact(world))
    world.partner(one)["balance"] -= Decimal("2.50")
    by_hand(world, one, Decimal("2.50"), date(2026, 11, 12), reference="deposit")
    return {("S04", _number(world, one)), ("P01", _number(world, one))}


def deposit_beside_a_payment(world: World) -> set[Drift]:
    """Each of the two parts of the difference stands under its own class."""
    one = world.take(_exact(world))
    pay(world, {one: Decimal("3.00")}, back=False)
    world.partner(one)["balance"] -= Decimal("2.50")
    return {("S04", _number(world, one)), ("S03", _number(world, one)), ("P02", _number(world, one))}


def _with_pennies(world: World) -> Callable[[Row], bool]:
    return lambda row: _unpaid(row) and world.partner(row["id"])["tax_amount"] != row["tax_total"]


def penny_paid_by_hand(world: World) -> set[Drift]:
    """Each side holds a payment of its own gross: they differ by the proved penny, and nothing else does."""
    one = world.take(_with_pennies(world))
    payment_id = pay(world, {one: world.partner(one)["balance"]}, back=False)
    by_hand(world, one, world.opsmerge[one]["total"], date(2026, 11, 10), reference=f"BACS {payment_id}")
    number = _number(world, one)
    return {("S07", number), ("P08", number)}


def amount_of_payment_differs(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    payment_id = pay(world, {one: Decimal("5.00")}, back=False)
    bring_back(world, payment_id, one, Decimal("4.00"), date(2026, 11, 10))
    return {("P03", _number(world, one)), ("S03", _number(world, one))}


def misapplied(world: World) -> set[Drift]:
    here = world.take(_exact(world))
    there = world.take(lambda row: _exact(world)(row) and row["currency"] == world.opsmerge[here]["currency"])
    payment_id = pay(world, {there: Decimal("5.00")}, back=False)
    bring_back(world, payment_id, here, Decimal("5.00"), date(2026, 11, 10))
    return {("P04", _number(world, here)), ("S03", _number(world, here)), ("S03", _number(world, there))}


def overpaid(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    payment_id = pay(world, {one: world.partner(one)["balance"]})
    row = world.quickbooks_payments[payment_id]
    row.update(total_amount=row["total_amount"] + 50, unapplied_amount=Decimal("50.00"))
    return {("P05", payment_id)}


def penny_unapplied(world: World) -> set[Drift]:
    one = world.take(
        lambda row: _with_pennies(world)(row) and world.partner(row["id"])["tax_amount"] < row["tax_total"]
    )
    gross = world.opsmerge[one]["total"]
    payment_id = pay(world, {one: world.partner(one)["balance"]})
    row = world.quickbooks_payments[payment_id]
    row.update(unapplied_amount=gross - row["total_amount"], total_amount=gross)
    return {("P08", payment_id)}


def paid_twice_in_quickbooks(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    payment_id = pay(world, {one: Decimal("2.00")})
    copy_id = pay(world, {one: Decimal("2.00")}, back=False)
    world.quickbooks_payments[copy_id]["payment_ref_number"] = world.quickbooks_payments[payment_id][
        "payment_ref_number"
    ]
    return {("P06", _number(world, one)), ("S03", _number(world, one))}


def _copy_of(world: World, payment_id: str) -> Row:
    """The same payment entered again in QuickBooks a day later, set against nothing."""
    row = world.quickbooks_payments[payment_id]
    copy_id = world.fresh()
    world.quickbooks_payments[copy_id] = {
        **row,
        "id": copy_id,
        "txn_date": _shift(row["txn_date"], 1),
        "unapplied_amount": row["total_amount"],
        "allocations": [],
    }
    return world.quickbooks_payments[copy_id]


def payment_copied_and_unapplied(world: World) -> set[Drift]:
    """The invoice is settled, so QuickBooks could set the copy against nothing."""
    one = world.take(_exact(world))
    copy = _copy_of(world, pay(world, {one: world.partner(one)["balance"]}))
    return {("P06", copy["id"])}


def payment_copied_to_another_invoice(world: World) -> set[Drift]:
    """The copy settles another invoice of the same customer: pulling it would double it in OpsMerge too."""
    one, two = two_of_one_customer(world)
    copy = _copy_of(world, pay(world, {one: Decimal("3.00")}))
    allocation = {"transaction_type": "Invoice", "transaction_id": world.partner(two)["id"], "amount": Decimal("3.00")}
    copy.update(allocations=[allocation], unapplied_amount=Decimal("0.00"))
    world.partner(two)["balance"] -= Decimal("3.00")
    return {("P06", _number(world, two)), ("S03", _number(world, two))}


def two_of_one_customer(world: World) -> tuple[str, str]:
    """Two unspoiled invoices of one customer, in one currency."""
    first: dict[tuple[str, str], str] = {}
    for invoice_id in filter(lambda one: _exact(world)(world.opsmerge[one]), world.untouched):
        partner = world.partner(invoice_id)
        other = first.setdefault((partner["customer_id"], partner["currency"]), invoice_id)
        if other != invoice_id:
            world.untouched.remove(other)
            world.untouched.remove(invoice_id)
            return other, invoice_id
    raise LookupError("the world is too small for this plant")


def payment_copied_in_opsmerge(world: World) -> set[Drift]:
    """Entered by hand in OpsMerge although pull-payments had brought it."""
    one = world.take(_exact(world))
    payment_id = pay(world, {one: Decimal("2.00")})
    by_hand(world, one, Decimal("2.00"), date(2026, 11, 11), reference=f"BACS {payment_id}")
    return {("P06", _number(world, one)), ("S03", _number(world, one))}


def payment_copied_to_another_invoice_in_opsmerge(world: World) -> set[Drift]:
    """OpsMerge refuses more than the balance, so the copy stands on another invoice of the client."""
    one, two = two_of_one_customer(world)
    payment_id = pay(world, {one: world.partner(one)["balance"]})
    total = world.opsmerge[one]["total"]
    by_hand(world, two, total, date(2026, 11, 10), reference=f"BACS {payment_id}")
    settled = world.opsmerge[two]["balance"] == 0
    return {("P06", _number(world, two)), ("S01" if settled else "S03", _number(world, two))}


def payment_unapplied_in_quickbooks(world: World) -> set[Drift]:
    """Each side has the payment once, but QuickBooks set it against nothing: recording it there would double it."""
    one = world.take(_exact(world))
    total = world.opsmerge[one]["total"]
    payment_id = pay(world, {one: total}, back=False)
    row = world.quickbooks_payments[payment_id]
    world.partner(one)["balance"] = total
    row.update(allocations=[], unapplied_amount=total)
    by_hand(world, one, total, date(2026, 11, 10), reference=row["payment_ref_number"])
    return {("P05", payment_id), ("P01", _number(world, one)), ("S01", _number(world, one))}


def standing_order(world: World) -> set[Drift]:
    """A month apart, the same reference and sum are no copy: the next month's money waits for its invoice."""
    one = world.take(_exact(world))
    total = world.partner(one)["balance"]
    copy = _copy_of(world, pay(world, {one: total}, paid_on=date(2026, 10, 10)))
    copy["txn_date"] = date(2026, 11, 10)
    return {("P05", copy["id"])}


def one_transfer_for_two_invoices(world: World) -> set[Drift]:
    """One payment gives two invoices the same sum; OpsMerge has one of the two: that is no copy."""
    one, two = two_of_one_customer(world)
    payment_id = pay(world, {one: Decimal("4.00"), two: Decimal("4.00")}, back=False)
    bring_back(world, payment_id, one, Decimal("4.00"), date(2026, 11, 10))
    return {("P02", _number(world, two)), ("S03", _number(world, two))}


def payment_moved(world: World) -> set[Drift]:
    """A payment in full, moved in QuickBooks to another invoice of the same sum."""
    here = world.take(_exact(world))
    there = world.take(lambda row: _exact(world)(row) and row["currency"] == world.opsmerge[here]["currency"])
    payment_id = pay(world, {here: world.partner(here)["balance"]})
    total = world.opsmerge[here]["total"]
    world.quickbooks_payments[payment_id]["allocations"] = [
        {"transaction_type": "Invoice", "transaction_id": world.partner(there)["id"], "amount": total}
    ]
    world.partner(here)["balance"] = total
    world.partner(there)["balance"] -= total
    settled = world.partner(there)["balance"] == 0
    return {
        ("P04", _number(world, here)),
        ("S01", _number(world, here)),
        ("S02" if settled else "S03", _number(world, there)),
    }


def payment_in_another_month(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    payment_id = pay(world, {one: Decimal("2.00")})
    world.quickbooks_payments[payment_id]["txn_date"] = date(2026, 9, 10)
    return {("P07", _number(world, one))}


def payment_on_another_day(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    payment_id = pay(world, {one: Decimal("2.00")})
    world.quickbooks_payments[payment_id]["txn_date"] = date(2026, 11, 11)
    return {("P12", _number(world, one))}


def payment_in_another_currency(world: World) -> set[Drift]:
    one = world.take(lambda row: _exact(world)(row) and row["currency"] == "GBP")
    payment_id = pay(world, {one: Decimal("2.00")})
    world.quickbooks_payments[payment_id]["currency"] = "USD"
    return {("P10", _number(world, one))}


def payment_voided_in_quickbooks(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    payment_id = pay(world, {one: Decimal("2.00")})
    zero = Decimal("0.00")
    world.quickbooks_payments[payment_id].update(
        status="voided", total_amount=zero, unapplied_amount=zero, allocations=[]
    )
    world.partner(one)["balance"] += 2
    return {("P09", _number(world, one)), ("S03", _number(world, one))}


def payment_voided_in_opsmerge(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    pay(world, {one: Decimal("2.00")})
    unpay(world, world.payments_of(one)[0])
    return {("P09", _number(world, one)), ("S03", _number(world, one))}


def payment_on_a_journal(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    payment_id = pay(world, {one: Decimal("2.00")})
    row = world.quickbooks_payments[payment_id]
    row["total_amount"] += 3
    row["allocations"].append({"transaction_type": "JournalEntry", "transaction_id": "88", "amount": Decimal("3.00")})
    return {("P11", payment_id)}


def draft(world: World) -> set[Drift]:
    return {("D01", _number(world, _unposted(world, status="draft")))}


def opted_out_and_paid(world: World) -> set[Drift]:
    one = _unposted(world, accounting_excluded=True)
    by_hand(world, one, Decimal("1.00"), date(2026, 11, 3))
    return {("D02", _number(world, one)), ("D03", _number(world, one))}


def paid_before_posting(world: World) -> set[Drift]:
    return {("D05", _number(world, _unposted(world, status="paid")))}


def in_flight(world: World) -> set[Drift]:
    return {("T01", _number(world, _unposted(world, opened_at=PUSHED_AT + timedelta(minutes=1))))}


def opted_in_again(world: World) -> set[Drift]:
    """Open for long, but kept out until after the last push: that one could not take it."""
    return {("T01", _number(world, _unposted(world, updated_at=PUSHED_AT + timedelta(minutes=1))))}


def answer_lost_long_ago(world: World) -> set[Drift]:
    [(_, number)] = rejected(world)
    next(row for row in world.postings.values() if row["number"] == number)["outcome"] = "unknown"
    return {("I01", number)}


def answer_pending(world: World) -> set[Drift]:
    [(_, number)] = answer_lost_long_ago(world)
    posting = next(row for row in world.postings.values() if row["number"] == number)
    posting["first_attempted_at"] = READ_AT - timedelta(hours=1)
    return {("T02", number)}


def payment_on_its_way(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    payment_id = pay(world, {one: Decimal("3.00")}, back=False)
    world.quickbooks_payments[payment_id]["updated_at"] = READ_AT - timedelta(minutes=2)
    return {("T03", _number(world, one))}


def edited_after_push(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    row = world.opsmerge[one]
    line = {**row["lines"][0], "net_amount": row["lines"][0]["net_amount"] + 8}
    row.update(
        lines=[line, *row["lines"][1:]],
        subtotal=row["subtotal"] + 8,
        total=row["total"] + 8,
        balance=row["balance"] + 8,
    )
    row["updated_at"] = PUSHED_AT + timedelta(minutes=5)
    return {("T04", _number(world, one))}


def changed_while_read(world: World) -> set[Drift]:
    one = world.take(_exact(world))
    partner = world.partner(one)
    scaled(partner, partner["net_amount"] + 5, partner["tax_amount"])
    partner["updated_at"] = READ_AT + timedelta(seconds=5)
    return {("T05", _number(world, one))}


PLANTS: list[Callable[[World], set[Drift]]] = [
    all_under_another_clients_customer,
    all_under_another_client_without_a_customer,
    payment_copied_to_another_invoice,
    payment_copied_to_another_invoice_in_opsmerge,
    one_transfer_for_two_invoices,
    missing,
    unknown_in_quickbooks,
    raised_in_quickbooks_on_purpose,
    copied,
    opted_out_but_present,
    draft_but_present,
    voided_in_opsmerge,
    voided_in_quickbooks,
    deleted_in_quickbooks,
    absent_from_quickbooks,
    gone_from_opsmerge,
    link_lost_in_opsmerge,
    taken_by_another_connection,
    never_written_to_opsmerge,
    customer_entered_twice,
    posted_elsewhere,
    rejected,
    closed_period,
    held,
    number_taken,
    renumbered,
    recreated,
    net_edited,
    tax_edited,
    line_reworded,
    lines_lost,
    tax_code_changed,
    tax_codes_swapped,
    vat_lines_do_not_add_up,
    amount_paid_without_a_payment,
    amount_paid_without_a_balance,
    paid_while_opsmerge_was_read,
    currency_changed,
    other_customer,
    only_invoice_moved,
    customer_renamed,
    copied_under_another_number,
    overpaid_by_a_penny,
    date_moved,
    month_moved,
    due_date_lost,
    paid_by_hand_in_opsmerge,
    paid_in_quickbooks_only,
    part_paid_in_quickbooks_only,
    status_stale,
    credited,
    deposit_on_the_invoice,
    deposit_known_to_both,
    deposit_beside_a_payment,
    penny_paid_by_hand,
    amount_of_payment_differs,
    misapplied,
    overpaid,
    penny_unapplied,
    paid_twice_in_quickbooks,
    payment_copied_and_unapplied,
    payment_copied_in_opsmerge,
    payment_unapplied_in_quickbooks,
    standing_order,
    payment_moved,
    payment_in_another_month,
    payment_on_another_day,
    payment_in_another_currency,
    payment_voided_in_quickbooks,
    payment_voided_in_opsmerge,
    payment_on_a_journal,
    draft,
    opted_out_and_paid,
    paid_before_posting,
    in_flight,
    opted_in_again,
    answer_lost_long_ago,
    answer_pending,
    payment_on_its_way,
    edited_after_push,
    changed_while_read,
]


# --- into DuckDB


def load(world: World, connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Put the rows into the raw tables, in place of what was there."""
    for table, rows in world.tables():
        connection.execute(f"delete from {table}")
        if rows:
            file = folder / f"{table}.ndjson"
            file.write_text("\n".join(json.dumps(row, default=_text) for row in rows))
            _insert(connection, table, file, list(dict.fromkeys(name for row in rows for name in row)))
    for system in ("opsmerge", "quickbooks"):
        connection.execute(f"delete from raw_{system}._loads")
    rows = {table: sum(_is_own(row) for row in rows) for table, rows in world.tables()}
    for system, stream, begun, ended, complete in world.loads:
        connection.execute(
            f"insert into raw_{system}._loads (stream, extract_started_at, extract_ended_at, rows, mode, complete)"
            " values (?, ?, ?, ?, 'full', ?)",
            [stream, begun, ended, rows[f"raw_{system}.{stream}"], complete],
        )
    decided = {"accepted": world.accepted, "accepted_series": world.series, "mapped_customers": world.mapped}
    for table, entries in decided.items():
        connection.execute(f"delete from recon.{table}")
        for entry in entries:
            names, marks = ", ".join(entry), ", ".join("?" for _ in entry)
            connection.execute(f"insert into recon.{table} ({names}) values ({marks})", list(entry.values()))


def _insert(connection: duckdb.DuckDBPyConnection, table: str, file: Path, names: list[str]) -> None:
    schema, name = table.split(".")
    types = dict(
        connection.execute(
            "select column_name, data_type from information_schema.columns where table_schema = ? and table_name = ?",
            [schema, name],
        ).fetchall()
    )
    columns = ", ".join(f"'{column}': '{types[column]}'" for column in names)
    listed = ", ".join(f'"{column}"' for column in names)
    connection.execute(
        f"insert into {table} ({listed}) select {listed}"
        f" from read_json('{file}', format = 'newline_delimited', columns = {{{columns}}})"
    )


def _is_own(row: Row) -> bool:
    """Whether it is of the company that is read: another's rows are of another load."""
    return bool(row.get("connection", CONNECTION) == CONNECTION and row.get("realm_id", REALM) == REALM)


def _text(value: object) -> object:
    if isinstance(value, Decimal):
        return str(value)
    return value.isoformat()
