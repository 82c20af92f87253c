"""Invoices and credit memos: numbers, dates, currency, lines, VAT, balance."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta
from decimal import Decimal

from sandbox.quickbooks import faults, rules
from sandbox.quickbooks.books import Books, Document, reference
from sandbox.quickbooks.codec import ZERO, half_up, money
from sandbox.quickbooks.entities import autoapply, balances, vat
from sandbox.quickbooks.entities.lines import ITEM, SUBTOTAL, Priced, TaxMode, price
from sandbox.quickbooks.entities.names import looks_like_mail

AUTO_NUMBER = "AUTO_GENERATE"
ALLOW_DUPLICATES = "allowduplicatedocnum"
KEPT = ("LinkedTxn", "Balance", "RemainingCredit", "HomeBalance", "HomeTotalAmt", "TotalAmt", "InvoiceLink")
READ_ONLY = (*KEPT, "AutoDocNumber", "status")
SIGNS = {"Invoice": Decimal(1), "CreditMemo": Decimal(-1)}


def create(books: Books, entity: str, body: Document, options: Collection[str] = ()) -> Document:
    """Create an invoice or credit memo."""
    body = {name: value for name, value in body.items() if name not in READ_ONLY}
    body.setdefault("TxnDate", books.today())
    rules.check_period(books, body["TxnDate"])
    customer = _customer(books, body)
    document = _compose(books, entity, body, customer)
    _number(books, entity, document, options)
    document = books.insert(entity, {**document, "LinkedTxn": [], "Balance": _open(document)})
    if entity == "CreditMemo":
        document["RemainingCredit"] = document["Balance"]
        books.amend(entity, document)
    balances.shift(books, customer, SIGNS[entity] * _open(document))
    if entity == "Invoice":
        document = autoapply.apply_credits(books, document)
    return document


def update(books: Books, entity: str, body: Document, *, sparse: bool, options: Collection[str] = ()) -> Document:
    """Change an invoice or credit memo; `Line` is always replaced as a whole."""
    stored = rules.current(books, entity, body)
    rules.check_period(books, stored["TxnDate"], changing=True)
    document = rules.merged(stored, body, sparse=sparse, kept=KEPT)
    document.setdefault("TxnDate", stored["TxnDate"])
    rules.check_period(books, document["TxnDate"], changing=True)
    _keep_customer(books, entity, stored, document)
    customer = _customer(books, document)
    if "Line" in body or "TxnTaxDetail" not in body:
        document.pop("TxnTaxDetail", None)
    document = _compose(books, entity, document, customer)
    if document.get("DocNumber") != stored.get("DocNumber"):
        _number(books, entity, document, options)
    balances.trim(books, entity, document)
    _move(books, entity, stored, document)
    return books.update(entity, balances.with_balance(books, entity, document))


def void(books: Books, entity: str, body: Document) -> Document:
    """Set an invoice to nought; it stays, its payments get their money back."""
    stored = rules.current(books, entity, body)
    rules.check_period(books, stored["TxnDate"], changing=True)
    balances.unlink_all(books, entity, stored["Id"])
    nought = _nought(stored)
    _move(books, entity, stored, nought)
    return books.update(entity, nought, "voided")


def delete(books: Books, entity: str, body: Document) -> Document:
    """Delete; refused while payments are linked, unless the switch lets them be unlinked."""
    stored = rules.current(books, entity, body)
    rules.check_period(books, stored["TxnDate"], changing=True)
    if books.links_to((entity, stored["Id"])):
        if books.switches.linked_delete == "refuse":
            raise faults.cannot_link("unlink the linked transactions before deleting this one")
        balances.unlink_all(books, entity, stored["Id"])
    _move(books, entity, stored, {**stored, "TotalAmt": ZERO, "Deposit": ZERO})
    return books.remove(entity, stored["Id"])


def _open(document: Document) -> Decimal:
    return money(document["TotalAmt"]) - money(document.get("Deposit"))


def _move(books: Books, entity: str, stored: Document, document: Document) -> None:
    """Let the customers' balances follow a change of total, or of customer."""
    before, after = _open(stored), _open(document)
    old, new = reference(stored, "CustomerRef"), reference(document, "CustomerRef")
    if old == new:
        before, after = ZERO, after - before
    if before and old:
        balances.shift(books, books.need("Customer", old), -SIGNS[entity] * before)
    if after and new:
        balances.shift(books, books.need("Customer", new), SIGNS[entity] * after)


def _customer(books: Books, body: Document) -> Document:
    return rules.referred(books, "Customer", rules.required_reference(body, "CustomerRef"), "CustomerRef")


def _keep_customer(books: Books, entity: str, stored: Document, document: Document) -> None:
    changed = reference(stored, "CustomerRef") != reference(document, "CustomerRef")
    if changed and books.links_to((entity, stored["Id"])):
        raise faults.cannot_link("the customer of a transaction with payments cannot be changed")


def _compose(books: Books, entity: str, body: Document, customer: Document) -> Document:
    """Return the document without identity, number and balance."""
    document = dict(body)
    document["CustomerRef"] = {"value": customer["Id"], "name": customer["DisplayName"]}
    _mail(document)
    document.update(_currency(books, document, customer))
    mode = _tax_mode(books, document)
    priced = price(books, document.get("Line") or [], mode)
    document["Line"] = priced.lines
    _tax(books, document, priced, mode)
    if document["TotalAmt"] < 0:
        raise faults.business("Transaction amount must be 0 or greater.", "TotalAmt")
    if books.company.MultiCurrency:
        document["HomeTotalAmt"] = half_up(document["TotalAmt"] * Decimal(document["ExchangeRate"]))
        document["HomeBalance"] = document["HomeTotalAmt"]
    _defaults(books, entity, document, customer)
    return document


