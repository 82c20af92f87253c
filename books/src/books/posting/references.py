"""What the ledger calls the customer, the items and the tax codes of an invoice: found, learned or created.

Order of belief: the mapping file, then what was learned of this client, then what OpsMerge carries, then the name.
Each unknown thing is asked for once per run, many in one call.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cached_property

import pendulum

from books.core import money
from books.core.clock import Clock
from books.core.faults import Exit, Fault, Halt, Reject
from books.core.printable import has_control
from books.ledgers.contract import (
    Client,
    Company,
    Customer,
    Invoice,
    Item,
    Ledger,
    Line,
    NewCustomer,
    NewItem,
    References,
    Service,
    SourceTaxCode,
    TaxCode,
)
from books.posting.crash import Checkpoint
from books.posting.journal import Journal, Lesson
from books.posting.mappings import Mappings, Named
from books.posting.records import plain, sha256

TAX_CODES_KEPT_HOURS = 24
CREATE_TRIES_MAX = 3
KEYS = uuid.UUID("b1a54f64-6a7b-5a1e-8f0e-3d6a2f8f7c55")


@dataclass
class Catalogue:
    """OpsMerge's own lists, as far as this run's input told them, and the names of the clients of its invoices."""

    services: dict[str, Service] = field(default_factory=dict)
    tax_codes: dict[str, SourceTaxCode] = field(default_factory=dict)
    clients: dict[str, Client] = field(default_factory=dict)
    invoiced: dict[str, str] = field(default_factory=dict)

    def client_name(self, invoice: Invoice) -> str:
        """The client's name today; as on the invoice where the clients were not told."""
        client = self.clients.get(invoice.client_id)
        return client.name if client else invoice.client_name

    def names(self) -> dict[str, str]:
        """Client id to name, of all clients that are active or have an invoice here."""
        active = {client.id: client.name for client in self.clients.values() if client.active}
        invoiced = {key: self.clients[key].name if key in self.clients else name for key, name in self.invoiced.items()}
        return {**active, **invoiced}


BY_FILE = "mappings.yml"
BY_OPSMERGE = "OpsMerge's own mapping"
BY_NAME = "its name"
BY_STORED_ID = "the id stored when this client was first posted"
BY_CREATION = "created for it"
"""The ways in which a ledger thing is found, in words."""


@dataclass(frozen=True)
class Choices:
    """Which ledger thing is meant by a line or an invoice, before the ledger was asked."""

    mappings: Mappings
    catalogue: Catalogue
    income_account: str | None = None
    expense_account: str | None = None

    def item(self, line: Line) -> Named:
        """The item of a line: the file's, what OpsMerge carries, else one of the service's own name."""
        return self.item_and_way(line)[0]

    def item_and_way(self, line: Line) -> tuple[Named, str]:
        """The item of a line, and by which way it was chosen."""
        chosen = self.mappings.service(line.service_id, line.service_name)
        if chosen is not None:
            return chosen, BY_FILE
        service = self.catalogue.services.get(line.service_id or "")
        if service is not None:
            way = BY_OPSMERGE if service.item else BY_NAME
            return Named(name=service.item or service.name or line.service_name), way
        return Named(name=line.service_name or line.service_id), BY_NAME

    def tax_code(self, line: Line) -> Named:
        """The tax code of a line, by the same order."""
        return self.tax_code_and_way(line)[0]

    def tax_code_and_way(self, line: Line) -> tuple[Named, str]:
        """The tax code of a line, and by which way it was chosen."""
        chosen = self.mappings.tax_code(line.tax_code_id, line.tax_code_name)
        if chosen is not None:
            return chosen, BY_FILE
        code = self.catalogue.tax_codes.get(line.tax_code_id or "")
        if code is not None:
            way = BY_OPSMERGE if code.code else BY_NAME
            return Named(name=code.code or code.name or line.tax_code_name), way
        return Named(name=line.tax_code_name or line.tax_code_id), BY_NAME

    def tax_rate(self, line: Line) -> Decimal | None:
        """The rate that OpsMerge means, per cent."""
        if line.tax_rate is not None:
            return line.tax_rate
        code = self.catalogue.tax_codes.get(line.tax_code_id or "")
        return code.rate if code else None

    @cached_property
    def _clients_sha256(self) -> str:
        spelt = (f"{client_id}\x1f{_spell(named)}" for client_id, named in sorted(self.mappings.clients.items()))
        return sha256("\x1d".join(spelt))

    def sha256(self, invoice: Invoice, vat_policy: str) -> str:
        """All that the mappings say about this invoice, as one hash: when it changes, a refusal is worth a new try.

        Every client counts: mapping one of two clients of the same name settles the other.
        """
        parts = [vat_policy, self.income_account, self.expense_account, self._clients_sha256]
        for line in invoice.lines:
            parts += [_spell(self.item(line)), _spell(self.tax_code(line)), plain(self.tax_rate(line))]
        return sha256("\x1f".join(part or "" for part in parts))


