"""Format numbers, dates and what happened to an invoice as text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

MINUS = "\u2212"
WHERE = {
    "sandbox": "https://sandbox.qbo.intuit.com/app",
    "production": "https://qbo.intuit.com/app",
}
STORIES = {
    "created": "posted on {when} as QuickBooks invoice {external_id}",
    "adopted": "found in QuickBooks on {when} as invoice {external_id}, and adopted",
    "rejected": "refused on {when}: {fault}",
    "conflict": "not posted on {when}, because {fault}",
    "held": "held back on {when}: {fault}",
    "unknown": "sent on {when}; the answer was lost",
}


def money(amount: Decimal | None) -> str:
    """Return for example `1,234.50`, with a true minus sign; a dash for None."""
    if amount is None:
        return "\u2013"
    return f"{amount:,.2f}".replace("-", MINUS)


def currency(code: str) -> str:
    """Return the currency code; a dash for `none`."""
    return "\u2013" if code == "none" else code


def signed(amount: Decimal) -> str:
    """Return money with its sign: `+12.00`."""
    return money(amount) if amount <= 0 else "+" + money(amount)


def day(when: date) -> str:
    """Return for example `3 November 2026`."""
    return f"{when.day} {when:%B %Y}"


def moment(when: datetime | None, time_zone: ZoneInfo) -> str:
    """Return for example `3 Nov 2026, 09:12` in the readers' zone. The warehouse has UTC without a zone."""
    if when is None:
        return "never"
    local = (
        when.replace(tzinfo=ZoneInfo("UTC")).astimezone(time_zone)
        if when.tzinfo is None
        else when.astimezone(time_zone)
    )
    return f"{local.day} {local:%b %Y, %H:%M}"


def count(number: int, one: str, many: str | None = None) -> str:
    """Return for example `1 break` or `1,200 invoices`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def story(posting: Mapping[str, Any] | None, time_zone: ZoneInfo) -> str:
    """Return what happened to an invoice, from its posting; the same facts as `books why`."""
    if posting is None:
        return "Never sent to QuickBooks by this bridge."
    fault = (
        ": ".join(part for part in (posting["fault_code"], posting["fault_message"]) if part)
        or "no reason was recorded"
    )
    template = STORIES.get(posting["outcome"], "{outcome} on {when}")
    text = template.format(
        when=moment(posting["finished_at"] or posting["attempted_at"], time_zone),
        external_id=posting["external_id"],
        fault=fault,
        outcome=posting["outcome"],
    )
    tries = posting["attempts"] or 0
    return text[0].upper() + text[1:] + (f", after {count(tries, 'attempt')}." if tries > 1 else ".")


def link(environment: str, external_id: str | None, payment_id: str | None, entity: str = "invoice") -> str | None:
    """Return the document's address in QuickBooks; None where there is none (the demo, or only in OpsMerge)."""
    base, found = WHERE.get(environment), payment_id or external_id
    if base is None or not found:
        return None
    page = "recvpayment" if payment_id else entity
    return f"{base}/{page}?txnId={quote(found, safe='')}"


def name_of(row: Mapping[str, Any]) -> str:
    """Return the name of a drift's document: its number, else the payment, else its id in QuickBooks."""
    if row["number"]:
        return str(row["number"])
    return f"payment {row['payment_id']}" if row["payment_id"] else f"QuickBooks {row['external_id']}"


def in_quickbooks(row: Mapping[str, Any]) -> str:
    """Return QuickBooks' value and the document's id there: two documents may have the same number."""
    if not row["ledger_value"]:
        return "nothing"
    value, found = str(row["ledger_value"]), row["payment_id"] or row["external_id"]
    return value if not found or f"(id {found})" in value else f"{value} (id {found})"


def sides(row: Mapping[str, Any]) -> str:
    """Return both sides' values in one line."""
    return f"OpsMerge: {row['opsmerge_value'] or 'nothing'} · QuickBooks: {in_quickbooks(row)}"


def sentence(text: str | None) -> str:
    """Return a text that ends with a full stop; fault messages come without one."""
    text = (text or "").rstrip()
    return text if not text or text[-1] in ".!?:" else f"{text}."
