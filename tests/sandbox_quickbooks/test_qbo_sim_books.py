"""Checklist 5, 8, 9 and 10 of the fact sheet: sync tokens, invoices and VAT, names, payments."""

from __future__ import annotations

from decimal import Decimal

import pytest

VAT_TEXT = "Make sure all your transactions have a VAT rate before you save."


def _preferences(qbo, **settings):
    qbo.control.deed("set_preferences", **settings)


# -- 5


def test_checklist_5_every_write_moves_the_sync_token(qbo):
    """SyncToken starts at 0 and grows by one; a stale one is 400 code 5010 and changes nothing."""
    customer = qbo.made("Customer", {"DisplayName": "A"})
    assert customer["SyncToken"] == "0"
    changed = qbo.made("Customer", {**qbo.key(customer), "sparse": True, "Notes": "n"})
    assert changed["SyncToken"] == "1"
    stale = qbo.post("customer", {**qbo.key(customer), "sparse": True, "Notes": "x"})
    assert (stale.status, stale.code) == (400, "5010")
    assert qbo.read("Customer", "1")["Notes"] == "n"


def test_checklist_5_lists_may_be_stale(qbo):
    """By switch a query shows an older SyncToken than a read, for so many seconds."""
    customer = qbo.made("Customer", {"DisplayName": "A"})
    qbo.made("Customer", {**qbo.key(customer), "sparse": True, "Notes": "n"})
    qbo.control.switches(stale_lists_seconds=30)
    assert qbo.rows("select * from Customer", "Customer")[0]["SyncToken"] == "0"
    assert qbo.read("Customer", "1")["SyncToken"] == "1"
    qbo.control.advance(31)
    assert qbo.rows("select * from Customer", "Customer")[0]["SyncToken"] == "1"


# -- 8


def test_checklist_8_what_an_answer_adds(qbo):
    """A created invoice has identity, line numbers, a subtotal line, tax detail, totals and the customer's address."""
    customer = qbo.customer(
        BillAddr={"Line1": "1 Mill Lane", "City": "York", "PostalCode": "YO1 7HH", "Country": "GBR"}
    )
    detail = {"ItemRef": {"value": qbo.item()}, "Qty": 3, "UnitPrice": 100}
    note = {"DetailType": "DescriptionOnly", "Description": "PO 7781"}
    body = qbo.invoice_body(customer, qbo.line("300.00", **detail), note, number="INV-1", DueDate="2026-12-20")
    made = qbo.made("Invoice", body)
    assert (made["Id"], made["SyncToken"], made["domain"], made["sparse"]) == ("1", "0", "QBO", False)
    assert [line["DetailType"] for line in made["Line"]] == [
        "SalesItemLineDetail",
        "DescriptionOnly",
        "SubTotalLineDetail",
    ]
    assert [line.get("Id") for line in made["Line"]] == ["1", "2", None]
    assert (made["TotalAmt"], made["Balance"], made["LinkedTxn"]) == (Decimal(360), Decimal(360), [])
    assert made["BillAddr"]["City"] == "York"
    tax = made["TxnTaxDetail"]["TaxLine"][0]["TaxLineDetail"]
    assert (tax["TaxPercent"], tax["NetAmountTaxable"], tax["PercentBased"]) == (20, Decimal(300), True)
    assert made["MetaData"]["CreateTime"].startswith("2026-11-20T01:00:")
    assert made["MetaData"]["CreateTime"].endswith("-08:00")


@pytest.mark.parametrize(
    ("custom", "warns", "sent", "number", "second"),
    [
        (True, True, "A-1", "A-1", "6140"),
        (True, False, "A-1", "A-1", None),
        (True, True, None, None, None),
        (True, True, "AUTO_GENERATE", "1001", None),
        (False, True, None, "1001", None),
        (False, True, "A-1", "A-1", None),
    ],
)
def test_checklist_8_document_numbers_by_preference(qbo, custom, warns, sent, number, second):
    """CustomTxnNumbers and the duplicates warning decide what number an invoice gets and whether 6140 comes."""
    _preferences(qbo, CustomTxnNumbers=custom, WarnDuplicateNumbers=warns)
    body = qbo.invoice_body(qbo.customer(), qbo.line("1.00"), number=sent)
    assert qbo.made("Invoice", body).get("DocNumber") == number
    again = qbo.post("invoice", body)
    assert (again.code if again.status == 400 else None) == second


