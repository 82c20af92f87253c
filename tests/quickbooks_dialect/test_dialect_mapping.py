"""From an invoice to QuickBooks' JSON: pure, exact, within Intuit's limits."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from books.core import money
from books.core.faults import Reject
from books.ledgers.contract import Company, Customer, Invoice, Item, Line, NewCustomer, References, TaxCode
from books.ledgers.quickbooks import mapping

COMPANY = Company("sandbox:1", "Co", "GB", "GBP", currencies=None, closed_until=None)
STANDARD = TaxCode("6", "20.0% S", (("9", Decimal(20)),))
REDUCED = TaxCode("7", "5.0% R", (("10", Decimal(5)),))
ZERO = TaxCode("10", "0.0% Z", (("11", Decimal(0)),))


def _line(net="100.00", quantity="1", price=None, description="Support"):
    return Line(
        description=description,
        quantity=Decimal(quantity) if quantity is not None else None,
        unit_price=Decimal(price or net),
        service_id="svc_1",
        service_name="Support",
        tax_code_id="tx_1",
        tax_code_name="VAT",
        tax_rate=None,
        net=Decimal(net),
        tax=None,
    )


def _invoice(*lines, number="INV-1", currency="GBP", due=date(2026, 12, 2)):
    net = sum((line.net for line in lines), Decimal(0))
    return Invoice(
        id="inv_1",
        number=number,
        status="open",
        issue_date=date(2026, 11, 2),
        due_date=due,
        currency=currency,
        client_id="cl_1",
        client_name="Acme",
        client_email=None,
        billing_address=None,
        lines=lines,
        subtotal=net,
        tax_total=Decimal(0),
        total=net,
        excluded=False,
    )


def _body(invoice, rate=None):
    references = References(
        Customer("58", "Acme"), (Item("20", "I"),) * len(invoice.lines), (STANDARD,) * len(invoice.lines), rate
    )
    return mapping.invoice_body(invoice, references, COMPANY)


def test_the_body_is_exactly_this():
    """Byte for byte: what is committed as intent is what is sent."""
    assert _body(_invoice(_line("300.00", "3", "100"))) == (
        b'{"DocNumber":"INV-1","TxnDate":"2026-11-02","DueDate":"2026-12-02","CustomerRef":{"value":"58"},'
        b'"GlobalTaxCalculation":"TaxExcluded","PrivateNote":"OpsMerge invoice inv_1","Line":[{"DetailType":'
        b'"SalesItemLineDetail","Amount":300.00,"Description":"Support","SalesItemLineDetail":{"ItemRef":'
        b'{"value":"20"},"TaxCodeRef":{"value":"6"},"Qty":3,"UnitPrice":100}}]}'
    )


QUANTITIES = {
    "exact": ("3", "100", "300.00", True),
    "half up": ("128.350", "14.50", "1861.08", True),
    "not half up": ("128.350", "14.50", "1861.07", False),
    "negative half": ("-1", "0.005", "-0.01", True),
    "fraction": ("1.5", "33.335", "50.00", True),
    "no quantity": (None, "100", "100.00", False),
}


@pytest.mark.parametrize("name", QUANTITIES)
def test_quantity_and_price_are_sent_only_where_they_give_the_amount(name):
    """QuickBooks refuses others (6070); the amount is always OpsMerge's."""
    quantity, price, net, sent = QUANTITIES[name]
    body = money.loads(_body(_invoice(_line(net, quantity, price))))["Line"][0]
    assert body["Amount"] == Decimal(net)
    assert ("Qty" in body["SalesItemLineDetail"], "UnitPrice" in body["SalesItemLineDetail"]) == (sent, sent)


def test_a_foreign_invoice_names_currency_and_rate():
    """Home invoices name neither."""
    foreign = money.loads(_body(_invoice(_line(), currency="EUR"), Decimal("0.86")))
    assert (foreign["CurrencyRef"], foreign["ExchangeRate"]) == ({"value": "EUR"}, Decimal("0.86"))
    assert "CurrencyRef" not in money.loads(_body(_invoice(_line())))
    assert "DueDate" not in money.loads(_body(_invoice(_line(), due=None)))