def _spell(named: Named | None) -> str:
    return f"{named.id or ''}\x1e{named.name or ''}" if named else ""


@dataclass
class _Known:
    """What this run knows of the ledger's things, by key (`id:...`, `name:...`)."""

    customers: dict[str, Customer] = field(default_factory=dict)
    clients: dict[str, Customer] = field(default_factory=dict)
    ways: dict[str, str] = field(default_factory=dict)
    """Client id to the way in which its customer was found; without one, it was known before this run."""
    items: dict[str, list[Item]] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    problems: dict[str, Reject] = field(default_factory=dict)
    rates: dict[tuple[str, date], Decimal | None] = field(default_factory=dict)
    tax_codes: Sequence[TaxCode] | None = None


class Resolver:
    """Finds, remembers and creates. One per run."""

    def __init__(
        self, ledger: Ledger, journal: Journal, clock: Clock, company: Company, choices: Choices, checkpoint: Checkpoint
    ) -> None:
        self._ledger = ledger
        self._journal = journal
        self._clock = clock
        self._company = company
        self._choices = choices
        self._checkpoint = checkpoint
        self._known = _Known()
        self._same_name = _by_folded_name(choices.catalogue.names(), ledger)
        self._recall()

    def _recall(self) -> None:
        """Take over what earlier runs learned."""
        for key, lesson in self._journal.lessons("customer").items():
            name, currency = str(lesson.detail.get("name") or ""), lesson.detail.get("currency")
            customer = Customer(lesson.ledger_id, name, currency=currency)
            if key.startswith("client:"):
                self._known.clients[key.removeprefix("client:")] = customer
            else:
                self._known.customers[key] = customer
                self._known.asked.add("customer " + key)
        for key, lesson in self._journal.lessons("item").items():
            self._known.items[key] = [Item(lesson.ledger_id, str(lesson.detail.get("name") or ""))]
            self._known.asked.add("item " + key)

    # Finding.

    def find(self, invoices: Sequence[Invoice]) -> None:
        """Ask the ledger for everything these invoices name and that is not known yet."""
        if not invoices:
            return
        if self._known.tax_codes is None:
            self._known.tax_codes = self._tax_codes()
        self._find_items(self._choices.item(line) for invoice in invoices for line in invoice.lines)
        self.find_customers(invoices)

    def _tax_codes(self) -> Sequence[TaxCode]:
        lesson = self._journal.lessons("tax_codes").get("all")
        fresh_since = self._journal.now().subtract(hours=TAX_CODES_KEPT_HOURS)
        if lesson is not None and lesson.learned_at is not None and lesson.learned_at > fresh_since:
            return [_read_tax_code(told) for told in lesson.detail["codes"]]
        codes = self._ledger.tax_codes()
        told = {"codes": [_spell_tax_code(code) for code in codes]}
        self._journal.learn([Lesson("tax_codes", "all", "", told)])
        return codes

    def _find_items(self, choices: Iterable[Named]) -> None:
        wanted = {_key(named): named for named in choices}
        keys = [key for key in wanted if self._ask("item " + key)]
        if not keys:
            return
        ids, names = _split([wanted[key] for key in keys])
        lessons = []
        found = {item.id: item for item in self._ledger.find_items(names=names, ids=ids)}  # one may be asked for twice
        for item in found.values():
            for key in _item_keys(item, keys):
                self._known.items.setdefault(key, []).append(item)
        for key in keys:
            known = self._known.items.get(key, [])
            if len(known) == 1 and known[0].active and known[0].sellable:
                lessons.append(Lesson("item", key, known[0].id, {"name": known[0].name}))
        self._journal.learn(lessons)

    def find_customers(self, invoices: Sequence[Invoice]) -> None:
        """Ask for the customers of these invoices that are not known yet."""
        named = (self._customer_to_ask(invoice) for invoice in {each.client_id: each for each in invoices}.values())
        wanted = {_key(each): each for each in named if each is not None}
        keys = [key for key in wanted if self._ask("customer " + key)]
        if not keys:
            return
        ids, names = _split([wanted[key] for key in keys])
        for customer in self._ledger.find_customers(names=names, ids=ids):
            for key in (f"id:{customer.id}", _name_key(customer.name)):
                self._note_customer(key, customer)
        mapped = {_key(named) for named in self._choices.mappings.clients.values()}
        found = [(key, self._known.customers[key]) for key in keys if key in mapped and key in self._known.customers]
        self._journal.learn([_customer_lesson(key, customer) for key, customer in found if customer.active])

    def _note_customer(self, key: str, customer: Customer) -> None:
        """Of an active and an inactive customer of one name, the active one counts."""
        known = self._known.customers.get(key)
        if known is None or (customer.active and not known.active):
            self._known.customers[key] = customer

    def _customer_to_ask(self, invoice: Invoice) -> Named | None:
        """What to ask the ledger for; None where the customer is known already."""
        mapped = self._choices.mappings.client(invoice.client_id)
        if mapped is not None:
            return mapped
        if invoice.client_id in self._known.clients:
            return None
        name = self._ledger.customer_name(self._choices.catalogue.client_name(invoice))
        return Named(name=name) if name else None

    def _ask(self, what: str) -> bool:
        """Whether this has not been asked yet; from now on it has."""
        new = what not in self._known.asked
        self._known.asked.add(what)
        return new

    # Answering.

    def customer(self, invoice: Invoice) -> Customer | None:
        """The customer of an invoice; None where one has to be created.

        Raises:
            Reject: no customer can be chosen; the message says which person must decide what.
        """
        mapped = self._choices.mappings.client(invoice.client_id)
        if mapped is not None:
            customer = self._mapped_customer(invoice, mapped)
        elif invoice.client_id in self._known.problems:
            raise self._known.problems[invoice.client_id]
        elif invoice.client_id in self._known.clients:
            customer = self._known.clients[invoice.client_id]
        else:
            found = self._customer_by_name(invoice)
            if found is None:
                return None
            customer = found
        self._check_currency(invoice, customer)
        return customer

    def _mapped_customer(self, invoice: Invoice, mapped: Named) -> Customer:
        customer = self._known.customers.get(_key(mapped))
        chosen = f"id {mapped.id}" if mapped.id else f"{mapped.name!r}"
        if customer is None:
            raise _customer_problem(
                "customer_missing",
                f"mappings.yml gives client {invoice.client_id} the customer {chosen}, which QuickBooks does not have",
                "Correct clients in mappings.yml, or create the customer in QuickBooks.",
            )
        if not customer.active:
            raise _inactive_customer(customer.name)
        return customer

    def _customer_by_name(self, invoice: Invoice) -> Customer | None:
        name = self._ledger.customer_name(self._choices.catalogue.client_name(invoice))
        if not name:
            raise _customer_problem("client_name", "the client has no name", "Give the client a name in OpsMerge.")
        self._check_same_name(invoice, name)
        customer = self._known.customers.get(_name_key(name))
        if customer is None:
            return None
        if not customer.active:
            raise _inactive_customer(name)
        self._check_owner(invoice, customer)
        self._known.clients[invoice.client_id] = customer
        self._known.ways[invoice.client_id] = BY_NAME
        self._journal.learn([_customer_lesson(f"client:{invoice.client_id}", customer)])
        return customer

    def customer_way(self, invoice: Invoice) -> str:
        """How the customer of this invoice was found, in words."""
        if self._choices.mappings.client(invoice.client_id) is not None:
            return BY_FILE
        return self._known.ways.get(invoice.client_id, BY_STORED_ID)

    def _check_same_name(self, invoice: Invoice, name: str) -> None:
        others = [
            client_id
            for client_id in self._same_name.get(name.casefold(), ())
            if client_id != invoice.client_id and self._choices.mappings.client(client_id) is None
        ]
        unsettled = [client_id for client_id in others if client_id not in self._known.clients]
        if unsettled:
            raise _customer_problem(
                "client_names_clash",
                f"clients {invoice.client_id} and {', '.join(unsettled)} have the same name {name!r} for QuickBooks",
                "Say under clients in mappings.yml which customer each of them is.",
            )

    def owner(self, customer: Customer) -> str | None:
        """The client that stands for this customer, as far as this run knows; None where there is none."""
        owners = {known.id: client_id for client_id, known in self._known.clients.items()}
        owners |= {
            self._known.customers[_key(named)].id: client_id
            for client_id, named in self._choices.mappings.clients.items()
            if _key(named) in self._known.customers
        }
        return owners.get(customer.id)

    def _check_owner(self, invoice: Invoice, customer: Customer) -> None:
        owner = self.owner(customer)
        if owner not in (None, invoice.client_id):
            raise _customer_problem(
                "customer_taken",
                f"the customer {customer.name!r} already stands for client {owner}",
                f"Say under clients in mappings.yml which customer {invoice.client_id} is.",
            )

    def _check_currency(self, invoice: Invoice, customer: Customer) -> None:
        currency = customer.currency or self._company.home_currency
        if currency != invoice.currency:
            raise Reject(
                f"the invoice is in {invoice.currency}, and the customer {customer.name!r} is kept in {currency}",
                code="customer_currency",
                field="currency",
                remedy="Map the client to a customer of this currency under clients in mappings.yml.",
            )

    def items(self, invoice: Invoice) -> tuple[Item | NewItem, ...]:
        """The item of each line, or what to create for it.

        Raises:
            Reject: a line's item is missing, inactive, ambiguous or not for sale.
        """
        return tuple(self._item(line, index) for index, line in enumerate(invoice.lines))

    def _item(self, line: Line, index: int) -> Item | NewItem:
        chosen = self._choices.item(line)
        found = self._known.items.get(_key(chosen), [])
        usable = [item for item in found if item.active and item.sellable]
        if len(usable) == 1:
            return usable[0]
        place = f"lines[{index}].service"
        if found:
            raise _unusable_item(chosen, usable, place)
        income, expense = self._choices.income_account, self._choices.expense_account
        if chosen.id is None and chosen.name and income and expense and not has_control(chosen.name):
            return NewItem(chosen.name, income, expense)
        raise _missing_item(chosen, line, place)

    def tax_codes(self, invoice: Invoice) -> tuple[TaxCode, ...]:
        """The tax code of each line, its rate checked.

        Raises:
            Reject: a line's code is missing, inactive or has another rate.
        """
        return tuple(self._tax_code(line, index) for index, line in enumerate(invoice.lines))

    def _tax_code(self, line: Line, index: int) -> TaxCode:
        chosen = self._choices.tax_code(line)
        code = _pick_tax_code(self._known.tax_codes or (), chosen)
        place = f"lines[{index}].tax_code"
        if code is None:
            raise Reject(
                f"missing TaxCodeRef: QuickBooks has no active VAT code {chosen.id or chosen.name!r}",
                code="tax_code_missing",
                field=place,
                remedy=f"Map {line.tax_code_name or line.tax_code_id!r} under tax_codes in mappings.yml.",
            )
        rate = self._choices.tax_rate(line)
        if rate is not None and rate != code.percent:
            raise Reject(
                f"the tax code has {plain(rate)} % in OpsMerge, and {code.name!r} has {plain(code.percent)} % in "
                "QuickBooks",
                code="tax_rate_differs",
                field=place,
                remedy="Map it to a code of the same rate under tax_codes in mappings.yml.",
            )
        return code

    def known_tax_codes(self) -> Sequence[TaxCode]:
        """The ledger's codes, once something was found."""
        return self._known.tax_codes or ()

    def exchange_rate(self, invoice: Invoice) -> Decimal | None:
        """The ledger's own rate of the invoice's date; None in the home currency.

        Raises:
            Reject: the ledger has none.
        """
        if invoice.currency == self._company.home_currency:
            return None
        asked = (invoice.currency, invoice.issue_date)
        if asked not in self._known.rates:
            self._known.rates[asked] = self._ledger.exchange_rate(*asked)
        rate = self._known.rates[asked]
        if rate is None:
            raise Reject(
                f"QuickBooks has no exchange rate for {invoice.currency} on {invoice.issue_date}",
                code="no_exchange_rate",
                field="currency",
                remedy="Enter the rate in QuickBooks (Lists > Currencies), then `books retry`.",
            )
        return rate

    def references(self, invoice: Invoice) -> References:
        """All of them, once everything missing was created.

        Raises:
            Reject: one cannot be had.
        """
        customer = self.customer(invoice)
        items = self.items(invoice)
        if customer is None or any(isinstance(item, NewItem) for item in items):
            raise _not_created()
        ready = tuple(item for item in items if isinstance(item, Item))
        return References(customer, ready, self.tax_codes(invoice), self.exchange_rate(invoice))

    def told(self, invoice: Invoice, references: References) -> str:
        """What an invoice is sent with and how each was found, as JSON for people: ids and names, of services once."""
        services, tax_codes = {}, {}
        for line, item, code in zip(invoice.lines, references.items, references.tax_codes, strict=True):
            item_way, code_way = self._choices.item_and_way(line)[1], self._choices.tax_code_and_way(line)[1]
            services[line.service_name or line.service_id] = _spell_found(item.id, item.name, item_way)
            tax_codes[line.tax_code_name or line.tax_code_id] = _spell_found(code.id, code.name, code_way)
        customer = {"id": references.customer.id, "way": self.customer_way(invoice)}
        return money.dumps({"customer": customer, "services": services, "tax_codes": tax_codes})

    # Creating.

    def create_missing(self, invoices: Sequence[Invoice]) -> None:
        """Create the customers and items that these invoices still lack.

        Raises:
            Halt: the ledger could not be told now.
        """
        self._create_items(invoices)
        self._create_customers(invoices)

    def _create_customers(self, invoices: Sequence[Invoice]) -> None:
        wanted = {invoice.client_id: invoice for invoice in invoices if self._lacks_customer(invoice)}
        new = [self._new_customer(invoice) for invoice in wanted.values()]
        clients = list(wanted)
        for _ in range(CREATE_TRIES_MAX):
            if not new:
                return
            outcomes = self._ledger.create_customers(new, self._creation_key([each.name for each in new]))
            self._checkpoint("customers_sent")
            open_ = self._learn_customers(clients, new, outcomes)
            clients, new = [clients[place] for place in open_], [new[place] for place in open_]
        if new:
            raise _try_later("customers")

    def _lacks_customer(self, invoice: Invoice) -> bool:
        try:
            return self.customer(invoice) is None
        except Reject:
            return False

    def _new_customer(self, invoice: Invoice) -> NewCustomer:
        client = self._choices.catalogue.clients.get(invoice.client_id)
        foreign = invoice.currency != self._company.home_currency
        return NewCustomer(
            name=self._ledger.customer_name(self._choices.catalogue.client_name(invoice)),
            email=client.email if client else invoice.client_email,
            billing_address=(client.billing_address if client else None) or invoice.billing_address,
            currency=invoice.currency if foreign else None,
        )

    def _learn_customers(
        self, clients: Sequence[str], new: Sequence[NewCustomer], outcomes: Sequence[Customer | Fault]
    ) -> list[int]:
        """Keep what was created, remember what was refused; the places of those whose answer was lost."""
        lost = [place for place, outcome in enumerate(outcomes) if not isinstance(outcome, (Customer, Reject, Halt))]
        taken = [place for place, outcome in enumerate(outcomes) if self._is_name_taken(outcome)]
        found = self._look_again([new[place].name for place in (*lost, *taken)])
        lessons, open_ = [], []
        for place, outcome in enumerate(outcomes):
            client_id, name = clients[place], new[place].name
            settled = found.get(name.casefold()) if place in lost or place in taken else outcome
            if isinstance(settled, Customer) and settled.active:
                self._known.clients[client_id] = settled
                self._known.ways[client_id] = BY_CREATION if settled is outcome else BY_NAME
                lessons.append(_customer_lesson(f"client:{client_id}", settled))
            elif isinstance(settled, Halt):
                raise settled
            elif place in lost and settled is None:
                open_.append(place)
            else:
                self._known.problems[client_id] = _customer_refused(name, settled or outcome)
        self._journal.learn(lessons)
        self._checkpoint("customers_learned")
        if open_:
            self._clock.sleep(self._clock.random() * 2)
        return open_

    def _is_name_taken(self, outcome: Customer | Fault) -> bool:
        return isinstance(outcome, Reject) and outcome.code == self._ledger.capabilities.name_taken_code

    def _look_again(self, names: Sequence[str]) -> dict[str, Customer]:
        if not names:
            return {}
        return {customer.name.casefold(): customer for customer in self._ledger.find_customers(names=names)}

    def _create_items(self, invoices: Sequence[Invoice]) -> None:
        wanted = {item.name.casefold(): item for invoice in invoices for item in self._lacking_items(invoice)}
        new = list(wanted.values())
        for _ in range(CREATE_TRIES_MAX):
            if not new:
                return
            outcomes = self._ledger.create_items(new, self._creation_key([each.name for each in new]))
            self._checkpoint("items_sent")
            new = self._learn_items(new, outcomes)
        if new:
            raise _try_later("items")

    def _lacking_items(self, invoice: Invoice) -> list[NewItem]:
        try:
            return [item for item in self.items(invoice) if isinstance(item, NewItem)]
        except Reject:
            return []

    def _learn_items(self, new: Sequence[NewItem], outcomes: Sequence[Item | Fault]) -> list[NewItem]:
        """Keep what was created; what was not, is asked for again: another process may have made it."""
        created = [outcome for outcome in outcomes if isinstance(outcome, Item)]
        failed = [item for item, outcome in zip(new, outcomes, strict=True) if not isinstance(outcome, Item)]
        halts = [outcome for outcome in outcomes if isinstance(outcome, Halt)]
        if halts:
            raise halts[0]
        found = list(self._ledger.find_items(names=[item.name for item in failed])) if failed else []
        there = [*created, *found]
        self._known.items |= {_name_key(item.name): [item] for item in there}
        usable = [item for item in there if item.active and item.sellable]
        self._journal.learn([Lesson("item", _name_key(each.name), each.id, {"name": each.name}) for each in usable])
        missing = [place for place, item in enumerate(new) if _name_key(item.name) not in self._known.items]
        for place in missing:
            if isinstance(outcomes[place], Reject):
                # Known as unusable, so that its invoices are refused in words instead of it being created again.
                self._known.items[_name_key(new[place].name)] = [Item("", new[place].name, active=False)]
        return [new[place] for place in missing if not isinstance(outcomes[place], Reject)]

    def _creation_key(self, names: Sequence[str]) -> str:
        return str(uuid.uuid5(KEYS, "\x1f".join((self._ledger.connection, *names))))

    def forget(self, invoice: Invoice) -> None:
        """The ledger says one of these is gone: look all of them up afresh."""
        customer = self._known.clients.pop(invoice.client_id, None)
        if customer is not None:
            self._journal.forget("customer", [customer.id])
        mapped = self._choices.mappings.client(invoice.client_id)
        keys = {"customer " + (_key(mapped) if mapped else self._name_key_of(invoice))}
        for line in invoice.lines:
            key = _key(self._choices.item(line))
            self._journal.forget("item", [item.id for item in self._known.items.pop(key, [])])
            keys.add("item " + key)
        self._known.asked -= keys
        for key in keys:
            self._known.customers.pop(key.removeprefix("customer "), None)
        self._known.tax_codes = None
        self._journal.forget("tax_codes", [""])

    def _name_key_of(self, invoice: Invoice) -> str:
        return _name_key(self._ledger.customer_name(self._choices.catalogue.client_name(invoice)))