def test_checklist_8_6140_names_the_holder_and_can_be_waved_through(qbo):
    """The detail of 6140 carries the TxnId; include=allowduplicatedocnum lets the number pass, also in a batch."""
    customer = qbo.customer()
    first = qbo.invoice(customer, number="INV-42")
    body = qbo.invoice_body(customer, qbo.line("1.00"), number="INV-42")
    assert (
        f"DocNumber=INV-42 is assigned to TxnType=Invoice with TxnId={first['Id']}" in qbo.post("invoice", body).detail
    )
    assert qbo.post("invoice", body, include="allowduplicatedocnum").status == 200
    item = {"bId": "1", "operation": "create", "optionsData": "allowduplicatedocnum", "Invoice": body}
    assert "Invoice" in qbo.batch(item).body["BatchItemResponse"][0]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"DocNumber": "N" * 22}, "2050"),
        ({"PrivateNote": "n" * 4001}, "2050"),
        ({"CustomerMemo": {"value": "m" * 1001}}, "2050"),
        ({"BillEmail": {"Address": "a@" + "b" * 100 + ".c"}}, "2050"),
        ({"BillEmail": {"Address": "nobody"}}, "6000"),
        ({"EmailStatus": "NeedToSend"}, "2020"),
        ({"TxnDate": "20/11/2026"}, "2040"),
        ({"GlobalTaxCalculation": "TaxIncluded"}, "2060"),
        ({"Nonsense": 1}, "2010"),
        ({"Line": []}, "2020"),
        ({"CustomerRef": {"value": "99"}}, "2500"),
        ({"CustomerRef": None}, "2020"),
        ({"GlobalTaxCalculation": "NotApplicable", "TxnTaxDetail": {"TotalTax": 1}}, "6170"),
        ({"CurrencyRef": {"value": "USD"}}, "6000"),
        ({"SalesTermRef": {"value": "99"}}, "2500"),
    ],
)
def test_checklist_8_refusals_of_an_invoice(qbo, change, code):
    """Each mistake has its code with HTTP 400, and leaves nothing behind."""
    body = {**qbo.invoice_body(qbo.customer(), qbo.line("1.00")), **change}
    answer = qbo.post("invoice", body)
    assert (answer.status, answer.code) == (400, code)
    assert qbo.query("select count(*) from Invoice").body["QueryResponse"] == {"totalCount": 0}


@pytest.mark.parametrize(
    ("quantity", "price", "amount", "code"),
    [
        ("128.350", "14.50", "1861.08", None),
        ("128.350", "14.50", "1861.07", "6070"),
        ("3", "33.333", "100.00", None),
        ("2", "0.125", "0.25", None),
        ("1", "0.005", "0.01", None),
        ("-1", "0.005", "-0.01", None),
        ("1", "1000", "999", "6070"),
    ],
)
def test_checklist_8_6070_half_up(qbo, quantity, price, amount, code):
    """Amount must be Qty x UnitPrice rounded half up, exactly."""
    plus = qbo.line("10.00")
    body = qbo.invoice_body(qbo.customer(), qbo.line(amount, Qty=quantity, UnitPrice=price), plus)
    answer = qbo.post("invoice", body)
    assert (answer.code if answer.status == 400 else None) == code


@pytest.mark.parametrize(
    ("code", "expected", "text"),
    [
        (None, "6000", VAT_TEXT),
        ("20.0% S", "6000", VAT_TEXT),
        ("TAX", "6000", VAT_TEXT),
        ("2", "6000", VAT_TEXT),
        ("14", "6000", VAT_TEXT),
        ("99", "2500", "99"),
    ],
)
def test_checklist_8_a_line_needs_a_vat_code_by_id(qbo, code, expected, text):
    """No code, a name, a US code, a hidden or purchase-only code: 6000; an id that is none: 2500."""
    answer = qbo.post("invoice", qbo.invoice_body(qbo.customer(), qbo.line("1.00", code)))
    assert answer.code == expected
    assert text in answer.detail


def test_us_companies_know_tax_and_non_only(qbo):
    """In a US company an id as tax code is 6100."""
    qbo.control.post("reset", {"company": {"Country": "US", "HomeCurrency": "USD"}})
    qbo.control.switches(limits=False)
    qbo.connect()
    customer = qbo.customer()
    assert qbo.post("invoice", qbo.invoice_body(customer, qbo.line("1.00", "4"))).code == "6100"
    assert qbo.post("invoice", qbo.invoice_body(customer, qbo.line("1.00", "NON"))).status == 200


@pytest.mark.parametrize(
    ("lines", "tax", "tax_lines"),
    [
        ([("0.02", "6"), ("0.02", "6"), ("0.02", "6")], "0.01", 1),
        ([("0.03", "6")], "0.01", 1),
        ([("12.13", "6"), ("7.37", "6")], "3.90", 1),
        ([("100.00", "6"), ("100.00", "5"), ("50.00", "7")], "25.00", 3),
        ([("0.10", "5")], "0.01", 1),
        ([("0.05", "6"), ("0.10", "5")], "0.02", 2),
        ([("100.00", "8")], "0.00", 1),
        ([("100.00", "10")], "0.00", 0),
    ],
)
def test_checklist_8_vat_by_rate_and_document_half_up(qbo, lines, tax, tax_lines):
    """Tax per rate is the rounded product of the sum; No VAT is outside the base."""
    body = qbo.invoice_body(qbo.customer(), *[qbo.line(amount, code) for amount, code in lines])
    made = qbo.made("Invoice", body)
    assert made["TxnTaxDetail"]["TotalTax"] == Decimal(tax)
    assert len(made["TxnTaxDetail"]["TaxLine"]) == tax_lines
    assert made["TotalAmt"] == sum(Decimal(amount) for amount, _ in lines) + Decimal(tax)


