"""What the API and people do to payments. Every function runs inside `state.change()` and is given its time."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sandbox.opsmerge.documents import PENNY, Document
from sandbox.opsmerge.errors import conflict, not_found
from sandbox.opsmerge.fields import Fields
from sandbox.opsmerge.state import OpsMergeState

PAYMENT = ("amount", "currency", "paid_on", "method", "reference")


def put(state: OpsMergeState, now: str, invoice_id: str, external_id: str, body: Any) -> Document:
    """Create or change the payment with this external id; a voided one is live again.

    The same payment again changes nothing, unless a switch says so.
    """
    invoice = state.need("invoice", invoice_id)
    content = _content(body)
    known = _by_external_id(state, invoice_id, external_id)
    payment = {**(known or _new(state, invoice_id, external_id)), **content, "voided": False}
    if payment == known and not state.switches.identical_put_moves_updated_at:
        return known
    _check(state, invoice, payment)
    return _save(state, now, invoice, payment)


def record(state: OpsMergeState, now: str, invoice_id: str, body: Any) -> Document:
    """Record a payment entered by hand: it has no external id. Paid today unless paid_on says otherwise."""
    invoice = state.need("invoice", invoice_id)
    defaults = {"amount": invoice["balance"], "currency": invoice["currency"], "paid_on": state.today()}
    payment = {**_new(state, invoice_id, None), **_content({**defaults, **body}), "voided": False}
    _check(state, invoice, payment)
    return _save(state, now, invoice, payment)


def void(state: OpsMergeState, now: str, invoice_id: str, external_id: str) -> None:
    """Void the payment with this external id; voiding it again changes nothing."""
    payment = _by_external_id(state, invoice_id, external_id)
    if payment is None:
        raise not_found("payment", external_id)
    if not payment["voided"]:
        _save(state, now, state.need("invoice", invoice_id), {**payment, "voided": True})


def void_by_id(state: OpsMergeState, now: str, payment_id: str) -> Document:
    """Void any payment, as a person does on the screen."""
    payment = state.need("payment", payment_id)
    return _save(state, now, state.need("invoice", payment["invoice_id"]), {**payment, "voided": True})


def _content(body: Any) -> Document:
    given = Fields(body)
    given.only(PAYMENT)
    amount = given.number("amount", places_max=2)
    if amount <= 0:
        given.problem("amount", "must be more than 0")
    content = {
        "amount": amount.quantize(PENNY),
        "currency": given.text("currency"),
        "paid_on": given.day("paid_on"),
        "method": given.text_or_none("method"),
        "reference": given.text_or_none("reference"),
    }
    given.done()
    return content


def _check(state: OpsMergeState, invoice: Document, payment: Document) -> None:
    if invoice["status"] in ("draft", "voided"):
        raise conflict(f"{invoice['number']} is {invoice['status']} and takes no payment")
    if payment["currency"] != invoice["currency"]:
        raise conflict(f"{invoice['number']} is in {invoice['currency']}, the payment in {payment['currency']}")
    if state.switches.refuse_overpayment and payment["amount"] > _room(state, invoice, payment):
        raise conflict(f"{invoice['number']} has {invoice['balance']} left to pay, less than {payment['amount']}")


def _room(state: OpsMergeState, invoice: Document, payment: Document) -> Decimal:
    """Return what is left to pay without this payment."""
    others = (other for other in state.store.children("payment", invoice["id"]) if other["id"] != payment["id"])
    paid: Decimal = sum((other["amount"] for other in others if not other["voided"]), Decimal(0))
    return Decimal(invoice["total"] - paid)


def _new(state: OpsMergeState, invoice_id: str, external_id: str | None) -> Document:
    return {"id": state.next_id("pay"), "invoice_id": invoice_id, "external_id": external_id}


def _save(state: OpsMergeState, now: str, invoice: Document, payment: Document) -> Document:
    document = {**payment, "updated_at": now}
    state.store.put("payment", document, now, parent=invoice["id"])
    state.save_invoice(invoice, now)
    return document


def _by_external_id(state: OpsMergeState, invoice_id: str, external_id: str) -> Document | None:
    payments = state.store.children("payment", invoice_id)
    return next((payment for payment in payments if payment["external_id"] == external_id), None)
