"""QuickBooks Online as a `Ledger`."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar

from books.core.batches import batched
from books.core.faults import Exit, Fault, Halt, Reject, Unknown
from books.ledgers.contract import (
    Account,
    Capabilities,
    Company,
    Customer,
    DuplicateNumbers,
    Invoice,
    Item,
    LedgerInvoice,
    Member,
    NewCustomer,
    NewItem,
    References,
    Spent,
    TaxCode,
    Whole,
)
from books.ledgers.quickbooks import faults, mapping, query
from books.ledgers.quickbooks.client import BATCH_ITEMS_MAX, BatchItem, QuickBooksClient
from books.transport.call import Turn

DUPLICATES_SWITCH = "Account and settings > Advanced > Other preferences > Warn if duplicate bill/invoice number"
"""Where QuickBooks keeps the switch that no API shows."""

CAPABILITIES = Capabilities(
    provider="quickbooks",
    ledger="QuickBooks",
    vendor="Intuit",
    request_id_name=faults.REQUEST_ID_HEADER,
    number_chars_max=mapping.NUMBER_CHARS_MAX,
    lines_max=mapping.LINES_MAX,
    currency_remedy="Switch on Multicurrency in QuickBooks (it cannot be switched off again), then `books retry`.",
    rate_remedy="Enter the rate in QuickBooks (Lists > Currencies), then `books retry`.",
    duplicates=DuplicateNumbers(DUPLICATES_SWITCH, "TARGET_QUICKBOOKS_DUPLICATE_NUMBERS_CHECKED"),
    number_taken_code=faults.DUPLICATE_NUMBER,
    name_taken_code=faults.DUPLICATE_NAME,
    stale_reference_codes=faults.STALE_REFERENCES,
)

ALLOW_DUPLICATE = "allowduplicatedocnum"
"""Skips the check for duplicate numbers (Intuit, "Invoice"). Used only if the number is on a voided invoice."""

ACTIVE_OR_NOT = "Active IN (true,false)"
"""Without it QuickBooks lists active rows only."""

AT_PAR_WITH_STERLING = frozenset({"FKP", "GGP", "GIP", "IMP", "JEP", "SHP"})

_KEYS = uuid.UUID("6f0bb0a4-3f63-5c0e-9d3e-5b8f3f1f6a51")

Made = TypeVar("Made")


class QuickBooksLedger:
    """One QuickBooks company, through its client."""

    def __init__(self, client: QuickBooksClient, connection: str) -> None:
        self.client = client
        self._connection = connection
        self._accounts: dict[str, str] = {}

    @property
    def connection(self) -> str:
        """`<environment>:<realm id>`."""
        return self._connection

    @property
    def capabilities(self) -> Capabilities:
        """QuickBooks' capabilities."""
        return CAPABILITIES

    def spent(self) -> Spent:
        """Return the calls that the client has counted."""
        return Spent(self.client.calls, self.client.metered)

    def company(self) -> Company:
        """Return the company, from CompanyInfo and Preferences: two reads."""
        realm_id = self._connection.rpartition(":")[2]
        info = self.client.get(f"companyinfo/{realm_id}").get("CompanyInfo") or {}
        preferences = self.client.get("preferences").get("Preferences") or {}
        return mapping.read_company(self._connection, info, preferences)

    def customer_name(self, name: str) -> str:
        """Return the DisplayName for a client of this name."""
        return mapping.tidy_name(name)

    def find_customers(self, *, names: Sequence[str] = (), ids: Sequence[str] = ()) -> Sequence[Customer]:
        """Return customers by DisplayName or Id. An inactive customer is found by its former name."""
        marked = [variant for name in names for variant in (name, name + mapping.DELETED_SUFFIX)]
        rows = [*self._rows("Customer", "DisplayName", marked), *self._rows("Customer", "Id", ids)]
        return [mapping.read_customer(row) for row in rows]

    def find_items(self, *, names: Sequence[str] = (), ids: Sequence[str] = ()) -> Sequence[Item]:
        """Return items by Name, by FullyQualifiedName if it has a colon, or by Id."""
        marked = [variant for name in names for variant in (name, name + mapping.DELETED_SUFFIX)]
        rows = [
            *self._rows("Item", "Name", [name for name in marked if ":" not in name]),
            *self._rows("Item", "FullyQualifiedName", [name for name in marked if ":" in name]),
            *self._rows("Item", "Id", ids),
        ]
        return [mapping.read_item(row) for row in rows]

    def _rows(self, entity: str, field: str, values: Sequence[str]) -> list[dict[str, Any]]:
        """Return the rows whose field has one of these values, including inactive ones."""
        found: list[dict[str, Any]] = []
        for some in query.chunks(values):
            found.extend(self.client.rows(entity, f"{query.in_list(field, some)} AND {ACTIVE_OR_NOT}"))
        return found

    def list_customers(self) -> Whole[Customer]:
        """Return all customers, read page by page and counted."""
        return self._complete("Customer", mapping.read_customer)

    def list_items(self) -> Whole[Item]:
        """Return all items, read page by page and counted."""
        return self._complete("Item", mapping.read_item)

    def _complete(self, entity: str, read: Callable[[Mapping[str, Any]], Made]) -> Whole[Made]:
        rows = [read(row) for row in self.client.rows(entity, ACTIVE_OR_NOT)]
        return Whole(rows, complete=self.client.count(entity, ACTIVE_OR_NOT) == len(rows))

    def find_accounts(self, names: Sequence[str]) -> Sequence[Account]:
        """Return accounts by Name, or by FullyQualifiedName if it has a colon."""
        rows = [
            *self._rows("Account", "Name", [name for name in names if ":" not in name]),
            *self._rows("Account", "FullyQualifiedName", [name for name in names if ":" in name]),
        ]
        return [mapping.read_account(row) for row in rows]

    def other_holders(self, names: Sequence[str]) -> Mapping[str, str]:
        """Return the names of vendors and employees: in QuickBooks a name is unique among all parties."""
        return {
            str(row.get("DisplayName")).casefold(): entity.lower()
            for entity in ("Vendor", "Employee")
            for row in self._rows(entity, "DisplayName", names)
        }

    def tax_codes(self) -> Sequence[TaxCode]:
        """Return the active codes with the per cent of their sales rates: two reads."""
        rates = list(self.client.rows("TaxRate", ACTIVE_OR_NOT))
        percents = {str(row["Id"]): Decimal(str(row.get("RateValue", 0))) for row in rates}
        reversed_ = {str(row["Id"]) for row in rates if row.get("SpecialTaxType") == mapping.REVERSE_CHARGE}
        read = (mapping.read_tax_code(row, percents, reversed_) for row in self.client.rows("TaxCode"))
        return [tax_code for tax_code in read if tax_code is not None]

    def exchange_rate(self, currency: str, on: date) -> Decimal | None:
        """Return QuickBooks' rate of the day (Intuit, "ExchangeRate"). Its answer is 1 if it has none."""
        parameters = {"sourcecurrencycode": currency, "asofdate": on.isoformat()}
        try:
            rate = (self.client.get("exchangerate", parameters).get("ExchangeRate") or {}).get("Rate")
        except Reject:
            return None
        exact = Decimal(str(rate)) if rate else None
        return None if exact == 1 and currency not in AT_PAR_WITH_STERLING else exact

    def find_invoices(self, numbers: Sequence[str] = (), *, ids: Sequence[str] = ()) -> Sequence[LedgerInvoice]:
        """Return invoices by DocNumber or Id."""
        found: list[LedgerInvoice] = []
        for field, values in (("DocNumber", numbers), ("Id", ids)):
            for some in query.chunks(values):
                rows = self.client.rows("Invoice", query.in_list(field, some))
                found.extend(mapping.read_invoice(row) for row in rows)
        return found

    def create_customers(self, customers: Sequence[NewCustomer], key: str) -> Sequence[Customer | Fault]:
        """Create customers in batches of 30."""
        bodies = [mapping.customer_body(customer) for customer in customers]
        return self._create("Customer", bodies, key, mapping.read_customer)

    def create_items(self, items: Sequence[NewItem], key: str) -> Sequence[Item | Fault]:
        """Create items in batches of 30, after looking up the accounts once."""
        accounts = self._account_ids([name for item in items for name in (item.income_account, item.expense_account)])
        bodies = [
            mapping.item_body(item.name, accounts[item.income_account], accounts[item.expense_account])
            for item in items
        ]
        return self._create("Item", bodies, key, mapping.read_item)

    def _create(
        self, entity: str, bodies: Sequence[bytes], key: str, read: Callable[[Mapping[str, Any]], Made]
    ) -> list[Made | Fault]:
        outcomes: list[Made | Fault] = []
        for number, some in enumerate(batched(bodies, BATCH_ITEMS_MAX)):
            items = [BatchItem(str(place), entity, body) for place, body in enumerate(some, 1)]
            answers = self._batch(items, str(uuid.uuid5(_KEYS, f"{key}|{entity}|{number * BATCH_ITEMS_MAX}")))
            outcomes.extend(_made(answers[item.bid], read) for item in items)
        return outcomes

    def _batch(self, items: Sequence[BatchItem], request_id: str) -> Mapping[str, dict[str, Any] | Fault]:
        """Send a batch. If its answer is lost, each item gets that fault: the caller looks them up by name."""
        try:
            return self.client.batch(items, request_id).items
        except Unknown as lost:
            return {item.bid: lost for item in items}

    def _account_ids(self, names: Sequence[str]) -> dict[str, str]:
        missing = [name for name in dict.fromkeys(names) if name not in self._accounts]
        for field in ("Name", "FullyQualifiedName"):
            wanted = [name for name in missing if (":" in name) == (field == "FullyQualifiedName")]
            for row in self._rows("Account", field, wanted):
                name = next((name for name in wanted if name.casefold() == str(row.get(field)).casefold()), None)
                if name is not None and row.get("Active") is not False:
                    self._accounts[name] = str(row["Id"])
        for name in missing:
            if name not in self._accounts:
                raise _no_account(name)
        return self._accounts

    def predict_tax(self, invoice: Invoice, tax_codes: Sequence[TaxCode]) -> Decimal:
        """Return the VAT: per rate over the whole document, half up."""
        return mapping.predict_tax(invoice.lines, tax_codes)

    def draft(self, invoice: Invoice, references: References, company: Company) -> bytes:
        """Return the invoice as QuickBooks' JSON."""
        return mapping.invoice_body(invoice, references, company)

    def turn(self) -> AbstractContextManager[Turn]:
        """Hold the company's push lock."""
        return self.client.turn()

    def create_invoices(
        self, members: Sequence[Member], key: str, prove: Callable[[], None]
    ) -> Mapping[str, LedgerInvoice | Fault]:
        """Create invoices in one call."""
        items = [
            BatchItem(member.bid, "Invoice", member.body, options=ALLOW_DUPLICATE if member.reuses_number else "")
            for member in members
        ]
        answer = self.client.batch(items, key, prove)
        return {
            bid: _made(row_or_fault, lambda row: mapping.read_invoice(row, answer.vendor_request_id))
            for bid, row_or_fault in answer.items.items()
        }


def _made(row_or_fault: dict[str, Any] | Fault, read: Callable[[Mapping[str, Any]], Made]) -> Made | Fault:
    return row_or_fault if isinstance(row_or_fault, Fault) else read(row_or_fault)


def _no_account(name: str) -> Halt:
    return Halt(
        f"QuickBooks has no active account named {name!r}",
        exit_code=Exit.MISCONFIGURED,
        code="account_missing",
        remedy="Set default_income_account or default_expense_account to a name in QuickBooks' chart of accounts.",
    )
