"""What a bookkeeper does in QuickBooks' own screens, in one call each; done by the same code as the API's writes."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sandbox.quickbooks import faults, operations, shape
from sandbox.quickbooks.books import Books, Document, reference
from sandbox.quickbooks.chart import CURRENT
from sandbox.quickbooks.codec import ZERO, money
from sandbox.quickbooks.entities import balances
from sandbox.quickbooks.seed import find_id, resolved

if TYPE_CHECKING:
    from sandbox.quickbooks.state import QuickBooksState

Deed = Callable[[Books, dict[str, Any]], dict[str, Any]]
NUMBERED = {"invoice": "Invoice", "credit_memo": "CreditMemo"}


def perform(state: QuickBooksState, books: Books, deed: str, details: dict[str, Any]) -> dict[str, Any]:
    """Do it; returns the object it leaves.

    Raises:
        ValueError: no such deed, or a detail is missing.
        ApiFault: the books refuse it.
    """
    if deed == "disconnect":
        return {"disconnected": state.consents.disconnect(books.realm)}
    if deed == "set_preferences":
        books.company.update(details)
        state.save_company(books.company)
        books.changed.append(("Preferences", "1", "updated"))
        return books.company.as_json()
    if deed not in DEEDS:
        raise ValueError(f"no deed {deed!r}; known: {', '.join(sorted([*DEEDS, 'disconnect', 'set_preferences']))}")
    return DEEDS[deed](books, details)


def target(books: Books, entity: str, details: dict[str, Any]) -> Document:
    """Return the object a deed means: `id`, or its number or name under the entity's own word, e.g. `invoice`.

    Raises:
        ValueError: nothing names it.
    """
    word = next((word for word, name in NUMBERED.items() if name == entity), entity.lower())
    object_id = details.get("id") or details.get(f"{word}_id")
    if object_id is None and word in details:
        column = {"Invoice": "DocNumber", "CreditMemo": "DocNumber", "Payment": "PaymentRefNum", "Item": "Name"}
        object_id = _by_name(books, entity, column.get(entity, "DisplayName"), str(details[word]))
    if object_id is None:
        raise ValueError(f"say which {entity}: {word} (its number or name) or {word}_id")
    return books.need(entity, str(object_id))


def _by_name(books: Books, entity: str, column: str, value: str) -> str:
    if (entity, column) != ("Payment", "PaymentRefNum"):
        return find_id(books, entity, column, value)
    row = books.db.one(
        'SELECT id FROM "entity_Payment" WHERE realm = ? AND "PaymentRefNum" = ? AND deleted = 0',
        books.realm,
        value.casefold(),
    )
    if row is None:
        raise ValueError(f"no Payment with PaymentRefNum {value!r}")
    return str(row[0])


def _key(document: Document) -> Document:
    return {"Id": document["Id"], "SyncToken": document["SyncToken"]}


def _amount(details: dict[str, Any], name: str = "amount") -> Decimal | None:
    return None if details.get(name) is None else shape.decimal(details[name], name)


# -- payments


def record_payment(books: Books, details: dict[str, Any]) -> dict[str, Any]:
    """Record a payment: `invoice` (or `invoices`: [{"invoice", "amount"}]), total `amount`, `date`, `reference`.

    Without an amount the open balances are paid in full; what is more than they need stays unapplied.
    """
    invoices = _invoices(books, details)
    lines, applied = [], ZERO
    budget = _amount(details)
    for invoice, wanted in invoices:
        room = money(invoice["Balance"]) if budget is None else min(money(invoice["Balance"]), budget - applied)
        part = room if wanted is None else wanted
        applied += part
        if part:
            lines.append({"Amount": part, "LinkedTxn": [{"TxnId": invoice["Id"], "TxnType": "Invoice"}]})
    customer = invoices[0][0]["CustomerRef"] if invoices else {"value": target(books, "Customer", details)["Id"]}
    total = applied if budget is None else budget
    body = {"CustomerRef": customer, "TotalAmt": total, "Line": lines, **_currency(invoices), **_payment_words(details)}
    return operations.write(books, "Payment", "create", resolved(books, body))


def _invoices(books: Books, details: dict[str, Any]) -> list[tuple[Document, Decimal | None]]:
    if "invoices" in details:
        rows = [row if isinstance(row, dict) else {"invoice": row} for row in details["invoices"]]
        return [(target(books, "Invoice", row), _amount(row)) for row in rows]
    if "invoice" in details or "invoice_id" in details:
        return [(target(books, "Invoice", details), None)]
    return []


def _currency(invoices: list[tuple[Document, Decimal | None]]) -> Document:
    first = invoices[0][0] if invoices else {}
    return {name: first[name] for name in ("CurrencyRef", "ExchangeRate") if name in first}


def _payment_words(details: dict[str, Any]) -> Document:
    words = {
        "date": "TxnDate",
        "reference": "PaymentRefNum",
        "note": "PrivateNote",
        "rate": "ExchangeRate",
    }
    body: Document = {field: details[word] for word, field in words.items() if details.get(word) is not None}
    if details.get("method"):
        body["PaymentMethodRef"] = {"name": details["method"]}
    if details.get("account"):
        body["DepositToAccountRef"] = {"name": details["account"]}
    return body


def edit_payment(books: Books, details: dict[str, Any]) -> dict[str, Any]:
    """Change amount, date, reference, or what it is applied to (`invoices`, all or none)."""
    payment = target(books, "Payment", details)
    body = {**_key(payment), "sparse": True, **_payment_words(details)}
    if "amount" in details:
        body["TotalAmt"] = _amount(details)
    if "invoices" in details:
        body["Line"] = [
            {
                "Amount": money(invoice["Balance"]) if amount is None else amount,
                "LinkedTxn": [{"TxnId": invoice["Id"], "TxnType": "Invoice"}],
            }
            for invoice, amount in _invoices(books, details)
        ]
    return operations.write(books, "Payment", "update", resolved(books, body))


def apply_credit(books: Books, details: dict[str, Any]) -> dict[str, Any]:
    """Settle an invoice with a credit memo: a payment of nought that joins the two."""
    invoice, memo = target(books, "Invoice", details), target(books, "CreditMemo", details)
    amount = _amount(details)
    if amount is None:
        amount = min(money(invoice["Balance"]), money(memo["RemainingCredit"]))
    lines = [
        {"Amount": amount, "LinkedTxn": [{"TxnId": document["Id"], "TxnType": kind}]}
        for kind, document in (("Invoice", invoice), ("CreditMemo", memo))
    ]
    body = {"CustomerRef": invoice["CustomerRef"], "TotalAmt": 0, "Line": lines, **_currency([(invoice, None)])}
    return operations.write(books, "Payment", "create", {**body, **_payment_words(details)})


def deposit(books: Books, details: dict[str, Any]) -> dict[str, Any]:
    """Deposit payments: `payments` (ids). They are locked until the deposit is deleted."""
    lines = [
        {"LinkedTxn": [{"TxnId": str(payment), "TxnType": "Payment", "TxnLineId": "0"}]}
        for payment in details["payments"]
    ]
    body = {"DepositToAccountRef": {"value": CURRENT}, "Line": lines}
    return operations.write(
        books, "Deposit", "create", body | ({"TxnDate": details["date"]} if "date" in details else {})
    )


# -- invoices


def edit_invoice(books: Books, details: dict[str, Any]) -> dict[str, Any]:
    """Change fields (`set`: API names) or one line's amount (`line` from 1, `amount`)."""
    invoice = target(books, "Invoice", details)
    body: Document = {**_key(invoice), "sparse": True, **resolved(books, details.get("set", {}))}
    if "amount" in details:
        body["Line"] = _repriced(invoice, int(details.get("line", 1)), _amount(details) or ZERO)
    return operations.write(books, "Invoice", "update", body)


