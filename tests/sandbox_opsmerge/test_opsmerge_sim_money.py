"""The OpsMerge simulator's arithmetic, payments and statuses."""

from __future__ import annotations

from decimal import Decimal

import pytest

PAYMENT = {
    "amount": Decimal("120.00"),
    "currency": "GBP",
    "paid_on": "2026-10-05",
    "method": "BACS",
    "reference": "8831",
}
ACCOUNTING = {
    "provider": "quickbooks",
    "connection": "sandbox:9341453000000001",
    "external_id": "130",
    "status": "posted",
    "error": None,
    "synced_at": "2026-10-01T12:00:00Z",
}


def _line(quantity, price, tax_code="tax_1", **more):
    return {
        "description": "",
        "quantity": Decimal(quantity),
        "unit_price": Decimal(price),
        "tax_code_id": tax_code,
        **more,
    }


@pytest.mark.parametrize(
    ("lines", "subtotal", "tax"),
    [
        ([_line("1", "10.03")], "10.03", "2.01"),
        ([_line("1", "10.03"), _line("1", "10.03")], "20.06", "4.02"),  # QuickBooks: 4.01
        ([_line("128.350", "14.50")], "1861.08", "372.22"),  # 1861.075: half a penny up
        ([_line("2.5", "3.45")], "8.63", "1.73"),  # 8.625: up, not to the even penny
        ([_line("1", "0.50", "tax_2")], "0.50", "0.03"),  # 0.025
        ([_line("0.1", "0.2"), _line("0.1", "0.2")], "0.04", "0.00"),
        ([_line("3.25", "78.20", net=Decimal("250.00"))], "250.00", "50.00"),
        ([_line("1", "100", "tax_2"), _line("1", "100", "tax_4")], "200.00", "5.00"),
        ([_line("1", "100", None)], "100.00", "0.00"),
        ([_line("1", "-10.05")], "-10.05", "-2.01"),
    ],
)
def test_vat_per_line(tenant, lines, subtotal, tax):
    """VAT is rounded on each line, half a penny up, and totals are sums of lines, exact to the penny."""
    invoice = tenant.read(tenant.invoice(*lines))
    found = [invoice[name] for name in ("subtotal", "tax_total", "total")]
    assert found == [Decimal(subtotal), Decimal(tax), Decimal(subtotal) + Decimal(tax)]
    assert [str(value) for value in found] == [subtotal, tax, str(Decimal(subtotal) + Decimal(tax))]


def test_numbers_have_no_gaps(tenant):
    """Invoices are numbered INV-YYYY-NNNN by year of issue, without gaps, also after a refused one."""
    numbers = [tenant.invoice(issue_date=day)["number"] for day in ("2026-10-01", "2026-12-31", "2027-01-01")]
    with pytest.raises(RuntimeError, match="422"):
        tenant.invoice(_line("1", "1", "tax_none"))
    assert [*numbers, tenant.invoice()["number"]] == [
        "INV-2026-0001",
        "INV-2026-0002",
        "INV-2027-0001",
        "INV-2026-0003",
    ]


def test_payment_makes_paid_and_open_again(tenant):
    """Paid follows the balance in both directions: in full, less, voided, revived."""
    path = f"/psa/invoices/{(invoice := tenant.invoice())['id']}/payments/9341:190:130"

    def after(amount):
        tenant.api.put(path, {**PAYMENT, "amount": Decimal(amount)})
        row = tenant.read(invoice)
        return row["status"], row["amount_paid"], row["balance"]

    assert after("120.00") == ("paid", Decimal("120.00"), Decimal("0.00"))
    assert after("119.99") == ("open", Decimal("119.99"), Decimal("0.01"))
    assert tenant.api.call("DELETE", path)[0] == 204
    assert tenant.read(invoice)["status"] == "open"
    assert after("120.01") == ("paid", Decimal("120.01"), Decimal("-0.01"))