def _key(named: Named) -> str:
    return f"id:{named.id}" if named.id is not None else _name_key(named.name or "")


def _name_key(name: str) -> str:
    return f"name:{name.casefold()}"


def _split(things: Sequence[Named]) -> tuple[list[str], list[str]]:
    """(ids, names) to ask for, as they are spelt: a folded name is for our own comparison only."""
    return [each.id for each in things if each.id], [each.name for each in things if not each.id and each.name]


def _item_keys(item: Item, keys: Sequence[str]) -> list[str]:
    """The keys that this item answers: its id, its full name, and its own name below a parent."""
    answers = {f"id:{item.id}", _name_key(item.name), _name_key(item.name.rpartition(":")[2])}
    return [key for key in keys if key in answers]


def _by_folded_name(names: Mapping[str, str], ledger: Ledger) -> dict[str, list[str]]:
    clients: defaultdict[str, list[str]] = defaultdict(list)
    for client_id, name in names.items():
        clients[ledger.customer_name(name).casefold()].append(client_id)
    return clients


def _pick_tax_code(codes: Sequence[TaxCode], chosen: Named) -> TaxCode | None:
    if chosen.id is not None:
        return next((code for code in codes if code.id == chosen.id), None)
    exact = next((code for code in codes if code.name == chosen.name), None)
    folded = (chosen.name or "").casefold()
    return exact or next((code for code in codes if code.name.casefold() == folded), None)


