"""Whose a row is: every table's key, and what a store of before revision 0008 says of it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, text

from books.core.clock import VirtualClock
from books.store import Store, schema
from books.store.tables_opsmerge import (
    allocation,
    ledger_balance,
    nonproduction_company,
    opsmerge_payment,
    opsmerge_read,
    payment,
)
from books.store.tables_posting import ended_document, posting
from books.store.tables_webhooks import webhook_delivery, webhook_listener

OF_THE_STORE = {"counter"}
OF_AN_ENVIRONMENT = {"webhook_delivery", "webhook_dead_letter", "webhook_listener"}
"""A delivery may speak of several companies, or of none that can be read."""
NUMBERED = {"alert", "call", "job_run", "lease"}
"""Lists: a row's number is its key, and each names its connection."""

pytestmark = pytest.mark.usefixtures("real_migration")

SANDBOX, PRODUCTION = "sandbox:1", "production:1"


def test_every_key_begins_with_the_connection() -> None:
    """No key stands alone that two companies could share: not a company's id, not OpsMerge's address."""
    tables = {table.name: table for table in schema.load_tables().sorted_tables}
    keyed = {name for name, table in tables.items() if next(iter(table.primary_key)).name == "connection"}
    assert keyed == set(tables) - OF_THE_STORE - OF_AN_ENVIRONMENT - NUMBERED
    assert all("connection" in tables[name].c for name in NUMBERED)


def test_a_connection_of_any_vendor_fits(store: Store) -> None:
    """The longest environment and 64 characters of a company's id, in every table, on PostgreSQL too."""
    longest = f"production:{'x' * 64}"
    for table in schema.load_tables().sorted_tables:
        if "connection" in table.c:
            assert table.c.connection.type.length >= len(longest)
    with store.begin() as conn:
        conn.execute(nonproduction_company.insert().values(connection=longest, seen_at=store.now(conn)))
        assert conn.execute(select(nonproduction_company.c.connection)).scalars().all() == [longest]


POSTING = """
INSERT INTO posting (connection, opsmerge_invoice_id, provider, realm_id, number, outcome, external_id, attempts, seq,
  generation, content_sha256, seen_sha256, mapping_sha256, record, retry, intuit_tid)
VALUES (:connection, :invoice, 'quickbooks', '1', 'N', 'created', :document, 1, :seq, 0, 'a', 'b', 'c', '{}', false,
  'tid')
"""

ROWS = """
INSERT INTO payment VALUES ('1', '50', 'active', 2, '', 'r', NULL), ('1', '51', 'active', 0, '', 'r', NULL);
INSERT INTO payment VALUES ('1', '52', 'active', 0, '', 'r', NULL), ('1', '53', 'voided', 0, '', 'r', NULL);
INSERT INTO allocation (realm_id, payment_id, transaction_id, amount, revision, due, written_sha256)
  VALUES ('1', '50', '7', '1.00', 3, false, 'w'), ('1', '51', '8', '2.00', 1, true, NULL);
INSERT INTO allocation (realm_id, payment_id, transaction_id, amount, revision, due)
  VALUES ('1', '52', '99', '3.00', 1, false);
INSERT INTO ledger_balance VALUES ('1', '7', '1.00', '0.00', 'GBP', 1, '', '0.00');
INSERT INTO ledger_balance VALUES ('1', '8', '2.00', '0.00', 'GBP', 1, '', '0.00');
INSERT INTO ended_document VALUES ('1', '8', 'voided');
INSERT INTO opsmerge_payment VALUES ('https://o', 'p1', 'i', '1:50:7', '1.00', 'GBP', NULL, NULL, NULL, false, '');
INSERT INTO opsmerge_read VALUES ('https://o', '2026-11-01T00:00:00Z');
INSERT INTO nonproduction_company VALUES ('9', 'sandbox:9', '{at}');
INSERT INTO webhook_listener VALUES ('quickbooks', '{at}', '{at}');
INSERT INTO webhook_delivery (provider, sha256, body, received_at, repeats, split_at)
  VALUES ('quickbooks', 'split', '', '{at}', 0, '{at}'), ('quickbooks', 'waits', '', '{at}', 0, NULL);
INSERT INTO webhook_notice VALUES (1, 'sandbox:1', 'payment', '50', 'created', 'e', '{at}', 1, '{at}')
"""


WHEN = {"postgresql": "2026-11-01 00:00:00+00", "sqlite": "2026-11-01T00:00:00.000000+00:00"}