def test_overdue_by_the_clock(tenant):
    """An open invoice is overdue from the day after its due date (London), and is listed as changed."""
    invoice = tenant.invoice(due_date="2026-10-24")  # the clocks go back in the night to the 25th
    tenant.control.set_clock("2026-10-24T22:59:59Z")
    assert tenant.read(invoice)["status"] == "open"
    tenant.control.set_clock("2026-10-24T23:00:00Z")
    row = tenant.read(invoice)
    assert row["status"] == "overdue"
    assert row["updated_at"] > invoice["updated_at"]
    payment = f"/psa/invoices/{invoice['id']}/payments/a"
    tenant.api.put(payment, PAYMENT)
    assert tenant.read(invoice)["status"] == "paid"
    tenant.api.call("DELETE", payment)
    assert tenant.read(invoice)["status"] == "overdue"


@pytest.mark.parametrize("moves", [False, True])
def test_identical_put(tenant, moves):
    """The same PUT again changes nothing; whether it moves updated_at is a switch, by default it does not."""
    if moves:
        tenant.control.switches(identical_put_moves_updated_at=True)
    invoice = tenant.invoice()
    base = f"/psa/invoices/{invoice['id']}"
    for path, body in ((f"{base}/accounting", ACCOUNTING), (f"{base}/payments/a:b:c", PAYMENT)):
        first = tenant.api.put(path, body)
        before = tenant.read(invoice)["updated_at"]
        second = tenant.api.put(path, body)
        assert (second["updated_at"] > first["updated_at"]) is moves
        assert (tenant.read(invoice)["updated_at"] > before) is moves
    assert len(tenant.api.pages("/psa/payments")) == 1


def test_every_write_moves_updated_at(tenant):
    """Every real write gives a later updated_at, even while the clock stands still."""
    invoice = tenant.invoice()
    base = f"/psa/invoices/{invoice['id']}"
    writes = [
        lambda: tenant.api.put(f"{base}/accounting", ACCOUNTING),
        lambda: tenant.api.put(f"{base}/accounting", {**ACCOUNTING, "synced_at": "2026-10-01T12:00:01Z"}),
        lambda: tenant.api.put(f"{base}/payments/a", {**PAYMENT, "amount": 1}),
        lambda: tenant.api.call("DELETE", f"{base}/payments/a"),
        lambda: tenant.control.deed("set_opt_out", invoice_id=invoice["id"]),
        lambda: tenant.control.deed("edit_invoice", invoice_id=invoice["id"], notes="changed"),
        lambda: tenant.control.deed("record_payment", invoice_id=invoice["id"], amount=5),
    ]
    moments = [invoice["updated_at"]]
    for write in writes:
        write()
        moments.append(tenant.read(invoice)["updated_at"])
    assert moments == sorted(set(moments))


def test_void_again_and_unknown(tenant):
    """Voiding a payment again answers 204 and changes nothing; an unknown one is 404."""
    base = f"/psa/invoices/{tenant.invoice()['id']}/payments/"
    tenant.api.put(base + "a", PAYMENT)
    assert tenant.api.call("DELETE", base + "a")[0] == 204
    voided = tenant.api.pages("/psa/payments")
    assert tenant.api.call("DELETE", base + "a")[0] == 204
    assert tenant.api.pages("/psa/payments") == voided
    assert voided[0]["voided"] is True
    assert tenant.api.call("DELETE", base + "b")[0] == 404


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("accounting", {**ACCOUNTING, "provider": "sage"}, "provider"),
        ("accounting", {**ACCOUNTING, "status": "created"}, "status"),
        ("accounting", {**ACCOUNTING, "external_id": None}, "external_id"),
        ("accounting", {**ACCOUNTING, "external_id": 130}, "external_id"),
        ("accounting", {**ACCOUNTING, "synced_at": "2026-10-01"}, "synced_at"),
        ("accounting", {**ACCOUNTING, "colour": "red"}, "colour"),
        ("accounting", {}, "connection"),
        ("accounting", [], "object"),
        ("accounting", b"{", "JSON"),
        ("accounting", b"", "JSON"),
        ("payments/a", {**PAYMENT, "amount": "120.00"}, "amount"),
        ("payments/a", {**PAYMENT, "amount": Decimal("1.001")}, "2 decimal places"),
        ("payments/a", {**PAYMENT, "amount": 0}, "amount"),
        ("payments/a", {**PAYMENT, "amount": True}, "amount"),
        ("payments/a", b'{"amount":NaN}', "JSON"),
        ("payments/a", b'{"amount":1e999999}', "amount"),
        ("payments/a", {**PAYMENT, "paid_on": "05/10/2026"}, "paid_on"),
        ("payments/a", {**PAYMENT, "currency": None}, "currency"),
    ],
)
def test_invalid_bodies(tenant, path, body, word):
    """An invalid body is answered 422 with the field's name, and nothing is written."""
    invoice = tenant.invoice()
    status, answer, _ = tenant.api.call("PUT", f"/psa/invoices/{invoice['id']}/{path}", body)
    assert status == 422
    assert word in answer["error"]["message"]
    assert tenant.read(invoice) == invoice


