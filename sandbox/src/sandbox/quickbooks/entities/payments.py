"""Payments: money received, and which invoices and credit memos it is applied to."""

from __future__ import annotations

from decimal import Decimal

from sandbox.quickbooks import faults, rules
from sandbox.quickbooks.books import Books, Document, reference
from sandbox.quickbooks.chart import UNDEPOSITED
from sandbox.quickbooks.codec import ZERO, half_up, money
from sandbox.quickbooks.entities import balances

KEPT = ("UnappliedAmt", "Line", "LinkedTxn", "ProcessPayment")
LINKABLE = frozenset({"Invoice", "CreditMemo"})
KNOWN_TYPES = LINKABLE | {"JournalEntry", "Expense", "Check", "CreditCardCredit"}
DEPOSIT_ACCOUNTS = frozenset({"Bank", "Other Current Asset"})
Applications = dict[tuple[str, str], Decimal]


def create(books: Books, body: Document) -> Document:
    """Create a payment."""
    body.setdefault("TxnDate", books.today())
    rules.check_period(books, body["TxnDate"])
    customer = _customer(books, body)
    document = _complete(books, {**body, "Line": []}, customer)
    wanted = _applications(books, body.get("Line", []), customer["Id"])
    _check_amounts(books, document, wanted, {})
    document = books.insert("Payment", {**document, "UnappliedAmt": document["TotalAmt"], "ProcessPayment": False})
    _apply(books, document, wanted)
    document = balances.with_lines(books, document)
    books.amend("Payment", document)
    _move(books, customer, document, document["TotalAmt"])
    return document


def update(books: Books, body: Document, *, sparse: bool) -> Document:
    """Change a payment; `Line` is all or none, and absent from a full update means none."""
    stored = _changeable(books, body)
    document = rules.merged(stored, body, sparse=sparse, kept=KEPT)
    document.setdefault("TxnDate", stored["TxnDate"])
    rules.check_period(books, document["TxnDate"], changing=True)
    customer = _customer(books, document)
    document = _complete(books, {**document, "Line": stored["Line"]}, customer)
    before = _current(books, stored["Id"])
    lines = body.get("Line")
    keep = lines is None and sparse and reference(stored, "CustomerRef") == customer["Id"]
    wanted = before if keep else _applications(books, lines or [], customer["Id"])
    _check_amounts(books, document, wanted, before)
    _undo_money(books, stored)
    document = _reapply(books, document, before, wanted)
    _move(books, books.need("Customer", customer["Id"]), document, document["TotalAmt"])
    return document


def _reapply(books: Books, document: Document, before: Applications, wanted: Applications) -> Document:
    """Replace the applications, bring what was and is linked in line, and store the payment."""
    books.unlink(("Payment", document["Id"]))
    for target, amount in wanted.items():
        books.link(("Payment", document["Id"]), target, amount)
    document = books.update("Payment", balances.with_lines(books, document))
    for target in {**before, **wanted}:
        if before.get(target) != wanted.get(target):
            balances.refresh(books, *target)
    return document


def void(books: Books, body: Document) -> Document:
    """Set a payment to nought; what it paid is open again."""
    stored = _changeable(books, body)
    _undo_money(books, stored)
    targets = books.unlink(("Payment", stored["Id"]))
    note = stored.get("PrivateNote")
    nought = {
        **stored,
        "TotalAmt": ZERO,
        "UnappliedAmt": ZERO,
        "Line": [],
        "PrivateNote": f"Voided - {note}" if note else "Voided",
    }
    document = books.update("Payment", nought, "voided")
    for target in targets:
        balances.refresh(books, *target)
    return document


def delete(books: Books, body: Document) -> Document:
    """Remove a payment; what it paid is open again."""
    stored = _changeable(books, body)
    _undo_money(books, stored)
    targets = books.unlink(("Payment", stored["Id"]))
    result = books.remove("Payment", stored["Id"])
    for target in targets:
        balances.refresh(books, *target)
    return result


def _changeable(books: Books, body: Document) -> Document:
    stored = rules.current(books, "Payment", body)
    rules.check_period(books, stored["TxnDate"], changing=True)
    if books.links_to(("Payment", stored["Id"])):
        raise faults.deposited()
    return stored


def _customer(books: Books, body: Document) -> Document:
    return rules.referred(books, "Customer", rules.required_reference(body, "CustomerRef"), "CustomerRef")


def _complete(books: Books, body: Document, customer: Document) -> Document:
    if body.get("TotalAmt") is None:
        raise faults.business("You must set a transaction amount.", "TotalAmt")
    total = half_up(body["TotalAmt"])
    if total < 0:
        raise faults.business("Transaction amount must be 0 or greater.", "TotalAmt")
    document = {**body, "TotalAmt": total, "CustomerRef": {"value": customer["Id"], "name": customer["DisplayName"]}}
    document.update(_currency(books, body, customer))
    _accounts(books, document)
    return document


