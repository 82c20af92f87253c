"""What an MSP's people do in OpsMerge's own screens, as `/_control/deeds` and `/_control/seed` offer it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.opsmerge import invoices, payments
from sandbox.opsmerge.documents import Document
from sandbox.opsmerge.errors import invalid, not_found
from sandbox.opsmerge.fields import Fields
from sandbox.opsmerge.state import SCOPES, OpsMergeState

Deed = Callable[[OpsMergeState, str, dict[str, Any]], Any]

PREFIXES = {"client": "cl", "service": "svc", "tax_code": "tax"}
SEEDS = {"clients": "client", "services": "service", "tax_codes": "tax_code"}
ADDRESS = ("line1", "line2", "city", "postcode", "country")
ID = re.compile(r"[A-Za-z0-9_-]{1,60}")


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
    lists = {name: _listed(data, name) for name in (*SEEDS, "agreements", "invoices")}
    if unknown := sorted(set(data) - {*lists, "keys"}):
        raise invalid(f"{name}: cannot be seeded" for name in unknown)
    state.turn_day()
    with state.change() as now:
        for name, kind in SEEDS.items():
            for record in lists[name]:
                save_record(state, now, kind, record)
        for agreement in lists["agreements"]:
            save_agreement(state, now, agreement)
        for invoice in lists["invoices"]:
            invoices.create(state, now, invoice)
        _save_keys(state, data.get("keys", {}))
    return {name: len(rows) for name, rows in data.items()}


def _listed(data: dict[str, Any], name: str) -> list[Any]:
    rows = data.get(name, [])
    if not isinstance(rows, list):
        raise invalid([f"{name}: must be a list"])
    return rows


def _save_keys(state: OpsMergeState, keys: Any) -> None:
    """Store API keys, given as {key: [scope, ...]}."""
    if not isinstance(keys, dict):
        raise invalid(["keys: must be an object of keys and their scopes"])
    for key, scopes in keys.items():
        if not isinstance(scopes, list) or not set(map(str, scopes)) <= set(SCOPES):
            raise invalid([f"keys.{key}: must be a list of {', '.join(SCOPES)}"])
        state.set_key(key, scopes)


def save_record(state: OpsMergeState, now: str, kind: str, record: Any) -> Document:
    """Create a client, service or tax code, or replace the one with this `id`."""
    given = Fields(record)
    read = {"client": _client, "service": _service, "tax_code": _tax_code}[kind](given)
    given.only(["id", *read])
    if given.has("id") and not (isinstance(given.raw("id"), str) and ID.fullmatch(given.raw("id"))):
        given.problem("id", "must be letters, digits, _ and - only")
    given.done()
    document = {"id": given.raw("id") or state.next_id(PREFIXES[kind]), **read}
    state.store.put(kind, document, now)
    return document


def _client(given: Fields) -> Document:
    return {
        "name": given.text("name"),
        "email": given.text_or_none("email"),
        "billing_address": _address(given),
        "active": given.flag("active", default=True),
    }


def _address(given: Fields) -> Document | None:
    if not given.has("billing_address"):
        return None
    address = Fields(given.raw("billing_address"), "billing_address.", given.problems)
    address.only(ADDRESS)
    return {name: address.text_or_none(name) for name in ADDRESS}


def _service(given: Fields) -> Document:
    return {
        "name": given.text("name"),
        "active": given.flag("active", default=True),
        "quickbooks_item": given.text_or_none("quickbooks_item"),
    }


def _tax_code(given: Fields) -> Document:
    return {
        "name": given.text("name"),
        "rate": given.number("rate", places_max=4),
        "quickbooks_tax_code": given.text_or_none("quickbooks_tax_code"),
    }


def save_agreement(state: OpsMergeState, now: str, agreement: dict[str, Any]) -> Document:
    """Store a recurring agreement: client_id, lines and, optionally, terms_days and notes, as for an invoice."""
    invoices.check(state, agreement)
    document = {**agreement, "id": state.next_id("agr")}
    state.store.put("agreement", document, now)
    return document


def run_recurring(state: OpsMergeState, now: str, details: dict[str, Any]) -> list[Document]:
    """Run the billing of 00:01 on the 1st: one open invoice for each agreement, dated that day; once a month.

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