def test_checklist_8_prices_that_include_vat_round_line_by_line(qbo):
    """TaxInclusive: three lines of 0.10 gross are 0.08 net each, and the total is what was asked."""
    body = qbo.invoice_body(
        qbo.customer(),
        *[qbo.line("0.08", TaxInclusiveAmt="0.10") for _ in range(3)],
        GlobalTaxCalculation="TaxInclusive",
    )
    made = qbo.made("Invoice", body)
    assert (made["TotalAmt"], made["TxnTaxDetail"]["TotalTax"]) == (Decimal("0.30"), Decimal("0.06"))


def test_a_sent_total_tax_is_ignored_unless_switched(qbo):
    """TxnTaxDetail.TotalTax does not move the total by default; by switch it does."""
    body = {**qbo.invoice_body(qbo.customer(), qbo.line("10.00")), "TxnTaxDetail": {"TotalTax": "2.01"}}
    assert qbo.made("Invoice", body)["TotalAmt"] == Decimal("12.00")
    qbo.control.switches(tax_override="apply")
    assert qbo.made("Invoice", body)["TotalAmt"] == Decimal("12.01")


def test_vat_off_means_no_tax(qbo):
    """Without VAT in the company, tax details are ignored and no code is needed."""
    _preferences(qbo, VAT=False)
    made = qbo.made("Invoice", qbo.invoice_body(qbo.customer(), qbo.line("10.00", None)))
    assert (made["TotalAmt"], "TxnTaxDetail" in made) == (Decimal(10), False)


def test_a_discount_line_comes_off_before_tax(qbo):
    """10% off 300 leaves 270, taxed at 20%: the reference's own example."""
    discount = {"DetailType": "DiscountLineDetail", "DiscountLineDetail": {"PercentBased": True, "DiscountPercent": 10}}
    made = qbo.made("Invoice", qbo.invoice_body(qbo.customer(), qbo.line("300.00"), discount))
    assert (made["TotalAmt"], made["TxnTaxDetail"]["TotalTax"]) == (Decimal(324), Decimal(54))


def test_checklist_8_sparse_update_replaces_lines_as_a_whole(qbo):
    """Sparse keeps what is not sent, but Line is replaced; a full update forgets what is not sent."""
    customer = qbo.customer()
    body = qbo.invoice_body(
        customer, qbo.line("10.00"), qbo.line("20.00"), PrivateNote="keep", CustomerMemo={"value": "m"}
    )
    made = qbo.made("Invoice", body)
    sparse = qbo.made("Invoice", {**qbo.key(made), "sparse": True, "Line": made["Line"][:1]})
    assert (sparse["PrivateNote"], sparse["TotalAmt"], len(sparse["Line"])) == ("keep", Decimal(12), 2)
    full = qbo.made("Invoice", {**qbo.key(sparse), **qbo.invoice_body(customer, qbo.line("30.00"))})
    assert "PrivateNote" not in full
    assert "CustomerMemo" not in full
    assert full["TotalAmt"] == Decimal(36)
    assert qbo.read("Customer", customer)["Balance"] == Decimal(36)


def test_checklist_8_void_and_delete(qbo):
    """A void leaves a row of noughts and frees the payment; a delete is 610 from then on."""
    customer = qbo.customer()
    invoice = qbo.invoice(customer, "100.00", PrivateNote="mine")
    payment = qbo.made("Payment", qbo.payment_body(customer, "50", (invoice["Id"], "50", "Invoice")))
    voided = qbo.post("invoice", qbo.key(qbo.read("Invoice", invoice["Id"])), operation="void").body["Invoice"]
    assert (voided["TotalAmt"], voided["Balance"], voided["LinkedTxn"]) == (0, 0, [])
    assert voided["PrivateNote"].startswith("Voided")
    assert "mine" in voided["PrivateNote"]
    assert voided["Line"][0]["Amount"] == 0
    freed = qbo.read("Payment", payment["Id"])
    assert (freed["UnappliedAmt"], freed["Line"]) == (Decimal(50), [])
    assert qbo.rows("select * from Invoice", "Invoice")[0]["Id"] == invoice["Id"]
    gone = qbo.post("invoice", qbo.key(voided), operation="delete").body["Invoice"]
    assert gone == {"status": "Deleted", "domain": "QBO", "Id": invoice["Id"]}
    assert (qbo.get(f"invoice/{invoice['Id']}").status, qbo.get(f"invoice/{invoice['Id']}").code) == (400, "610")


@pytest.mark.parametrize(("switch", "status"), [("refuse", 400), ("unlink", 200)])
def test_deleting_a_paid_invoice_is_a_switch(qbo, switch, status):
    """By default a linked invoice cannot be deleted; by switch its payment is freed."""
    qbo.control.switches(linked_delete=switch)
    customer = qbo.customer()
    invoice = qbo.invoice(customer)
    qbo.made("Payment", qbo.payment_body(customer, "10", (invoice["Id"], "10", "Invoice")))
    assert qbo.post("invoice", qbo.key(qbo.read("Invoice", invoice["Id"])), operation="delete").status == status


