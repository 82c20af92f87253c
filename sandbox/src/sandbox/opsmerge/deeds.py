"""What an MSP's people do in OpsMerge's own screens, as `/_control/deeds` and `/_control/seed` offer it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.opsmerge import invoices, payments
from sandbox.opsmerge.documents import Document
from sandbox.opsmerge.errors import invalid, not_found
from sandbox.opsmerge.fields import Fields
from sandbox.opsmerge.state import OpsMergeState

Deed = Callable[[OpsMergeState, str, dict[str, Any]], Any]

RECORDS: Mapping[str, dict[str, Any]] = {
    "client": {"name": "", "email": None, "billing_address": None, "active": True},
    "service": {"name": "", "active": True, "quickbooks_item": None},
    "tax_code": {"name": "", "rate": 0, "quickbooks_tax_code": None},
}
PREFIXES = {"client": "cl", "service": "svc", "tax_code": "tax"}
SEEDS = {"clients": "client", "services": "service", "tax_codes": "tax_code"}


def perform(state: OpsMergeState, deed: str, details: dict[str, Any]) -> Any:
    """Do one deed in one transaction; returns the document that came of it.

    Raises:
        ApiError: 422 for an unknown deed or wrong details, 404 and 409 as the API has them.
    """
    if deed not in DEEDS:
        raise invalid([f"deed: {deed!r} is none of {', '.join(sorted(DEEDS))}"])
    state.turn_day()
    with state.change() as now:
        return DEEDS[deed](state, now, dict(details))


def seed(state: OpsMergeState, data: dict[str, Any]) -> dict[str, int]:
    """Load in bulk: clients, services, tax_codes, keys, agreements, invoices; returns how many of each.

    Records that bring an `id` replace the one that has it. Invoices are as in the deed `create_invoice`.
    All is one transaction, so all rows share one updated_at, as after a bulk import.
    """
    if unknown := sorted(set(data) - {*SEEDS, "keys", "agreements", "invoices"}):
        raise invalid(f"{name}: cannot be seeded" for name in unknown)
    state.turn_day()
    with state.change() as now:
        for name, kind in SEEDS.items():
            for record in data.get(name, []):
                save_record(state, now, kind, record)
        for key, scopes in data.get("keys", {}).items():
            state.set_key(key, scopes)
        for agreement in data.get("agreements", []):
            save_agreement(state, now, agreement)
        for invoice in data.get("invoices", []):
            invoices.create(state, now, invoice)
    return {name: len(rows) for name, rows in data.items()}


def save_record(state: OpsMergeState, now: str, kind: str, record: dict[str, Any]) -> Document:
    """Create a client, service or tax code, or change the one with this `id`."""
    given = Fields(record)
    given.only(["id", *RECORDS[kind]])
    known = state.store.get(kind, record["id"]) if given.has("id") else None
    document = {**RECORDS[kind], **(known or {"id": state.next_id(PREFIXES[kind])}), **record}
    Fields(document).text("name")
    if not document["name"]:
        given.problem("name", "is required")
    given.done()
    state.store.put(kind, document, now)
    return document


def save_agreement(state: OpsMergeState, now: str, agreement: dict[str, Any]) -> Document:
    """A recurring agreement: client_id, lines and, optionally, terms_days and notes, as for an invoice."""
    document = {**agreement, "id": state.next_id("agr")}
    state.store.put("agreement", document, now)
    return document


def run_recurring(state: OpsMergeState, now: str, details: dict[str, Any]) -> list[Document]:
    """The run of 00:01 on the 1st: one open invoice for each agreement, dated that day; once for each month.

    All invoices of a run share one updated_at, as rows written in one database transaction do.
    """
    day = Fields(details).day("date", default=state.today())
    due = [agreement for agreement in state.store.all("agreement") if agreement.get("last_run", "")[:7] != day[:7]]
    created = []
    for agreement in sorted(due, key=lambda row: int(row["id"].partition("_")[2])):
        wanted = {name: agreement[name] for name in ("client_id", "lines", "terms_days", "notes") if name in agreement}
        created.append(invoices.create(state, now, {**wanted, "issue_date": day}))
        state.store.put("agreement", {**agreement, "last_run": day}, now)
    return created


def _create(state: OpsMergeState, now: str, details: dict[str, Any]) -> Document:
    return invoices.create(state, now, details)


def _edit(state: OpsMergeState, now: str, details: dict[str, Any]) -> Document:
    return invoices.edit(state, now, _invoice_id(state, details), details)


def _open(state: OpsMergeState, now: str, details: dict[str, Any]) -> Document:
    return invoices.open_(state, now, _invoice_id(state, details))


def _void(state: OpsMergeState, now: str, details: dict[str, Any]) -> Document:
    return invoices.void(state, now, _invoice_id(state, details))


def _opt_out(state: OpsMergeState, now: str, details: dict[str, Any]) -> Document:
    excluded = Fields(details).flag("excluded", default=True)
    return invoices.set_excluded(state, now, _invoice_id(state, details), excluded=excluded)


def _record_payment(state: OpsMergeState, now: str, details: dict[str, Any]) -> Document:
    return payments.record(state, now, _invoice_id(state, details), details)


def _void_payment(state: OpsMergeState, now: str, details: dict[str, Any]) -> Document:
    given = Fields(details)
    payment_id = given.text("payment_id")
    given.done()
    return payments.void_by_id(state, now, payment_id)


def _invoice_id(state: OpsMergeState, details: dict[str, Any]) -> str:
    """Take the invoice out of the details: `invoice_id`, or its `number`."""
    if "invoice_id" in details:
        return str(details.pop("invoice_id"))
    number = str(details.pop("number", ""))
    found = state.store.find("invoice", "number", number)
    if found is None:
        raise not_found("invoice", number or "(give invoice_id or number)")
    return str(found["id"])


def _record(kind: str) -> Deed:
    return lambda state, now, details: save_record(state, now, kind, details)


DEEDS: Mapping[str, Deed] = {
    "create_invoice": _create,
    "edit_invoice": _edit,
    "open_invoice": _open,
    "void_invoice": _void,
    "set_opt_out": _opt_out,
    "record_payment": _record_payment,
    "void_payment": _void_payment,
    "run_recurring": run_recurring,
    "save_agreement": save_agreement,
    "save_client": _record("client"),
    "save_service": _record("service"),
    "save_tax_code": _record("tax_code"),
}
