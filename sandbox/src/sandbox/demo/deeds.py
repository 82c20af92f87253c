"""What the demo's bookkeeper does in QuickBooks, in two stages; each deed once, also over restarts.

What is done is noted with the OpsMerge simulator's state after every deed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from sandbox.control import Control, ControlError
from sandbox.demo.cast import RENAMED_CLIENT, RENAMED_TO, cast
from sandbox.demo.catalogue import CLIENTS
from sandbox.demo.month import Invoice

Deed = dict[str, Any]
"""A deed of the QuickBooks simulator: its word under `deed`, and its details. Invoices are named by their number."""

LAST_PAYMENT_DAY = date(2026, 11, 13)
REBATE = Decimal("25.00")
METHODS = ("Bank transfer", "Direct Debit", "Cheque")
TO_BE_VOIDED, TO_BE_DELETED = "BACS 8901", "BACS 8902"


def do_stage(stage: str, opsmerge: Control, quickbooks: Control) -> str:
    """Do what of the stage, `first` or `second`, is not done yet; returns a line for people.

    Raises:
        ControlError: a simulator refused, or an invoice is not in QuickBooks because it was not pushed yet.
    """
    note = f"deeds {stage}"
    done = list(opsmerge.get("state")["notes"].get(note, []))
    left = [(name, deed) for name, deed in STAGES[stage]() if name not in done]
    for name, deed in left:
        _do(quickbooks, name, deed)
        done.append(name)
        opsmerge.post("notes", {note: done})
    return f"{len(left)} deeds done in QuickBooks." if left else f"The {stage} stage was already done."


def _do(quickbooks: Control, name: str, deed: Deed) -> None:
    try:
        quickbooks.post("deeds", deed)
    except ControlError as error:
        raise ControlError(f"Cannot {name}: {error}. Were the invoices pushed before?") from error


def first() -> Iterator[tuple[str, Deed]]:
    """Yield the deeds after the push: payments of every kind, invoices edited, deleted, copied, a customer renamed."""
    parts = cast()
    for n, invoice in enumerate([*parts.paid, *parts.paid_penny_apart]):
        yield _pay([invoice], _paid_on(invoice, n), f"BACS {8101 + n}", METHODS[n % 3])
    for n, invoice in enumerate(parts.paid_in_part):
        yield _pay([invoice], _paid_on(invoice, n), f"PART {n + 1}", amount=Decimal(10 + 5 * n))
    yield _pay(parts.paid_together, LAST_PAYMENT_DAY, "THREE IN ONE")
    yield _pay([parts.payment_voided], LAST_PAYMENT_DAY, TO_BE_VOIDED)
    yield _pay([parts.payment_deleted], LAST_PAYMENT_DAY, TO_BE_DELETED)
    new_amount = parts.edited.lines[0].amount - REBATE
    yield "edit an invoice", {"deed": "edit_invoice", "invoice": parts.edited.number, "line": 1, "amount": new_amount}
    yield "delete an invoice", {"deed": "delete_invoice", "invoice": parts.deleted.number}
    yield "copy an invoice", {"deed": "copy_invoice", "invoice": parts.copied.number}
    renamed = next(client for client in CLIENTS if client.id == RENAMED_CLIENT)
    rename = {"deed": "rename_customer", "customer": renamed.in_quickbooks, "name": RENAMED_TO}
    yield "rename a customer", rename


def second() -> Iterator[tuple[str, Deed]]:
    """Yield the deeds after payments came back once: one is voided, another deleted."""
    yield "void a payment", {"deed": "void_payment", "payment": TO_BE_VOIDED}
    yield "delete a payment", {"deed": "delete_payment", "payment": TO_BE_DELETED}


STAGES = {"first": first, "second": second}


def _pay(
    invoices: Sequence[Invoice], day: date, reference: str, method: str = METHODS[0], amount: Decimal | None = None
) -> tuple[str, Deed]:
    """Record one payment of these invoices: their open balances, or an amount."""
    numbers = [invoice.number for invoice in invoices]
    deed = {"deed": "record_payment", "invoices": numbers, "date": day.isoformat(), "reference": reference}
    return f"pay {' '.join(numbers)}", {**deed, "method": method, **({} if amount is None else {"amount": amount})}


def _paid_on(invoice: Invoice, n: int) -> date:
    """Return a date nine days to four weeks after issue."""
    return min(date.fromisoformat(invoice.issue_date) + timedelta(days=9 + n * 7 % 20), LAST_PAYMENT_DAY)