def test_checklist_8_auto_apply_preferences(qbo):
    """With auto-apply on, a new invoice is paid at birth from unapplied money, then from credit."""
    _preferences(qbo, AutoApplyPayments=True, AutoApplyCredit=True)
    customer = qbo.customer()
    qbo.made("Payment", qbo.payment_body(customer, "50"))
    memo = qbo.made("CreditMemo", qbo.invoice_body(customer, qbo.line("10.00")))
    invoice = qbo.invoice(customer, "100.00")
    assert invoice["Balance"] == Decimal("120.00") - 50 - 12
    assert qbo.read("CreditMemo", memo["Id"])["RemainingCredit"] == 0
    assert sorted(p["TotalAmt"] for p in qbo.rows("select * from Payment", "Payment")) == [0, 50]
    assert qbo.read("Customer", customer)["Balance"] == Decimal(58)


def test_due_date_follows_the_terms(qbo):
    """Net 30 gives 30 days, nothing gives the date of the invoice."""
    customer = qbo.customer()
    assert qbo.invoice(customer, SalesTermRef={"value": "3"})["DueDate"] == "2026-12-20"
    assert qbo.invoice(customer)["DueDate"] == "2026-11-20"


def test_closed_books_refuse_writes(qbo):
    """On or before the closing date: 6210 for what is new, 6200 for a change."""
    customer = qbo.customer()
    invoice = qbo.invoice(customer)
    _preferences(qbo, BookCloseDate="2026-11-20")
    assert qbo.post("invoice", qbo.invoice_body(customer, qbo.line("1.00"))).code == "6210"
    assert qbo.post("invoice", qbo.key(invoice), operation="void").code == "6200"
    assert qbo.post("invoice", qbo.invoice_body(customer, qbo.line("1.00")) | {"TxnDate": "2026-11-21"}).status == 200
    assert qbo.get("preferences").body["Preferences"]["AccountingInfoPrefs"]["BookCloseDate"] == "2026-11-20"


def test_multi_currency(qbo):
    """A customer has one currency; the rate defaults to 1; home amounts appear; rates are known by day."""
    assert "CurrencyRef" not in qbo.invoice(qbo.customer("Home"))
    _preferences(qbo, MultiCurrency=True)
    customer = qbo.customer("Yank", CurrencyRef={"value": "USD"})
    assert qbo.post("invoice", qbo.invoice_body(customer, qbo.line("10.00"))).code == "6000"
    foreign = {"CurrencyRef": {"value": "USD"}}
    assert qbo.invoice(customer, "10.00", **foreign)["ExchangeRate"] == 1
    made = qbo.invoice(customer, "10.00", **foreign, ExchangeRate="0.79")
    assert (made["TotalAmt"], made["HomeTotalAmt"], made["HomeBalance"]) == (12, Decimal("9.48"), Decimal("9.48"))
    changed = {**qbo.key(qbo.read("Customer", customer)), "sparse": True, "CurrencyRef": {"value": "EUR"}}
    assert qbo.post("customer", changed).code == "6000"
    qbo.control.post("rates", {"rates": {"USD": {"2026-11-01": "0.79", "2026-11-21": "0.80"}}})
    rate = qbo.get("exchangerate", sourcecurrencycode="USD", asofdate="2026-11-20").body["ExchangeRate"]
    assert (rate["Rate"], rate["TargetCurrencyCode"]) == (Decimal("0.79"), "GBP")
    debtors = qbo.rows("select * from Account where AccountType = 'Accounts Receivable'", "Account")
    assert {row["Name"]: row["CurrentBalance"] for row in debtors} == {"Debtors": 120, "Debtors - USD": 24}


# -- 9


@pytest.mark.parametrize("entity", ["Customer", "Vendor", "Employee"])
def test_checklist_9_names_are_unique_across_customers_vendors_and_employees(qbo, entity):
    """The same name, in any case, is 6240 whoever has it."""
    qbo.made(entity, {"DisplayName": "Müller & Co", "GivenName": "M", "FamilyName": "C"})
    assert qbo.post("customer", {"DisplayName": "MÜLLER & CO"}).code == "6240"


@pytest.mark.parametrize(("variant", "text"), [("text", "Another customer"), ("id", "Id=1"), ("null", ": null")])
def test_checklist_9_wordings_of_6240(qbo, variant, text):
    """The detail varies by switch; the code does not."""
    qbo.customer("A")
    qbo.control.switches(duplicate_name_detail=variant)
    answer = qbo.post("customer", {"DisplayName": "A"})
    assert (answer.code, text in answer.detail) == ("6240", True)