def _repriced(invoice: Document, number: int, amount: Decimal) -> list[Document]:
    lines: list[Document] = [line for line in invoice["Line"] if line["DetailType"] != "SubTotalLineDetail"]
    items = [line for line in lines if line["DetailType"] == "SalesItemLineDetail"]
    if not 1 <= number <= len(items):
        raise ValueError(f"the invoice has {len(items)} item lines, there is no line {number}")
    line = items[number - 1]
    line["Amount"] = amount
    for name in ("Qty", "UnitPrice", "TaxInclusiveAmt"):
        line["SalesItemLineDetail"].pop(name, None)
    return lines


def copy_invoice(books: Books, details: dict[str, Any]) -> dict[str, Any]:
    """Enter the same invoice again, under `number` or the same number (the warning is clicked away)."""
    invoice = target(books, "Invoice", details)
    kept = ("CustomerRef", "TxnDate", "DueDate", "GlobalTaxCalculation", "CurrencyRef", "ExchangeRate", "PrivateNote")
    body = {name: invoice[name] for name in kept if name in invoice}
    body["Line"] = [_fresh(line) for line in invoice["Line"] if line["DetailType"] != "SubTotalLineDetail"]
    number = details.get("number", invoice.get("DocNumber"))
    if not details.get("with_note"):
        body.pop("PrivateNote", None)
    return operations.write(
        books, "Invoice", "create", body | ({"DocNumber": number} if number else {}), {"allowduplicatedocnum"}
    )


def _fresh(line: Document) -> Document:
    return {name: value for name, value in line.items() if name not in ("Id", "LineNum")}


def delete_invoice(books: Books, details: dict[str, Any]) -> dict[str, Any]:
    """Delete, as the screen does: payments are unlinked first."""
    invoice = target(books, "Invoice", details)
    with books.db.transaction():
        balances.unlink_all(books, "Invoice", invoice["Id"])
        fresh = balances.with_balance(books, "Invoice", books.need("Invoice", invoice["Id"]))
        books.amend("Invoice", fresh)
        return operations.write(books, "Invoice", "delete", _key(fresh))


