"""The nouns of OpsMerge and of an accounting ledger, and the protocol that every vendor implements. Knows no vendor.

OpsMerge's nouns are `Invoice`, `Line`, `Client`, `Service` and `SourceTaxCode`; the ledger's are `Company`,
`Customer`, `Item`, `TaxCode` and `LedgerInvoice`. Names follow EN 16931 where there is a choice.
Money is Decimal in the invoice's currency; rates are per cent (20 means 20 %).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

import pendulum

from books.core.faults import Fault
from books.transport.call import Turn


@dataclass(frozen=True)
class Address:
    """A postal address; missing parts are empty strings."""

    line1: str = ""
    line2: str = ""
    city: str = ""
    postcode: str = ""
    country: str = ""


@dataclass(frozen=True)
class Line:
    """One line of an OpsMerge invoice. `net` is OpsMerge's own amount, which may differ from quantity times price."""

    description: str
    quantity: Decimal | None
    unit_price: Decimal | None
    service_id: str | None
    service_name: str | None
    tax_code_id: str | None
    tax_code_name: str | None
    tax_rate: Decimal | None
    net: Decimal
    tax: Decimal | None


@dataclass(frozen=True)
class Invoice:
    """An OpsMerge invoice, complete and with the right types."""

    id: str
    number: str
    status: str
    issue_date: date
    due_date: date | None
    currency: str
    client_id: str
    client_name: str
    client_email: str | None
    billing_address: Address | None
    lines: tuple[Line, ...]
    subtotal: Decimal
    tax_total: Decimal
    total: Decimal
    excluded: bool
    owner: str | None = None
    """The connection that the invoice belongs to in OpsMerge (`books.opsmerge.belonging`)."""
    owner_id: str | None = None
    """The ledger's id that OpsMerge shows for it."""


@dataclass(frozen=True)
class Client:
    """An OpsMerge client: a customer of the MSP."""

    id: str
    name: str
    email: str | None = None
    billing_address: Address | None = None
    active: bool = True


@dataclass(frozen=True)
class Service:
    """An OpsMerge service; `item` is the ledger item that OpsMerge has stored for it."""

    id: str
    name: str
    item: str | None = None


@dataclass(frozen=True)
class SourceTaxCode:
    """An OpsMerge tax code; `code` is the ledger's code that OpsMerge has stored for it."""

    id: str
    name: str
    rate: Decimal | None = None
    code: str | None = None


class KeyScope(StrEnum):
    """What an idempotency key stands for."""

    MEMBER = "member"
    """Key and bid name one invoice: it may be sent again under them alone, or among others."""
    CALL = "call"
    """The key names one call and its exact bytes: another call under it is refused."""


@dataclass(frozen=True)
class DuplicateNumbers:
    """A ledger's switch that makes it refuse duplicate numbers, where no API shows it."""

    switch: str
    """Where a person finds it."""
    variable: str
    """The environment variable of the setting that keeps the answer."""


@dataclass(frozen=True)
class Capabilities:
    """What a vendor's ledger can and cannot do, where posting depends on it."""

    provider: str
    """The vendor's name in the store and in OpsMerge."""
    ledger: str
    """The ledger's name in messages."""
    vendor: str
    """Whose support helps."""
    request_id_name: str
    """What the vendor calls the id of a call, for its support."""
    number_chars_max: int
    lines_max: int
    currency_remedy: str = ""
    """What to do where the company does not take an invoice's currency."""
    rate_remedy: str = ""
    """What to do where the ledger has no exchange rate for a day."""
    duplicates: DuplicateNumbers | None = None
    """What a person has to say of the ledger's own check for duplicate numbers; None where it always makes one."""
    number_taken_code: str = ""
    """The fault code for an invoice number that is already used."""
    name_taken_code: str = ""
    stale_reference_codes: frozenset[str] = frozenset()
    """Fault codes for a customer, item or tax code that no longer exists and must be looked up again."""
    key_scope: KeyScope = KeyScope.MEMBER
    key_lifetime_seconds: float = math.inf
    """How long an idempotency key is remembered from its first call; afterwards the call runs again."""
    key_stores_errors: bool = False
    """Whether the answer of a call that failed is remembered too, and replayed under its key."""


@dataclass(frozen=True)
class Obstacle:
    """A setting of the company that stands in the way of posting, and what to do about it."""

    code: str
    message: str
    remedy: str