def test_checklist_9_deactivating_marks_the_name(qbo):
    """An inactive customer is `(deleted)`, hidden from lists, refused as a reference, and can come back."""
    customer = qbo.customer("Acme Ltd")
    gone = qbo.made("Customer", {**qbo.key(qbo.read("Customer", customer)), "sparse": True, "Active": False})
    assert (gone["DisplayName"], gone["FullyQualifiedName"]) == ("Acme Ltd (deleted)", "Acme Ltd (deleted)")
    assert qbo.rows("select * from Customer", "Customer") == []
    assert len(qbo.rows("select * from Customer where Active in (true, false)", "Customer")) == 1
    body = qbo.invoice_body(customer, qbo.line("1.00"))
    assert qbo.post("invoice", body).code == "2500"
    qbo.control.switches(inactive_reference="610", inactive_name_taken=True)
    assert qbo.post("invoice", body).code == "610"
    assert qbo.post("customer", {"DisplayName": "Acme Ltd"}).code == "6240"
    back = qbo.made("Customer", {**qbo.key(gone), "sparse": True, "Active": True})
    assert back["DisplayName"] == "Acme Ltd"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "2020"),
        ({"DisplayName": "A:B"}, "6080"),
        ({"DisplayName": "A\tB"}, "6080"),
        ({"DisplayName": "x" * 501}, "2050"),
        ({"GivenName": "x" * 101}, "2050"),
        ({"DisplayName": "A", "Title": "x" * 17}, "2050"),
        ({"DisplayName": "A", "PrimaryEmailAddr": {"Address": "nobody"}}, "6000"),
        ({"DisplayName": "A", "Job": True, "ParentRef": {"value": "99"}}, "2500"),
    ],
)
def test_refusals_of_a_customer(qbo, body, code):
    """Each mistake has its code."""
    assert qbo.post("customer", body).code == code


def test_names_are_composed_and_qualified(qbo):
    """Without DisplayName the parts make it; a sub-customer is Parent:Child; a customer cannot be deleted."""
    person = qbo.made("Customer", {"Title": "Dr", "GivenName": "Ada", "FamilyName": "King"})
    assert person["DisplayName"] == "Dr Ada King"
    child = qbo.made("Customer", {"DisplayName": "Site", "Job": True, "ParentRef": {"value": person["Id"]}})
    assert child["FullyQualifiedName"] == "Dr Ada King:Site"
    assert qbo.post("customer", qbo.key(child), operation="delete").code == "500"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"IncomeAccountRef": {"value": "1"}, "ExpenseAccountRef": {"value": "2"}}, "2020"),
        ({"Name": "A", "ExpenseAccountRef": {"value": "2"}}, "2020"),
        ({"Name": "A", "IncomeAccountRef": {"value": "1"}}, "2020"),
        ({"Name": "A", "IncomeAccountRef": {"value": "99"}, "ExpenseAccountRef": {"value": "2"}}, "2500"),
        ({"Name": "Support", "IncomeAccountRef": {"value": "1"}, "ExpenseAccountRef": {"value": "2"}}, "6240"),
        ({"Name": "x" * 101, "IncomeAccountRef": {"value": "1"}, "ExpenseAccountRef": {"value": "2"}}, "2050"),
        ({"Name": "A:B", "IncomeAccountRef": {"value": "1"}, "ExpenseAccountRef": {"value": "2"}}, "6080"),
    ],
)
def test_checklist_9_items_need_both_accounts_in_the_uk(qbo, body, code):
    """Income and expense account, a unique name of at most 100 characters."""
    qbo.item("Support")
    assert qbo.post("item", body).code == code


def test_tax_codes_come_through_the_tax_service(qbo):
    """TaxCode is read-only as an entity; POST /taxservice/taxcode makes one that works on a line."""
    detail = {"TaxRateName": "X 10", "RateValue": "10", "TaxAgencyId": "1", "TaxApplicableOn": "Sales"}
    made = qbo.post("taxservice/taxcode", {"TaxCode": "X", "TaxRateDetails": [detail]}).body
    code = qbo.read("TaxCode", made["TaxCodeId"])
    assert (code["Name"], len(code["SalesTaxRateList"]["TaxRateDetail"])) == ("X", 1)
    invoice = qbo.made("Invoice", qbo.invoice_body(qbo.customer(), qbo.line("10.00", made["TaxCodeId"])))
    assert invoice["TotalAmt"] == 11


# -- 10


def test_checklist_10_one_payment_over_many_invoices(qbo):
    """Lines apply to invoices; the rest is unapplied; invoices lose balance and move their token and time."""
    customer = qbo.customer()
    first, second = qbo.invoice(customer, "270.00"), qbo.invoice(customer, "100.00")
    qbo.control.advance(60)
    paid = qbo.made(
        "Payment",
        qbo.payment_body(
            customer, 500, (first["Id"], 324, "Invoice"), (second["Id"], 100, "Invoice"), PaymentRefNum="BACS 8831"
        ),
    )
    assert (paid["UnappliedAmt"], [line["Amount"] for line in paid["Line"]]) == (76, [324, 100])
    values = {e["value"]["Name"]: e["value"]["Value"] for e in paid["Line"][0]["LineEx"]["any"]}
    assert values == {"txnId": first["Id"], "txnOpenBalance": "324.00", "txnReferenceNumber": ""}
    after = qbo.read("Invoice", second["Id"])
    assert (after["Balance"], after["SyncToken"]) == (20, "1")
    assert after["LinkedTxn"] == [{"TxnId": paid["Id"], "TxnType": "Payment"}]
    assert after["MetaData"]["LastUpdatedTime"] > second["MetaData"]["LastUpdatedTime"]
    assert qbo.read("Customer", customer)["Balance"] == Decimal(444 - 500)


