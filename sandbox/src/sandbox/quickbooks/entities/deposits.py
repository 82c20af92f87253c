"""Bank deposits: they take payments out of Undeposited Funds, and lock them.

A deposit is in the currency of its payments. Undeposited Funds is kept in the company's own currency, so each payment
leaves it with the value it came in with; the bank account takes the total in its own currency.
"""

from __future__ import annotations

from decimal import Decimal

from sandbox.quickbooks import faults, rules
from sandbox.quickbooks.books import Books, Document, reference
from sandbox.quickbooks.chart import UNDEPOSITED
from sandbox.quickbooks.codec import ZERO, half_up, money
from sandbox.quickbooks.entities import balances

KEPT = ("TotalAmt", "HomeTotalAmt", "ExchangeRate", "CurrencyRef", "DepositToAccountRef", "Line")


def create(books: Books, body: Document) -> Document:
    """Create a deposit of payments, and of other amounts."""
    body.setdefault("TxnDate", books.today())
    rules.check_period(books, body["TxnDate"])
    bank = rules.referred(
        books, "Account", rules.required_reference(body, "DepositToAccountRef"), "DepositToAccountRef"
    )
    total, payments = _lines(books, rules.required(body, "Line"))
    priced = {**body, "TotalAmt": total, **_currency(books, body, bank, payments)}
    balances.in_account(books, bank, priced, total)
    document = books.insert("Deposit", priced | _home_total(books, priced, payments))
    for payment_id, amount in payments.items():
        books.link(("Deposit", document["Id"]), ("Payment", payment_id), amount)
    _move(books, document, payments, 1)
    return document


def update(books: Books, body: Document, *, sparse: bool) -> Document:
    """Change what does not touch the money: note and date. Lines are changed by deleting and making anew."""
    stored = rules.current(books, "Deposit", body)
    rules.check_period(books, stored["TxnDate"], changing=True)
    if "Line" in body and len(body["Line"]) != len(stored["Line"]):
        raise faults.business("Delete the deposit to change its lines.", "Line")
    document = rules.merged(stored, body, sparse=sparse, kept=KEPT)
    document.setdefault("TxnDate", stored["TxnDate"])
    rules.check_period(books, document["TxnDate"], changing=True)
    return books.update("Deposit", document)


def delete(books: Books, body: Document) -> Document:
    """Undo a deposit: its payments can be changed again."""
    stored = rules.current(books, "Deposit", body)
    rules.check_period(books, stored["TxnDate"], changing=True)
    links = books.links_from(("Deposit", stored["Id"]))
    _move(books, stored, {other: amount for _, other, amount in links}, -1)
    books.unlink(("Deposit", stored["Id"]))
    return books.remove("Deposit", stored["Id"])


def _lines(books: Books, lines: list[Document]) -> tuple[Decimal, dict[str, Decimal]]:
    """Return the total, and payment id to amount."""
    total, payments = ZERO, dict[str, Decimal]()
    for number, line in enumerate(lines, start=1):
        line.update(Id=str(number), LineNum=number)
        linked = line.get("LinkedTxn")
        if not linked:
            total += half_up(rules.required(line, "Amount"))
            continue
        payment = _payment(books, linked[0])
        payments[payment["Id"]] = money(payment["TotalAmt"])
        line["Amount"] = money(payment["TotalAmt"])
        total += line["Amount"]
    return total, payments


def _payment(books: Books, linked: Document) -> Document:
    object_id = str(rules.required(linked, "TxnId"))
    payment = books.get("Payment", object_id) if linked.get("TxnType") == "Payment" else None
    if payment is None:
        raise faults.bad_reference("Payment", object_id[:60], "Line.LinkedTxn.TxnId")
    if books.links_to(("Payment", object_id)):
        raise faults.cannot_link("the payment is in a deposit already")
    if reference(payment, "DepositToAccountRef") != UNDEPOSITED:
        raise faults.cannot_link("the payment does not lie in Undeposited Funds")
    return payment


def _currency(books: Books, body: Document, bank: Document, payments: dict[str, Decimal]) -> Document:
    """Return CurrencyRef and ExchangeRate: those of the payments; without payments, of the bank account."""
    company = books.company
    if not company.MultiCurrency:
        return {"CurrencyRef": company.currency()}
    used = {reference(books.need("Payment", payment_id), "CurrencyRef") for payment_id in payments}
    if len(used) > 1:
        raise faults.business("You can only use one foreign currency per transaction.", "Line")
    currency = used.pop() if used else reference(bank, "CurrencyRef")
    foreign = currency not in (None, company.HomeCurrency)
    rate = Decimal(body.get("ExchangeRate") or 1) if foreign else Decimal(1)
    return {"CurrencyRef": company.currency(currency), "ExchangeRate": rate}


def _home_total(books: Books, document: Document, payments: dict[str, Decimal]) -> Document:
    """Return HomeTotalAmt: payments at their own rates, other amounts at the deposit's."""
    if not books.company.MultiCurrency:
        return {}
    other = document["TotalAmt"] - sum(payments.values(), ZERO)
    return {"HomeTotalAmt": _value(books, payments) + balances.home_value(document, other)}


def _value(books: Books, payments: dict[str, Decimal]) -> Decimal:
    """Return what payments are worth in the company's own currency."""
    return sum((balances.home_value(books.need("Payment", key), amount) for key, amount in payments.items()), ZERO)


def _move(books: Books, document: Document, payments: dict[str, Decimal], sign: int) -> None:
    bank = books.need("Account", reference(document, "DepositToAccountRef") or "")
    same = reference(bank, "CurrencyRef") == reference(document, "CurrencyRef")
    banked = money(document["TotalAmt"] if same else document["HomeTotalAmt"])
    balances.add_to_account(books, bank, sign * banked)
    balances.add_to_account(books, books.get("Account", UNDEPOSITED), -sign * _value(books, payments))
