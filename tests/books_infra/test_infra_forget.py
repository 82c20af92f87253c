"""Erasing a client in the store, on SQLite and PostgreSQL: gone wherever it was, and nobody else is touched."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from books.core import money
from books.core.faults import Halt
from books.operations.breadcrumbs import give_up
from books.operations.forget import ClientData, find, in_store
from books.operations.retry import request_retry
from books.posting.postings import GONE
from books.store import Store
from books.store.schema import load_tables
from books.store.tables_jobs import job_run
from books.store.tables_opsmerge import accounting_block, allocation, opsmerge_payment, payment
from books.store.tables_posting import attempt, learned, posting

REALM = "9341453000000001"
CONNECTION = f"sandbox:{REALM}"
NAME, EMAIL, STREET = "Zoë O'Brien & Söhne", "zoe.canary@brien.example", "1 Canary Wharf"
CANARIES = (NAME, EMAIL, STREET, "laptop of Zoë", "BACS ZOE")


def record(number: int, client_id: str = "cl_7", name: str = NAME, **changes: Any) -> str:
    line = {"id": "l1", "description": "laptop of Zoë", "quantity": 1, "net_amount": Decimal("10.00")}
    return money.dumps(
        {
            "id": f"inv_{number}",
            "number": f"INV-2026-{number:04}",
            "status": "open",
            "issue_date": "2026-11-02",
            "currency": "GBP",
            "client_id": client_id,
            "client_name": name,
            "client_email": EMAIL,
            "billing_address": {"line1": STREET},
            "lines": [line],
            "subtotal": Decimal("10.00"),
            "tax_total": Decimal("2.00"),
            "total": Decimal("12.00"),
            "accounting_excluded": False,
            **changes,
        }
    )


def posted(store: Store, number: int, text: str, **changes: Any) -> None:
    row = {
        "connection": CONNECTION,
        "opsmerge_invoice_id": f"inv_{number}",
        "provider": "quickbooks",
        "company_id": REALM,
        "number": f"INV-2026-{number:04}",
        "outcome": "created",
        "external_id": str(100 + number),
        "currency": "GBP",
        "net": Decimal("10.00"),
        "total": Decimal("12.00"),
        "body": text,
        "attempts": 1,
        "generation": 1,
        "content_sha256": "c",
        "seen_sha256": "c",
        "mapping_sha256": "m",
        "record": text,
        "retry": False,
        **changes,
    }
    with store.begin() as conn:
        row["seq"] = store.next_seq(conn)
        conn.execute(posting.insert().values(**row))
        moment = store.now(conn)
        tried = {"number": 1, "generation": 1, "request_id": "r", "bid": "1", "payload_sha256": "p", "at": moment}
        conn.execute(attempt.insert().values(connection=CONNECTION, opsmerge_invoice_id=f"inv_{number}", **tried))


def furnish(store: Store) -> None:
    """One client with an invoice in the books, a refused one, a payment; another client whose name is longer."""
    posted(store, 1, record(1))
    refused = {"outcome": "rejected", "external_id": None, "fault_message": f"{NAME} is twice in QuickBooks"}
    posted(store, 2, record(2), **refused)
    posted(
        store, 3, record(3, "cl_8", f"{NAME} Hosting", client_email=None), fault_message=f"not like {NAME}: see there"
    )
    with store.begin() as conn:
        moment = store.now(conn)
        lessons = [("client:cl_7", "58"), (f"name:{NAME.casefold()}", "58"), ("client:cl_8", "59")]
        for key, ledger_id in lessons:
            detail = money.dumps({"name": NAME if ledger_id == "58" else f"{NAME} Hosting"})
            values = {"connection": CONNECTION, "kind": "customer", "key": key, "ledger_id": ledger_id}
            conn.execute(learned.insert().values(**values, detail=detail, learned_at=moment))
        for number in (1, 3):
            _pay(conn, number)
        block = {"outcome": "created", "provider": "quickbooks", "status": "posted", "seq": 1, "error": f"for {NAME}"}
        conn.execute(accounting_block.insert().values(connection=CONNECTION, opsmerge_invoice_id="inv_1", **block))
        ended = {"started_at": moment, "finished_at": moment, "exit_code": 1, "message": f"refused: {NAME.upper()}!"}
        conn.execute(job_run.insert().values(connection=CONNECTION, plugin="target-quickbooks", **ended))


def _pay(conn: Any, number: int) -> None:
    reference = "BACS ZOE" if number == 1 else "BACS OTHER"
    key = {"connection": CONNECTION, "payment_id": f"p{number}"}
    state = {"status": "active", "sync_token": 1, "updated_at": "", "seen_run": "r"}
    conn.execute(payment.insert().values(**key, **state, fault_message=f"{reference} is odd"))
    given = {"amount": Decimal("12.00"), "reference": reference, "revision": 1, "opsmerge_invoice_id": f"inv_{number}"}
    conn.execute(allocation.insert().values(**key, transaction_id=str(100 + number), **given))
    shown = {"connection": CONNECTION, "source": "x", "id": f"pay_{number}", "invoice_id": f"inv_{number}"}
    paid = {"amount": Decimal("12.00"), "reference": reference, "voided": False, "updated_at": ""}
    conn.execute(opsmerge_payment.insert().values(**shown, **paid))


def everything(store: Store) -> dict[str, list[dict[str, Any]]]:
    with store.read() as conn:
        return {
            table.name: [dict(row) for row in conn.execute(select(table)).mappings()]
            for table in load_tables().sorted_tables
        }


def client_of(store: Store, wanted: str) -> ClientData:
    found = find(store, wanted, {})
    assert found is not None
    return found


@pytest.mark.parametrize("wanted", ["cl_7", NAME.upper()])
def test_a_client_is_erased_everywhere_and_nobody_else(store: Store, wanted: str) -> None:
    """By id or by name: no trace of name, e-mail, address, description, reference; numbers, ids and amounts stay."""
    furnish(store)
    others = [row for row in everything(store)["posting"] if row["opsmerge_invoice_id"] == "inv_3"]
    client = client_of(store, wanted)
    assert (client.id, client.invoices, client.customers) == ("cl_7", {"inv_1", "inv_2"}, {f"{REALM}:58"})

    before = everything(store)
    planned = in_store.erase(store, client, act=False)
    assert everything(store) == before
    done = in_store.erase(store, client, act=True)
    assert done == planned
    after = everything(store)

    (kept,) = [row for row in after["posting"] if row["opsmerge_invoice_id"] == "inv_1"]
    wanted_back = {"number": "INV-2026-0001", "external_id": "101", "net": Decimal("10.00"), "total": Decimal("12.00")}
    assert {name: kept[name] for name in wanted_back} == wanted_back
    assert money.loads(kept["record"])["total"] == Decimal("12.00")
    assert {row["opsmerge_invoice_id"] for row in after["posting"]} == {"inv_1", "inv_3"}
    assert {row["opsmerge_invoice_id"] for row in after["attempt"]} == {"inv_1", "inv_3"}
    (other,) = [row for row in after["posting"] if row["opsmerge_invoice_id"] == "inv_3"]
    assert (other["record"], other["body"]) == (others[0]["record"], others[0]["body"])
    assert {row["key"] for row in after["learned"]} == {"client:cl_8"}
    assert {row["payment_id"]: row["reference"] for row in after["allocation"]} == {"p1": None, "p3": "BACS OTHER"}
    left = repr({**after, "posting": [row for row in after["posting"] if row is not other], "learned": []})
    for canary in CANARIES:
        assert canary.casefold() not in left.casefold()
    assert "[erased cl_7]" in other["fault_message"]


def test_erasing_again_finds_nothing(store: Store) -> None:
    """Idempotent: the second time there is nothing to count, by id, and nobody of that name."""
    furnish(store)
    in_store.erase(store, client_of(store, "cl_7"), act=True)
    rows = everything(store)
    assert in_store.erase(store, client_of(store, "cl_7"), act=True) == []
    assert everything(store) == rows
    assert find(store, NAME, {}) is None


def test_what_has_yet_to_be_sent_or_found_waits(store: Store) -> None:
    """Unknown, to be retried, or disconnected: their records decide what is posted, so they are named and left."""
    posted(store, 1, record(1), outcome="unknown", external_id=None)
    posted(store, 2, record(2), retry=True)
    posted(store, 4, record(4))
    list(give_up(store, CONNECTION))
    client = client_of(store, "cl_7")
    numbers = [f"INV-2026-000{n}" for n in (1, 2, 4)]
    assert in_store.still_needed(store, client) == numbers
    in_store.erase(store, client, act=True)
    assert all(NAME in row["record"] for row in everything(store)["posting"])


def test_an_erased_record_is_never_sent_again(store: Store) -> None:
    """`books retry` passes it over: a customer called "[erased cl_7]" must not come into the books."""
    posted(store, 1, record(1))
    posted(store, 2, record(2), outcome="held", external_id=None, fault_code=GONE)
    in_store.erase(store, client_of(store, "cl_7"), act=True)
    assert len(everything(store)["posting"]) == 2
    assert request_retry(store, CONNECTION, ["INV-2026-0001", "INV-2026-0002"]) == []


def test_two_clients_of_one_name_are_told_apart_by_id(store: Store) -> None:
    """A name that two bear is refused, with both ids; an id is always enough."""
    posted(store, 1, record(1))
    posted(store, 2, record(2, "cl_9"))
    with pytest.raises(Halt, match="2 clients are called") as caught:
        find(store, NAME, {})
    assert "cl_7, cl_9" in caught.value.message
    assert client_of(store, "cl_9").invoices == {"inv_2"}
    assert find(store, "nobody", {}) is None


def test_no_byte_of_it_stays_in_the_file(tmp_path: Path) -> None:
    """SQLite's free pages and write-ahead log hold nothing of what was erased."""
    store = Store.open(f"sqlite:///{tmp_path}/books/books.db")
    furnish(store)
    for client_id in ("cl_8", "cl_7"):
        in_store.erase(store, client_of(store, client_id), act=True)
    content = b"".join(path.read_bytes() for path in (tmp_path / "books").iterdir())
    store.close()
    assert b"INV-2026-0001" in content
    for canary in CANARIES:
        assert canary.encode() not in content
