"""The preferences that let QuickBooks itself pay a new invoice from money or credit the customer already has."""

from __future__ import annotations

from decimal import Decimal

from sandbox.quickbooks.books import Books, Document, reference
from sandbox.quickbooks.codec import ZERO, money
from sandbox.quickbooks.entities import balances


def apply_credits(books: Books, invoice: Document) -> Document:
    """Return the invoice after the company's automatic applications, if any are switched on."""
    company = books.company
    if company.AutoApplyPayments:
        _use_payments(books, invoice)
    if company.AutoApplyCredit:
        _use_credit_memos(books, invoice)
    if not (company.AutoApplyPayments or company.AutoApplyCredit):
        return invoice
    if books.links_to(("Invoice", invoice["Id"])):
        balances.refresh(books, "Invoice", invoice["Id"])
    return books.need("Invoice", invoice["Id"])


def _use_payments(books: Books, invoice: Document) -> None:
    """Apply unapplied payments, oldest first."""
    for payment in books.find("Payment", "CustomerRef", reference(invoice, "CustomerRef")):
        amount = min(money(payment.get("UnappliedAmt")), balances.owed(books, "Invoice", invoice))
        if amount > 0:
            books.link(("Payment", payment["Id"]), ("Invoice", invoice["Id"]), amount)
            balances.refresh_payment(books, payment["Id"])


def _use_credit_memos(books: Books, invoice: Document) -> None:
    """Apply credit memos; each one used makes a payment of 0.00 that links it to the invoice."""
    for memo in books.find("CreditMemo", "CustomerRef", reference(invoice, "CustomerRef")):
        amount = min(money(memo.get("RemainingCredit")), balances.owed(books, "Invoice", invoice))
        if amount > 0:
            _join(books, invoice, memo, amount)


def _join(books: Books, invoice: Document, memo: Document, amount: Decimal) -> None:
    body: Document = {
        "CustomerRef": invoice["CustomerRef"],
        "TxnDate": books.today(),
        "TotalAmt": ZERO,
        "UnappliedAmt": ZERO,
        "ProcessPayment": False,
        "PrivateNote": "Made by the system to apply a credit.",
        "Line": [],
    }
    for name in ("CurrencyRef", "ExchangeRate"):
        if name in invoice:
            body[name] = invoice[name]
    payment = books.insert("Payment", body)
    key = ("Payment", payment["Id"])
    books.link(key, ("Invoice", invoice["Id"]), amount)
    books.link(key, ("CreditMemo", memo["Id"]), amount)
    books.amend("Payment", balances.with_lines(books, payment))
    balances.refresh(books, "CreditMemo", memo["Id"])