@dataclass(frozen=True)
class Company:
    """The company file behind a connection."""

    connection: str
    name: str
    country: str
    home_currency: str
    currencies: frozenset[str] | None
    """The currencies that invoices may have; None means any."""
    closed_until: date | None
    """The last day of the closed period; nothing may be dated on or before it."""
    obstacles: tuple[Obstacle, ...] = ()
    """What in the company's settings stands in the way of posting."""
    is_test: bool | None = None
    """Whether it is the vendor's test company; None where the vendor does not say."""

    def takes(self, currency: str) -> bool:
        """Return whether an invoice may have a currency."""
        return self.currencies is None or currency in self.currencies


@dataclass(frozen=True)
class Customer:
    """A customer of the ledger; `currency` None means the home currency."""

    id: str
    name: str
    active: bool = True
    currency: str | None = None


@dataclass(frozen=True)
class Item:
    """A product or service of the ledger. `sellable` is false for categories and bundles."""

    id: str
    name: str
    active: bool = True
    sellable: bool = True


@dataclass(frozen=True)
class TaxCode:
    """A VAT code of the ledger: its sales rates as (rate id, per cent)."""

    id: str
    name: str
    rates: tuple[tuple[str, Decimal], ...]
    reverse_charge: bool = False
    """The customer accounts for the VAT: rarely right for a sale of an MSP."""

    @property
    def percent(self) -> Decimal:
        """The sum of the rates."""
        return sum((percent for _, percent in self.rates), Decimal(0))


@dataclass(frozen=True)
class Account:
    """An account of the ledger's chart. `kind` is the vendor's word for it."""

    id: str
    name: str
    kind: str
    active: bool = True
    takes_income: bool = False
    takes_expense: bool = False


Row_co = TypeVar("Row_co", covariant=True)


@dataclass(frozen=True)
class Whole(Generic[Row_co]):
    """All rows of a list; `complete` is false if the ledger's own count is higher."""

    rows: Sequence[Row_co]
    complete: bool


@dataclass(frozen=True)
class LedgerInvoice:
    """An invoice as the ledger has it. `source_id` is the OpsMerge invoice named in its note, if any."""

    id: str
    number: str
    issue_date: date | None
    customer_id: str
    currency: str | None
    net: Decimal
    tax: Decimal
    total: Decimal
    source_id: str | None = None
    voided: bool = False
    vendor_request_id: str | None = None


@dataclass(frozen=True)
class NewCustomer:
    """A customer to create. `currency` only where it is not the home currency."""

    name: str
    email: str | None = None
    billing_address: Address | None = None
    currency: str | None = None


@dataclass(frozen=True)
class NewItem:
    """A service item to create, with the names of the accounts it books to."""

    name: str
    income_account: str
    expense_account: str


@dataclass(frozen=True)
class References:
    """The ledger's records for an invoice: its customer, and the item and tax code of each line."""

    customer: Customer
    items: tuple[Item, ...]
    tax_codes: tuple[TaxCode, ...]
    exchange_rate: Decimal | None = None
    """Home units for one unit of the invoice's currency; None in the home currency."""


@dataclass(frozen=True)
class Member:
    """One invoice of a batch: its id within the batch, and its exact bytes."""

    bid: str
    body: bytes
    reuses_number: bool = False
    """Its number is on a voided invoice that a person asked to replace, so the ledger must not refuse it as used."""


@dataclass(frozen=True)
class Spent:
    """The calls of a run so far, and how many of them the vendor meters."""

    calls: int = 0
    metered: int = 0


