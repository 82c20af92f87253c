"""What is applied to what, and the balances that follow: the links are the truth, everything else is recomputed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sandbox.quickbooks import faults
from sandbox.quickbooks.books import Books, Document, reference
from sandbox.quickbooks.chart import DEBTORS
from sandbox.quickbooks.codec import ZERO, money

CREDITS = "CreditMemo"
LINE_EX = "{http://schema.intuit.com/finance/v3}NameValue"


def owed(books: Books, kind: str, document: Document) -> Decimal:
    """Return what is still open on an invoice or left of a credit memo."""
    applied = sum((amount for _, _, amount in books.links_to((kind, document["Id"]))), ZERO)
    return money(document["TotalAmt"]) - money(document.get("Deposit")) - applied


def with_balance(books: Books, kind: str, document: Document) -> Document:
    """Return the document with Balance, RemainingCredit, home amounts and LinkedTxn as the links say."""
    balance = owed(books, kind, document)
    linked = [{"TxnId": other, "TxnType": what} for what, other, _ in books.links_to((kind, document["Id"]))]
    fresh = {**document, "Balance": balance, "LinkedTxn": linked}
    if kind == CREDITS:
        fresh["RemainingCredit"] = balance
    if "HomeTotalAmt" in fresh:
        fresh["HomeBalance"] = money(balance * Decimal(fresh.get("ExchangeRate", 1)))
    return fresh


def refresh(books: Books, kind: str, object_id: str) -> None:
    """Recompute an invoice, credit memo or payment from its links."""
    if kind == "Payment":
        refresh_payment(books, object_id)
        return
    document = books.get(kind, object_id)
    if document is None:
        return
    fresh = with_balance(books, kind, document)
    if books.switches.payment_touches_invoice:
        books.update(kind, fresh)
    else:
        books.amend(kind, fresh)


def refresh_payment(books: Books, payment_id: str) -> None:
    """Recompute a payment's lines and unapplied amount from its links; return credit that is no longer needed."""
    payment = books.get("Payment", payment_id)
    if payment is None:
        return
    for credit_id in _return_credit(books, payment):
        refresh(books, CREDITS, credit_id)
    books.update("Payment", with_lines(books, payment))


def _return_credit(books: Books, payment: Document) -> list[str]:
    """Reduce links to credit memos until no more credit is used than invoices are paid with."""
    key = ("Payment", payment["Id"])
    excess = unapplied(books, payment) - money(payment["TotalAmt"])
    returned = []
    for kind, other, amount in reversed(books.links_from(key)):
        if kind == CREDITS and excess > 0:
            cut = min(amount, excess)
            set_link(books, key, (kind, other), amount - cut)
            excess -= cut
            returned.append(other)
    return returned


def set_link(books: Books, source: tuple[str, str], target: tuple[str, str], amount: Decimal) -> None:
    """Set a link to an amount; nought removes it."""
    books.db.run(
        "DELETE FROM link WHERE realm = ? AND from_type = ? AND from_id = ? AND to_type = ? AND to_id = ?",
        books.realm,
        source[0],
        int(source[1]),
        target[0],
        int(target[1]),
    )
    if amount:
        books.link(source, target, amount)


def unapplied(books: Books, payment: Document) -> Decimal:
    """Return TotalAmt less what is applied to invoices, plus the credit used."""
    free = money(payment["TotalAmt"])
    for kind, _, amount in books.links_from(("Payment", payment["Id"])):
        free += amount if kind == CREDITS else -amount
    return free


def with_lines(books: Books, payment: Document) -> Document:
    """Return the payment with Line and UnappliedAmt as its links say."""
    links = books.links_from(("Payment", payment["Id"]))
    lines = [_payment_line(books, kind, other, amount) for kind, other, amount in links]
    return {**payment, "Line": lines, "UnappliedAmt": unapplied(books, payment)}


def _payment_line(books: Books, kind: str, object_id: str, amount: Decimal) -> Document:
    target = books.get(kind, object_id) or {}
    values = {
        "txnId": object_id,
        "txnOpenBalance": str(owed(books, kind, target) + amount) if target else "0",
        "txnReferenceNumber": target.get("DocNumber", ""),
    }
    extra = [{"name": LINE_EX, "value": {"Name": name, "Value": value}} for name, value in values.items()]
    return {
        "Amount": money(amount),
        "LinkedTxn": [{"TxnId": object_id, "TxnType": kind}],
        "LineEx": {"any": extra},
    }


def unlink_all(books: Books, kind: str, object_id: str) -> list[tuple[str, str]]:
    """Remove every application to an invoice or credit memo; the payments that made them get their money back."""
    payers = [(what, other) for what, other, _ in books.links_to((kind, object_id))]
    for payer in payers:
        set_link(books, payer, (kind, object_id), ZERO)
    for what, other in payers:
        refresh(books, what, other)
    return payers


def trim(books: Books, kind: str, document: Document) -> None:
    """Remove what is applied beyond a document's total after it became smaller, newest first."""
    excess = -owed(books, kind, document)
    for what, other, amount in reversed(books.links_to((kind, document["Id"]))):
        if excess <= 0:
            return
        cut = min(amount, excess)
        set_link(books, (what, other), (kind, document["Id"]), amount - cut)
        refresh(books, what, other)
        excess -= cut


def shift(books: Books, customer: Document, amount: Decimal) -> None:
    """Let a customer owe more (or less), and with him the account of debtors in his currency."""
    if not amount:
        return
    for name in ("Balance", "BalanceWithJobs"):
        customer[name] = money(customer.get(name)) + amount
    books.amend("Customer", customer)
    currency = reference(customer, "CurrencyRef") or books.company.HomeCurrency
    add_to_account(books, debtors(books, currency), amount)


def add_to_account(books: Books, account: Document | None, amount: Decimal) -> None:
    """Move an account's balance."""
    if account is None or not amount:
        return
    balance = money(account.get("CurrentBalance")) + amount
    books.amend("Account", {**account, "CurrentBalance": balance, "CurrentBalanceWithSubAccounts": balance})


def home_value(document: Document, amount: Decimal) -> Decimal:
    """Return an amount of a transaction in the company's own currency."""
    return money(amount * Decimal(document.get("ExchangeRate", 1)))


def in_account(books: Books, account: Document, document: Document, amount: Decimal) -> Decimal:
    """Return an amount of a transaction in the currency of the account it moves: the transaction's own, or home.

    Raises:
        ApiFault: 6000 where the account is kept in a third currency.
    """
    home = books.company.HomeCurrency
    kept_in = reference(account, "CurrencyRef") or home
    if kept_in == (reference(document, "CurrencyRef") or home):
        return amount
    if kept_in != home:
        raise faults.business("The account is kept in another currency than the transaction.", "CurrencyRef")
    return home_value(document, amount)


def debtors(books: Books, currency: str) -> Document:
    """Return the accounts receivable of a currency; a foreign one is opened with its first use, as the product does."""
    if currency == books.company.HomeCurrency:
        return books.need("Account", DEBTORS)
    name = f"Debtors - {currency}"
    found = books.find("Account", "Name", name)
    return found[0] if found else _open_debtors(books, name, currency)


def _open_debtors(books: Books, name: str, currency: str) -> Document:
    model: dict[str, Any] = books.need("Account", DEBTORS)
    fresh = {"CurrentBalance": ZERO, "CurrentBalanceWithSubAccounts": ZERO}
    named = {"Name": name, "FullyQualifiedName": name, "CurrencyRef": books.company.currency(currency)}
    return books.insert("Account", {**model, **named, **fresh})