@pytest.fixture
def migrated(store_url: str, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Fill a store of revision 0006, then open it; `postings` are connection, invoice and document."""
    opened: list[Store] = []

    def fill(*postings: tuple[str, str, str | None], token: str = "") -> Store:
        with monkeypatch.context() as patched:
            patched.setattr(schema, "HEAD", "0006")
            old = Store.open(store_url, clock)
        rows = ROWS.format(at=WHEN[old.engine.dialect.name])
        with old.begin() as conn:
            for seq, (connection, invoice, document) in enumerate(postings):
                named = {"connection": connection, "invoice": invoice, "document": document, "seq": seq}
                conn.execute(text(POSTING), named)
            for statement in rows.split(";"):
                conn.exec_driver_sql(statement)
            if token:
                conn.execute(text("INSERT INTO token (connection) VALUES (:token)"), {"token": token})
        old.close()
        opened.append(Store.open(store_url, clock))
        return opened[-1]

    yield fill
    for store in opened:
        store.close()


def keys(store: Store, table: Any, *columns: str) -> list[tuple[Any, ...]]:
    with store.read() as conn:
        return sorted(tuple(row) for row in conn.execute(select(*(table.c[each] for each in columns))))


def connections(store: Store, table: Any) -> set[str]:
    return {row[0] for row in keys(store, table, "connection")}


def test_one_connection_gets_everything(migrated: Any) -> None:
    """The usual store: nothing is lost and no value changes, and what was read of OpsMerge is not read again."""
    store = migrated((PRODUCTION, "i7", "7"), (PRODUCTION, "i8", "8"))
    for table in (payment, allocation, ledger_balance, ended_document, opsmerge_payment, opsmerge_read):
        assert connections(store, table) == {PRODUCTION}
    with store.read() as conn:
        first = conn.execute(select(allocation).where(allocation.c.payment_id == "50")).mappings().one()
        assert (str(first["amount"]), first["revision"], first["due"], first["written_sha256"]) == (
            "1.00",
            3,
            False,
            "w",
        )
        assert set(conn.execute(select(posting.c.company_id, posting.c.vendor_request_id))) == {("1", "tid")}
    assert len(keys(store, payment, "payment_id")) == 4
    assert connections(store, nonproduction_company) == {"sandbox:9"}
    assert keys(store, webhook_delivery, "environment", "sha256") == [("production", "split"), ("production", "waits")]
    assert keys(store, webhook_listener, "environment") == [("production",)]


@pytest.mark.parametrize(
    ("postings", "token", "owner"),
    [
        ([(SANDBOX, "i7", None), (PRODUCTION, "i7", "7")], "", PRODUCTION),
        ([(PRODUCTION, "i7", None)], SANDBOX, PRODUCTION),
        ([], PRODUCTION, PRODUCTION),
        ([], "production:11", SANDBOX),
        ([], "", SANDBOX),
    ],
    ids=["in the books", "any posting", "tokens", "tokens of another company", "nothing: no real money"],
)
def test_the_best_evidence_names_the_connection(migrated: Any, postings: Any, token: str, owner: str) -> None:
    """Documents in the books, else postings, else tokens; where nothing tells, the sandbox."""
    store = migrated(*postings, token=token)
    assert (
        connections(store, payment) == connections(store, allocation) == connections(store, ledger_balance) == {owner}
    )


def test_two_environments_of_one_company_part(migrated: Any) -> None:
    """What one of them posted is its own; the rest goes to both; what can be read again is not guessed."""
    store = migrated((SANDBOX, "i7", "7"), (PRODUCTION, "i8", "8"))
    assert keys(store, allocation, "connection", "payment_id") == [
        (PRODUCTION, "51"),
        (PRODUCTION, "52"),
        (SANDBOX, "50"),
        (SANDBOX, "52"),
    ]
    assert keys(store, payment, "connection", "payment_id") == [
        (PRODUCTION, "51"),
        (PRODUCTION, "52"),
        (PRODUCTION, "53"),
        (SANDBOX, "50"),
        (SANDBOX, "52"),
        (SANDBOX, "53"),
    ]
    assert keys(store, ledger_balance, "connection", "transaction_id") == [(PRODUCTION, "8"), (SANDBOX, "7")]
    assert connections(store, ended_document) == connections(store, opsmerge_payment) == set()
    assert connections(store, opsmerge_read) == set()
    assert keys(store, webhook_delivery, "environment", "sha256") == [
        ("production", "waits"),
        ("sandbox", "split"),
        ("sandbox", "waits"),
    ]
    assert keys(store, webhook_listener, "environment") == [("production",), ("sandbox",)]
