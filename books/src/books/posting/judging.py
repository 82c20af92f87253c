"""Whether an invoice can be created, and with which customer, items and tax codes: pure.

The judge reads what `finding` has collected of the ledger; it asks nobody and keeps nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from books.core import money
from books.core.faults import Reject
from books.core.printable import has_control
from books.ledgers.contract import Company, Customer, Invoice, Item, Ledger, Line, NewItem, References, TaxCode
from books.posting import checks
from books.posting.choices import BY_FILE, BY_STORED_ID, Choices
from books.posting.mappings import Named
from books.posting.postings import Outcome
from books.posting.records import plain

Answer = TypeVar("Answer")


@dataclass
class KnownReferences:
    """What this run knows of the ledger's customers, items, tax codes and rates, by key (`id:...`, `name:...`)."""

    customers: dict[str, Customer] = field(default_factory=dict)
    clients: dict[str, Customer] = field(default_factory=dict)
    """By OpsMerge client id, of clients whose customer is settled."""
    ways: dict[str, str] = field(default_factory=dict)
    """Client id to the way in which its customer was found; without one, it was known before this run."""
    items: dict[str, list[Item]] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    """Keys of customers and items that the ledger was asked for, see `customer_key` and `item_key`."""
    not_created: dict[str, Reject] = field(default_factory=dict)
    """Client id to the reason why its customer could not be created."""
    rates: dict[tuple[str, date], Decimal | None] = field(default_factory=dict)
    tax_codes: Sequence[TaxCode] | None = None


class About(StrEnum):
    """What a problem is about."""

    INVOICE = "invoice"
    SERVICE = "service"
    TAX_CODE = "tax code"
    CLIENT = "client"


@dataclass(frozen=True)
class Problem:
    """What stops an invoice: REJECTED where the record or a reference is wrong, HELD by a setting."""

    about: About
    outcome: Outcome
    reason: Reject


@dataclass(frozen=True)
class Judged:
    """With what an invoice would be created, and every problem, in the order in which they are shown."""

    customer: Customer | None = None
    """None where it has to be created, or none can be chosen."""
    customer_name: str = ""
    """The client's name as the ledger spells it."""
    items: tuple[Item | NewItem, ...] = ()
    """Of each line: the item, or what to create for it. Empty where one is wrong."""
    tax_codes: tuple[TaxCode, ...] = ()
    ledger_tax: Decimal | None = None
    """The VAT that the ledger will compute; None where a tax code is wrong."""
    problems: tuple[Problem, ...] = ()


