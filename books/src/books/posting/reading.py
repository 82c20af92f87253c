"""Reading what `decide` rests on: the store first, then the ledger, as far as a decision needs it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pendulum

from books.core.faults import Fault
from books.ledgers.contract import Invoice, Ledger, LedgerInvoice
from books.posting.adoption import by_number, fold
from books.posting.candidates import Candidate
from books.posting.crash import Checkpoint
from books.posting.decide import Decision, Found, Known, Need, Policy, decide, former_id
from books.posting.documents import DELETED, VOIDED
from books.posting.eligibility import recall
from books.posting.finding import Finder
from books.posting.journal import FORMER_ID, REPLACED, Journal
from books.posting.postings import Posting

ROUNDS_MAX = 8
"""How often a chunk is decided before everything is known; each round reads all that the one before needed."""
LISTS_LAG_MINUTES = 60
"""How long a new document may be missing from a list of the ledger; only an older one counts as deleted."""


def known_to_store(journal: Journal, candidates: Sequence[Candidate], policy: Policy) -> Known:
    """Return what the store says of a chunk, besides its postings."""
    unseen = [each.id for each in candidates if each.posting is None] if policy.scope.post_from else []
    recalled = [each.known.external_id or "" for each in candidates if recall(each, policy.scope) is not None]
    return Known(
        now=journal.now(),
        left_alone=journal.is_left_alone(unseen) if unseen else {},
        ended=journal.ended_documents(recalled) if recalled else {},
        in_flight={fold(number): invoice_id for number, invoice_id in journal.in_flight().items()},
        former={key: each.ledger_id for key, each in journal.lessons(FORMER_ID).items()},
        replaced=replaced_documents(journal),
    )


def replaced_documents(journal: Journal) -> dict[str, str]:
    """Return the ids of voided documents that retries have replaced, with their numbers."""
    return {key: str(lesson.detail.get("number", "")) for key, lesson in journal.lessons(REPLACED).items()}


def read_documents(
    ledger: Ledger,
    journal: Journal,
    decisions: Sequence[Decision],
    known: Known,
    found: Found,
    logger: logging.Logger,
) -> None:
    """Look at the documents of invoices that were voided or opted out in OpsMerge: ended too, or still valid.

    Where the ledger cannot be asked, all count as valid: the conflict is not to wait, and it ends by itself.
    """
    postings = {each.candidate.known.external_id or "": each.candidate.known for each in decisions}
    found.documents.update(postings)
    try:
        there = {each.id: each for each in ledger.find_invoices(ids=list(postings))}
    except Fault as fault:
        logger.warning(
            "%s could not be asked about %d voided invoices: %s", ledger.capabilities.ledger, len(postings), fault
        )
        return
    ended = {
        key: VOIDED if key in there else DELETED
        for key, posting in postings.items()
        if _has_ended(posting, there.get(key), known.now)
    }
    journal.note_ended(ended)
    known.ended.update(ended)


class Reader:
    """Asks the ledger for what decisions need, until every candidate is decided. Writes nothing to the ledger.

    `sent`: number, folded, to invoice id, of what this run has sent; a look-up may miss what is that young.
    """

    def __init__(
        self,
        ledger: Ledger,
        journal: Journal,
        finder: Finder,
        policy: Policy,
        logger: logging.Logger,
        *,
        sent: Mapping[str, str] | None = None,
        checkpoint: Checkpoint = lambda _point: None,
        before_look_up: Callable[[], None] = lambda: None,
    ) -> None:
        self._ledger = ledger
        self._journal = journal
        self._finder = finder
        self._policy = policy
        self._logger = logger
        self._sent = {} if sent is None else sent
        self._checkpoint = checkpoint
        self._before_look_up = before_look_up

    def decide(self, candidates: Sequence[Candidate], found: Found) -> list[Decision]:
        """Return the decisions on these candidates; `found` is what is known of the ledger's documents, and grows.

        Raises:
            Halt: the ledger cannot be asked now.
        """
        known = known_to_store(self._journal, candidates, self._policy)
        known = replace(known, in_flight={**known.in_flight, **self._sent})
        for _ in range(ROUNDS_MAX):
            decisions = decide(candidates, known, found, self._finder.judge, self._policy)
            wanted = {need: [each for each in decisions if each.need is need] for need in Need}
            if not any(wanted.values()):
                return decisions
            if wanted[Need.DOCUMENT]:
                read_documents(self._ledger, self._journal, wanted[Need.DOCUMENT], known, found, self._logger)
            if wanted[Need.NUMBER]:
                self._look_up([each.candidate for each in wanted[Need.NUMBER]], known, found)
                self._checkpoint("numbers_looked_up")
            self._finder.find_customers(_invoices(wanted[Need.CUSTOMER]))
            if wanted[Need.REFERENCES]:
                self._finder.find(_invoices(wanted[Need.REFERENCES]))
                self._checkpoint("references_found")
        raise RuntimeError("a decision needs what was read already")

    def _look_up(self, candidates: Sequence[Candidate], known: Known, found: Found) -> None:
        """Look up by number, also the number that was sent before; and by the id that it was once posted as."""
        self._before_look_up()
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
        ids = [former for each in candidates if (former := former_id(each, known, self._policy.scope)) is not None]
        if ids:
            found.by_id.update((each.id, each) for each in self._ledger.find_invoices(ids=ids))


def _invoices(decisions: Sequence[Decision]) -> list[Invoice]:
    return [each.candidate.invoice for each in decisions if each.candidate.invoice is not None]


def _has_ended(posting: Posting, found: LedgerInvoice | None, now: pendulum.DateTime) -> bool:
    """Return whether the ledger's document is voided or deleted. A young one may be missing from a list that lags."""
    if found is not None:
        return found.voided
    return posting.finished_at is None or posting.finished_at < now.subtract(minutes=LISTS_LAG_MINUTES)