def _spell_found(ledger_id: str, name: str, way: str) -> dict[str, str]:
    return {"id": ledger_id, "name": name, "way": way}


def _spell_tax_code(code: TaxCode) -> dict[str, object]:
    return {"id": code.id, "name": code.name, "rates": [[rate_id, str(percent)] for rate_id, percent in code.rates]}


def _read_tax_code(told: Mapping[str, object]) -> TaxCode:
    rates = told["rates"]
    assert isinstance(rates, list)  # noqa: S101 -- written by _spell_tax_code
    return TaxCode(str(told["id"]), str(told["name"]), tuple((str(i), Decimal(str(p))) for i, p in rates))


def _customer_lesson(key: str, customer: Customer) -> Lesson:
    return Lesson("customer", key, customer.id, {"name": customer.name, "currency": customer.currency})


def _customer_problem(code: str, message: str, remedy: str) -> Reject:
    return Reject(message, code=code, field="client", remedy=remedy)


def _inactive_customer(name: str) -> Reject:
    return _customer_problem(
        "customer_inactive",
        f"the customer {name!r} is inactive in QuickBooks",
        "Make it active again in QuickBooks and `books retry`, or map the client to another customer under clients in "
        "mappings.yml.",
    )


def _customer_refused(name: str, why: Customer | Fault) -> Reject:
    if isinstance(why, Customer):
        return _inactive_customer(name)
    if isinstance(why, Reject) and why.code:
        return Reject(
            f"the customer {name!r} cannot be created: {why.message}",
            code=why.code,
            field="client",
            remedy=why.remedy,
            vendor_request_id=why.vendor_request_id,
        )
    return _customer_problem("customer_refused", f"the customer {name!r} cannot be created", "`books retry`")