class InvoiceJudge:
    """Judges invoices by what is known of the ledger."""

    def __init__(
        self, ledger: Ledger, company: Company, choices: Choices, vat_difference: str, known: KnownReferences
    ) -> None:
        self.company = company
        self.choices = choices
        self.known = known
        self.name = ledger.capabilities.ledger
        self._ledger = ledger
        self._vat_difference = vat_difference
        self._same_name: defaultdict[str, list[str]] = defaultdict(list)
        for client_id, name in choices.catalogue.names().items():
            self._same_name[ledger.customer_name(name).casefold()].append(client_id)

    # What is still to be asked for.

    def knows_customer(self, invoice: Invoice) -> bool:
        """Return whether the ledger was asked for the customer of an invoice, as far as that is needed."""
        wanted = self.customer_to_ask(invoice)
        return wanted is None or customer_key(wanted) in self.known.asked

    def knows(self, invoice: Invoice) -> bool:
        """Return whether the ledger was asked for everything that an invoice names."""
        return (
            self.known.tax_codes is not None
            and self.knows_customer(invoice)
            and all(item_key(self.choices.item(line)) in self.known.asked for line in invoice.lines)
            and (not self.needs_rate(invoice) or (invoice.currency, invoice.issue_date) in self.known.rates)
        )

    def needs_rate(self, invoice: Invoice) -> bool:
        """Return whether an exchange rate has to be sent with an invoice."""
        return invoice.currency != self.company.home_currency and self.company.takes(invoice.currency)

    def customer_to_ask(self, invoice: Invoice) -> Named | None:
        """Return what to ask the ledger for; None where the customer is known already."""
        mapped = self.choices.mappings.client(invoice.client_id)
        if mapped is not None:
            return mapped
        if invoice.client_id in self.known.clients:
            return None
        name = self.customer_name(invoice)
        return Named(name=name) if name else None

    def customer_name(self, invoice: Invoice) -> str:
        """Return the client's name as the ledger spells names."""
        return self._ledger.customer_name(self.choices.catalogue.client_name(invoice))

    # Everything about one invoice.

    def judge(self, invoice: Invoice) -> Judged:
        """Return with what an invoice would be created, and every problem. Its references must be known: `knows`."""
        problems: list[Problem] = []

        def answer(about: About, question: Callable[[], Answer], otherwise: Answer) -> Answer:
            try:
                return question()
            except Reject as wrong:
                problems.append(Problem(about, Outcome.REJECTED, wrong))
                return otherwise

        answer(About.INVOICE, lambda: checks.check_invoice(invoice, self.company, self._ledger.capabilities), None)
        items: tuple[Item | NewItem, ...] = answer(About.SERVICE, lambda: self.items(invoice), ())
        tax_codes: tuple[TaxCode, ...] = answer(About.TAX_CODE, lambda: self.tax_codes(invoice), ())
        customer = answer(About.CLIENT, lambda: self.customer(invoice), None)
        answer(About.INVOICE, lambda: self.exchange_rate(invoice), None)
        ledger_tax = self._ledger.predict_tax(invoice, tax_codes) if tax_codes else None
        hold = None
        if ledger_tax is not None:
            tax, rates = ledger_tax, tuple(code.percent for code in tax_codes)
            hold = answer(About.INVOICE, lambda: checks.check_tax(invoice, tax, rates, self._vat_difference), None)
        if hold is not None:
            problems.append(Problem(About.INVOICE, Outcome.HELD, hold))
        name = self.customer_name(invoice)
        return Judged(customer, name, items, tax_codes, ledger_tax, tuple(problems))

    def references(self, invoice: Invoice) -> References:
        """Return the ids to send, once everything missing was created.

        Raises:
            Reject: one could not be created.
        """
        customer, items = self.customer(invoice), self.items(invoice)
        ready = tuple(item for item in items if isinstance(item, Item))
        if customer is None or len(ready) < len(items):
            raise Reject("its customer or item could not be created", code="not_created", remedy="`books retry`")
        return References(customer, ready, self.tax_codes(invoice), self.exchange_rate(invoice))

    def describe(self, invoice: Invoice, references: References) -> str:
        """Return, as JSON for people, what an invoice is sent with and how each was found; services once each."""
        services, tax_codes = {}, {}
        for line, item, code in zip(invoice.lines, references.items, references.tax_codes, strict=True):
            item_way, code_way = self.choices.item_and_way(line)[1], self.choices.tax_code_and_way(line)[1]
            services[line.service_name or line.service_id] = {"id": item.id, "name": item.name, "way": item_way}
            code_words = {"id": code.id, "name": code.name, "way": code_way}
            tax_codes[line.tax_code_name or line.tax_code_id] = code_words
        customer = {"id": references.customer.id, "way": self.customer_way(invoice)}
        return money.dumps({"customer": customer, "services": services, "tax_codes": tax_codes})

    # The customer.

    def customer(self, invoice: Invoice) -> Customer | None:
        """Return the customer of an invoice; None where one has to be created.

        Raises:
            Reject: no customer can be chosen; the message says what a person has to decide.
        """
        mapped = self.choices.mappings.client(invoice.client_id)
        if mapped is not None:
            customer = self._mapped_customer(invoice, mapped)
        elif invoice.client_id in self.known.not_created:
            raise self.known.not_created[invoice.client_id]
        elif invoice.client_id in self.known.clients:
            customer = self.known.clients[invoice.client_id]
        else:
            found = self.customer_by_name(invoice)
            if found is None:
                return None
            customer = found
        currency = customer.currency or self.company.home_currency
        if currency != invoice.currency:
            raise Reject(
                f"the invoice is in {invoice.currency}, and the customer {customer.name!r} is kept in {currency}",
                code="customer_currency",
                field="currency",
                remedy="Map the client to a customer of this currency under clients in mappings.yml.",
            )
        return customer

    def _mapped_customer(self, invoice: Invoice, mapped: Named) -> Customer:
        customer = self.known.customers.get(key_of(mapped))
        chosen = f"id {mapped.id}" if mapped.id else f"{mapped.name!r}"
        if customer is None:
            raise _customer_problem(
                "customer_missing",
                f"mappings.yml maps client {invoice.client_id} to the customer {chosen}, which {self.name} lacks",
                f"Correct clients in mappings.yml, or create the customer in {self.name}.",
            )
        if not customer.active:
            raise inactive_customer(customer.name, self.name)
        return customer

    def customer_by_name(self, invoice: Invoice) -> Customer | None:
        """Return the customer that bears the client's name; None where there is none.

        Raises:
            Reject: it is inactive, another client's, or the name is not the client's alone.
        """
        name = self.customer_name(invoice)
        if not name:
            raise _customer_problem("client_name", "the client has no name", "Give the client a name in OpsMerge.")
        self._check_same_name(invoice, name)
        customer = self.known.customers.get(name_key(name))
        if customer is None:
            return None
        if not customer.active:
            raise inactive_customer(name, self.name)
        owner = self.owner(customer)
        if owner not in (None, invoice.client_id):
            raise _customer_problem(
                "customer_taken",
                f"the customer {customer.name!r} already stands for client {owner}",
                f"Say under clients in mappings.yml which customer {invoice.client_id} is.",
            )
        return customer

    def _check_same_name(self, invoice: Invoice, name: str) -> None:
        unsettled = [
            client_id
            for client_id in self._same_name.get(name.casefold(), ())
            if client_id != invoice.client_id
            and self.choices.mappings.client(client_id) is None
            and client_id not in self.known.clients
        ]
        if unsettled:
            raise _customer_problem(
                "client_names_clash",
                f"clients {invoice.client_id} and {', '.join(unsettled)} have the same name {name!r} for {self.name}",
                "Say under clients in mappings.yml which customer each of them is.",
            )

    def owner(self, customer: Customer) -> str | None:
        """Return the client that stands for a customer, as far as this run knows; None where there is none."""
        owners = {known.id: client_id for client_id, known in self.known.clients.items()}
        owners |= {
            self.known.customers[key_of(named)].id: client_id
            for client_id, named in self.choices.mappings.clients.items()
            if key_of(named) in self.known.customers
        }
        return owners.get(customer.id)

    def customer_way(self, invoice: Invoice) -> str:
        """Return how the customer of an invoice was found, in words."""
        if self.choices.mappings.client(invoice.client_id) is not None:
            return BY_FILE
        return self.known.ways.get(invoice.client_id, BY_STORED_ID)

    # Items, tax codes and rates.

    def items(self, invoice: Invoice) -> tuple[Item | NewItem, ...]:
        """Return the item of each line, or what to create for it.

        Raises:
            Reject: a line's item is missing, inactive, ambiguous or not for sale.
        """
        return tuple(self._item(line, index) for index, line in enumerate(invoice.lines))

    def _item(self, line: Line, index: int) -> Item | NewItem:
        chosen = self.choices.item(line)
        found = self.known.items.get(key_of(chosen), [])
        usable = [item for item in found if item.active and item.sellable]
        if len(usable) == 1:
            return usable[0]
        place = f"lines[{index}].service"
        if found:
            raise _unusable_item(chosen, usable, place, self.name)
        income, expense = self.choices.income_account, self.choices.expense_account
        if chosen.id is None and chosen.name and income and expense and not has_control(chosen.name):
            return NewItem(chosen.name, income, expense)
        raise Reject(
            f"missing service: {self.name} has no item {chosen.id or chosen.name!r}",
            code="item_missing",
            field=place,
            remedy=f"Map {line.service_name or line.service_id!r} under services in mappings.yml, or set "
            "default_income_account and default_expense_account so that it is created.",
        )

    def tax_codes(self, invoice: Invoice) -> tuple[TaxCode, ...]:
        """Return the tax code of each line, its rate checked.

        Raises:
            Reject: a line's code is missing, inactive or has another rate.
        """
        return tuple(self._tax_code(line, index) for index, line in enumerate(invoice.lines))

    def _tax_code(self, line: Line, index: int) -> TaxCode:
        chosen = self.choices.tax_code(line)
        code = _pick_tax_code(self.known.tax_codes or (), chosen)
        place = f"lines[{index}].tax_code"
        if code is None:
            raise Reject(
                f"missing TaxCodeRef: {self.name} has no active VAT code {chosen.id or chosen.name!r}",
                code="tax_code_missing",
                field=place,
                remedy=f"Map {line.tax_code_name or line.tax_code_id!r} under tax_codes in mappings.yml.",
            )
        rate = self.choices.tax_rate(line)
        if rate is not None and rate != code.percent:
            raise Reject(
                f"the tax code has {plain(rate)} % in OpsMerge, and {code.name!r} has {plain(code.percent)} % in "
                f"{self.name}",
                code="tax_rate_differs",
                field=place,
                remedy="Map it to a code of the same rate under tax_codes in mappings.yml.",
            )
        return code

    def exchange_rate(self, invoice: Invoice) -> Decimal | None:
        """Return the ledger's own rate of the invoice's date; None in the home currency.

        Raises:
            Reject: the ledger has none.
        """
        if not self.needs_rate(invoice):
            return None
        rate = self.known.rates.get((invoice.currency, invoice.issue_date))
        if rate is None:
            raise Reject(
                f"{self.name} has no exchange rate for {invoice.currency} on {invoice.issue_date}",
                code="no_exchange_rate",
                field="currency",
                remedy=self._ledger.capabilities.rate_remedy,
            )
        return rate


