"""The sync log: what became of each invoice, read from the state store."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

import pendulum
from sqlalchemy import case, func, select

from books.core import money
from books.operations.session import Session
from books.store.tables_posting import posting
from books.store.types import Timestamp

COLUMNS = (
    "number",
    "outcome",
    "external_id",
    "fault_code",
    "fault_field",
    "fault_message",
    "remedy",
    "currency",
    "net",
    "tax",
    "total",
    "ledger_total",
    "attempts",
    "vendor_request_id",
    "attempted_at",
    "finished_at",
    "opsmerge_invoice_id",
)

_ERRORS_FIRST = case({"rejected": 0, "conflict": 1, "unknown": 2, "held": 3}, value=posting.c.outcome, else_=4)


def find(
    session: Session,
    *,
    limit: int = 50,
    client: str | None = None,
    outcome: str | None = None,
    number: str | None = None,
    since: pendulum.DateTime | None = None,
    until: pendulum.DateTime | None = None,
) -> list[dict[str, Any]]:
    """Return rows of the sync log, errors first, then the newest: `COLUMNS` and the client's id and name.

    `client` is an OpsMerge id or a part of a name; `since` is inclusive, `until` is not.
    """
    happened_at = func.coalesce(posting.c.finished_at, posting.c.attempted_at, type_=Timestamp)
    query = select(*(posting.c[name] for name in COLUMNS), posting.c.record)
    query = query.where(posting.c.connection == session.connection)
    if outcome:
        query = query.where(posting.c.outcome == outcome)
    if number:
        query = query.where(func.lower(posting.c.number) == number.strip().lower())
    if since:
        query = query.where(happened_at >= since)
    if until:
        query = query.where(happened_at < until)
    with session.store.read() as conn:
        rows = conn.execute(query.order_by(_ERRORS_FIRST, posting.c.seq.desc())).mappings()
        found = (_with_client(dict(row)) for row in rows)
        return list(islice((row for row in found if client is None or _is_client(row, client)), limit))


def _with_client(row: dict[str, Any]) -> dict[str, Any]:
    invoice = money.loads(row.pop("record"))
    return {**row, "client_id": invoice.get("client_id"), "client_name": invoice.get("client_name")}


def _is_client(row: Mapping[str, Any], wanted: str) -> bool:
    return row["client_id"] == wanted or wanted.casefold() in str(row["client_name"] or "").casefold()


def fault_text(row: Mapping[str, Any]) -> str:
    """Return the field, message and code of a posting's fault as one text; empty where it has none."""
    parts = [row["fault_field"], row["fault_message"], f"[{row['fault_code']}]" if row["fault_code"] else None]
    return " ".join(part for part in parts if part)