def test_checklist_10_an_invoice_settled_by_a_payment_of_nought(qbo):
    """A payment of 0 joins an invoice and a credit memo, both with positive amounts."""
    customer = qbo.customer()
    invoice = qbo.invoice(customer, "100.00")
    memo = qbo.made("CreditMemo", qbo.invoice_body(customer, qbo.line("50.00")))
    body = qbo.payment_body(customer, 0, (invoice["Id"], 60, "Invoice"), (memo["Id"], 60, "CreditMemo"))
    payment = qbo.made("Payment", body)
    assert (payment["TotalAmt"], payment["UnappliedAmt"]) == (0, 0)
    assert qbo.read("Invoice", invoice["Id"])["Balance"] == 60
    assert qbo.read("CreditMemo", memo["Id"])["RemainingCredit"] == 0
    gone = qbo.post("payment", qbo.key(payment), operation="delete")
    assert gone.status == 200
    assert qbo.read("Invoice", invoice["Id"])["Balance"] == 120
    assert qbo.read("CreditMemo", memo["Id"])["RemainingCredit"] == 60


def test_checklist_10_lines_are_all_or_none(qbo):
    """A sparse update without Line keeps the applications, an empty list removes them, other lines replace them."""
    customer = qbo.customer()
    first, second = qbo.invoice(customer, "100.00"), qbo.invoice(customer, "100.00")
    made = qbo.made("Payment", qbo.payment_body(customer, 100, (first["Id"], 100, "Invoice")))
    noted = qbo.made("Payment", {**qbo.key(made), "sparse": True, "PrivateNote": "n"})
    assert noted["UnappliedAmt"] == 0
    moved = qbo.made(
        "Payment",
        {**qbo.key(noted), "sparse": True, "Line": qbo.payment_body("1", 0, (second["Id"], 80, "Invoice"))["Line"]},
    )
    assert (moved["UnappliedAmt"], moved["PrivateNote"]) == (20, "n")
    assert [qbo.read("Invoice", i["Id"])["Balance"] for i in (first, second)] == [120, 40]
    bare = qbo.made("Payment", {**qbo.key(moved), "sparse": True, "Line": []})
    assert (bare["UnappliedAmt"], bare["Line"]) == (100, [])
    assert qbo.read("Invoice", second["Id"])["Balance"] == 120
    assert qbo.read("Customer", customer)["Balance"] == 140


@pytest.mark.parametrize("operation", [{"operation": "update", "include": "void"}, {"operation": "delete"}])
def test_checklist_10_void_and_delete_restore_balances(qbo, operation):
    """Either way the invoice is open again and the customer owes it."""
    customer = qbo.customer()
    invoice = qbo.invoice(customer, "100.00")
    payment = qbo.made("Payment", qbo.payment_body(customer, 120, (invoice["Id"], 120, "Invoice")))
    answer = qbo.post("payment", {**qbo.key(payment), "sparse": True}, **operation)
    assert answer.status == 200
    after = qbo.read("Invoice", invoice["Id"])
    assert (after["Balance"], after["LinkedTxn"]) == (120, [])
    assert qbo.read("Customer", customer)["Balance"] == 120
    if operation["operation"] == "update":
        void = answer.body["Payment"]
        assert (void["TotalAmt"], void["UnappliedAmt"], void["Line"], void["SyncToken"]) == (0, 0, [], "1")
        assert void["PrivateNote"] == "Voided"


def test_checklist_10_a_deposited_payment_is_locked(qbo):
    """6540 until the deposit is gone."""
    payment = qbo.made("Payment", qbo.payment_body(qbo.customer(), 100))
    line = {"LinkedTxn": [{"TxnId": payment["Id"], "TxnType": "Payment"}]}
    deposit = qbo.made("Deposit", {"DepositToAccountRef": {"value": "4"}, "Line": [line]})
    assert deposit["TotalAmt"] == 100
    assert qbo.post("payment", qbo.key(payment), operation="delete").code == "6540"
    assert qbo.post("payment", {**qbo.key(payment), "sparse": True}, operation="update", include="void").code == "6540"
    assert qbo.read("Account", "4")["CurrentBalance"] == 100
    assert qbo.post("deposit", qbo.key(deposit), operation="delete").status == 200
    assert qbo.read("Account", "5")["CurrentBalance"] == 100
    assert qbo.post("payment", qbo.key(payment), operation="delete").status == 200


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"TotalAmt": None}, "6000"),
        ({"CustomerRef": None}, "2020"),
        ({"TotalAmt": -1}, "6000"),
        ({"PaymentRefNum": "x" * 22}, "2050"),
        ({"DepositToAccountRef": {"value": "1"}}, "6000"),
        ({"DepositToAccountRef": {"value": "99"}}, "2500"),
        ({"Line": [{"Amount": 121, "LinkedTxn": [{"TxnId": "1", "TxnType": "Invoice"}]}]}, "6000"),
        ({"Line": [{"Amount": 10, "LinkedTxn": [{"TxnId": "77", "TxnType": "Invoice"}]}]}, "2500"),
        ({"Line": [{"Amount": 10, "LinkedTxn": [{"TxnId": "1", "TxnType": "Nonsense"}]}]}, "2060"),
        ({"TotalAmt": 5, "Line": [{"Amount": 10, "LinkedTxn": [{"TxnId": "1", "TxnType": "Invoice"}]}]}, "6000"),
    ],
)
def test_refusals_of_a_payment(qbo, change, code):
    """Each mistake has its code, over-application included, and the invoice stays as it was."""
    customer = qbo.customer()
    qbo.invoice(customer, "100.00")
    assert qbo.post("payment", {**qbo.payment_body(customer, 200), **change}).code == code
    assert qbo.read("Invoice", "1")["Balance"] == 120


