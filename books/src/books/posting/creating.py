"""Creating the customers and items that invoices lack: once per key, and never twice for a lost answer."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from books.core.clock import Clock
from books.core.faults import Exit, Fault, Halt, Reject
from books.ledgers.contract import Customer, Invoice, Item, Ledger, NewCustomer, NewItem
from books.posting.choices import BY_CREATION, BY_NAME
from books.posting.crash import Checkpoint
from books.posting.finding import customer_lesson
from books.posting.journal import Journal, Lesson
from books.posting.judging import InvoiceJudge, inactive_customer, name_key

CREATE_TRIES_MAX = 3
PAUSE_SECONDS_MAX = 2
KEYS = uuid.UUID("b1a54f64-6a7b-5a1e-8f0e-3d6a2f8f7c55")


class Creator:
    """Creates customers and items, and keeps them in the `KnownReferences` of its judge. One per run."""

    def __init__(
        self, ledger: Ledger, journal: Journal, clock: Clock, judge: InvoiceJudge, checkpoint: Checkpoint
    ) -> None:
        self._ledger = ledger
        self._journal = journal
        self._clock = clock
        self._judge = judge
        self._known = judge.known
        self._checkpoint = checkpoint

    def create_missing(self, invoices: Sequence[Invoice], items: Sequence[NewItem]) -> None:
        """Create these items, and a customer for each client of these invoices.

        What the ledger refuses is known as unusable from now on, so that the judge says why.

        Raises:
            Halt: the ledger does not confirm them now.
        """
        self._create_items({item.name.casefold(): item for item in items})
        self._create_customers({invoice.client_id: invoice for invoice in invoices})

    # Customers.

    def _create_customers(self, wanted: dict[str, Invoice]) -> None:
        missing = {client_id: self._new_customer(invoice) for client_id, invoice in wanted.items()}
        for _ in range(CREATE_TRIES_MAX):
            if not missing:
                return
            new = list(missing.values())
            outcomes = self._ledger.create_customers(new, self._creation_key([each.name for each in new]))
            self._checkpoint("customers_sent")
            missing = self._keep_customers(missing, outcomes)
            self._checkpoint("customers_learned")
            if missing:
                self._clock.sleep(self._clock.random() * PAUSE_SECONDS_MAX)
        if missing:
            raise _not_confirmed("customers", self._ledger.capabilities.ledger)

    def _new_customer(self, invoice: Invoice) -> NewCustomer:
        client = self._judge.choices.catalogue.clients.get(invoice.client_id)
        is_foreign = invoice.currency != self._judge.company.home_currency
        return NewCustomer(
            name=self._judge.customer_name(invoice),
            email=client.email if client else invoice.client_email,
            billing_address=(client.billing_address if client else None) or invoice.billing_address,
            currency=invoice.currency if is_foreign else None,
        )

    def _keep_customers(
        self, new: dict[str, NewCustomer], outcomes: Sequence[Customer | Fault]
    ) -> dict[str, NewCustomer]:
        """Keep what was created and what was refused; return those whose answer was lost and that are not there."""
        answers = dict(zip(new, outcomes, strict=True))
        lost = {key for key, answer in answers.items() if not isinstance(answer, (Customer, Reject, Halt))}
        taken = {key for key, answer in answers.items() if self._is_name_taken(answer)}
        names = [new[key].name for key in new if key in lost | taken]
        there = {each.name.casefold(): each for each in self._ledger.find_customers(names=names)} if names else {}
        lessons, open_ = [], {}
        for client_id, answer in answers.items():
            name = new[client_id].name
            found = there.get(name.casefold()) if client_id in lost | taken else answer
            if isinstance(found, Halt):
                raise found
            if isinstance(found, Customer) and found.active:
                self._known.clients[client_id] = found
                self._known.ways[client_id] = BY_CREATION if found is answer else BY_NAME
                lessons.append(customer_lesson(f"client:{client_id}", found))
            elif client_id in lost and found is None:
                open_[client_id] = new[client_id]
            else:
                self._known.not_created[client_id] = _customer_not_created(
                    name, found or answer, self._ledger.capabilities.ledger
                )
        self._journal.learn(lessons)
        return open_

    def _is_name_taken(self, answer: Customer | Fault) -> bool:
        return isinstance(answer, Reject) and answer.code == self._ledger.capabilities.name_taken_code

    # Items.

    def _create_items(self, wanted: dict[str, NewItem]) -> None:
        missing = list(wanted.values())
        for _ in range(CREATE_TRIES_MAX):
            if not missing:
                return
            outcomes = self._ledger.create_items(missing, self._creation_key([each.name for each in missing]))
            self._checkpoint("items_sent")
            missing = self._keep_items(missing, outcomes)
        if missing:
            raise _not_confirmed("items", self._ledger.capabilities.ledger)

    def _keep_items(self, new: Sequence[NewItem], outcomes: Sequence[Item | Fault]) -> list[NewItem]:
        """Keep what was created or is there after all; return those whose answer was lost and that are not there."""
        halt = next((outcome for outcome in outcomes if isinstance(outcome, Halt)), None)
        if halt is not None:
            raise halt
        created = [outcome for outcome in outcomes if isinstance(outcome, Item)]
        failed = [item.name for item, outcome in zip(new, outcomes, strict=True) if not isinstance(outcome, Item)]
        # Another process may have made what failed here.
        there = [*created, *(self._ledger.find_items(names=failed) if failed else ())]
        self._known.items |= {name_key(item.name): [item] for item in there}
        usable = [item for item in there if item.active and item.sellable]
        self._journal.learn([Lesson("item", name_key(each.name), each.id, {"name": each.name}) for each in usable])
        open_ = []
        for item, outcome in zip(new, outcomes, strict=True):
            if name_key(item.name) in self._known.items:
                continue
            if isinstance(outcome, Reject):
                self._known.items[name_key(item.name)] = [Item("", item.name, active=False)]
            else:
                open_.append(item)
        return open_

    def _creation_key(self, names: Sequence[str]) -> str:
        return str(uuid.uuid5(KEYS, "\x1f".join((self._ledger.connection, *names))))


def _customer_not_created(name: str, why: Customer | Fault, ledger: str) -> Reject:
    if isinstance(why, Customer):
        return inactive_customer(name, ledger)
    if isinstance(why, Reject) and why.code:
        return Reject(
            f"the customer {name!r} cannot be created: {why.message}",
            code=why.code,
            field="client",
            remedy=why.remedy,
            vendor_request_id=why.vendor_request_id,
        )
    message = f"the customer {name!r} cannot be created"
    return Reject(message, code="customer_refused", field="client", remedy="`books retry`")


def _not_confirmed(what: str, ledger: str) -> Halt:
    return Halt(
        f"{ledger} did not confirm new {what}",
        exit_code=Exit.TRY_LATER,
        code="not_confirmed",
        remedy="Run again: they are looked up first, and nothing is created twice.",
    )
