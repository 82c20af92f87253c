"""Key what a company owns by its connection, and name the columns for every vendor.

Before this revision payments, allocations, balances and ended documents were keyed by the company's id alone, and what
was read of OpsMerge by its address. Whose they are is decided by the store itself:

    the company is known by                                its rows go to
    one connection (of documents in the books, else of     that connection
    any posting, else of tokens)
    none                                                   the sandbox: nothing is written for it to a real OpsMerge
    both environments                                      the connection that posted the invoice; where that does not
                                                           say, both. An allocation has one id in OpsMerge, and
                                                           before each write the invoice's block decides who may
                                                           write it: so nothing is lost and nothing doubled.
                                                           Ended documents are dropped: a push looks at them again

What was read of OpsMerge goes to the store's connection; where there are several, each reads it again. Deliveries that
are not split yet go to every environment of the store: a notice is no more than a hint to read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from alembic import op
from sqlalchemy import VARCHAR, BigInteger, Boolean, Column, String, Text, UniqueConstraint, bindparam, inspect, text

from books.store.types import Money, Timestamp

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ENVIRONMENTS = ("production", "sandbox")

OWNED = ("payment", "allocation", "ledger_balance", "ended_document")
"""Keyed by `realm_id` before. `payment` comes first: it looks at the allocations."""


def upgrade() -> None:
    """Rename and widen columns, then give each row its connection."""
    for table in OWNED:
        op.execute(f"ALTER TABLE {table} RENAME COLUMN realm_id TO connection")
    op.execute("ALTER TABLE posting RENAME COLUMN realm_id TO company_id")
    for table in ("posting", "attempt"):
        op.execute(f"ALTER TABLE {table} RENAME COLUMN intuit_tid TO vendor_request_id")
    op.execute("ALTER TABLE push_run RENAME COLUMN metered_reads TO metered")
    if op.get_bind().dialect.name == "postgresql":  # SQLite heeds no length
        _widen()
    for company in _values(*(f"SELECT connection FROM {table}" for table in OWNED)):
        _give(company, _owners(company))
    connections = _values("SELECT connection FROM posting", "SELECT connection FROM token")
    _read_of_opsmerge(connections)
    _inbox(sorted({each.partition(":")[0] for each in connections}) or ENVIRONMENTS)


def _widen() -> None:
    bind = op.get_bind()
    op.execute("ALTER TABLE posting ALTER COLUMN company_id TYPE VARCHAR(64)")
    for table in inspect(bind).get_table_names():
        for column in inspect(bind).get_columns(table):
            if column["name"] == "connection" and isinstance(column["type"], VARCHAR):
                op.execute(f'ALTER TABLE "{table}" ALTER COLUMN connection TYPE VARCHAR(80)')


def _execute(statement: str, **named: str) -> Any:
    """Run a statement with text as its values."""
    typed = text(statement).bindparams(*(bindparam(name, value, String()) for name, value in named.items()))
    return op.get_bind().execute(typed)


def _values(*queries: str, **named: str) -> list[str]:
    """Return the different values of one-column queries, sorted."""
    return sorted({str(value) for each in queries for value in _execute(each, **named).scalars()})


def _owners(company: str) -> list[str]:
    posted = "SELECT connection FROM posting WHERE company_id = :company"
    connected = [each for each in _values("SELECT connection FROM token") if each.partition(":")[2] == company]
    return (
        _values(f"{posted} AND external_id IS NOT NULL", company=company)
        or _values(posted, company=company)
        or connected
        or [f"sandbox:{company}"]
    )


def _give(company: str, owners: Sequence[str]) -> None:
    """Write a company's rows under the connections that they belong to."""
    bind = op.get_bind()
    for table in OWNED:
        others = ", ".join(each["name"] for each in inspect(bind).get_columns(table) if each["name"] != "connection")
        for owner in owners if len(owners) == 1 or table != "ended_document" else ():
            _execute(
                f"INSERT INTO {table} (connection, {others}) SELECT :owner, {others} FROM {table} AS old "
                f"WHERE connection = :company AND ({_POSTED_BY.get(table, _ALWAYS)})",
                owner=owner,
                company=company,
            )
    for table in OWNED:
        _execute(f"DELETE FROM {table} WHERE connection = :company", company=company)


_ALWAYS = ":owner <> ''"
_INVOICE = """
NOT EXISTS (SELECT 1 FROM posting WHERE company_id = :company AND external_id = old.transaction_id)
OR EXISTS (SELECT 1 FROM posting WHERE connection = :owner AND external_id = old.transaction_id)
"""
_PAYS = """
FROM allocation JOIN posting ON posting.external_id = allocation.transaction_id
WHERE allocation.connection = :company AND allocation.payment_id = old.payment_id
"""
_POSTED_BY = {
    "allocation": _INVOICE,
    "ledger_balance": _INVOICE,
    "payment": f"""
        NOT EXISTS (SELECT 1 {_PAYS} AND posting.company_id = :company)
        OR EXISTS (SELECT 1 {_PAYS} AND posting.connection = :owner)
    """,
}