@pytest.mark.parametrize("number", ["X" * 22, "INV\n1"])
def test_a_number_is_never_cut(number):
    """A cut number is another number."""
    with pytest.raises(Reject, match="21 characters"):
        _body(_invoice(_line(), number=number))


VAT = {
    "per rate, not per line": ([("0.03", STANDARD), ("0.03", STANDARD)], "0.01"),
    "half up": ([("0.125", STANDARD)], "0.03"),
    "two rates": ([("10.03", STANDARD), ("10.10", REDUCED), ("5.00", ZERO)], "2.52"),
    "negative line": ([("10.00", STANDARD), ("-3.00", STANDARD)], "1.40"),
}


@pytest.mark.parametrize("name", VAT)
def test_vat_is_predicted_as_quickbooks_computes_it(name):
    """Half up per rate over the whole document."""
    rows, expected = VAT[name]
    lines = [_line(net) for net, _ in rows]
    assert mapping.predict_tax(lines, [code for _, code in rows]) == Decimal(expected)


CUTS = {
    "short": ("abc", 5, "abc"),
    "exact": ("abcde", 5, "abcde"),
    "long": ("abcdef", 5, "abcde"),
    "between accents": ("cafe\u0301", 4, "caf"),
    "emoji counts twice": ("ab😀c", 3, "ab"),
    "emoji fits": ("ab😀c", 4, "ab😀"),
    "family stays whole": ("a👨\u200d👩", 4, "a"),
    "control characters go": ("a\x00b\x07c", 9, "abc"),
    "line breaks stay": ("a\nb", 9, "a\nb"),
    "space at the cut": ("abc def", 4, "abc"),
}


@pytest.mark.parametrize("name", CUTS)
def test_text_is_cut_between_characters(name):
    """Never inside a letter, an accent or an emoji."""
    text, most, expected = CUTS[name]
    assert mapping.cut(text, most) == expected


@given(st.text(max_size=40), st.integers(1, 20))
def test_cut_text_always_fits(text, most):
    """Length counts in UTF-16 units, as QuickBooks counts."""
    assert len(mapping.cut(text, most).encode("utf-16-le")) // 2 <= most


NAMES = {"Acme: North": "Acme- North", " a\tb \n c ": "a b c", "x" * 600: "x" * 500, "::": "--", " ": ""}


@pytest.mark.parametrize("name", NAMES)
def test_names_keep_to_quickbooks_rules(name):
    """No colon, tab or line break; at most 500 characters."""
    assert mapping.tidy_name(name) == NAMES[name]


def test_a_bad_e_mail_address_is_left_out_not_the_customer():
    """QuickBooks would refuse the whole customer."""
    assert b"PrimaryEmailAddr" not in mapping.customer_body(NewCustomer("Acme", email="nobody at home"))
    assert b"PrimaryEmailAddr" in mapping.customer_body(NewCustomer("Acme", email="ap@acme.example"))


NOTES = {
    "OpsMerge invoice inv_7": "inv_7",
    "Voided OpsMerge invoice inv_7": "inv_7",
    "OpsMerge invoice inv_7\npaid twice?": "inv_7",
    "by hand": None,
    None: None,
}


@pytest.mark.parametrize("note", NOTES)
def test_our_note_is_found_wherever_it_stands(note):
    """A void puts a word before it, a bookkeeper one after it."""
    assert mapping.noted_id(note) == NOTES[note]


def test_an_inactive_customer_is_read_under_its_old_name():
    """QuickBooks appends a mark."""
    assert mapping.read_customer({"Id": "1", "DisplayName": "Acme (deleted)", "Active": False}).name == "Acme"


def test_tax_codes_that_cannot_be_used_on_sales_are_left_out():
    """Hidden, inactive, or without a sales rate."""
    details = {"SalesTaxRateList": {"TaxRateDetail": [{"TaxRateRef": {"value": "9"}}]}}
    percents = {"9": Decimal(20)}
    assert mapping.read_tax_code({"Id": "6", "Name": "S", **details}, percents).percent == 20
    for wrong in ({"Hidden": True, **details}, {"Active": False, **details}, {"SalesTaxRateList": {}}):
        assert mapping.read_tax_code({"Id": "6", "Name": "S", **wrong}, percents) is None