def test_all_problems_at_once(tenant):
    """A refusal names every wrong field, so that a client need not try again and again."""
    _, answer, _ = tenant.api.call("PUT", f"/psa/invoices/{tenant.invoice()['id']}/payments/a", {"amount": "x"})
    assert [name in answer["error"]["message"] for name in ("amount", "currency", "paid_on")] == [True] * 3


def test_conflicts(tenant):
    """What an invoice cannot take as it stands is 409: draft, voided, another currency, too much by switch."""
    draft, other = tenant.invoice(status="draft"), tenant.invoice()
    voided = tenant.control.deed("void_invoice", invoice_id=tenant.invoice()["id"])
    tenant.control.switches(refuse_overpayment=True)
    cases = [
        (draft, PAYMENT),
        (voided, PAYMENT),
        (other, {**PAYMENT, "currency": "EUR"}),
        (other, {**PAYMENT, "amount": 121}),
    ]
    for invoice, body in cases:
        status, answer, _ = tenant.api.call("PUT", f"/psa/invoices/{invoice['id']}/payments/a", body)
        assert (status, answer["error"]["code"]) == (409, "conflict")
        assert invoice["number"] in answer["error"]["message"]


def test_payment_by_hand(tenant):
    """A payment entered by hand has no external id and settles the invoice like any other."""
    invoice = tenant.invoice()
    payment = tenant.control.deed("record_payment", number=invoice["number"], reference="cheque 7")
    assert (payment["external_id"], payment["amount"]) == (None, Decimal("120.00"))
    assert tenant.read(invoice)["status"] == "paid"
    tenant.control.deed("void_payment", payment_id=payment["id"])
    assert tenant.read(invoice)["status"] == "open"


def test_life_of_an_invoice(tenant):
    """A draft is opened, edited and voided; what no longer can be done is refused."""
    invoice = tenant.invoice(status="draft")
    assert invoice["opened_at"] is None
    opened = tenant.control.deed("open_invoice", invoice_id=invoice["id"])
    assert (opened["status"], opened["opened_at"]) == ("open", opened["updated_at"])
    edited = tenant.control.deed("edit_invoice", invoice_id=invoice["id"], lines=[_line("3", "50.00")])
    assert (edited["number"], edited["subtotal"], edited["due_date"]) == (
        invoice["number"],
        Decimal("150.00"),
        invoice["due_date"],
    )
    dated = tenant.control.deed("edit_invoice", invoice_id=invoice["id"], due_date="2026-12-01")
    assert (dated["lines"], dated["due_date"]) == (edited["lines"], "2026-12-01")
    voided = tenant.control.deed("void_invoice", invoice_id=invoice["id"])
    assert (voided["status"], voided["balance"], voided["total"]) == ("voided", Decimal("0.00"), Decimal("180.00"))
    for deed in ("open_invoice", "edit_invoice", "void_invoice"):
        with pytest.raises(RuntimeError, match="409"):
            tenant.control.deed(deed, invoice_id=invoice["id"])


def test_recurring_run_is_once_a_month(tenant):
    """The recurring run makes one open invoice for each agreement, and none when it runs again that month."""
    for price in (10, 20):
        tenant.control.deed(
            "save_agreement", client_id="cl_1", terms_days=14, lines=[{"quantity": 1, "unit_price": price}]
        )
    run = tenant.control.deed("run_recurring", date="2026-11-01")
    assert [(row["subtotal"], row["due_date"], row["status"]) for row in run] == [
        (Decimal("10.00"), "2026-11-15", "open"),
        (Decimal("20.00"), "2026-11-15", "open"),
    ]
    assert tenant.control.deed("run_recurring", date="2026-11-02") == []
    assert len(tenant.control.deed("run_recurring", date="2026-12-01")) == 2
