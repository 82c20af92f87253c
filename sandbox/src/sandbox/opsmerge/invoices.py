"""What people and the API do to invoices. Every function runs inside `state.change()` and is given its time."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from sandbox.opsmerge import documents
from sandbox.opsmerge.documents import Document
from sandbox.opsmerge.errors import conflict
from sandbox.opsmerge.fields import Fields
from sandbox.opsmerge.state import OpsMergeState

TERMS_DAYS = 30
TERMS_DAYS_MAX = 3650
LINES_MAX = 500
CONTENT = ("client_id", "issue_date", "due_date", "terms_days", "currency", "notes", "lines")
LINE = ("description", "quantity", "unit_price", "service_id", "tax_code_id", "net")
ACCOUNTING = ("provider", "connection", "external_id", "status", "error", "synced_at")


def create(state: OpsMergeState, now: str, body: Any) -> Document:
    """Create an invoice, open unless `status` is draft. Needs client_id and lines; due after 30 days by default."""
    given = Fields(body)
    given.only([*CONTENT, "status", "accounting_excluded"])
    status = given.choice("status", ("open", "draft"), default="open")
    excluded = given.flag("accounting_excluded", default=False)
    content = _content(state, given)
    invoice = {
        "id": state.next_id("inv"),
        "number": state.next_number(content["issue_date"][:4]),
        "status": status,
        **content,
        "accounting_excluded": excluded,
        "accounting": None,
        "opened_at": now if status == "open" else None,
        "voided_at": None,
        "created_at": now,
    }
    return state.save_invoice(invoice, now)


def check(state: OpsMergeState, body: Any) -> None:
    """Raise ApiError 422 if no invoice could be made of these contents."""
    given = Fields(body)
    given.only(CONTENT)
    _content(state, given)


def edit(state: OpsMergeState, now: str, identifier: str, changes: Any) -> Document:
    """Change what is given of an invoice's content; `lines` replaces all lines."""
    invoice = state.need("invoice", identifier)
    if invoice["status"] in ("paid", "voided"):
        raise conflict(f"{invoice['number']} is {invoice['status']} and can no longer be edited")
    given = Fields(changes)
    given.only(CONTENT)
    kept = {name: invoice[name] for name in ("issue_date", "due_date", "currency", "notes")}
    merged = {**kept, "client_id": invoice["client"]["id"], "lines": [], **(changes if not given.problems else {})}
    content = _content(state, Fields(merged))
    if not given.has("lines"):
        content = documents.with_totals({**content, "lines": invoice["lines"]})
    return state.save_invoice({**invoice, **content}, now)


def open_(state: OpsMergeState, now: str, identifier: str) -> Document:
    """Open a draft."""
    invoice = _in_status(state, identifier, "draft")
    return state.save_invoice({**invoice, "status": "open", "opened_at": now}, now)


def void(state: OpsMergeState, now: str, identifier: str) -> Document:
    """Void an invoice that has no payment."""
    invoice = _in_status(state, identifier, "draft", "open", "overdue")
    if invoice["amount_paid"]:
        raise conflict(f"{invoice['number']} has payments; void them first")
    return state.save_invoice(documents.voided(invoice, now), now)


def set_excluded(state: OpsMergeState, now: str, identifier: str, *, excluded: bool) -> Document:
    """Set or clear "Don't push to QBO"."""
    return state.save_invoice({**state.need("invoice", identifier), "accounting_excluded": excluded}, now)


def put_accounting(state: OpsMergeState, now: str, identifier: str, body: Any) -> Document:
    """Record what the books say. The same block again changes nothing, unless a switch says so."""
    invoice = state.need("invoice", identifier)
    accounting = _accounting(body)
    if invoice["accounting"] == accounting and not state.switches.identical_put_moves_updated_at:
        return invoice
    return state.save_invoice({**invoice, "accounting": accounting}, now)


def _in_status(state: OpsMergeState, identifier: str, *allowed: str) -> Document:
    invoice = state.need("invoice", identifier)
    if invoice["status"] not in allowed:
        raise conflict(f"{invoice['number']} is {invoice['status']}")
    return invoice


def _content(state: OpsMergeState, given: Fields) -> Document:
    issue_date = given.day("issue_date", default=state.today())
    terms_days = given.number("terms_days", places_max=0, default=Decimal(TERMS_DAYS))
    if not 0 <= terms_days <= TERMS_DAYS_MAX:
        given.problem("terms_days", f"must be from 0 to {TERMS_DAYS_MAX}")
        terms_days = Decimal(TERMS_DAYS)
    client = _referred(state, given, "client", "client_id") or {}
    given_lines = given.each("lines")
    if len(given_lines) > LINES_MAX:
        given.problem("lines", f"must be at most {LINES_MAX}")
    lines = [_line(state, line, position) for position, line in enumerate(given_lines, start=1)]
    content = {
        "issue_date": issue_date,
        "due_date": given.day("due_date", default=_later(issue_date, terms_days)),
        "currency": given.choice("currency", ("GBP", "EUR", "USD"), default="GBP"),
        "client": {name: client.get(name) for name in ("id", "name", "email", "billing_address")},
        "notes": given.text_or_none("notes"),
    }
    given.done()
    priced = [documents.priced({"id": state.next_id("ln"), **line}) for line in lines]
    return documents.with_totals({**content, "lines": priced})


def _line(state: OpsMergeState, given: Fields, position: int) -> Document:
    given.only(LINE)
    service = _referred(state, given, "service", "service_id")
    code = _referred(state, given, "tax_code", "tax_code_id")
    return {
        "position": position,
        "description": given.text_or_none("description") or "",
        "quantity": given.number("quantity", places_max=6),
        "unit_price": given.number("unit_price", places_max=6),
        "service": {"id": service["id"], "name": service["name"]} if service else None,
        "tax_code": {"id": code["id"], "name": code["name"], "rate": code["rate"]} if code else None,
        **({"net": given.number("net", places_max=2)} if given.has("net") else {}),
    }


def _later(day: str, days: Decimal) -> str:
    return (date.fromisoformat(day) + timedelta(days=int(days))).isoformat()


def _referred(state: OpsMergeState, given: Fields, kind: str, name: str) -> Document | None:
    """Return the document a field points at; only a client is required."""
    if not given.has(name) and kind != "client":
        return None
    document = state.store.get(kind, given.text(name))
    if document is None:
        given.problem(name, f"there is no such {kind.replace('_', ' ')}")
    return document


def _accounting(body: Any) -> Document:
    given = Fields(body)
    given.only(ACCOUNTING)
    accounting = {
        "provider": given.choice("provider", ("quickbooks", "xero")),
        "connection": given.text("connection"),
        "external_id": given.text_or_none("external_id"),
        "status": given.choice("status", ("posted", "rejected", "conflict", "held")),
        "error": given.text_or_none("error"),
        "synced_at": given.moment("synced_at"),
    }
    if accounting["status"] == "posted" and not accounting["external_id"]:
        given.problem("external_id", "is required when the status is posted")
    given.done()
    return accounting