class Ledger(Protocol):
    """One company's books.

    Every method raises only the four kinds of `books.core.faults`. Find methods take any number of names or ids, make
    as few calls as the vendor allows, and leave out what does not exist.
    """

    @property
    def connection(self) -> str:
        """`<environment>:<company id>`."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """The vendor's capabilities."""
        ...

    def spent(self) -> Spent:
        """Return the calls of this run."""
        ...

    def company(self) -> Company:
        """Return the company's data and settings."""
        ...

    def customer_name(self, name: str) -> str:
        """Return a client's name as the vendor's rules allow it; empty if nothing is left of it."""
        ...

    def find_customers(self, *, names: Sequence[str] = (), ids: Sequence[str] = ()) -> Sequence[Customer]:
        """Return customers by name (ignoring case) or id, including inactive ones."""
        ...

    def find_items(self, *, names: Sequence[str] = (), ids: Sequence[str] = ()) -> Sequence[Item]:
        """Return items by name (ignoring case) or id, including inactive ones."""
        ...

    def tax_codes(self) -> Sequence[TaxCode]:
        """Return the active tax codes for sales."""
        ...

    def exchange_rate(self, currency: str, on: date) -> Decimal | None:
        """Return the home currency units for one unit of a currency on a day; None if the ledger has no rate."""
        ...

    def find_invoices(self, numbers: Sequence[str] = (), *, ids: Sequence[str] = ()) -> Sequence[LedgerInvoice]:
        """Return invoices by number or id, including voided ones; deleted ones do not exist."""
        ...

    def find_accounts(self, names: Sequence[str]) -> Sequence[Account]:
        """Return accounts by name (ignoring case), including inactive ones."""
        ...

    def list_customers(self) -> Whole[Customer]:
        """Return all customers, including inactive ones."""
        ...

    def list_items(self) -> Whole[Item]:
        """Return all items, including inactive ones."""
        ...

    def other_holders(self, names: Sequence[str]) -> Mapping[str, str]:
        """Return the names (case-folded) that another kind of party has, so no customer can: name to that kind."""
        ...

    def create_customers(self, customers: Sequence[NewCustomer], key: str) -> Sequence[Customer | Fault]:
        """Create customers under a key; return for each, in the order given, the customer or its fault."""
        ...

    def create_items(self, items: Sequence[NewItem], key: str) -> Sequence[Item | Fault]:
        """Create items under a key; return for each, in the order given, the item or its fault."""
        ...

    def predict_tax(self, invoice: Invoice, tax_codes: Sequence[TaxCode]) -> Decimal:
        """Return the VAT that the ledger will compute, given the code of each line. Pure: no call."""
        ...

    def draft(self, invoice: Invoice, references: References, company: Company) -> bytes:
        """Return the exact bytes to send for an invoice. Pure: no call. Raises Reject."""
        ...

    def turn(self) -> AbstractContextManager[Turn]:
        """Hold the company's push lock: invoices are looked up, claimed and sent within one turn."""
        ...

    def create_invoices(
        self, members: Sequence[Member], key: str, prove: Callable[[], None]
    ) -> Mapping[str, LedgerInvoice | Fault]:
        """Create a batch under a key; return per bid the invoice or its fault. The same key and bid create only once.

        `prove` is called right before the bytes are sent, each time; what it raises is raised, and nothing was sent.
        Raises Retry if the ledger refused the call for now: the batch is not sent again after a wait.
        """
        ...


Row = dict[str, Any]
"""A row of `ledgers.columns`, without the key columns that name the company."""


@dataclass(frozen=True)
class Extract:
    """One entity's rows, newest state last. `cursor()`, called after the last row, is where the next read starts."""

    rows: Iterator[Row]
    is_complete: bool
    started_at: pendulum.DateTime
    cursor: Callable[[], pendulum.DateTime]


@dataclass(frozen=True)
class Entity:
    """A kind of object of the ledger that is read back. `name` is the stream's (`ledgers.columns.STREAMS`)."""

    name: str
    notices: str
    """What the vendor's notices call it (`ledgers.notices.fold`)."""
    is_announced: bool = False
    """Whether a notice is expected for each change. Not where we write ourselves, unless the vendor says so."""


class Books(Protocol):
    """One company's books, read back: what changed since the last read, everything, or single objects.

    Raises, while reading: Halt, or another fault of `books.core.faults`. An incomplete read never passes as complete.
    """

    @property
    def entities(self) -> Sequence[Entity]:
        """What can be read."""
        ...

    def changes(self, entity: str) -> Extract:
        """Return what changed in an entity since its cursor, or everything where the ledger cannot say.

        A deletion is a row with `status: deleted`; it may hold no more than `id` and `updated_at`.
        """
        ...

    def everything(self, entity: str) -> Extract:
        """Return all rows of an entity, counted; each with its newest state last."""
        ...

    def objects(self, entity: str, ids: Iterable[str]) -> Iterator[Row]:
        """Yield objects by id as they are now, a missing one as a deletion."""
        ...