def test_money_for_another_customers_invoice_stays_unapplied(qbo):
    """A line for somebody else's invoice applies nothing; by switch it is refused."""
    invoice = qbo.invoice(qbo.customer("A"))
    body = qbo.payment_body(qbo.customer("B"), 10, (invoice["Id"], 10, "Invoice"))
    assert qbo.made("Payment", body)["UnappliedAmt"] == 10
    qbo.control.switches(foreign_link="refuse")
    assert qbo.post("payment", body).code == "620"


def test_an_edit_below_what_is_paid_frees_the_difference(qbo):
    """Lowering a paid invoice takes money back from the payment, so that no balance goes below nought."""
    customer = qbo.customer()
    invoice = qbo.invoice(customer, "100.00")
    payment = qbo.made("Payment", qbo.payment_body(customer, 120, (invoice["Id"], 120, "Invoice")))
    qbo.control.deed("edit_invoice", id=invoice["Id"], amount="50")
    assert qbo.read("Invoice", invoice["Id"])["Balance"] == 0
    assert qbo.read("Payment", payment["Id"])["UnappliedAmt"] == 60
    assert qbo.read("Customer", customer)["Balance"] == -60


def test_debtors_and_customers_always_agree(qbo):
    """Through every kind of deed the account of debtors is the sum of the customers' balances."""
    a, b = qbo.customer("A"), qbo.customer("B")
    for number in range(1, 7):
        qbo.invoice(a if number % 2 else b, f"{number * 10}.55", number=f"N{number}")
    deed = qbo.control.deed
    deed(
        "record_payment",
        invoices=[{"invoice": "N1"}, {"invoice": "N3", "amount": "5.00"}],
        amount="100",
        reference="P1",
    )
    deed("record_payment", invoice="N2", reference="P2")
    deed("record_payment", invoice="N4", amount="10", reference="P3")
    deed("void_payment", payment="P2")
    deed("delete_payment", payment="P3")
    deed("edit_invoice", invoice="N5", amount="1.00")
    deed("void_invoice", invoice="N6")
    deed("delete_invoice", invoice="N1")
    deed("copy_invoice", invoice="N2")
    deed("write_off", invoice="N4")
    deed("rename_customer", customer="A", name="Alpha")
    deed("merge_customers", **{"from": "B", "into": "Alpha"})
    customers = sum(row["Balance"] for row in qbo.rows("select * from Customer", "Customer"))
    invoices = sum(row["Balance"] for row in qbo.rows("select * from Invoice", "Invoice"))
    free = sum(row["UnappliedAmt"] for row in qbo.rows("select * from Payment", "Payment"))
    credit = sum(row["RemainingCredit"] for row in qbo.rows("select * from CreditMemo", "CreditMemo"))
    assert qbo.read("Account", "3")["CurrentBalance"] == customers == invoices - free - credit


# -- several currencies


@pytest.fixture
def abroad(qbo):
    """A company of several currencies with a dollar customer (2) beside a pound one (1), and a dollar bank account."""
    _preferences(qbo, MultiCurrency=True)
    qbo.customer("Home")
    qbo.customer("Yank", CurrencyRef={"value": "USD"})
    qbo.made("Account", {"Name": "Dollars", "AccountType": "Bank", "CurrencyRef": {"value": "USD"}})
    return qbo


def _balances(qbo):
    return {row["Name"]: row["CurrentBalance"] for row in qbo.rows("select * from Account", "Account")}


def _dollars(qbo, amount, rate, *applied, **more):
    body = qbo.payment_body("2", amount, *applied, CurrencyRef={"value": "USD"}, ExchangeRate=rate, **more)
    return qbo.made("Payment", body)


def _deposit(qbo, bank, *payments, **more):
    lines = [{"LinkedTxn": [{"TxnId": payment["Id"], "TxnType": "Payment"}]} for payment in payments]
    return qbo.post("deposit", {"DepositToAccountRef": {"value": bank}, "Line": lines, **more})


