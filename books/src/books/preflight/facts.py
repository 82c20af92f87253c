"""What a preflight reads: OpsMerge's due invoices and lists, and everything of the ledger that they name.

The ledger is asked afresh: nothing that earlier runs learned is believed, but for which client is which customer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from books.clock import Clock
from books.faults import Reject
from books.ledger import Account, Company, Customer, Invoice, Item, Ledger, LedgerInvoice, TaxCode, Whole
from books.mappings import Mappings
from books.opsmerge import OpsMergeClient, api
from books.posting import records
from books.posting.checks import check_number
from books.posting.journal import Lesson
from books.posting.outbox import by_number
from books.posting.preview import PreviewJournal
from books.posting.references import Catalogue, Choices, Resolver
from books.posting.triage import Policy, reason_to_leave
from books.store import Store

CLIENT = "client:"


@dataclass(frozen=True)
class Rules:
    """What the target's settings say of posting, as far as a preflight needs it."""

    mappings: Mappings
    post_from: date | None
    vat_difference: str
    income_account: str | None
    expense_account: str | None
    duplicate_numbers_checked: str | None = None


@dataclass(frozen=True)
class Unreadable:
    """An invoice whose record cannot be read, and why."""

    number: str
    problem: Reject


@dataclass(frozen=True)
class Source:
    """What OpsMerge told: invoices that would be posted, its lists, and how many rows were read of each."""

    invoices: Sequence[Invoice]
    unreadable: Sequence[Unreadable]
    catalogue: Catalogue
    rows: Mapping[str, int]


@dataclass(frozen=True)
class Facts:
    """Both sides, read."""

    rules: Rules
    source: Source
    ledger: Ledger
    company: Company
    choices: Choices
    resolver: Resolver
    items: Whole[Item]
    customers: Whole[Customer]
    tax_codes: Sequence[TaxCode]
    found: Mapping[str, Sequence[LedgerInvoice]]
    """What the ledger has under the invoices' numbers."""
    accounts: Sequence[Account]
    holders: Mapping[str, str]
    """Folded names of new customers that a vendor or an employee has."""


class Afresh(PreviewJournal):
    """Forgets what was learned, but for the customers of clients that are still there and active."""

    def __init__(self, store: Store, connection: str, ledger: Ledger, client_ids: Sequence[str]) -> None:
        super().__init__(store, connection)
        wanted = {CLIENT + client_id for client_id in client_ids}
        stored = {key: each for key, each in super().lessons("customer").items() if key in wanted}
        there = ledger.find_customers(ids=sorted({each.ledger_id for each in stored.values()}))
        live = {customer.id for customer in there if customer.active}
        self._clients = {key: each for key, each in stored.items() if each.ledger_id in live}

    def lessons(self, kind: str) -> dict[str, Lesson]:
        """See `Journal`."""
        return self._clients if kind == "customer" else {}


def gather(ledger: Ledger, opsmerge: OpsMergeClient, store: Store, clock: Clock, rules: Rules) -> Facts:
    """Read everything.

    Raises:
        Halt: one of the two sides cannot be read.
    """
    source = read_source(opsmerge, ledger, store, rules)
    company = ledger.company()
    choices = Choices(rules.mappings, source.catalogue, rules.income_account, rules.expense_account)
    journal = Afresh(store, ledger.connection, ledger, [each.client_id for each in source.invoices])
    resolver = Resolver(ledger, journal, clock, company, choices, lambda _point: None)
    resolver.find(source.invoices)
    accounts = [name for name in (rules.income_account, rules.expense_account) if name]
    names = {ledger.customer_name(choices.catalogue.client_name(each)) for each in source.invoices}
    return Facts(
        rules=rules,
        source=source,
        ledger=ledger,
        company=company,
        choices=choices,
        resolver=resolver,
        items=ledger.list_items(),
        customers=ledger.list_customers(),
        tax_codes=resolver.known_tax_codes() or ledger.tax_codes(),
        found=by_number(ledger.find_invoices([each.number for each in source.invoices])),
        accounts=ledger.find_accounts(accounts),
        holders=ledger.other_holders(sorted(name for name in names if name)),
    )


def read_source(opsmerge: OpsMergeClient, ledger: Ledger, store: Store, rules: Rules) -> Source:
    """OpsMerge's invoices that a push would post, all pages, and its lists."""
    statuses = ["open", "overdue", *(["paid"] if rules.post_from else [])]
    documents = list(opsmerge.records(api.INVOICES, params={api.STATUS: ",".join(statuses)}))
    lists = {each.name: list(opsmerge.records(each)) for each in (api.SERVICES, api.TAX_CODES, api.CLIENTS)}
    catalogue = Catalogue(
        services={each.id: each for each in map(records.service, lists["services"]) if each},
        tax_codes={each.id: each for each in map(records.tax_code, lists["tax_codes"]) if each},
        clients={each.id: each for each in map(records.client, lists["clients"]) if each},
        invoiced={str(each["client_id"]): str(each["client_name"] or "") for each in documents if each["client_id"]},
    )
    invoices, unreadable = _read(_not_in_the_books(documents, store, ledger.connection), ledger, rules)
    rows = {"invoices": len(documents), **{name: len(found) for name, found in lists.items()}}
    return Source(invoices, unreadable, catalogue, rows)


def _not_in_the_books(
    documents: Sequence[Mapping[str, object]], store: Store, connection: str
) -> Sequence[Mapping[str, object]]:
    postings = PreviewJournal(store, connection).load([str(each["id"]) for each in documents])
    there = {key for key, posting in postings.items() if posting.in_the_books}
    return [each for each in documents if str(each["id"]) not in there]


def _read(
    documents: Sequence[Mapping[str, object]], ledger: Ledger, rules: Rules
) -> tuple[list[Invoice], list[Unreadable]]:
    policy = Policy(rules.post_from, 0)
    invoices, unreadable = [], []
    for document in documents:
        try:
            invoice = records.parse(document)
            check_number(invoice, ledger.capabilities)
        except Reject as problem:
            unreadable.append(Unreadable(str(document.get("number") or document["id"]), problem))
            continue
        early = rules.post_from is not None and invoice.issue_date < rules.post_from
        if reason_to_leave(invoice, policy) is None and not early:
            invoices.append(invoice)
    return invoices, unreadable


def grouped(pairs: Sequence[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Values by key, each once, in the order given."""
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for key, value in pairs:
        found[key][value] = None
    return {key: tuple(values) for key, values in found.items()}