def _currency(books: Books, body: Document, customer: Document) -> Document:
    home = books.company.HomeCurrency
    asked = reference(body, "CurrencyRef") or home
    if not books.company.MultiCurrency and asked != home:
        raise faults.business("Multi Currency should be enabled to perform this operation.", "CurrencyRef")
    if asked != (reference(customer, "CurrencyRef") or home):
        raise faults.business("You can only use one foreign currency per transaction.", "CurrencyRef")
    rate = Decimal(1) if asked == home else Decimal(body.get("ExchangeRate") or 1)
    return {"CurrencyRef": books.company.currency(asked)} | (
        {"ExchangeRate": rate} if books.company.MultiCurrency else {}
    )


def _accounts(books: Books, document: Document) -> None:
    """Set the account the money goes to, by default Undeposited Funds; require that the payment method exists."""
    account_id = reference(document, "DepositToAccountRef") or UNDEPOSITED
    account = rules.referred(books, "Account", account_id, "DepositToAccountRef")
    if account["AccountType"] not in DEPOSIT_ACCOUNTS:
        raise faults.business(
            "DepositToAccountRef must be a bank or other current asset account.", "DepositToAccountRef"
        )
    balances.in_account(books, account, document, ZERO)
    document["DepositToAccountRef"] = {"value": account_id}
    if method := reference(document, "PaymentMethodRef"):
        rules.referred(books, "PaymentMethod", method, "PaymentMethodRef")


def _applications(books: Books, lines: list[Document], customer_id: str) -> Applications:
    """Return what the lines apply: (type, id) to amount. Lines for another customer's transactions are ignored."""
    wanted: Applications = {}
    for line in lines:
        amount = half_up(rules.required(line, "Amount")) if line.get("Amount") != 0 else ZERO
        if amount < 0:
            raise faults.negative_amount()
        target = _target(books, line, customer_id)
        if target and amount:
            wanted[target] = wanted.get(target, ZERO) + amount
    return wanted


def _target(books: Books, line: Document, customer_id: str) -> tuple[str, str] | None:
    linked = rules.required(line, "LinkedTxn")
    if len(linked) != 1:
        raise faults.cannot_link("each line of a payment links one transaction")
    kind = str(rules.required(linked[0], "TxnType"))
    object_id = str(rules.required(linked[0], "TxnId"))
    if kind not in KNOWN_TYPES:
        raise faults.bad_enum(kind[:80], "Line.LinkedTxn.TxnType")
    document = books.get(kind, object_id) if kind in LINKABLE else None
    if document is None:
        raise faults.bad_reference(kind, object_id[:60], "Line.LinkedTxn.TxnId")
    if reference(document, "CustomerRef") == customer_id:
        return kind, document["Id"]
    if books.switches.foreign_link == "refuse":
        raise faults.cannot_link("the transaction belongs to another customer")
    return None


def _check_amounts(books: Books, document: Document, wanted: Applications, before: Applications) -> None:
    """Require that no invoice is paid beyond its balance, and no more is applied than the money and credit."""
    free = document["TotalAmt"]
    for (kind, object_id), amount in wanted.items():
        target = books.need(kind, object_id)
        room = balances.owed(books, kind, target) + before.get((kind, object_id), ZERO)
        if amount > room:
            _too_much(books, wanted, (kind, object_id), room)
        free += wanted[kind, object_id] * (1 if kind == "CreditMemo" else -1)
    if free < 0:
        raise faults.business("The amount applied is more than the amount of the payment.", "Line.Amount")
    if free > document["TotalAmt"]:
        raise faults.business("More credit is used than invoices are paid with.", "Line.Amount")


def _too_much(books: Books, wanted: Applications, target: tuple[str, str], room: Decimal) -> None:
    if books.switches.over_application == "620":
        raise faults.cannot_link("the amount applied is more than the open balance")
    if books.switches.over_application == "refuse":
        raise faults.business("The amount applied is more than the open balance of the transaction.", "Line.Amount")
    wanted[target] = max(room, ZERO)


def _apply(books: Books, document: Document, wanted: Applications) -> None:
    for target, amount in wanted.items():
        if amount:
            books.link(("Payment", document["Id"]), target, amount)
            balances.refresh(books, *target)


def _current(books: Books, payment_id: str) -> Applications:
    return {(kind, other): amount for kind, other, amount in books.links_from(("Payment", payment_id))}


def _move(books: Books, customer: Document, document: Document, amount: Decimal) -> None:
    """Reduce the customer's balance by the whole payment, applied or not, and add it to the named account."""
    customer = books.need("Customer", customer["Id"])
    balances.shift(books, customer, -amount)
    account = books.need("Account", reference(document, "DepositToAccountRef") or UNDEPOSITED)
    balances.add_to_account(books, account, balances.in_account(books, account, document, amount))


def _undo_money(books: Books, stored: Document) -> None:
    customer = books.need("Customer", reference(stored, "CustomerRef") or "")
    _move(books, customer, stored, -money(stored["TotalAmt"]))