def _rebuild(
    name: str,
    parts: Sequence[Column[Any] | UniqueConstraint],
    values: str,
    *,
    indexes: Sequence[Sequence[str]] = (),
    owners: Sequence[str] = ("",),
) -> None:
    """Make a table with another key. `values` select its rows from the old one, for each owner as `:owner`."""
    op.execute(f"CREATE TABLE kept AS SELECT * FROM {name}")
    op.drop_table(name)
    op.create_table(name, *parts)
    for index, *indexed in indexes:
        op.create_index(index, name, indexed)
    columns = ", ".join(part.name for part in parts if isinstance(part, Column))
    for owner in owners:
        named = {"owner": owner} if ":owner" in values else {}
        _execute(f"INSERT INTO {name} ({columns}) SELECT {values} FROM kept", **named)
    op.drop_table("kept")


def _read_of_opsmerge(connections: Sequence[str]) -> None:
    only = connections if len(connections) == 1 else ()
    _rebuild(
        "opsmerge_payment",
        [
            Column("connection", String(80), primary_key=True),
            Column("source", String(255), primary_key=True),
            Column("id", String(255), primary_key=True),
            Column("invoice_id", String(255), nullable=False),
            Column("external_id", String(255)),
            Column("amount", Money, nullable=False),
            Column("currency", String(3)),
            Column("paid_on", String(10)),
            Column("method", Text),
            Column("reference", Text),
            Column("voided", Boolean, nullable=False),
            Column("updated_at", String(32), nullable=False),
        ],
        ":owner, source, id, invoice_id, external_id, amount, currency, paid_on, method, reference, voided, updated_at",
        indexes=[
            ("ix_opsmerge_payment_external", "connection", "source", "external_id"),
            ("ix_opsmerge_payment_invoice", "connection", "source", "invoice_id"),
        ],
        owners=only,
    )
    _rebuild(
        "opsmerge_read",
        [
            Column("connection", String(80), primary_key=True),
            Column("source", String(255), primary_key=True),
            Column("updated_at", String(32), nullable=False),
        ],
        ":owner, source, updated_at",
        owners=only,
    )
    _rebuild(
        "nonproduction_company",
        [Column("connection", String(80), primary_key=True), Column("seen_at", Timestamp, nullable=False)],
        "connection, seen_at",  # the company's id was the key, so no connection occurs twice
    )


def _inbox(environments: Sequence[str]) -> None:
    _rebuild(
        "webhook_notice",
        [
            Column("connection", String(80), primary_key=True),
            Column("seq", BigInteger, primary_key=True, autoincrement=False),
            Column("entity", String(32), nullable=False),
            Column("entity_id", String(64), nullable=False),
            Column("operation", String(16), nullable=False),
            Column("event_id", String(128), nullable=False),
            Column("occurred_at", Timestamp, nullable=False),
            Column("delivery_id", BigInteger, nullable=False),
            Column("noted_at", Timestamp, nullable=False),
            UniqueConstraint(
                "connection", "entity", "entity_id", "operation", "event_id", name="uq_webhook_notice_connection"
            ),
        ],
        "connection, seq, entity, entity_id, operation, event_id, occurred_at, delivery_id, noted_at",
    )
    _rebuild(
        "webhook_listener",
        [
            Column("environment", String(15), primary_key=True),
            Column("provider", String(32), primary_key=True),
            Column("since", Timestamp, nullable=False),
            Column("seen_at", Timestamp, nullable=False),
        ],
        ":owner, provider, since, seen_at",
        owners=environments,
    )
    _deliveries(environments)


def _deliveries(environments: Sequence[str]) -> None:
    """Give each delivery its environment: of its notices; one that is not split is copied for each."""
    first = environments[0]
    with op.batch_alter_table("webhook_delivery") as table:
        table.add_column(Column("environment", String(15), nullable=False, server_default=first))
        table.drop_constraint("uq_webhook_delivery_provider", type_="unique")
        table.create_unique_constraint("uq_webhook_delivery_provider", ["provider", "environment", "sha256"])
    copied = "provider, sha256, body, received_at, repeats"
    for other in environments[1:]:
        theirs = "SELECT delivery_id FROM webhook_notice WHERE connection LIKE :theirs"
        moved = f"UPDATE webhook_delivery SET environment = :other WHERE id IN ({theirs})"
        _execute(moved, other=other, theirs=f"{other}:%")
        unsplit = f"SELECT {copied}, :other FROM webhook_delivery WHERE split_at IS NULL AND environment = :first"
        _execute(f"INSERT INTO webhook_delivery ({copied}, environment) {unsplit}", first=first, other=other)
    with op.batch_alter_table("webhook_delivery") as table:
        table.alter_column("environment", existing_type=String(15), existing_nullable=False, server_default=None)
