"""The nouns of an accounting ledger and the protocol that every vendor's dialect keeps to. Knows no vendor.

Left of the seam stand OpsMerge's nouns (`Invoice`, `Line`, `Client`, `Service`, `SourceTaxCode`), right of it the
ledger's (`Company`, `Customer`, `Item`, `TaxCode`, `LedgerInvoice`). Names follow EN 16931 where there is a choice.
Money is Decimal in the invoice's currency; rates are per cent (20 means 20 %).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Generic, Protocol, TypeVar

from books.core.faults import Fault
from books.transport.call import Turn


@dataclass(frozen=True)
class Address:
    """A postal address; empty parts are empty texts."""

    line1: str = ""
    line2: str = ""
    city: str = ""
    postcode: str = ""
    country: str = ""


@dataclass(frozen=True)
class Line:
    """One line of an OpsMerge invoice. `net` is OpsMerge's own amount; quantity times price need not round to it."""

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
    """An OpsMerge invoice, complete and of the right types."""

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
    """The connection that it belongs to in OpsMerge (`books.opsmerge.belonging`)."""
    owner_id: str | None = None
    """The id under which that connection posted it, as OpsMerge has it."""


@dataclass(frozen=True)
class Client:
    """An OpsMerge client."""

    id: str
    name: str
    email: str | None = None
    billing_address: Address | None = None
    active: bool = True


@dataclass(frozen=True)
class Service:
    """An OpsMerge service; `item` is the ledger item that OpsMerge itself has on record for it."""

    id: str
    name: str
    item: str | None = None


@dataclass(frozen=True)
class SourceTaxCode:
    """An OpsMerge tax code; `code` is the ledger's code that OpsMerge itself has on record for it."""

    id: str
    name: str
    rate: Decimal | None = None
    code: str | None = None


@dataclass(frozen=True)
class Capabilities:
    """What a vendor's ledger can and cannot do, as far as posting must know."""

    provider: str
    number_chars_max: int
    lines_max: int
    number_taken_code: str = ""
    """The fault code of an invoice number that is already used."""
    name_taken_code: str = ""
    stale_reference_codes: frozenset[str] = frozenset()
    """Fault codes that say: a customer, item or tax code is gone, look it up afresh."""


@dataclass(frozen=True)
class Company:
    """The company file behind a connection."""

    connection: str
    name: str
    country: str
    home_currency: str
    multi_currency: bool
    vat_on: bool
    custom_numbers: bool
    """Whether the ledger takes our invoice numbers; otherwise it gives its own."""
    closed_until: date | None
    """The last day of the closed books; nothing may be dated on it or before."""


@dataclass(frozen=True)
class Customer:
    """A customer of the ledger; `currency` None means the home currency."""

    id: str
    name: str
    active: bool = True
    currency: str | None = None


@dataclass(frozen=True)
class Item:
    """A product or service of the ledger. `sellable` is false of categories and bundles."""

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
    """The customer accounts for the VAT: seldom meant on an MSP's sale."""

    @property
    def percent(self) -> Decimal:
        """The whole rate."""
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


Thing_co = TypeVar("Thing_co", covariant=True)


@dataclass(frozen=True)
class Whole(Generic[Thing_co]):
    """A whole list of the ledger; `complete` is false where its own count says that some are missing."""

    rows: Sequence[Thing_co]
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
    """What the ledger calls the things an invoice names: the customer, and item and tax code of each line."""

    customer: Customer
    items: tuple[Item, ...]
    tax_codes: tuple[TaxCode, ...]
    exchange_rate: Decimal | None = None
    """Home units for one unit of the invoice's currency; None in the home currency."""


@dataclass(frozen=True)
class Member:
    """One invoice of a batch: its place under the batch's key, and its exact bytes."""

    bid: str
    body: bytes
    reuses_number: bool = False
    """Its number stands on a voided invoice that a person asked to replace: no ledger is to refuse it for that."""


@dataclass(frozen=True)
class Spent:
    """What a run has cost so far: calls, and those of them that the vendor meters."""

    calls: int = 0
    metered_reads: int = 0


class Ledger(Protocol):
    """One company's books.

    Every method raises only the four kinds of `books.core.faults`. Find methods take any number of names or ids, ask
    in as few calls as the vendor allows, and leave out what does not exist.
    """

    @property
    def connection(self) -> str:
        """`<environment>:<company id>`."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this vendor can do."""
        ...

    def spent(self) -> Spent:
        """The calls of this run."""
        ...

    def company(self) -> Company:
        """The company's facts and switches."""
        ...

    def customer_name(self, name: str) -> str:
        """The name under which a client is kept, by the vendor's rules; empty where nothing is left of it."""
        ...

    def find_customers(self, *, names: Sequence[str] = (), ids: Sequence[str] = ()) -> Sequence[Customer]:
        """Customers by name (without regard to case) or id, inactive ones too."""
        ...

    def find_items(self, *, names: Sequence[str] = (), ids: Sequence[str] = ()) -> Sequence[Item]:
        """Items by name (without regard to case) or id, inactive ones too."""
        ...

    def tax_codes(self) -> Sequence[TaxCode]:
        """The active codes usable on sales."""
        ...

    def exchange_rate(self, currency: str, on: date) -> Decimal | None:
        """Home units for one unit of a currency on a day, None where the ledger has none."""
        ...

    def find_invoices(self, numbers: Sequence[str] = (), *, ids: Sequence[str] = ()) -> Sequence[LedgerInvoice]:
        """Invoices by number or id, voided ones too; deleted ones are gone."""
        ...

    def find_accounts(self, names: Sequence[str]) -> Sequence[Account]:
        """Accounts by name (without regard to case), inactive ones too."""
        ...

    def list_customers(self) -> Whole[Customer]:
        """All customers, inactive ones too."""
        ...

    def list_items(self) -> Whole[Item]:
        """All items, inactive ones too."""
        ...

    def other_holders(self, names: Sequence[str]) -> Mapping[str, str]:
        """Names (folded) that no customer can have, because another kind of party has them: name to that kind."""
        ...

    def create_customers(self, customers: Sequence[NewCustomer], key: str) -> Sequence[Customer | Fault]:
        """Create customers under a key: for each, in the order given, the customer or why not."""
        ...

    def create_items(self, items: Sequence[NewItem], key: str) -> Sequence[Item | Fault]:
        """Create items under a key: for each, in the order given, the item or why not."""
        ...

    def predict_tax(self, invoice: Invoice, tax_codes: Sequence[TaxCode]) -> Decimal:
        """The VAT that the ledger will compute, given the code of each line. Pure: no call."""
        ...

    def draft(self, invoice: Invoice, references: References, company: Company) -> bytes:
        """Put an invoice into the vendor's words: the exact bytes to send. Pure: no call. Raises Reject."""
        ...

    def turn(self) -> AbstractContextManager[Turn]:
        """Hold the company's push lock: look-up, claim and sending of invoices happen within one turn."""
        ...

    def create_invoices(
        self, members: Sequence[Member], key: str, prove: Callable[[], None]
    ) -> Mapping[str, LedgerInvoice | Fault]:
        """Create a batch under a key: per bid the invoice or its fault. The same key and bid create once.

        `prove` is called right before the bytes leave, at every sending; what it raises is raised, and nothing was
        sent. Raises Retry where the ledger refused the call for now: nothing is sent again after a wait.
        """
        ...
