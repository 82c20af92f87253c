"""What a preflight reads: OpsMerge's due invoices and lists, and everything of the ledger that they name.

The ledger is asked afresh: nothing that earlier runs learned is believed, but for which client is which customer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from books.core.clock import Clock
from books.core.faults import Reject
from books.ledgers.contract import Account, Company, Customer, Invoice, Item, Ledger, LedgerInvoice, TaxCode, Whole
from books.opsmerge import OpsMergeClient, api
from books.posting import records
from books.posting.checks import check_number
from books.posting.journal import Lesson
from books.posting.mappings import Mappings
from books.posting.outbox import by_number
from books.posting.postings import Posting
from books.posting.preview import PreviewJournal
from books.posting.references import Catalogue, Choices, Resolver
from books.posting.triage import (
    BELONGS_TO_ANOTHER,
    OPEN_STATUSES,
    Candidate,
    Policy,
    before_go_live,
    belongs_to_another,
    reason_to_leave,
    recall,
)
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
    elsewhere: Sequence[tuple[str, Reject]]
    """Number and reason of each invoice that belongs to another production company in OpsMerge."""
    recalled: Sequence[tuple[str, Reject]]
    """Number and conflict of each invoice that was voided or opted out after it was posted."""
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

    def __init__(self, store: Store, connection: str, customers: Sequence[Customer]) -> None:
        super().__init__(store, connection)
        live = {customer.id for customer in customers if customer.active}
        stored = {key: each for key, each in super().lessons("customer").items() if key.startswith(CLIENT)}
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
    customers = ledger.list_customers()
    journal = Afresh(store, ledger.connection, customers.rows)
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
        customers=customers,
        tax_codes=resolver.known_tax_codes() or ledger.tax_codes(),
        found=by_number(ledger.find_invoices([each.number for each in source.invoices])),
        accounts=ledger.find_accounts(accounts),
        holders=ledger.other_holders(sorted(name for name in names if name)),
    )


def read_source(opsmerge: OpsMergeClient, ledger: Ledger, store: Store, rules: Rules) -> Source:
    """Return OpsMerge's invoices that a push would post, all pages; those withdrawn after posting; and its lists."""
    documents = list(opsmerge.records(api.INVOICES, is_strict=False))
    lists = {each.name: list(opsmerge.records(each)) for each in (api.SERVICES, api.TAX_CODES, api.CLIENTS)}
    policy = Policy(rules.post_from, 0, connection=ledger.connection)
    journal = PreviewJournal(store, ledger.connection)
    postings = journal.load([str(each["id"]) for each in documents])
    candidates = [_candidate(each, ledger, postings.get(str(each["id"]))) for each in documents]
    due = [each for each in candidates if _is_due(each, policy)]
    invoices = [each.invoice for each in due if each.invoice is not None]
    named = [each.invoice for each in candidates if each.invoice and each.invoice.status in {*OPEN_STATUSES, "paid"}]
    catalogue = Catalogue(
        services={each.id: each for each in map(records.service, lists["services"]) if each},
        tax_codes={each.id: each for each in map(records.tax_code, lists["tax_codes"]) if each},
        clients={each.id: each for each in map(records.client, lists["clients"]) if each},
        invoiced={each.client_id: each.client_name for each in named},
    )
    return Source(
        invoices,
        [Unreadable(each.number, each.problem) for each in due if each.problem is not None],
        _elsewhere(candidates, policy),
        _recalled(candidates, policy, journal),
        catalogue,
        {"invoices": len(documents), **{name: len(found) for name, found in lists.items()}},
    )


def _candidate(document: Mapping[str, Any], ledger: Ledger, posting: Posting | None) -> Candidate:
    """An invoice as a push would meet it, as far as its own record says."""
    invoice, problem = None, None
    try:
        invoice = records.parse(document)
        check_number(invoice, ledger.capabilities)
    except Reject as refused:
        invoice, problem = None, refused
    number = invoice.number if invoice else str(document.get("number") or document["id"])
    return Candidate(str(document["id"]), number, "", "", "", invoice, problem, posting)


def _is_due(candidate: Candidate, policy: Policy) -> bool:
    """Whether a push would post it, or refuse it."""
    if candidate.posting is not None and candidate.posting.in_the_books:
        return False
    invoice = candidate.invoice
    return invoice is None or (reason_to_leave(invoice, policy) is None and not before_go_live(invoice, policy))


def _elsewhere(candidates: Sequence[Candidate], policy: Policy) -> list[tuple[str, Reject]]:
    """Invoices that a push leaves because they belong to another production company."""
    new = [each.invoice for each in candidates if each.invoice and not (each.posting and each.posting.in_the_books)]
    return [
        (each.number, belongs_to_another(each.owner))
        for each in new
        if reason_to_leave(each, policy) == BELONGS_TO_ANOTHER
        and each.status in {*OPEN_STATUSES, "paid"}
        and not before_go_live(each, policy)
    ]


def _recalled(candidates: Sequence[Candidate], policy: Policy, journal: PreviewJournal) -> list[tuple[str, Reject]]:
    """Invoices that were voided or opted out after posting, and are still valid in the ledger as far as is known."""
    found = [(each, conflict) for each in candidates if (conflict := recall(each, policy)) is not None]
    ids = {each.id: each.posting.external_id or "" for each, _ in found if each.posting is not None}
    ended = journal.ended_documents(list(ids.values()))
    return [(each.number, conflict) for each, conflict in found if ids[each.id] not in ended]


def grouped(pairs: Sequence[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Values by key, each once, in the order given."""
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for key, value in pairs:
        found[key][value] = None
    return {key: tuple(values) for key, values in found.items()}
