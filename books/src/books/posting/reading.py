"""Reading what `decide` rests on: the store first, then the ledger, as far as a decision needs it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pendulum

from books.core.faults import Fault
from books.ledgers.contract import Ledger, LedgerInvoice
from books.posting.adoption import by_number, fold
from books.posting.candidates import Candidate
from books.posting.decide import Decision, Found, Known, Need, Policy, former_id
from books.posting.documents import DELETED, VOIDED
from books.posting.eligibility import recall
from books.posting.finding import Finder
from books.posting.journal import FORMER_ID, REPLACED, Journal
from books.posting.postings import Posting

LISTS_LAG_MINUTES = 60
"""How long a new document may be missing from a list of QuickBooks; only an older one counts as deleted."""


def known_to_store(journal: Journal, candidates: Sequence[Candidate], policy: Policy) -> Known:
    """Return what the store says of a chunk, besides its postings."""
    unseen = [each.id for each in candidates if each.posting is None] if policy.scope.post_from else []
    recalled = [each.known.external_id or "" for each in candidates if recall(each, policy.scope) is not None]
    replaced = journal.lessons(REPLACED).items()
    return Known(
        now=journal.now(),
        left_alone=journal.is_left_alone(unseen) if unseen else {},
        ended=journal.ended_documents(recalled) if recalled else {},
        in_flight={fold(number): invoice_id for number, invoice_id in journal.in_flight().items()},
        former={key: each.ledger_id for key, each in journal.lessons(FORMER_ID).items()},
        replaced={key: str(lesson.detail.get("number", "")) for key, lesson in replaced},
    )


class Reader:
    """Asks the ledger for what decisions need. Only `read_documents` may be called before a `finder` is there."""

    def __init__(self, ledger: Ledger, journal: Journal, logger: logging.Logger) -> None:
        self._ledger = ledger
        self._journal = journal
        self._logger = logger

    def read_documents(self, decisions: Sequence[Decision], known: Known, found: Found) -> None:
        """Look at the documents of invoices that were voided or opted out in OpsMerge: ended too, or still valid.

        Where the ledger cannot be asked, all count as valid: the conflict is not to wait, and it ends by itself.
        """
        postings = {each.candidate.known.external_id or "": each.candidate.known for each in decisions}
        found.documents.update(postings)
        try:
            there = {each.id: each for each in self._ledger.find_invoices(ids=list(postings))}
        except Fault as fault:
            self._logger.warning("QuickBooks could not be asked about %d voided invoices: %s", len(postings), fault)
            return
        ended = {
            key: VOIDED if key in there else DELETED
            for key, posting in postings.items()
            if _has_ended(posting, there.get(key), known.now)
        }
        self._journal.note_ended(ended)
        known.ended.update(ended)

    def read(self, decisions: Sequence[Decision], known: Known, found: Found, policy: Policy, finder: Finder) -> None:
        """Ask for everything that these decisions need.

        Raises:
            Halt: the ledger cannot be asked now.
        """
        wanted = {need: [each for each in decisions if each.need is need] for need in Need}
        if wanted[Need.DOCUMENT]:
            self.read_documents(wanted[Need.DOCUMENT], known, found)
        if wanted[Need.NUMBER]:
            self._look_up([each.candidate for each in wanted[Need.NUMBER]], known, found, policy)
        finder.find_customers([each.candidate.invoice for each in wanted[Need.CUSTOMER] if each.candidate.invoice])
        finder.find([each.candidate.invoice for each in wanted[Need.REFERENCES] if each.candidate.invoice])

    def _look_up(self, candidates: Sequence[Candidate], known: Known, found: Found, policy: Policy) -> None:
        """Look up by number, also the number that was sent before; and by the id that it was once posted as."""
        numbers = dict.fromkeys(
            number
            for each in candidates
            for number in (
                each.posting.number if each.posting else "",
                each.number if each.invoice is not None else "",
            )
            if number
        )
        found.numbers.update(fold(number) for number in numbers)
        for number, invoices in by_number(self._ledger.find_invoices(list(numbers))).items():
            found.by_number[number] = invoices
        ids = [former for each in candidates if (former := former_id(each, known, policy.scope)) is not None]
        if ids:
            found.by_id.update((each.id, each) for each in self._ledger.find_invoices(ids=ids))


def _has_ended(posting: Posting, found: LedgerInvoice | None, now: pendulum.DateTime) -> bool:
    """Return whether the ledger's document is voided or deleted. A young one may be missing from a list that lags."""
    if found is not None:
        return found.voided
    return posting.finished_at is None or posting.finished_at < now.subtract(minutes=LISTS_LAG_MINUTES)
