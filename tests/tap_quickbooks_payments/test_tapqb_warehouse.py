"""From QuickBooks through the tap into DuckDB: what the reconciliation stands on."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from decimal import Decimal

import duckdb
import pytest
import simplejson

from target_duckdb.target import TargetDuckDB


@pytest.fixture
def load(company, tmp_path):
    """Run tap and loader once; returns the state and a way to query."""
    path = tmp_path / "build.duckdb"

    def run(*streams, **settings):
        reading = company.read(*streams, **settings)
        target = TargetDuckDB(config={"path": str(path), "schema": "raw_quickbooks"})
        lines = [simplejson.dumps(each, use_decimal=True) for each in reading.messages]
        with redirect_stdout(io.StringIO()):
            target.process_lines(lines)
            target.process_endofpipe()
        return reading.state

    def query(sql):
        with duckdb.connect(str(path)) as connection:
            return connection.execute(sql).fetchall()

    run.query = query
    return run


def test_a_deletion_keeps_what_was_known_of_the_payment(company, load):
    """CDC tells a bare id; the amount and the customer stay in the warehouse."""
    company.seed(Invoice=[company.invoice("INV-1", "100")])
    paid = company.control.deed("record_payment", invoice="INV-1", reference="BACS 1")
    state = load("payments")
    company.control.deed("delete_payment", payment_id=paid["Id"])
    load("payments", state=state)
    assert load.query(
        "SELECT status, total_amount, payment_ref_number, _sdc_deleted_at IS NULL FROM raw_quickbooks.payments"
    ) == [("deleted", Decimal("120.00"), "BACS 1", False)]


def test_a_complete_read_marks_what_is_gone(company, load):
    """What a complete read no longer finds is marked, though no deletion was told."""
    company.seed(Invoice=[company.invoice("INV-1", "100"), company.invoice("INV-2", "50")])
    load("invoices", "payments")
    company.control.deed("delete_invoice", invoice="INV-1")
    load("invoices", "payments", full_refresh=True)
    rows = load.query("SELECT doc_number, _sdc_deleted_at IS NULL FROM raw_quickbooks.invoices ORDER BY doc_number")
    assert rows == [("INV-1", False), ("INV-2", True)]


def test_money_and_times_have_their_types(company, load):
    """DECIMAL with the schema's scale, DATE, TIMESTAMP WITH TIME ZONE, JSON."""
    company.seed(Invoice=[company.invoice("INV-1", "100")])
    load("invoices")
    types = {row[0]: row[1] for row in load.query("DESCRIBE raw_quickbooks.invoices")}
    expected = {
        "total_amount": "DECIMAL(18,2)",
        "exchange_rate": "DECIMAL(18,6)",
        "txn_date": "DATE",
        "updated_at": "TIMESTAMP WITH TIME ZONE",
        "lines": "JSON",
    }
    assert expected.items() <= types.items()
    [(amount,)] = load.query("SELECT CAST(lines ->> '$[0].amount' AS DECIMAL(18,2)) FROM raw_quickbooks.invoices")
    assert amount == Decimal("100.00")


def test_each_run_says_how_complete_it_was(company, load):
    """One row per stream and run in `_loads`, an empty stream included."""
    company.seed(Invoice=[company.invoice("INV-1", "100")])
    company.control.advance(900)
    state = load("invoices", "payments")
    load("invoices", "payments", state=state)
    rows = load.query('SELECT stream, mode, "rows", complete FROM raw_quickbooks._loads ORDER BY loaded_at, stream')
    assert rows == [
        ("invoices", "full", 1, True),
        ("payments", "full", 0, True),
        ("invoices", "incremental", 0, True),
        ("payments", "incremental", 0, True),
    ]
