"""Items and accounts."""

from __future__ import annotations

from sandbox.quickbooks import faults, rules
from sandbox.quickbooks.books import Books, Document, reference
from sandbox.quickbooks.codec import ZERO
from sandbox.quickbooks.entities.names import SUFFIX, currency_of

FORBIDDEN = ":\t\n\r"
ITEM_TYPES = frozenset({"Service", "NonInventory", "Inventory", "Category", "Group", "Bundle"})
KEPT = ("FullyQualifiedName", "CurrentBalance", "CurrentBalanceWithSubAccounts", "Level")
BOTH_ACCOUNTS = frozenset({"GB", "CA"})
CLASSES = {
    "Income": "Revenue",
    "Other Income": "Revenue",
    "Expense": "Expense",
    "Other Expense": "Expense",
    "Cost of Goods Sold": "Expense",
    "Equity": "Equity",
    "Accounts Payable": "Liability",
    "Credit Card": "Liability",
    "Other Current Liability": "Liability",
    "Long Term Liability": "Liability",
}


def create_item(books: Books, body: Document) -> Document:
    """Create a product or service."""
    document = {**_item_defaults(), **body}
    _check_item(books, document)
    _check_unique(books, "Item", document)
    return books.insert("Item", document)


def update_item(books: Books, body: Document, *, sparse: bool) -> Document:
    """Change an item."""
    stored = rules.current(books, "Item", body)
    document = {**_item_defaults(), **rules.merged(stored, body, sparse=sparse, kept=KEPT)}
    _activity(books, stored, document)
    _check_item(books, document)
    _check_unique(books, "Item", document, besides=stored["Id"])
    return books.update("Item", document)


def _item_defaults() -> Document:
    return {
        "Active": True,
        "Taxable": False,
        "SalesTaxIncluded": False,
        "Type": "Service",
        "UnitPrice": ZERO,
        "PurchaseCost": ZERO,
        "TrackQtyOnHand": False,
    }


def _check_item(books: Books, document: Document) -> None:
    _check_name(document)
    document["FullyQualifiedName"] = document["Name"]
    if document["Type"] not in ITEM_TYPES:
        raise faults.bad_enum(str(document["Type"]), "Type")
    if document["Type"] == "Category":
        return
    _check_item_accounts(books, document)
    tax = reference(document, "SalesTaxCodeRef")
    if tax and not books.company.united_states:
        rules.referred(books, "TaxCode", tax, "SalesTaxCodeRef")


def _check_item_accounts(books: Books, document: Document) -> None:
    """Require an income account, and in the United Kingdom and Canada an expense account too."""
    needed = ["IncomeAccountRef"] + ["ExpenseAccountRef"] * (books.company.Country in BOTH_ACCOUNTS)
    for name in needed:
        rules.required_reference(document, name)
    for name in ("IncomeAccountRef", "ExpenseAccountRef", "AssetAccountRef", "COGSAccountRef"):
        if account_id := reference(document, name):
            account = rules.referred(books, "Account", account_id, name)
            document[name] = {"value": account_id, "name": account["FullyQualifiedName"]}


def create_account(books: Books, body: Document) -> Document:
    """Create an account of the chart."""
    document = {"Active": True, "SubAccount": False, "CurrentBalance": ZERO, **body}
    _check_name(document)
    rules.required(document, "AccountType")
    _complete_account(books, document)
    _check_unique(books, "Account", document)
    return books.insert("Account", document)


def update_account(books: Books, body: Document, *, sparse: bool) -> Document:
    """Change an account."""
    stored = rules.current(books, "Account", body)
    document = rules.merged(stored, body, sparse=sparse, kept=KEPT)
    document.setdefault("Active", True)
    _activity(books, stored, document)
    _check_name(document)
    rules.required(document, "AccountType")
    _complete_account(books, document)
    _check_unique(books, "Account", document, besides=stored["Id"])
    return books.update("Account", document)


def _complete_account(books: Books, document: Document) -> None:
    kind = document["AccountType"]
    document.setdefault("AccountSubType", kind.replace(" ", ""))
    document["Classification"] = CLASSES.get(kind, "Asset")
    document["FullyQualifiedName"] = document["Name"]
    document["CurrencyRef"] = currency_of(books, reference(document, "CurrencyRef"))
    document["CurrentBalanceWithSubAccounts"] = document.get("CurrentBalance", ZERO)


def _check_name(document: Document) -> None:
    name = str(rules.required(document, "Name"))
    if any(character in name for character in FORBIDDEN):
        raise faults.bad_name("Name", "colon, tab and new line are not allowed")


def _check_unique(books: Books, entity: str, document: Document, besides: str | None = None) -> None:
    taken = [other["Id"] for other in books.find(entity, "Name", document["Name"]) if other["Id"] != besides]
    if taken:
        detail = f"Id={taken[0]}" if books.switches.duplicate_name_detail == "id" else "null"
        text = "Another product, service or account is already using this name."
        raise faults.duplicate_name(text if books.switches.duplicate_name_detail == "text" else detail)


def _activity(books: Books, stored: Document, document: Document) -> None:
    was, now = bool(stored.get("Active", True)), bool(document.get("Active", True))
    if books.switches.inactive_suffix and was != now:
        name = str(document["Name"])
        document["Name"] = name.removesuffix(SUFFIX) if now else name.removesuffix(SUFFIX) + SUFFIX
