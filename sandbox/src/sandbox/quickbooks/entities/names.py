"""Customers, vendors and employees: one space of names for all three."""

from __future__ import annotations

from sandbox.quickbooks import faults, rules
from sandbox.quickbooks.books import Books, Document, reference
from sandbox.quickbooks.codec import ZERO
from sandbox.quickbooks.schema import NAME_ENTITIES

SUFFIX = " (deleted)"
FORBIDDEN = ":\t\n\r"
KEPT = ("Balance", "BalanceWithJobs", "CurrencyRef", "FullyQualifiedName", "Level")
NAME_PARTS = ("Title", "GivenName", "MiddleName", "FamilyName", "Suffix")


def create(books: Books, entity: str, body: Document) -> Document:
    """Create a customer, vendor or employee."""
    document = {**_defaults(entity), **{k: v for k, v in body.items() if k not in KEPT or k == "CurrencyRef"}}
    document["DisplayName"] = display_name(document)
    _check(books, entity, document)
    document["CurrencyRef"] = currency_of(books, reference(body, "CurrencyRef"))
    document.setdefault("PrintOnCheckName", document["DisplayName"])
    _qualify(books, entity, document)
    check_unique(books, document["DisplayName"])
    return books.insert(entity, document)


def update(books: Books, entity: str, body: Document, *, sparse: bool) -> Document:
    """Rename, change, deactivate or reactivate."""
    stored = rules.current(books, entity, body)
    document = rules.merged(stored, body, sparse=sparse, kept=KEPT)
    for name, value in _defaults(entity).items():
        document.setdefault(name, value)
    _check_currency(stored, body)
    document["DisplayName"] = display_name(document)
    _activity(books, stored, document)
    _check(books, entity, document)
    _qualify(books, entity, document)
    if document["DisplayName"].casefold() != stored["DisplayName"].casefold():
        check_unique(books, document["DisplayName"], besides=(entity, stored["Id"]))
    return books.update(entity, document)


def display_name(document: Document) -> str:
    """Return the name given, or composed of the parts of a person's name.

    Raises:
        ApiFault: 2020 when there is neither.
    """
    name = document.get("DisplayName") or " ".join(document[part] for part in NAME_PARTS if document.get(part))
    name = str(name or document.get("CompanyName") or "").strip(" ")
    if not name:
        raise faults.missing("DisplayName")
    return name


def check_unique(books: Books, name: str, besides: tuple[str, str] | None = None) -> None:
    """Refuse a name that a customer, vendor or employee has.

    Raises:
        ApiFault: 6240, worded as the switch says.
    """
    taken = [name, name + SUFFIX] if books.switches.inactive_name_taken else [name]
    for entity in NAME_ENTITIES:
        for candidate in taken:
            for other in books.find(entity, "DisplayName", candidate):
                if (entity, other["Id"]) != besides:
                    raise faults.duplicate_name(_duplicate(books, other["Id"]))


def _duplicate(books: Books, object_id: str) -> str:
    texts = {
        "text": "Another customer, vendor or employee is already using this name. Please use a different name.",
        "id": f"Id={object_id}",
        "null": "null",
    }
    return texts[books.switches.duplicate_name_detail]


def _defaults(entity: str) -> Document:
    if entity != "Customer":
        return {"Active": True, "Balance": ZERO} if entity == "Vendor" else {"Active": True}
    return {
        "Taxable": False,
        "Job": False,
        "BillWithParent": False,
        "Balance": ZERO,
        "BalanceWithJobs": ZERO,
        "Active": True,
        "PreferredDeliveryMethod": "Print",
    }


def _check(books: Books, entity: str, document: Document) -> None:
    name = document["DisplayName"]
    if any(character in name for character in FORBIDDEN):
        raise faults.bad_name("DisplayName", "colon, tab and new line are not allowed")
    address = (document.get("PrimaryEmailAddr") or {}).get("Address")
    if address and not looks_like_mail(address):
        raise faults.business("Email Address does not conform to the syntax rules of RFC 822.", "PrimaryEmailAddr")
    if entity == "Customer" and document.get("Job"):
        rules.referred(books, "Customer", rules.required_reference(document, "ParentRef"), "ParentRef")


def looks_like_mail(address: str) -> bool:
    """Return whether a text has an @ and a point, as the reference requires."""
    return "@" in address and "." in address


def currency_of(books: Books, asked: str | None) -> dict[str, str]:
    """Return the currency asked for, or the company's own.

    Raises:
        ApiFault: 6000 for a foreign one in a company of one currency.
    """
    company = books.company
    if asked and asked != company.HomeCurrency and not company.MultiCurrency:
        raise faults.business("Multi Currency should be enabled to perform this operation.", "CurrencyRef")
    return company.currency(asked)


def _check_currency(stored: Document, body: Document) -> None:
    asked = reference(body, "CurrencyRef")
    if asked and asked != reference(stored, "CurrencyRef"):
        raise faults.business("The currency of a customer or vendor cannot be changed.", "CurrencyRef")


def _qualify(books: Books, entity: str, document: Document) -> None:
    """Set FullyQualifiedName: Parent:Child for a sub-customer."""
    parent = reference(document, "ParentRef") if entity == "Customer" and document.get("Job") else None
    above = books.get("Customer", parent) if parent else None
    name = document["DisplayName"]
    document["FullyQualifiedName"] = f"{above['FullyQualifiedName']}:{name}" if above else name


def _activity(books: Books, stored: Document, document: Document) -> None:
    """Mark the name when deactivated, unmark it when reactivated; refuse it for a customer with a balance."""
    was, now = bool(stored.get("Active", True)), bool(document.get("Active", True))
    if not books.switches.inactive_suffix or was == now:
        return
    name = str(document["DisplayName"])
    document["DisplayName"] = name.removesuffix(SUFFIX) if now else name.removesuffix(SUFFIX) + SUFFIX
