"""What a bookkeeper does in QuickBooks arrives as rows, to the penny."""

from __future__ import annotations

from decimal import Decimal

import pytest


@pytest.fixture
def invoices(company):
    """Ids of three invoices over 120.00, 60.00 and 24.00, by number."""
    documents = [
        company.invoice("INV-1", "60.00", "40.00"),
        company.invoice("INV-2", "50"),
        company.invoice("INV-3", "20"),
    ]
    return company.seed(Invoice=documents)["Invoice"]


def test_a_payment_over_several_invoices_names_each_with_its_part(company, invoices):
    """Split, part and over-payment: one allocation per invoice, the rest unapplied."""
    company.posted(invoices["INV-1"])
    paid = company.control.deed(
        "record_payment",
        invoices=[{"invoice": "INV-1", "amount": "120.00"}, {"invoice": "INV-2", "amount": "10.10"}],
        amount="150.00",
        date="2026-11-05",
        reference="BACS 8831",
    )
    row = company.read("payments").row("payments", paid["Id"])
    assert row["total_amount"] == Decimal("150.00")
    assert row["unapplied_amount"] == Decimal("19.90")
    assert (row["status"], row["txn_date"], row["payment_ref_number"]) == ("active", "2026-11-05", "BACS 8831")
    assert (row["currency"], row["exchange_rate"]) == ("GBP", 1)
    assert row["customer_name"] == "O'Brien & Söhne"
    assert sorted(row["allocations"], key=lambda each: each["amount"]) == [
        {
            "transaction_type": "Invoice",
            "transaction_id": invoices["INV-2"],
            "invoice_number": "INV-2",
            "opsmerge_invoice_id": None,
            "amount": Decimal("10.10"),
        },
        {
            "transaction_type": "Invoice",
            "transaction_id": invoices["INV-1"],
            "invoice_number": f"INV-{invoices['INV-1']}",
            "opsmerge_invoice_id": f"om_{invoices['INV-1']}",
            "amount": Decimal("120.00"),
        },
    ]


def test_a_settlement_by_credit_memo_is_a_payment_of_nothing(company, invoices):
    """The invoice's part is told though no money moved, and it is not taken for a void."""
    memo = company.invoice("CN-1", "20")
    company.seed(CreditMemo=[memo])
    settled = company.control.deed("apply_credit", invoice="INV-3", credit_memo="CN-1")
    reading = company.read("payments", "credit_memos")
    row = reading.row("payments", settled["Id"])
    assert (row["status"], row["total_amount"]) == ("active", 0)
    assert {(each["transaction_type"], each["amount"]) for each in row["allocations"]} == {
        ("Invoice", Decimal("24.00")),
        ("CreditMemo", Decimal("24.00")),
    }
    [credit] = reading.rows("credit_memos")
    assert (credit["doc_number"], credit["total_amount"], credit["remaining_credit"]) == ("CN-1", Decimal("24.00"), 0)


@pytest.mark.parametrize(
    ("deed", "expected"),
    [
        ("void_payment", {"status": "voided", "total_amount": 0, "allocations": []}),
        ("delete_payment", {"status": "deleted"}),
    ],
)
def test_a_void_and_a_deletion_are_rows(company, invoices, deed, expected):
    """What was taken back arrives with the next read; a deletion leaves all other columns out."""
    paid = company.control.deed("record_payment", invoice="INV-1")
    before = company.read("payments", "invoices")
    assert before.row("payments", paid["Id"])["status"] == "active"
    company.control.deed(deed, payment_id=paid["Id"])
    after = company.read("payments", "invoices", state=before.state)
    row = after.row("payments", paid["Id"])
    assert expected.items() <= row.items()
    if deed == "delete_payment":
        assert set(row) == {"connection", "realm_id", "id", "status", "updated_at"}
    assert after.row("invoices", invoices["INV-1"])["balance"] == Decimal("120.00")


def test_an_invoice_adds_up(company, invoices):
    """Net is the sum of the lines, VAT the sum of its lines; subtotals are left out."""
    company.control.deed("record_payment", invoice="INV-1", amount="20")
    row = company.read("invoices").row("invoices", invoices["INV-1"])
    assert (row["net_amount"], row["tax_amount"], row["total_amount"]) == (100, 20, 120)
    assert [line["amount"] for line in row["lines"]] == [60, 40]
    assert {line["item_name"] for line in row["lines"]} == {"Support"}
    assert [(line["net_taxable"], line["tax_percent"], line["amount"]) for line in row["tax_lines"]] == [(100, 20, 20)]
    assert (row["status"], row["balance"], len(row["payment_ids"])) == ("live", 100, 1)
    assert row["doc_number"] == "INV-1"
    assert row["txn_date"] == "2026-11-02"


@pytest.mark.parametrize(("deed", "status"), [("void_invoice", "voided"), ("delete_invoice", "deleted")])
def test_a_document_taken_back_says_so(company, invoices, deed, status):
    """A voided invoice stays with nothing on it; a deleted one is a deletion."""
    before = company.read("invoices")
    company.control.deed(deed, invoice="INV-2")
    assert company.read("invoices", state=before.state).row("invoices", invoices["INV-2"])["status"] == status


def test_customers_and_receivables(company, invoices):
    """Customers come with inactive ones, under their own names; of the accounts only accounts receivable."""
    company.seed(Customer=[{"DisplayName": "Gone Ltd"}])
    company.control.deed("deactivate_customer", customer="Gone Ltd")
    reading = company.read("customers", "accounts")
    customers = {row["display_name"]: row for row in reading.rows("customers")}
    assert customers["Gone Ltd"]["active"] is False
    assert customers["O'Brien & Söhne"]["status"] == "active"
    [debtors] = reading.rows("accounts")
    assert (debtors["name"], debtors["current_balance"]) == ("Debtors", Decimal("204.00"))