def _defaults(books: Books, entity: str, document: Document, customer: Document) -> None:
    for name in ("BillAddr", "ShipAddr"):
        if name not in document and name in customer:
            document[name] = customer[name]
    document.setdefault("PrintStatus", "NeedToPrint")
    document.setdefault("EmailStatus", "NotSet")
    document.setdefault("CustomField", [])
    document.setdefault("ApplyTaxAfterDiscount", False)
    if entity == "Invoice":
        document.setdefault("AllowOnlinePayment", False)
        document["DueDate"] = document.get("DueDate") or _due(books, document)


def _due(books: Books, document: Document) -> str:
    """Return the date of the terms, or the date of the document."""
    terms = reference(document, "SalesTermRef")
    if terms is None:
        return str(document["TxnDate"])
    days = rules.referred(books, "Term", terms, "SalesTermRef").get("DueDays", 0)
    return (date.fromisoformat(document["TxnDate"]) + timedelta(days=int(days))).isoformat()


def _mail(document: Document) -> None:
    address = (document.get("BillEmail") or {}).get("Address")
    if document.get("EmailStatus") == "NeedToSend" and not address:
        raise faults.missing("BillEmail")
    if address and not looks_like_mail(address):
        raise faults.business("Email Address does not conform to the syntax rules of RFC 822.", "BillEmail")


def _currency(books: Books, document: Document, customer: Document) -> Document:
    """Return CurrencyRef and ExchangeRate; a customer has exactly one currency."""
    home = books.company.HomeCurrency
    asked = reference(document, "CurrencyRef") or home
    if not books.company.MultiCurrency:
        if asked != home:
            raise faults.business("Multi Currency should be enabled to perform this operation.", "CurrencyRef")
        return {}
    if asked != (reference(customer, "CurrencyRef") or home):
        raise faults.business("You can only use one foreign currency per transaction.", "CurrencyRef")
    rate = Decimal(1) if asked == home else Decimal(document.get("ExchangeRate") or 1)
    return {"CurrencyRef": books.company.currency(asked), "ExchangeRate": rate}


def _tax_mode(books: Books, document: Document) -> TaxMode:
    if not books.company.VAT:
        document.pop("TxnTaxDetail", None)
        return TaxMode(charged=False)
    mode = document.setdefault("GlobalTaxCalculation", "TaxExcluded")
    if mode == "NotApplicable" and document.get("TxnTaxDetail"):
        raise faults.tax_details_conflict()
    return TaxMode(charged=mode != "NotApplicable", inclusive=mode == "TaxInclusive")


def _tax(books: Books, document: Document, priced: Priced, mode: TaxMode) -> None:
    """Set TxnTaxDetail and TotalAmt."""
    sent = (document.pop("TxnTaxDetail", None) or {}).get("TotalTax")
    if not mode.charged:
        document["TotalAmt"] = priced.net
        return
    discount = priced.discount if books.switches.discount_vat == "pro_rata" else ZERO
    taxes = vat.by_line(priced.taxed) if mode.inclusive else vat.by_document(priced.taxed, discount)
    total = sum((tax.amount for tax in taxes), ZERO)
    if sent is not None and books.switches.tax_override == "apply":
        total = half_up(sent)
    document["TxnTaxDetail"] = {"TotalTax": total, "TaxLine": [_tax_line(tax) for tax in taxes]}
    document["TotalAmt"] = priced.net + total


def _tax_line(tax: vat.RateTax) -> Document:
    detail = {
        "TaxRateRef": {"value": tax.rate_id},
        "PercentBased": True,
        "TaxPercent": tax.percent,
        "NetAmountTaxable": tax.base,
    }
    return {"Amount": tax.amount, "DetailType": "TaxLineDetail", "TaxLineDetail": detail}


def _number(books: Books, entity: str, document: Document, options: Collection[str]) -> None:
    """Set DocNumber by the company's preference; see the reference on CustomTxnNumbers."""
    custom = books.company.CustomTxnNumbers
    number = document.get("DocNumber")
    if number == AUTO_NUMBER or (not custom and not number):
        document["DocNumber"] = str(1000 + books.next_number(f"{entity}.DocNumber"))
        return
    if not number:
        document.pop("DocNumber", None)
        return
    if custom and books.company.WarnDuplicateNumbers and ALLOW_DUPLICATES not in options:
        _check_number(books, entity, number, document.get("Id"))


def _check_number(books: Books, entity: str, number: str, own_id: str | None) -> None:
    for other in books.find(entity, "DocNumber", number):
        if other["Id"] != own_id:
            raise faults.duplicate_number(number, entity, other["Id"])


def _nought(stored: Document) -> Document:
    """Return a voided document: every amount and quantity nought, the note says so, nothing linked."""
    note = stored.get("PrivateNote")
    nought = {
        **stored,
        "Line": [_nought_line(line) for line in stored["Line"]],
        "TotalAmt": ZERO,
        "Balance": ZERO,
        "Deposit": ZERO,
        "LinkedTxn": [],
        "PrivateNote": f"Voided - {note}" if note else "Voided",
    }
    if "TxnTaxDetail" in stored:
        nought["TxnTaxDetail"] = {"TotalTax": ZERO, "TaxLine": []}
    for name in ("HomeTotalAmt", "HomeBalance"):
        if name in stored:
            nought[name] = ZERO
    return nought


def _nought_line(line: Document) -> Document:
    result = {**line}
    if "Amount" in line:
        result["Amount"] = ZERO
    if line["DetailType"] == ITEM:
        result[ITEM] = {**line[ITEM], **{name: 0 for name in ("Qty", "TaxInclusiveAmt") if name in line[ITEM]}}
    return result if line["DetailType"] != SUBTOTAL else {**result, SUBTOTAL: {}}
