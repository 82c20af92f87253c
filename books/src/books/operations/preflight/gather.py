"""What a preflight reads: OpsMerge's invoices and lists, and everything of the ledger that they name.

The ledger is asked again: nothing that earlier runs learned is believed, but for which client is which customer.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from books.core import money, paths
from books.core.clock import SystemClock
from books.core.faults import Reject
from books.ledgers.contract import Account, Company, Customer, Invoice, Item, Ledger, TaxCode, Whole
from books.ledgers.settings import PushSettings
from books.operations.session import Session
from books.opsmerge import OpsMergeClient, OpsMergeSettings, api
from books.opsmerge import open_client as open_opsmerge
from books.posting import mappings, records
from books.posting.candidates import Candidate, identity_of
from books.posting.candidates import read as read_candidate
from books.posting.choices import Catalogue, Choices
from books.posting.decide import Decision, Found, Policy
from books.posting.eligibility import OPEN_STATUSES, Scope, is_before_go_live, is_wanted
from books.posting.finding import Finder
from books.posting.journal import FORMER_ID, REPLACED, Lesson
from books.posting.judging import InvoiceJudge, KnownReferences
from books.posting.mappings import Mappings
from books.posting.postings import GONE
from books.posting.preview import PreviewJournal
from books.posting.reading import Reader
from books.store import Store

CLIENT = "client:"
LOGGER = logging.getLogger(__name__)


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
class BothSides:
    """OpsMerge and the ledger, read, and what a push would decide."""

    rules: Rules
    decisions: Sequence[Decision]
    """On every invoice of OpsMerge."""
    due: Sequence[Decision]
    """Those on invoices that a push would post or refuse."""
    rows: Mapping[str, int]
    """How many rows were read of each of OpsMerge's lists."""
    ledger: Ledger
    company: Company
    judge: InvoiceJudge
    items: Whole[Item]
    customers: Whole[Customer]
    tax_codes: Sequence[TaxCode]
    accounts: Sequence[Account]
    holders: Mapping[str, str]
    """Folded names of new customers that a vendor or an employee has."""

    @property
    def choices(self) -> Choices:
        """Which customer, item and tax code the mapping file and OpsMerge name."""
        return self.judge.choices

    @property
    def scope(self) -> Scope:
        """Which invoices are posted at all."""
        return Scope(self.rules.post_from, self.ledger.connection, self.ledger.capabilities.ledger)

    @property
    def invoices(self) -> list[Invoice]:
        """The due invoices that can be read."""
        return [each.candidate.invoice for each in self.due if each.candidate.invoice is not None]


class UncachedJournal(PreviewJournal):
    """The store without what earlier runs learned of the ledger, but for the customers of clients.

    Of those only the ones that are still there and active.
    """

    def __init__(self, store: Store, connection: str, customers: Sequence[Customer]) -> None:
        super().__init__(store, connection)
        live = {customer.id for customer in customers if customer.active}
        stored = {key: each for key, each in super().lessons("customer").items() if key.startswith(CLIENT)}
        self._clients = {key: each for key, each in stored.items() if each.ledger_id in live}

    def lessons(self, kind: str) -> dict[str, Lesson]:
        """See `Journal`."""
        if kind in (FORMER_ID, REPLACED):  # no cache: what a disconnect and a retry left
            return super().lessons(kind)
        return self._clients if kind == "customer" else {}


def read(session: Session, settings: PushSettings) -> BothSides:
    """Read both sides through the clients that tap and target use, with their rate limiter, tokens and settings.

    Raises:
        Halt: one of the two sides cannot be read, or a setting is wrong.
    """
    clock = SystemClock()
    opsmerge = open_opsmerge(OpsMergeSettings.from_config(session.configuration.plugin("tap-opsmerge")), clock)
    rules = Rules(
        mappings.load(paths.resolve(settings.mapping_file)),
        settings.post_from,
        settings.vat_difference,
        *settings.item_accounts,
        settings.duplicate_numbers_answer,
    )
    return gather(session.open_ledger(clock), opsmerge, session.store, rules)