def test_a_foreign_payment_settles_in_its_currency_and_lands_at_its_rate(abroad):
    """Balances follow in dollars; Undeposited Funds, kept in pounds, takes the value at the payment's rate."""
    invoice = abroad.invoice("2", "100.00", CurrencyRef={"value": "USD"}, ExchangeRate="0.80")
    payment = _dollars(abroad, "120", "0.75", (invoice["Id"], "120", "Invoice"))
    assert abroad.read("Invoice", invoice["Id"])["Balance"] == 0
    assert (payment["CurrencyRef"]["value"], payment["ExchangeRate"]) == ("USD", Decimal("0.75"))
    assert (_balances(abroad)["Undeposited Funds"], _balances(abroad)["Debtors - USD"]) == (Decimal("90.00"), 0)
    assert abroad.read("Customer", "2")["Balance"] == 0
    assert abroad.post("payment", abroad.key(payment), operation="delete").status == 200
    assert (_balances(abroad)["Undeposited Funds"], _balances(abroad)["Debtors - USD"]) == (0, 120)


@pytest.mark.parametrize(("bank", "banked"), [("4", ("Current", "160.02")), ("10", ("Dollars", "200.02"))])
def test_a_deposit_totals_in_the_currency_of_its_payments(abroad, bank, banked):
    """Two dollar payments at two rates: the total in dollars, the home total in pounds, nothing left undeposited."""
    first, second = _dollars(abroad, "100.01", "0.75"), _dollars(abroad, "100.01", "0.85")
    made = _deposit(abroad, bank, first, second).body["Deposit"]
    assert (made["TotalAmt"], made["CurrencyRef"]["value"]) == (Decimal("200.02"), "USD")
    assert made["HomeTotalAmt"] == Decimal("75.01") + Decimal("85.01")
    assert _balances(abroad)["Undeposited Funds"] == 0
    assert _balances(abroad)[banked[0]] == Decimal(banked[1])
    assert abroad.post("deposit", abroad.key(made), operation="delete").status == 200
    assert (_balances(abroad)[banked[0]], _balances(abroad)["Undeposited Funds"]) == (0, Decimal("160.02"))


def test_currencies_do_not_mix(abroad):
    """Not in a deposit, not in an account of a third currency, not by merging customers."""
    pounds = abroad.made("Payment", abroad.payment_body("1", 10))
    dollars = _dollars(abroad, 10, "0.8")
    mixed = _deposit(abroad, "4", pounds, dollars)
    assert (mixed.code, "one foreign currency" in mixed.detail) == ("6000", True)
    assert _deposit(abroad, "10", pounds).code == "6000", "pounds into the dollar account"
    refused = abroad.post("payment", abroad.payment_body("1", 10, DepositToAccountRef={"value": "10"}))
    assert (refused.code, "another currency" in refused.detail) == ("6000", True)
    with pytest.raises(RuntimeError, match=r"6000.*different currencies"):
        abroad.control.deed("merge_customers", **{"from": "Yank", "into": "Home"})
    with pytest.raises(RuntimeError, match="merged with itself"):
        abroad.control.deed("merge_customers", **{"from": "Home", "into": "Home"})
    assert abroad.read("Customer", "2")["Active"] is True


def test_a_foreign_account_needs_several_currencies(qbo):
    """In a company of one currency an account in another is refused."""
    body = {"Name": "Dollars", "AccountType": "Bank", "CurrencyRef": {"value": "USD"}}
    assert qbo.post("account", body).code == "6000"


def test_how_large_an_invoice_may_be(qbo):
    """750 taxable lines, amounts of 15 digits, descriptions of 4,000 characters, and not one more."""
    customer = qbo.customer()
    assert qbo.post("invoice", qbo.invoice_body(customer, *[qbo.line("1.00")] * 750)).status == 200
    assert qbo.post("invoice", qbo.invoice_body(customer, *[qbo.line("1.00")] * 751)).code == "6000"
    assert qbo.post("invoice", qbo.invoice_body(customer, qbo.line("9" * 16))).code == "2050"
    described = {**qbo.line("1.00"), "Description": "d" * 4001}
    assert qbo.post("invoice", qbo.invoice_body(customer, described)).code == "2050"


def test_a_deposit_on_the_invoice_lowers_its_balance(qbo):
    """`Deposit` is money had before: the balance is the total less it, and the customer owes the rest."""
    customer = qbo.customer()
    made = qbo.invoice(customer, "100.00", Deposit="20.00")
    assert (made["TotalAmt"], made["Balance"]) == (120, 100)
    assert qbo.read("Customer", customer)["Balance"] == 100


def test_whole_numbers_of_a_line_survive_a_change_of_something_else(qbo):
    """A sparse update without lines keeps the stored ones, also where quantity and price are whole numbers."""
    customer = qbo.customer()
    made = qbo.made("Invoice", qbo.invoice_body(customer, qbo.line("300.00", Qty=3, UnitPrice=100)))
    changed = qbo.made("Invoice", {**qbo.key(made), "sparse": True, "Deposit": 60})
    assert (changed["TotalAmt"], changed["Balance"]) == (360, 300)
