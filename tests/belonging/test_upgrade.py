"""A store that 1f79c9d filled is migrated whole: the next push posts nothing, the next pull writes nothing."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from contextlib import closing
from typing import Any

import as_released
import pytest
from sqlalchemy import select

from books.ledgers.quickbooks.webhook import QuickBooksWebhooks
from books.store import Store, schema
from books.store.tables_opsmerge import allocation, ledger_balance, payment
from books.store.tables_posting import attempt, posting
from books.webhooks.inbox import Inbox

FILLED = (
    *("posting", "attempt", "learned", "push_run", "payment", "allocation", "ledger_balance", "token", "metered"),
    *("accounting_block", "opsmerge_payment", "opsmerge_read", "counter"),
    *("webhook_delivery", "webhook_notice", "webhook_dead_letter", "webhook_reader", "webhook_listener"),
)


@pytest.fixture(params=["sqlite", "postgresql"])
def released(request: pytest.FixtureRequest, world: Any, tmp_path: Any) -> Any:
    """An office at work: three invoices posted, one of them paid, one in part; its store as the release kept it."""
    office = world.office("sandbox")
    if request.param == "postgresql":
        office.store_url = request.getfixturevalue("postgresql")()
    invoices = world.invoices(3)
    office.push()
    paid = {"realm": office.realm, "invoice": world.number(invoices[0]), "amount": 120}
    office.payment = world.quickbooks.control.deed("record_payment", **paid)["Id"]
    world.quickbooks.control.deed("record_payment", realm=office.realm, invoice=world.number(invoices[1]), amount=20)
    with closing(office.store()) as store:
        inbox = Inbox(store, QuickBooksWebhooks(()), "sandbox")
        inbox.record_heartbeat()
        inbox.receive([notice_of(office, "190"), b"rubbish"])
    office.pull()
    office.pull()  # reads what the first wrote
    assert world.shown(invoices[0])["status"] == "paid"
    with closing(office.store()) as store:
        Inbox(store, QuickBooksWebhooks(()), "sandbox").receive([notice_of(office, "191")])
    today = office.store_url
    if request.param == "postgresql":
        office.store_url = request.getfixturevalue("postgresql")()
    else:
        office.store_url = f"sqlite:///{tmp_path}/released.db"
    as_released.make(today, office.store_url)
    office.invoices, office.today = invoices, today
    return office


def test_no_row_is_lost_and_each_gets_its_connection(released: Any) -> None:
    """Every table that was filled has as many rows as before, each of them under the company's key."""
    before = as_released.counted(released.store_url)
    assert [name for name in FILLED if not before[name]] == []
    with closing(Store.open(released.store_url)) as store, store.read() as conn:
        assert schema.revision(conn) == schema.HEAD
        for table in (payment, allocation, ledger_balance, posting, attempt):
            assert set(conn.execute(select(table.c.connection)).scalars()) == {released.connection}
        assert set(conn.execute(select(posting.c.company_id)).scalars()) == {released.realm}
    after = as_released.counted(released.store_url)
    assert {name: after[name] for name in before} == before
    assert after == as_released.counted(released.today)


def test_the_next_push_posts_nothing_and_the_next_pull_writes_nothing(released: Any, world: Any) -> None:
    """Everything is recognised; a payment that is voided afterwards is voided in OpsMerge too."""
    posts, writes = in_quickbooks(world), len(world.writes())
    assert "3 already posted and unchanged" in again(released)
    released.pull()
    assert (in_quickbooks(world), len(world.writes())) == (posts, writes)
    world.quickbooks.control.deed("void_payment", realm=released.realm, id=released.payment)
    released.pull()
    assert world.shown(released.invoices[0])["status"] == "open"


def notice_of(office: Any, payment_id: str) -> bytes:
    """A delivery that tells of a payment."""
    event = {"id": payment_id, "type": "qbo.payment.updated.v1", "intuitaccountid": office.realm}
    return json.dumps([{**event, "intuitentityid": payment_id}]).encode()


def again(office: Any) -> str:
    """A push that reads everything."""
    office.state.pop("opsmerge", None)
    return str(office.push())


def in_quickbooks(world: Any) -> int:
    """Calls to QuickBooks that wrote anything."""
    return sum(each["method"] == "POST" and "/batch" in each["path"] for each in world.quickbooks.control.requests())


def test_killed_in_the_middle_it_begins_again(released: Any) -> None:
    """SIGKILL at any table: the store is as it was, and the next opening migrates it whole."""
    before = as_released.counted(released.store_url)
    for table in ("ended_document", "metered", "opsmerge_payment", "webhook_listener"):
        child = multiprocessing.get_context("fork").Process(target=killed_at, args=(table, released.store_url))
        child.start()
        child.join(60)
        assert child.exitcode == -signal.SIGKILL
        assert as_released.counted(released.store_url) == before
    Store.open(released.store_url).close()
    assert as_released.counted(released.store_url) == as_released.counted(released.today)


def killed_at(table: str, url: str) -> None:
    """Migrate until a table is to be made, and die."""
    from alembic import op

    create_table = op.create_table

    def dies(name: str, *columns: Any) -> Any:
        if name == table:
            os.kill(os.getpid(), signal.SIGKILL)
        return create_table(name, *columns)

    op.create_table = dies
    Store.open(url)