def gather(ledger: Ledger, opsmerge: OpsMergeClient, store: Store, rules: Rules) -> BothSides:
    """Read everything, and decide on every invoice as a push would that has no row of it but for what it posted.

    Raises:
        Halt: one of the two sides cannot be read.
    """
    documents = [dict(each) for each in opsmerge.records(api.INVOICES, is_strict=False)]
    lists = {each.name: list(opsmerge.records(each)) for each in (api.SERVICES, api.TAX_CODES, api.CLIENTS)}
    catalogue = _catalogue(documents, lists)
    company = ledger.company()
    choices = Choices(rules.mappings, catalogue, rules.income_account, rules.expense_account)
    customers = ledger.list_customers()
    journal = UncachedJournal(store, ledger.connection, customers.rows)
    judge = InvoiceJudge(ledger, company, choices, rules.vat_difference, KnownReferences())
    finder = Finder(ledger, journal, judge)
    scope = Scope(rules.post_from, ledger.connection, ledger.capabilities.ledger)
    candidates = _candidates(documents, ledger, choices, rules, journal)
    due = {each.id for each in candidates if _is_due(each, scope)}
    finder.find([each.invoice for each in candidates if each.id in due and each.invoice is not None])
    policy = Policy(scope, settle_seconds=0, identity=identity_of(ledger))
    decisions = Reader(ledger, journal, finder, policy, LOGGER).decide(candidates, Found())
    invoices = [each.invoice for each in candidates if each.id in due and each.invoice is not None]
    names = {judge.customer_name(each) for each in invoices}
    accounts = [name for name in (rules.income_account, rules.expense_account) if name]
    return BothSides(
        rules=rules,
        decisions=decisions,
        due=[each for each in decisions if each.candidate.id in due],
        rows={"invoices": len(documents), **{name: len(found) for name, found in lists.items()}},
        ledger=ledger,
        company=company,
        judge=judge,
        items=ledger.list_items(),
        customers=customers,
        tax_codes=judge.known.tax_codes or ledger.tax_codes(),
        accounts=ledger.find_accounts(accounts),
        holders=ledger.other_holders(sorted(name for name in names if name)),
    )


def _catalogue(documents: Sequence[Mapping[str, Any]], lists: Mapping[str, Sequence[Mapping[str, Any]]]) -> Catalogue:
    """Return OpsMerge's lists, and the names of the clients of invoices that are or were open."""
    named = [each for each in documents if each.get("status") in {*OPEN_STATUSES, "paid"}]
    return Catalogue(
        services={each.id: each for each in map(records.service, lists["services"]) if each},
        tax_codes={each.id: each for each in map(records.tax_code, lists["tax_codes"]) if each},
        clients={each.id: each for each in map(records.client, lists["clients"]) if each},
        invoiced={each.client_id: each.client_name for each in _readable(named)},
    )


def _readable(documents: Sequence[Mapping[str, Any]]) -> Iterator[Invoice]:
    for each in documents:
        with contextlib.suppress(Reject):
            yield records.parse(each)


def _candidates(
    documents: Sequence[Mapping[str, Any]], ledger: Ledger, choices: Choices, rules: Rules, journal: PreviewJournal
) -> list[Candidate]:
    """Return the invoices as a push would meet them, without the rows of those that were refused or held before.

    These are judged again, as a push does once something changed; only a retry ends the hold of a missing one.
    """
    postings = journal.load([str(each["id"]).strip() for each in documents])
    found = []
    for each in documents:
        text = records.kept(each)
        posting = postings.get(str(each["id"]).strip())
        is_kept = posting is not None and (posting.in_the_books or posting.fault_code == GONE)
        posting = posting if is_kept else None
        candidate = read_candidate(text, money.loads(text), posting, ledger, choices, rules.vat_difference)
        found.append(candidate if candidate.number else replace(candidate, number=candidate.id))
    return found


def _is_due(candidate: Candidate, scope: Scope) -> bool:
    """Return whether a push would post an invoice, or refuse it."""
    is_posted = candidate.posting is not None
    return not is_posted and is_wanted(candidate, scope) and not is_before_go_live(candidate.invoice, scope)
