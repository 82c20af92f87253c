"""Asking the store and the ledger for the customers, items, tax codes and rates that invoices name.

Each unknown thing is asked for once per run, many in one call; what is found is kept for the next runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import pendulum

from books.core.faults import Reject
from books.ledgers.contract import Customer, Invoice, Item, Ledger, TaxCode
from books.posting.choices import BY_NAME
from books.posting.journal import Journal, Lesson
from books.posting.judging import InvoiceJudge, KnownReferences, customer_key, item_key, key_of, name_key
from books.posting.mappings import Named

TAX_CODES_KEPT_HOURS = 24


class Finder:
    """Fills the `KnownReferences` that its judge reads. One per run."""

    def __init__(self, ledger: Ledger, journal: Journal, judge: InvoiceJudge) -> None:
        self._ledger = ledger
        self._journal = journal
        self.judge = judge
        self._known = judge.known
        self._choices = judge.choices
        recall(journal, judge.known)

    def find(self, invoices: Sequence[Invoice]) -> None:
        """Ask the ledger for everything that these invoices name and that is not known yet."""
        if not invoices:
            return
        if self._known.tax_codes is None:
            self._known.tax_codes = self._tax_codes()
        self._find_items(self._choices.item(line) for invoice in invoices for line in invoice.lines)
        self.find_customers(invoices)
        for invoice in invoices:
            asked = (invoice.currency, invoice.issue_date)
            if self.judge.needs_rate(invoice) and asked not in self._known.rates:
                self._known.rates[asked] = self._ledger.exchange_rate(*asked)

    def _tax_codes(self) -> Sequence[TaxCode]:
        lesson = self._journal.lessons("tax_codes").get("all")
        fresh_since = self._journal.now().subtract(hours=TAX_CODES_KEPT_HOURS)
        if lesson is not None and lesson.learned_at is not None and lesson.learned_at > fresh_since:
            return [_tax_code_from_json(code) for code in lesson.detail["codes"]]
        codes = self._ledger.tax_codes()
        self._journal.learn([Lesson("tax_codes", "all", "", {"codes": [_tax_code_to_json(code) for code in codes]})])
        return codes

    def _find_items(self, choices: Iterable[Named]) -> None:
        wanted = {key_of(named): named for named in choices if self._is_new(item_key(named))}
        if not wanted:
            return
        ids, names = _ids_and_names(wanted.values())
        found = {item.id: item for item in self._ledger.find_items(names=names, ids=ids)}  # one may be asked for twice
        for item in found.values():
            for key in _keys_of_item(item, wanted):
                self._known.items.setdefault(key, []).append(item)
        lessons = []
        for key in wanted:
            known = self._known.items.get(key, [])
            if len(known) == 1 and known[0].active and known[0].sellable:
                lessons.append(Lesson("item", key, known[0].id, {"name": known[0].name}))
        self._journal.learn(lessons)

    def find_customers(self, invoices: Sequence[Invoice]) -> None:
        """Ask for the customers of these invoices that are not known yet, and keep whose customer each is."""
        named = (self.judge.customer_to_ask(invoice) for invoice in invoices)
        wanted = {key_of(each): each for each in named if each is not None and self._is_new(customer_key(each))}
        if wanted:
            self._ask_for_customers(wanted)
        self._keep_customers_by_name(invoices)

    def _ask_for_customers(self, wanted: Mapping[str, Named]) -> None:
        ids, names = _ids_and_names(wanted.values())
        known = self._known.customers
        for customer in self._ledger.find_customers(names=names, ids=ids):
            for key in (f"id:{customer.id}", name_key(customer.name)):
                if key not in known or (
                    customer.active and not known[key].active
                ):  # of two of one name, the active one
                    known[key] = customer
        mapped = {key_of(named) for named in self._choices.mappings.clients.values()}
        found = [(key, known[key]) for key in wanted if key in mapped and key in known]
        self._journal.learn([customer_lesson(key, customer) for key, customer in found if customer.active])

    def _keep_customers_by_name(self, invoices: Iterable[Invoice]) -> None:
        """Settle whose customer each is that bears a client's name: a later change of either name changes nothing."""
        lessons = []
        for invoice in invoices:
            client_id = invoice.client_id
            if self._choices.mappings.client(client_id) is not None or client_id in self._known.clients:
                continue
            try:
                customer = self.judge.customer_by_name(invoice)
            except Reject:
                continue
            if customer is not None:
                self._known.clients[client_id] = customer
                self._known.ways[client_id] = BY_NAME
                lessons.append(customer_lesson(f"client:{client_id}", customer))
        self._journal.learn(lessons)

    def _is_new(self, key: str) -> bool:
        """Return whether this has not been asked for yet, and note that it is now."""
        is_new = key not in self._known.asked
        self._known.asked.add(key)
        return is_new

    def forget(self, invoice: Invoice) -> None:
        """Forget what an invoice names, because the ledger says that one of these is gone: all are looked up again."""
        customer = self._known.clients.pop(invoice.client_id, None)
        if customer is not None:
            self._journal.forget("customer", [customer.id])
        wanted = self.judge.customer_to_ask(invoice)
        if wanted is not None:
            self._known.customers.pop(key_of(wanted), None)
            self._known.asked.discard(customer_key(wanted))
        for line in invoice.lines:
            chosen = self._choices.item(line)
            self._journal.forget("item", [item.id for item in self._known.items.pop(key_of(chosen), [])])
            self._known.asked.discard(item_key(chosen))
        self._known.tax_codes = None
        self._journal.forget("tax_codes", [""])


