"""Which entities exist, and which of their fields a query can filter by: one table per entity is made from this.

Source: the query tables of Intuit's reference pages. A column's path leads to the value inside the JSON document.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """How a field is stored and compared in a query."""

    TEXT = "text"
    """Case-folded."""
    EXACT = "exact"
    """Ids: as they are."""
    DATE = "date"
    MONEY = "money"
    """As whole ten-thousandths, so that SQLite compares exactly."""
    TIME = "time"
    """Whole seconds since 1970."""
    FLAG = "flag"


@dataclass(frozen=True)
class Column:
    """A field that queries may filter or order by."""

    name: str
    kind: Kind
    path: tuple[str, ...]
    indexed: bool = False


def _column(name: str, kind: Kind, *path: str, indexed: bool = False) -> Column:
    return Column(name, kind, path or tuple(name.split(".")), indexed)


def _text(name: str, *path: str, indexed: bool = False) -> Column:
    return _column(name, Kind.TEXT, *path, indexed=indexed)


def _reference(name: str, *, indexed: bool = False) -> Column:
    return _column(name, Kind.EXACT, name, "value", indexed=indexed)


ALWAYS = (
    _column("MetaData.CreateTime", Kind.TIME),
    _column("MetaData.LastUpdatedTime", Kind.TIME, indexed=True),
)


@dataclass(frozen=True)
class Entity:
    """One kind of object in the books."""

    name: str
    columns: tuple[Column, ...]
    listed: bool = False
    """A list entity: has Active, and queries hide the inactive."""
    changes: bool = True
    """Appears in change data capture."""
    money: bool = False
    """A transaction: shares the company's sequence of transaction ids."""
    operations: frozenset[str] = field(default_factory=lambda: frozenset({"read", "query"}))

    @property
    def table(self) -> str:
        """Return its table."""
        return f"entity_{self.name}"

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """Return the entity's own columns and those that every entity has."""
        return self.columns + ALWAYS


_WRITE = frozenset({"create", "update", "read", "query"})
_FULL = _WRITE | {"delete"}
_VOIDED = _FULL | {"void"}
_NAMES = (
    _text("DisplayName", indexed=True),
    _text("GivenName"),
    _text("MiddleName"),
    _text("FamilyName"),
    _text("CompanyName"),
    _text("FullyQualifiedName"),
    _text("PrimaryEmailAddr", "PrimaryEmailAddr", "Address"),
    _column("Active", Kind.FLAG),
    _column("Balance", Kind.MONEY),
)
_SALES = (
    _text("DocNumber", indexed=True),
    _column("TxnDate", Kind.DATE),
    _reference("CustomerRef", indexed=True),
    _column("TotalAmt", Kind.MONEY),
    _column("Balance", Kind.MONEY),
    _reference("SalesTermRef"),
    _reference("ProjectRef"),
)
_DESCRIBED = (_text("Name", indexed=True), _column("Active", Kind.FLAG), _text("Description"))

ENTITIES: dict[str, Entity] = {
    entity.name: entity
    for entity in (
        Entity("Customer", _NAMES, listed=True, operations=_WRITE),
        Entity("Vendor", _NAMES, listed=True, operations=_WRITE),
        Entity("Employee", _NAMES, listed=True, operations=_WRITE),
        Entity(
            "Item",
            (
                _text("Name", indexed=True),
                _text("FullyQualifiedName"),
                _text("Type"),
                _text("Sku"),
                _column("Active", Kind.FLAG),
                _column("Taxable", Kind.FLAG),
                _column("SubItem", Kind.FLAG),
            ),
            listed=True,
            operations=_WRITE,
        ),
        Entity(
            "Account",
            (
                _text("Name", indexed=True),
                _text("AccountType"),
                _text("AccountSubType"),
                _text("Classification"),
                _column("Active", Kind.FLAG),
                _text("FullyQualifiedName"),
                _column("CurrentBalance", Kind.MONEY),
            ),
            listed=True,
            operations=_WRITE,
        ),
        Entity("TaxCode", _DESCRIBED, listed=True, changes=False),
        Entity("TaxRate", (*_DESCRIBED, _reference("AgencyRef")), listed=True, changes=False),
        Entity("TaxAgency", (_text("Name", "DisplayName"),), changes=False),
        Entity("Term", _DESCRIBED[:2], listed=True),
        Entity("PaymentMethod", _DESCRIBED[:2], listed=True),
        Entity("Invoice", (*_SALES, _column("DueDate", Kind.DATE)), money=True, operations=_VOIDED),
        Entity("CreditMemo", _SALES, money=True, operations=_FULL),
        Entity(
            "Payment",
            (
                _column("TotalAmt", Kind.MONEY),
                _column("TxnDate", Kind.DATE),
                _reference("CustomerRef", indexed=True),
                _text("PaymentRefNum"),
                _reference("ProjectRef"),
            ),
            money=True,
            operations=_VOIDED,
        ),
        Entity(
            "Deposit",
            (_column("TxnDate", Kind.DATE), _column("TotalAmt", Kind.MONEY)),
            money=True,
            operations=_FULL,
        ),
        Entity("CompanyInfo", (), changes=False),
        Entity("Preferences", (), changes=False),
    )
}
BY_PATH = {name.lower(): entity for name, entity in ENTITIES.items()}
NAME_ENTITIES = ("Customer", "Vendor", "Employee")
NONE_HERE = frozenset(
    {
        "Attachable",
        "Bill",
        "BillPayment",
        "Budget",
        "Class",
        "CustomerType",
        "Department",
        "Estimate",
        "JournalEntry",
        "Purchase",
        "PurchaseOrder",
        "RefundReceipt",
        "SalesReceipt",
        "TimeActivity",
        "Transfer",
        "VendorCredit",
    }
)
"""Entities of the product that are not simulated: a company has none of them, so that queries find nothing."""
WITHOUT_CHANGES = frozenset({"timeactivity", "journalcode"})
"""Of those, what change data capture does not cover."""