def _unusable_item(chosen: Named, usable: Sequence[Item], place: str) -> Reject:
    name = chosen.name or f"id {chosen.id}"
    if usable:
        problem, remedy = (
            f"QuickBooks has several items {name!r}",
            "Name its id (item_id) under services in mappings.yml.",
        )
    else:
        problem = f"the item {name!r} is inactive in QuickBooks, or not one that can be sold"
        remedy = "Make it active in QuickBooks and `books retry`, or map the service to another item in mappings.yml."
    return Reject(problem, code="item_unusable", field=place, remedy=remedy)


def _missing_item(chosen: Named, line: Line, place: str) -> Reject:
    return Reject(
        f"missing service: QuickBooks has no item {chosen.id or chosen.name!r}",
        code="item_missing",
        field=place,
        remedy=f"Map {line.service_name or line.service_id!r} under services in mappings.yml, or set "
        "default_income_account and default_expense_account so that it is created.",
    )


def _not_created() -> Reject:
    return Reject("its customer or item could not be created", code="not_created", remedy="`books retry`")


def _try_later(what: str) -> Halt:
    return Halt(
        f"QuickBooks did not confirm new {what}",
        exit_code=Exit.TRY_LATER,
        code="not_confirmed",
        remedy="Run again: they are looked up first, and nothing is created twice.",
    )


def is_fresh(lesson: Lesson | None, now: pendulum.DateTime, minutes: int) -> bool:
    """Whether something learned is young enough to be believed."""
    return lesson is not None and lesson.learned_at is not None and lesson.learned_at > now.subtract(minutes=minutes)
