"""The stored facts about one invoice: store and published warehouse, no call to anybody."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, or_, select

from books.core import money, paths
from books.core.faults import Reject
from books.ledgers.contract import Invoice
from books.operations.session import Session
from books.opsmerge import belonging
from books.opsmerge.settings import is_test
from books.posting import documents, records
from books.posting.checks import is_negative, negative_total
from books.posting.eligibility import (
    BELONGS_TO_ANOTHER,
    Scope,
    belongs_to_another,
    is_before_go_live,
    reason_to_leave,
)
from books.store.tables_opsmerge import accounting_block, allocation, opsmerge_payment
from books.store.tables_posting import attempt, posting, push_run

Row = dict[str, Any]

DRIFT = """
    SELECT class, bucket, severity, cause, remedy, opsmerge_value, ledger_value, effect, currency, run_id
    FROM recon.drift WHERE opsmerge_invoice_id = ? OR (opsmerge_invoice_id IS NULL AND number = ?)
    ORDER BY bucket, class
"""
SOURCE = "SELECT * FROM raw_opsmerge.invoices WHERE lower(number) = lower(?)"
JSON_COLUMNS = ("lines", "billing_address", "accounting")
LIKE_NUMBERS_MAX = 3


def stories(session: Session, number: str) -> list[Row]:
    """Return each posting under a number or OpsMerge id, with all that is known of it."""
    folded = number.strip().lower()
    named = or_(func.lower(posting.c.number) == folded, posting.c.opsmerge_invoice_id == number.strip())
    with session.store.read() as conn:
        wanted = select(posting).where(posting.c.connection == session.connection, named)
        rows = [dict(row) for row in conn.execute(wanted).mappings()]
        found = [{**row, **_from_store(conn, row), "not_written": _not_written(session)} for row in rows]
    return [{**row, "drift": drift(session, row)} for row in found]


def _not_written(session: Session) -> str:
    """Return why nothing of this connection is written to OpsMerge; empty where it is."""
    test = is_test(session.configuration.plugin("target-opsmerge"))
    return "" if belonging.may_write(session.connection, opsmerge_is_test=test) else belonging.NOT_A_TEST


def _from_store(conn: Connection, row: Mapping[str, Any]) -> Row:
    key = (row["connection"], row["opsmerge_invoice_id"])
    seen = money.loads(row["record"])
    return {
        "tries": _rows(conn, attempt, attempt.c.number, connection=key[0], opsmerge_invoice_id=key[1]),
        "seen": {name: seen.get(name) for name in ("status", "issue_date", "client_id", "client_name", "updated_at")},
        "ended": documents.ended(conn, row["connection"], [row["external_id"] or ""]).get(row["external_id"]),
        "mapped": money.loads(row["mapped"]) if row["mapped"] else None,
        "told": next(
            iter(_rows(conn, accounting_block, accounting_block.c.seq, connection=key[0], opsmerge_invoice_id=key[1])),
            None,
        ),
        "paid": _rows(conn, allocation, allocation.c.payment_id, connection=key[0], opsmerge_invoice_id=key[1]),
        "opsmerge_payments": _rows(
            conn, opsmerge_payment, opsmerge_payment.c.updated_at, connection=key[0], invoice_id=key[1]
        ),
    }


def _rows(conn: Connection, table: Any, order: Any, **equal: str) -> list[Row]:
    where = [table.c[name] == value for name, value in equal.items()]
    return [dict(row) for row in conn.execute(select(table).where(*where).order_by(order)).mappings()]


# The warehouse.


def drift(session: Session, row: Mapping[str, Any]) -> list[Row]:
    """Return what the newest report says of an invoice; nothing where there is none yet."""
    return _ask(session, DRIFT, (row["opsmerge_invoice_id"], row["number"]))


def _ask(session: Session, sql: str, values: tuple[str, ...]) -> list[Row]:
    """Return rows of the published warehouse; none where there is none, or it is from before these tables."""
    import duckdb

    path = published(session)
    if path is None:
        return []
    try:
        with duckdb.connect(str(path), read_only=True) as warehouse:
            found = warehouse.execute(sql, values)
            names = [column[0] for column in found.description or ()]
            return [dict(zip(names, values, strict=True)) for values in found.fetchall()]
    except duckdb.Error:
        return []


def published(session: Session) -> Path | None:
    """Return the warehouse that `books report` published last."""
    build = session.configuration.plugin("target-duckdb").get("path")
    path = paths.resolve(build).with_name("books.duckdb") if build else None
    return path if path is not None and path.is_file() else None


# A number that nothing is known of.


def reasons(session: Session, number: str) -> list[str]:
    """Return why a push may not know a number, most certain first."""
    found = [_in_opsmerge(session, row) for row in _ask(session, SOURCE, (number.strip(),))]
    like = _alike(session, number)
    if like:
        found.append(f"It may be mistyped: there is {', '.join(like)}.")
    found.append(_last_push(session))
    found.append(
        f"This is the environment {session.configuration.environment}; another one: `books --environment ...`."
    )
    return found


LEFT = {
    "draft": "drafts are not posted; open it there",
    "voided": "it was voided before it was posted",
    "opted_out": "it is opted out there, so it is not posted",
    "paid": "it was paid before it was posted, and paid ones are posted only where post_from is set",
}
"""Reasons to leave an invoice (`books.posting.eligibility`), in words."""


def _in_opsmerge(session: Session, row: Row) -> str:
    """Return what OpsMerge has under a number, and why a push leaves it or what a push does with it."""
    document = {**row, **{name: money.loads(row[name]) for name in JSON_COLUMNS if row.get(name)}}
    settings = session.push_settings()
    try:
        why = _next_push(
            records.parse(document), Scope(settings.post_from, session.connection, session.vendor.words.ledger)
        )
    except Reject as wrong:
        why = f"the next push refuses it: {wrong.message}. {wrong.remedy}"
    return f"OpsMerge has it as {row['status']} (as of the last reconciliation): {why.rstrip('.')}."


def _next_push(invoice: Invoice, scope: Scope) -> str:
    reason = reason_to_leave(invoice, scope)
    if reason == BELONGS_TO_ANOTHER:
        left = belongs_to_another(invoice.owner)
        return f"{left.message}. {left.remedy}"
    if reason is not None:
        return LEFT.get(reason, f"its status is {reason}, and only open invoices are posted")
    if is_negative(invoice):
        refused = negative_total(invoice.total, scope.ledger)
        return f"{refused.message}, so the next push refuses it. {refused.remedy}"
    if is_before_go_live(invoice, scope):
        return f"it is dated before post_from ({scope.post_from}), so it is only adopted where {scope.ledger} has it"
    return "the next push takes it up"


def _alike(session: Session, number: str) -> list[str]:
    with session.store.read() as conn:
        known = select(posting.c.number).where(posting.c.connection == session.connection)
        numbers = [row[0] for row in conn.execute(known)]
    return get_close_matches(number.strip().upper(), numbers, n=LIKE_NUMBERS_MAX, cutoff=0.85)


def _last_push(session: Session) -> str:
    newest = select(func.max(push_run.c.started_at)).where(
        push_run.c.connection == session.connection, push_run.c.complete
    )
    with session.store.read() as conn:
        at = conn.execute(newest).scalar()
    if at is None:
        return f"No push to {session.connection} has come to its end yet: run {session.vendor.jobs['push']}."
    return (
        f"The last whole push began at {at:%Y-%m-%d %H:%M:%S}Z; what was opened since is due at the next one. Drafts, "
        "invoices opted out, and those dated before post_from are left alone."
    )
