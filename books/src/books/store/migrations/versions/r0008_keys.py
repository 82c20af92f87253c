"""Key everything that a company owns by its connection, and name columns as the contract does.

Payments, allocations, balances and ended documents were keyed by the company's id without its environment. Which
connection they belong to is what the write-back assumed until now: the one whose postings are in the books, else that
of any posting, else of tokens; of several a non-production one; of none the sandbox.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Date, Integer, String, Text, false, text

from books.store.types import Money, Timestamp

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

COMPANY = "company_connection"
"""Company id to connection, while this runs."""


def upgrade() -> None:
    """Rebuild the tables; no row is lost and no value changes."""
    _name_companies()
    _posting()
    _of_companies()
    op.drop_table(COMPANY)


def _name_companies() -> None:
    op.create_table(
        COMPANY, Column("company_id", String(64), primary_key=True), Column("connection", String(64), nullable=False)
    )
    conn = op.get_bind()
    owned = ("payment", "allocation", "ledger_balance", "ended_document")
    companies = conn.execute(text(" UNION ".join(f"SELECT realm_id FROM {each}" for each in owned))).scalars()
    for company in companies.all():
        named = {"company_id": company, "connection": _connection_of(company)}
        conn.execute(text(f"INSERT INTO {COMPANY} VALUES (:company_id, :connection)"), named)


def _connection_of(company: str) -> str:
    posted = "SELECT DISTINCT connection FROM posting WHERE realm_id = :company"
    queries = (f"{posted} AND external_id IS NOT NULL", posted, "SELECT connection FROM token")
    for query in queries:
        rows = op.get_bind().execute(text(query), {"company": company} if ":company" in query else {}).scalars()
        found = [str(each) for each in rows if str(each).endswith(f":{company}")]
        if found:
            return min(found, key=lambda each: (each.startswith("production:"), each))
    return f"sandbox:{company}"


def _rebuild(
    name: str, columns: Sequence[Column[Any]], indexes: Mapping[str, Sequence[str]], renamed: Mapping[str, str]
) -> None:
    """Make a table anew with its rows. `renamed`: new column to the old one, or to an expression."""
    kept = f"{name}_kept"
    op.execute(f"CREATE TABLE {kept} AS SELECT * FROM {name}")
    op.drop_table(name)
    op.create_table(name, *columns)
    for index, of in indexes.items():
        op.create_index(index, name, list(of))
    names = [column.name for column in columns]
    values = ", ".join(renamed.get(each, f"k.{each}") for each in names)
    of_company = f" JOIN {COMPANY} c ON c.company_id = k.realm_id" if "c.connection" in renamed.values() else ""
    op.execute(f"INSERT INTO {name} ({', '.join(names)}) SELECT {values} FROM {kept} k{of_company}")
    op.drop_table(kept)


def _posting() -> None:
    _rebuild(
        "posting",
        [
            Column("connection", String(64), primary_key=True),
            Column("opsmerge_invoice_id", String(255), primary_key=True),
            Column("provider", String(32), nullable=False),
            Column("company_id", String(64), nullable=False),
            Column("number", Text, nullable=False),
            Column("outcome", String(16), nullable=False),
            Column("external_id", String(64)),
            Column("fault_code", String(64)),
            Column("fault_field", Text),
            Column("fault_message", Text),
            Column("remedy", Text),
            Column("currency", String(8)),
            Column("net", Money),
            Column("tax", Money),
            Column("total", Money),
            Column("ledger_total", Money),
            Column("ledger_tax", Money),
            Column("payload_sha256", String(64)),
            Column("request_id", String(64)),
            Column("vendor_request_id", String(128)),
            Column("attempts", Integer, nullable=False),
            Column("first_attempted_at", Timestamp),
            Column("attempted_at", Timestamp),
            Column("finished_at", Timestamp),
            Column("seq", BigInteger, nullable=False),
            Column("bid", String(10)),
            Column("generation", Integer, nullable=False),
            Column("body", Text),
            Column("content_sha256", String(64), nullable=False),
            Column("seen_sha256", String(64), nullable=False),
            Column("mapping_sha256", String(64), nullable=False),
            Column("settled_outcome", String(16)),
            Column("record", Text, nullable=False),
            Column("issue_date", Date),
            Column("retry", Boolean, nullable=False),
            Column("mapped", Text),
        ],
        {
            "ix_posting_connection_seq": ("connection", "seq"),
            "ix_posting_connection_outcome": ("connection", "outcome"),
            "ix_posting_connection_number": ("connection", "number"),
        },
        {"company_id": "k.realm_id", "vendor_request_id": "k.intuit_tid"},
    )
    _rebuild(
        "attempt",
        [
            Column("connection", String(64), primary_key=True),
            Column("opsmerge_invoice_id", String(255), primary_key=True),
            Column("number", Integer, primary_key=True),
            Column("generation", Integer, nullable=False),
            Column("request_id", String(64), nullable=False),
            Column("bid", String(10), nullable=False),
            Column("payload_sha256", String(64), nullable=False),
            Column("at", Timestamp, nullable=False),
            Column("finished_at", Timestamp),
            Column("outcome", String(16)),
            Column("fault_code", String(64)),
            Column("vendor_request_id", String(128)),
        ],
        {},
        {"vendor_request_id": "k.intuit_tid"},
    )
    op.execute("ALTER TABLE push_run RENAME COLUMN metered_reads TO metered")


def _of_companies() -> None:
    of_company = {"connection": "c.connection"}
    _rebuild(
        "payment",
        [
            Column("connection", String(64), primary_key=True),
            Column("payment_id", String(255), primary_key=True),
            Column("status", String(8), nullable=False),
            Column("sync_token", BigInteger, nullable=False),
            Column("updated_at", String(32), nullable=False),
            Column("seen_run", String(36), nullable=False),
            Column("fault_message", Text),
        ],
        {},
        of_company,
    )
    _rebuild(
        "allocation",
        [
            Column("connection", String(64), primary_key=True),
            Column("payment_id", String(255), primary_key=True),
            Column("transaction_id", String(255), primary_key=True),
            Column("amount", Money, nullable=False),
            Column("currency", String(3)),
            Column("paid_on", String(10)),
            Column("method", Text),
            Column("reference", Text),
            Column("invoice_number", Text),
            Column("opsmerge_invoice_id", String(255)),
            Column("invoice_currency", String(3)),
            Column("revision", BigInteger, nullable=False),
            Column("written_sha256", String(64)),
            Column("linked_payment_id", String(255)),
            Column("due", Boolean, nullable=False, server_default=false()),
            Column("attempts", Integer, nullable=False, server_default="0"),
            Column("next_attempt_at", Timestamp),
            Column("fault_code", String(64)),
            Column("fault_message", Text),
            Column("remedy", Text),
        ],
        {
            "ix_allocation_due": ("due",),
            "ix_allocation_transaction": ("connection", "transaction_id"),
            "ix_allocation_linked": ("linked_payment_id",),
        },
        of_company,
    )
    _rebuild(
        "ledger_balance",
        [
            Column("connection", String(64), primary_key=True),
            Column("transaction_id", String(255), primary_key=True),
            Column("total", Money, nullable=False),
            Column("balance", Money, nullable=False),
            Column("currency", String(3)),
            Column("sync_token", BigInteger, nullable=False),
            Column("updated_at", String(32), nullable=False),
            Column("remainder", Money, nullable=False),
        ],
        {"ix_ledger_balance_remainder": ("remainder",)},
        of_company,
    )
    _rebuild(
        "ended_document",
        [
            Column("connection", String(64), primary_key=True),
            Column("transaction_id", String(64), primary_key=True),
            Column("status", String(8), nullable=False),
        ],
        {},
        of_company,
    )