def recall(journal: Journal, known: KnownReferences) -> None:
    """Take over what earlier runs learned."""
    for key, lesson in journal.lessons("customer").items():
        name, currency = str(lesson.detail.get("name") or ""), lesson.detail.get("currency")
        customer = Customer(lesson.ledger_id, name, currency=currency)
        if key.startswith("client:"):
            known.clients[key.removeprefix("client:")] = customer
        else:
            known.customers[key] = customer
            known.asked.add(f"customer {key}")
    for key, lesson in journal.lessons("item").items():
        known.items[key] = [Item(lesson.ledger_id, str(lesson.detail.get("name") or ""))]
        known.asked.add(f"item {key}")


def is_fresh(lesson: Lesson | None, now: pendulum.DateTime, minutes: int) -> bool:
    """Return whether something learned is young enough to be believed."""
    return lesson is not None and lesson.learned_at is not None and lesson.learned_at > now.subtract(minutes=minutes)


def customer_lesson(key: str, customer: Customer) -> Lesson:
    """Return what the store keeps of a customer."""
    return Lesson("customer", key, customer.id, {"name": customer.name, "currency": customer.currency})


def _ids_and_names(wanted: Iterable[Named]) -> tuple[list[str], list[str]]:
    """Return (ids, names) to ask for, as they are spelt: a folded name is for our own comparison only."""
    things = list(wanted)
    return [each.id for each in things if each.id], [each.name for each in things if not each.id and each.name]


def _keys_of_item(item: Item, keys: Iterable[str]) -> list[str]:
    """Return the keys that an item answers: its id, its full name, and its own name below a parent."""
    answers = {f"id:{item.id}", name_key(item.name), name_key(item.name.rpartition(":")[2])}
    return [key for key in keys if key in answers]


def _tax_code_to_json(code: TaxCode) -> dict[str, object]:
    return {"id": code.id, "name": code.name, "rates": [[rate_id, str(percent)] for rate_id, percent in code.rates]}


def _tax_code_from_json(stored: Mapping[str, object]) -> TaxCode:
    rates = stored["rates"]
    assert isinstance(rates, list)  # noqa: S101 -- written by _tax_code_to_json
    return TaxCode(str(stored["id"]), str(stored["name"]), tuple((str(i), Decimal(str(p))) for i, p in rates))