# Keys.


def key_of(named: Named) -> str:
    """Return the key of a customer or item that is chosen by id or by name."""
    return f"id:{named.id}" if named.id is not None else name_key(named.name or "")


def name_key(name: str) -> str:
    """Return the key of a name, which the ledger compares without regard to case."""
    return f"name:{name.casefold()}"


def customer_key(named: Named) -> str:
    """Return the key under which `KnownReferences.asked` keeps a customer."""
    return f"customer {key_of(named)}"


def item_key(named: Named) -> str:
    """Return the key under which `KnownReferences.asked` keeps an item."""
    return f"item {key_of(named)}"


def _pick_tax_code(codes: Sequence[TaxCode], chosen: Named) -> TaxCode | None:
    if chosen.id is not None:
        return next((code for code in codes if code.id == chosen.id), None)
    exact = next((code for code in codes if code.name == chosen.name), None)
    folded = (chosen.name or "").casefold()
    return exact or next((code for code in codes if code.name.casefold() == folded), None)


# Reasons.


def _customer_problem(code: str, message: str, remedy: str) -> Reject:
    return Reject(message, code=code, field="client", remedy=remedy)


def inactive_customer(name: str, ledger: str) -> Reject:
    """Return why nothing can be posted to a customer that is inactive."""
    return _customer_problem(
        "customer_inactive",
        f"the customer {name!r} is inactive in {ledger}",
        f"Make it active again in {ledger} and `books retry`, or map the client to another customer under clients in "
        "mappings.yml.",
    )


def _unusable_item(chosen: Named, usable: Sequence[Item], place: str, ledger: str) -> Reject:
    name = chosen.name or f"id {chosen.id}"
    if usable:
        problem = f"{ledger} has several items {name!r}"
        remedy = "Name its id (item_id) under services in mappings.yml."
    else:
        problem = f"the item {name!r} is inactive in {ledger}, or not one that can be sold"
        remedy = f"Make it active in {ledger} and `books retry`, or map the service to another item in mappings.yml."
    return Reject(problem, code="item_unusable", field=place, remedy=remedy)