def write_off(books: Books, details: dict[str, Any]) -> dict[str, Any]:
    """Give up what is open on an invoice: a credit memo without VAT over the balance, applied to it."""
    invoice = target(books, "Invoice", details)
    amount = _amount(details) or money(invoice["Balance"])
    line = {"DetailType": "SalesItemLineDetail", "Amount": amount, "SalesItemLineDetail": {}}
    body = {
        "CustomerRef": invoice["CustomerRef"],
        "GlobalTaxCalculation": "NotApplicable",
        "Line": [line],
        "PrivateNote": "Write-off",
        **_currency([(invoice, None)]),
    }
    memo = operations.write(books, "CreditMemo", "create", body)
    return apply_credit(books, {"invoice_id": invoice["Id"], "credit_memo_id": memo["Id"], "amount": amount})


# -- names


def rename(entity: str, field: str) -> Deed:
    """Rename an object (`name`)."""

    def do(books: Books, details: dict[str, Any]) -> dict[str, Any]:
        document = target(books, entity, details)
        return operations.write(books, entity, "update", {**_key(document), "sparse": True, field: details["name"]})

    return do


def activity(entity: str, *, active: bool) -> Deed:
    """Make inactive, or active again."""

    def do(books: Books, details: dict[str, Any]) -> dict[str, Any]:
        document = target(books, entity, details)
        return operations.write(books, entity, "update", {**_key(document), "sparse": True, "Active": active})

    return do


def merge_customers(books: Books, details: dict[str, Any]) -> dict[str, Any]:
    """Merge customer `from` into customer `into`, of the same currency; the losing id disappears."""
    loser = target(books, "Customer", {"customer": details["from"]})
    winner = target(books, "Customer", {"customer": details["into"]})
    _check_merge(books, loser, winner)
    with books.db.transaction():
        for entity in ("Invoice", "CreditMemo", "Payment"):
            for document in books.find(entity, "CustomerRef", loser["Id"]):
                name = {"value": winner["Id"], "name": winner["DisplayName"]}
                books.update(entity, {**document, "CustomerRef": name})
        total = money(winner["Balance"]) + money(loser["Balance"])
        books.amend("Customer", {**winner, "Balance": total, "BalanceWithJobs": total})
        books.remove("Customer", loser["Id"], None)
        books.changed.append(("Customer", _merged(books, loser, winner)["Id"], "merged"))
    return books.need("Customer", winner["Id"])


def _check_merge(books: Books, loser: Document, winner: Document) -> None:
    if loser["Id"] == winner["Id"]:
        raise ValueError("a customer cannot be merged with itself")
    home = books.company.HomeCurrency
    if (reference(loser, "CurrencyRef") or home) != (reference(winner, "CurrencyRef") or home):
        raise faults.business("Customers of different currencies cannot be merged.", "CurrencyRef")


def _merged(books: Books, loser: Document, winner: Document) -> Document:
    """Return whose id a notice of the merge has; not documented, so a switch."""
    return loser if books.switches.webhook_merge_id == "losing" else winner


# -- any entity


def simple(entity: str, operation: str) -> Deed:
    """Run an operation that needs only the object."""
    return lambda books, details: operations.write(books, entity, operation, _key(target(books, entity, details)))


def create_any(books: Books, details: dict[str, Any]) -> dict[str, Any]:
    """Create an object of any `entity` from an API `body`; references may be given by name."""
    body = resolved(books, details["body"])
    return operations.write(books, str(details["entity"]), "create", body, {"allowduplicatedocnum"})


def update_any(books: Books, details: dict[str, Any]) -> dict[str, Any]:
    """Update any `entity` by `id` sparsely with `set`."""
    entity = str(details["entity"])
    if entity not in operations.UPDATES:
        raise faults.unsupported("update")
    document = books.need(entity, str(details["id"]))
    body = {**_key(document), "sparse": True, **resolved(books, details["set"])}
    return operations.write(books, entity, "update", body)


def delete_any(books: Books, details: dict[str, Any]) -> dict[str, Any]:
    """Delete any `entity` by `id`."""
    entity = str(details["entity"])
    if entity not in operations.DELETES:
        raise faults.unsupported("delete")
    return operations.write(books, entity, "delete", _key(books.need(entity, str(details["id"]))))


DEEDS: dict[str, Deed] = {
    "record_payment": record_payment,
    "edit_payment": edit_payment,
    "void_payment": simple("Payment", "void"),
    "delete_payment": simple("Payment", "delete"),
    "apply_credit": apply_credit,
    "deposit": deposit,
    "delete_deposit": simple("Deposit", "delete"),
    "edit_invoice": edit_invoice,
    "copy_invoice": copy_invoice,
    "void_invoice": simple("Invoice", "void"),
    "delete_invoice": delete_invoice,
    "write_off": write_off,
    "rename_customer": rename("Customer", "DisplayName"),
    "rename_item": rename("Item", "Name"),
    "deactivate_customer": activity("Customer", active=False),
    "reactivate_customer": activity("Customer", active=True),
    "deactivate_item": activity("Item", active=False),
    "reactivate_item": activity("Item", active=True),
    "merge_customers": merge_customers,
    "create": create_any,
    "update": update_any,
    "delete": delete_any,
}
