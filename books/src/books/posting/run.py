"""One run of posting: triage, look-ups, adoption, checks, sending, and what earlier runs left unfinished."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from typing import Any

import pendulum

from books.core import money
from books.core.batches import batched
from books.core.clock import Clock
from books.core.faults import Fault, Halt, Reject
from books.core.printable import printable
from books.ledgers.contract import Company, Customer, Invoice, Ledger, LedgerInvoice, NewItem
from books.posting import checks, records
from books.posting.adoption import Same, Taken, Verdict, gone, judge, number_taken, number_twice
from books.posting.changes import changed_after_posting
from books.posting.crash import Checkpoint
from books.posting.documents import DELETED, VOIDED
from books.posting.gate import Gate
from books.posting.journal import FORMER_ID, POSTED_BEFORE, Journal, Lesson
from books.posting.outbox import Outbox, Ready, adopted, by_number, identity_of, posting_of
from books.posting.plan import CREATE, LEAVE, NEW_CUSTOMER, SEND_AGAIN, PlanRow
from books.posting.postings import IN_THE_BOOKS, NO_FAULT, Outcome, Posting, with_fault
from books.posting.references import Choices, Resolver, is_fresh
from books.posting.spool import Spool
from books.posting.summary import Summary
from books.posting.triage import (
    BELONGS_TO_ANOTHER,
    Candidate,
    Policy,
    Step,
    before_post_from,
    belongs_to_another,
    decide,
    reason_to_leave,
    recall,
    withdrawal,
)

COMPANY_KEPT_MINUTES = 60
LEFT_SHOWN_MAX = 5
"""Invoices of another company that a run names; the summary counts all."""
NUMBER_CHARS_KEPT = 200
"""Of the number of a record that cannot be read."""
LISTS_LAG_MINUTES = 60
"""How long a new document may be missing from a list of QuickBooks; only an older one counts as deleted."""
CHUNK_BATCHES = 40
"""Invoices of this many batches are looked up together: few calls, bounded memory."""


@dataclass(frozen=True)
class Options:
    """What the settings say of a run."""

    post_from: date | None = None
    settle_seconds: int = 900
    http_timeout: int = 130
    duplicate_numbers_checked: str | None = None
    batch_size: int = 30
    vat_difference: str = "post"
    dry_run: bool = False
    gate: Gate = field(default_factory=Gate)
    """Which of the invoices that are due may go."""


@dataclass
class _Open:
    """What exists only once the ledger had to be asked: with nothing to post, no call is made."""

    company: Company
    resolver: Resolver
    outbox: Outbox
    replaced: dict[str, str]
    """Ids of voided invoices that a person asked to post anew, with their numbers: they are never adopted again."""
    former: dict[str, str] = field(default_factory=dict)
    """Of this chunk, the id that an invoice was once posted as, though the store knows it no more."""
    by_id: dict[str, LedgerInvoice] = field(default_factory=dict)

    def there(self, invoice_id: str, under_its_number: Sequence[LedgerInvoice]) -> list[LedgerInvoice]:
        """What the books have under an invoice's number, and under the id that it was once posted as."""
        formerly = self.by_id.get(self.former.get(invoice_id, ""))
        return [*under_its_number, *([formerly] if formerly and formerly not in under_its_number else [])]

    def is_ours(self, invoice_id: str, found: LedgerInvoice) -> bool:
        """Whether we posted what was found, as its note or OpsMerge says."""
        return found.source_id == invoice_id or found.id == self.former.get(invoice_id)


class PushRun:
    """Puts invoices into the books, once."""

    def __init__(
        self,
        ledger: Ledger,
        journal: Journal,
        clock: Clock,
        options: Options,
        choices: Choices,
        checkpoint: Checkpoint,
        logger: logging.Logger,
    ) -> None:
        self._ledger = ledger
        self._journal = journal
        self._clock = clock
        self._options = options
        self._choices = choices
        self._checkpoint = checkpoint
        self._logger = logger
        self._policy = Policy(
            options.post_from, options.settle_seconds, options.http_timeout, connection=ledger.connection
        )
        self._opened: _Open | None = None
        self._identity = identity_of(ledger)
        self.summary = Summary(shut=options.gate.shut)
        self.plan: list[PlanRow] = []

    def execute(self, spool: Spool) -> Summary:
        """Post what the spool holds, then what earlier runs left unfinished.

        Raises:
            Halt: the run ended early; everything done is recorded, and the summary is complete as far as it went.
        """
        run_id, started_at, clock_started = str(uuid.uuid4()), self._journal.now(), self._clock.monotonic()
        self._record_run(run_id, started_at, None)
        self._checkpoint("run_started")
        try:
            self._post_everything(spool)
        except Halt as halt:
            self.summary.halted = halt.message
            raise
        finally:
            spent = self._ledger.spent()
            self.summary.calls, self.summary.metered_reads = spent.calls, spent.metered_reads
            self.summary.seconds = self._clock.monotonic() - clock_started
        self._record_run(run_id, started_at, self._journal.now())
        self._checkpoint("run_recorded")
        return self.summary

    def _post_everything(self, spool: Spool) -> None:
        self.summary.seen = len(spool)
        size = self._options.batch_size * CHUNK_BATCHES
        for texts in spool.chunks(size):
            self._process(self._candidates(texts))
        self._checkpoint("input_read")
        waiting = [each for each in self._journal.unfinished() if each.opsmerge_invoice_id not in spool]
        for batch in batched(waiting, size):
            self._process([self._from_store(each) for each in batch])

    def _record_run(self, run_id: str, started_at: pendulum.DateTime, finished_at: pendulum.DateTime | None) -> None:
        summary = self.summary
        self._journal.record_run(
            {
                "id": run_id,
                "started_at": started_at,
                "finished_at": finished_at,
                "complete": finished_at is not None,
                "seen": summary.seen,
                **{outcome.value: summary.count(outcome) for outcome in Outcome},
                "existing": summary.existing,
                "left_out": sum(summary.left.values()),
                "calls": summary.calls,
                "metered_reads": summary.metered_reads,
            }
        )

    # Candidates.

    def _candidates(self, texts: Sequence[str]) -> list[Candidate]:
        documents = [(text, money.loads(text)) for text in texts]
        postings = self._journal.load([document["id"].strip() for _, document in documents])
        return [self._candidate(text, document, postings.get(document["id"].strip())) for text, document in documents]

    def _from_store(self, posting: Posting) -> Candidate:
        candidate = self._candidate(posting.record, money.loads(posting.record), posting)
        return replace(candidate, from_store=True)

    def _candidate(self, text: str, document: dict[str, Any], posting: Posting | None) -> Candidate:
        if posting is not None and text != posting.record:
            known = money.loads(posting.record)
            if records.is_older(document, known):  # read before another run saw a later edit, void or opt-out
                text, document = posting.record, known
        invoice, problem = _read(document, self._ledger)
        number = invoice.number if invoice else printable(str(document.get("number") or ""))[:NUMBER_CHARS_KEPT]
        return Candidate(
            id=str(document["id"]).strip(),
            number=number,
            record=text,
            content_sha256=records.content_sha256(invoice) if invoice else records.raw_sha256(document),
            mapping_sha256=self._choices.sha256(invoice, self._options.vat_difference) if invoice else "",
            invoice=invoice,
            problem=problem,
            posting=posting,
        )

    # Triage.

    def _process(self, candidates: Sequence[Candidate]) -> None:
        """Decide, and apply. What needs the ledger is decided once more when it is our turn: others may have had it."""
        steps = self._triage(candidates)
        if self._options.dry_run or not _asks_the_ledger(steps):
            self._apply(steps)
            return
        opened = self._open()
        if not self._options.gate.shut:  # behind a shut gate nothing is created
            checks.check_duplicate_numbers(self._ledger.connection, self._options.duplicate_numbers_checked)
        with self._ledger.turn() as turn:
            opened.outbox.begin(turn)
            self._apply(self._triage(self._as_stored_now(candidates)))

    def _as_stored_now(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The candidates with what the store knows of them now."""
        postings = self._journal.load([each.id for each in candidates])
        return [
            self._decided_on(each, postings.get(each.id))
            for each in candidates
            if each.id in postings or not each.from_store
        ]

    def _decided_on(self, candidate: Candidate, posting: Posting | None) -> Candidate:
        """The candidate with its row as it is now."""
        if posting is None or (candidate.posting is not None and candidate.posting.seq == posting.seq):
            return replace(candidate, posting=posting)
        if candidate.from_store:
            return self._from_store(posting)
        return self._candidate(candidate.record, money.loads(candidate.record), posting)

    def _triage(self, candidates: Sequence[Candidate]) -> dict[Step, list[Candidate]]:
        now = self._journal.now()
        candidates = self._with_endings(candidates)
        unseen = [each.id for each in candidates if each.posting is None] if self._policy.post_from else []
        left = self._journal.is_left_alone(unseen) if unseen else {}
        steps: dict[Step, list[Candidate]] = {step: [] for step in Step}
        for candidate in candidates:
            steps[self._step(candidate, now, left.get(candidate.id))].append(candidate)
        return steps

    def _apply(self, steps: dict[Step, list[Candidate]]) -> None:
        self._count(steps)
        self._record(
            [
                *(self._remembered(each) for each in steps[Step.WAIT] if _is_news(each)),
                *(self._changed(each) for each in steps[Step.CHANGED]),
                *(_restored(each) for each in steps[Step.RESTORED]),
                *(self._withdrawn(each) for each in steps[Step.WITHDRAWN]),
            ]
        )
        self._recall(steps[Step.RECALLED])
        for each in steps[Step.GATED]:
            self._keep_back(each)
        self._look_up_and_post(steps[Step.SETTLE], steps[Step.FIND_AGAIN], steps[Step.POST], steps[Step.ADOPT_ONLY])

    def _with_endings(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Return the candidates; of those withdrawn in OpsMerge it is known whether the ledger's document ended too."""
        ids = [_known(each).external_id or "" for each in candidates if recall(each, self._policy) is not None]
        ended = self._journal.ended_documents(ids) if ids else {}
        return [
            replace(each, has_ended=each.posting is not None and each.posting.external_id in ended)
            for each in candidates
        ]

    def _step(self, candidate: Candidate, now: pendulum.DateTime, left_content: str | None) -> Step:
        """The next step, as far as the gate lets it. With a shut one, an invoice is looked up once, then held."""
        step = decide(candidate, self._policy, now, left_content)
        objection = self._options.gate.objection(candidate) if step is Step.POST and candidate.invoice else None
        if objection is None:
            return step
        if candidate.posting is not None and candidate.posting.in_the_books:
            return Step.EXISTS  # the retry of something posted waits for a push that may do it
        if _is_held_so(candidate, objection):
            return Step.KNOWN
        return Step.POST if self._options.gate.shut else Step.GATED

    def _keep_back(self, candidate: Candidate) -> bool:
        """Hold what the gate objects to; whether it did."""
        objection = self._options.gate.objection(candidate)
        if objection is not None:
            self.summary.kept_back += 1
            self._refuse(candidate, Outcome.HELD, objection)
        return objection is not None

    def _count(self, steps: dict[Step, list[Candidate]]) -> None:
        self.summary.existing += sum(not each.from_store for each in steps[Step.EXISTS])
        for each in steps[Step.LEAVE]:
            reason = reason_to_leave(each.invoice, self._policy) if each.invoice else None
            self.summary.left[reason or "before_post_from"] += 1
            if reason == BELONGS_TO_ANOTHER:
                self._leave_to_another(each)
        for each in steps[Step.KNOWN]:
            objection = self._options.gate.objection(each) if each.invoice else None
            self.summary.kept_back += objection is not None and _is_held_so(each, objection)
        for each in (*steps[Step.KNOWN], *steps[Step.WAIT]):
            if each.posting is not None and not each.from_store:
                self.summary.known[each.posting.outcome.value] += 1
            if each.posting is not None and self._options.dry_run:
                self.plan.append(PlanRow.of_posting(each.posting))

    def _remembered(self, candidate: Candidate) -> Posting:
        """What rests keeps what was sent, and learns what OpsMerge says now."""
        posting = _known(candidate)
        return replace(posting, record=candidate.record, seen_sha256=candidate.content_sha256)

    def _changed(self, candidate: Candidate, posting: Posting | None = None) -> Posting:
        """One conflict per content; the recorded id stays."""
        before = posting or _known(candidate)
        return self._in_conflict(before, candidate, changed_after_posting(before, candidate))

    def _recall(self, candidates: Sequence[Candidate]) -> None:
        """Record the conflict of each that was voided or opted out in OpsMerge after it was posted.

        The ledger is asked once, by id, when the void is first seen: a document that ended there too is no conflict.
        """
        if not candidates:
            return
        ended = self._look_whether_ended(candidates)
        self._journal.note_ended(ended)
        over = [each for each in candidates if _document_id(each) in ended]
        open_ = [each for each in over if each.retry or _known(each).outcome is Outcome.CONFLICT]
        self._record([self._recalled(each) for each in candidates if _document_id(each) not in ended])
        self._record([_restored(each) for each in open_])
        self.summary.existing += len(over) - len(open_)

    def _look_whether_ended(self, candidates: Sequence[Candidate]) -> dict[str, str]:
        """Return `voided` or `deleted` for those of their documents that no longer stand, by id.

        Where the ledger cannot be asked, all count as valid: the conflict is not to wait, and it ends by itself.
        """
        try:
            found = self._ledger.find_invoices(ids=[_document_id(each) for each in candidates])
        except Fault as fault:
            self._logger.warning("QuickBooks could not be asked about %d voided invoices: %s", len(candidates), fault)
            return {}
        there, now = {each.id: each for each in found}, self._journal.now()
        documents = {_document_id(each): _known(each) for each in candidates}
        return {
            key: VOIDED if key in there else DELETED
            for key, posting in documents.items()
            if _has_ended(posting, there.get(key), now)
        }

    def _recalled(self, candidate: Candidate) -> Posting:
        """One conflict per reason; the recorded id stays."""
        before = _known(candidate)
        why = recall(candidate, self._policy)
        if why is None:
            raise TypeError("only an invoice withdrawn in OpsMerge gets this far")
        return self._in_conflict(before, candidate, why)

    def _in_conflict(self, before: Posting, candidate: Candidate, why: Reject) -> Posting:
        """A posting that is in the books and disagrees with OpsMerge; how it got there is kept."""
        settled = before.outcome.value if before.outcome in IN_THE_BOOKS else before.settled_outcome
        conflict = with_fault(before, Outcome.CONFLICT, why, self._journal.now())
        return replace(conflict, seen_sha256=candidate.content_sha256, record=candidate.record, settled_outcome=settled)

    def _withdrawn(self, candidate: Candidate) -> Posting:
        reason = reason_to_leave(candidate.invoice, self._policy) if candidate.invoice else None
        why = withdrawal(reason or "voided", candidate.invoice.owner if candidate.invoice else None)
        return with_fault(posting_of(candidate, self._identity), Outcome.HELD, why, self._journal.now())

    def _leave_to_another(self, candidate: Candidate) -> None:
        """Say of an invoice of another production company that it is left, and name it in a plan."""
        why = belongs_to_another(candidate.invoice.owner if candidate.invoice else None)
        if self.summary.left[BELONGS_TO_ANOTHER] <= LEFT_SHOWN_MAX:
            self._logger.warning("%s left: %s. %s", candidate.number, why.message, why.remedy)
        if self._options.dry_run:
            self.plan.append(PlanRow(candidate.id, candidate.number, LEAVE, reason=why.message, remedy=why.remedy))

    # Looking up.

    def _look_up_and_post(
        self,
        settle: Sequence[Candidate],
        again: Sequence[Candidate],
        post: Sequence[Candidate],
        adopt_only: Sequence[Candidate],
    ) -> None:
        wanted = [each for each in post if not self._rejected_unread(each)]
        if not (settle or again or wanted or adopt_only):
            return
        opened = self._open()
        numbers = [
            *(_known(each).number for each in (*settle, *again)),
            *(each.number for each in (*settle, *again, *wanted, *adopt_only) if each.invoice is not None),
        ]
        opened.outbox.looked_up()
        found = by_number(self._ledger.find_invoices([number for number in dict.fromkeys(numbers) if number]))
        opened.former = self._former_ids([*again, *wanted, *adopt_only])
        opened.by_id = {each.id: each for each in self._by_ids(list(opened.former.values()))}
        self._checkpoint("numbers_looked_up")
        self._find_again(opened, again, found)
        edited = self._settle(opened, settle, found)
        absent = self._adopt(opened, [*wanted, *edited], found, only_ours=bool(self._options.gate.shut))
        self._leave_alone(self._adopt(opened, adopt_only, found))
        self._post(opened, [each for each in absent if not self._keep_back(each)])
        self._post_again(opened)

    def _former_ids(self, candidates: Sequence[Candidate]) -> dict[str, str]:
        """The id that each invoice was once posted as: kept when it was disconnected, or shown by OpsMerge.

        OpsMerge shows it where our store is lost or older than the posting.
        """
        kept = {key: each.ledger_id for key, each in self._journal.lessons(FORMER_ID).items()}
        shown = {
            each.id: each.invoice.owner_id
            for each in candidates
            if each.invoice is not None
            and each.invoice.owner_id is not None
            and each.invoice.owner == self._ledger.connection
            and not (each.posting is not None and each.posting.in_the_books)
        }
        return {each.id: former for each in candidates if (former := kept.get(each.id) or shown.get(each.id))}

    def _by_ids(self, ids: Sequence[str]) -> Sequence[LedgerInvoice]:
        return self._ledger.find_invoices(ids=ids) if ids else ()

    def _find_again(
        self, opened: _Open, candidates: Sequence[Candidate], found: dict[str, list[LedgerInvoice]]
    ) -> None:
        """Adopt what was in the books before a disconnect; what is not there any more waits for a person."""
        there = {each.id: opened.there(each.id, found.get(_known(each).number.casefold(), [])) for each in candidates}
        opened.resolver.find_customers([each.invoice for each in candidates if each.invoice and there[each.id]])
        for candidate in candidates:
            posting = _known(candidate)
            verdict = _verdict(opened, candidate, there[candidate.id])
            if isinstance(verdict, Same):
                self._settle_found(candidate, verdict.found)
            elif candidate.invoice is not None and reason_to_leave(candidate.invoice, self._policy) is not None:
                self._record([self._withdrawn(candidate)])
            elif isinstance(verdict, Taken):
                self._lost(posting, Outcome.CONFLICT, number_taken(verdict.found))
            else:
                self._lost(posting, Outcome.HELD, gone(opened.former.get(candidate.id)))
        self._journal.forget(FORMER_ID, [opened.former[each.id] for each in candidates if each.id in opened.former])

    def _lost(self, posting: Posting, outcome: Outcome, why: Reject) -> None:
        self._record([with_fault(replace(posting, settled_outcome=None), outcome, why, self._journal.now())])

    def _rejected_unread(self, candidate: Candidate) -> bool:
        """Refuse what needs no look-up to be refused."""
        if candidate.problem is not None:
            self._reject(candidate, candidate.problem)
        return candidate.problem is not None

    def _open(self) -> _Open:
        if self._opened is None:
            company = self._company()
            self._checkpoint("company_checked")
            parts = (self._ledger, self._journal, self._clock, company)
            lessons = self._journal.lessons("replaced").items()
            replaced = {key: str(lesson.detail.get("number", "")) for key, lesson in lessons}
            self._opened = _Open(
                company,
                Resolver(*parts, self._choices, self._checkpoint),
                Outbox(*parts, self._checkpoint, self._report, replaced),
                replaced,
            )
        return self._opened

    def _company(self) -> Company:
        """The company's switches, checked before the first write; believed for an hour."""
        lesson = self._journal.lessons("company").get("company")
        if lesson is not None and is_fresh(lesson, self._journal.now(), COMPANY_KEPT_MINUTES):
            closed = lesson.detail["closed_until"]
            return Company(**{**lesson.detail, "closed_until": date.fromisoformat(closed) if closed else None})
        company = self._ledger.company()
        checks.check_company(company)
        closed_until = company.closed_until.isoformat() if company.closed_until else None
        told = {**asdict(company), "closed_until": closed_until}
        self._journal.learn([Lesson("company", "company", "", told)])
        return company

    def _settle(
        self, opened: _Open, settle: Sequence[Candidate], found: dict[str, list[LedgerInvoice]]
    ) -> list[Candidate]:
        """Settle what is unknown: adopt it, send the same bytes again, or let go of it. Gives back the edited ones."""
        again, edited = [], []
        for candidate in settle:
            posting = _known(candidate)
            same = candidate.content_sha256 == posting.content_sha256
            there = found.get(posting.number.casefold(), ())
            verdict = judge(
                candidate.id,
                candidate.invoice if same else None,
                there,
                None,
                opened.company,
                replaced=opened.replaced,
            )
            if isinstance(verdict, Same):
                self._settle_found(candidate, verdict.found)
            elif isinstance(verdict, Taken) and same:
                why = number_taken(verdict.found)
                self._record([with_fault(posting, Outcome.CONFLICT, why, self._journal.now())])
            elif candidate.invoice is not None and reason_to_leave(candidate.invoice, self._policy) is not None:
                self._record([self._withdrawn(candidate)])
            elif same:
                again.append(posting)
            elif not self._rejected_unread(candidate) and not self._keep_back(candidate):
                edited.append(candidate)
        if self._options.dry_run:
            self.plan.extend(PlanRow.of_posting(each, SEND_AGAIN) for each in again)
        else:
            opened.outbox.resend(again)
        return edited

    def _settle_found(self, candidate: Candidate, found: LedgerInvoice) -> None:
        """Adopt what is there; what OpsMerge says otherwise by now is a conflict at once."""
        now = self._journal.now()
        if found.voided:
            self._journal.note_ended({found.id: VOIDED})
        for written in self._record([adopted(_known(candidate), found, now)]):
            settled = replace(candidate, posting=written, has_ended=found.voided)
            step = decide(settled, self._policy, now)
            if step is Step.CHANGED:
                self._record([self._changed(settled)])
            elif step is Step.RECALLED:
                self._record([self._recalled(settled)])

    def _adopt(
        self,
        opened: _Open,
        candidates: Sequence[Candidate],
        found: dict[str, list[LedgerInvoice]],
        *,
        only_ours: bool = False,
    ) -> list[Candidate]:
        """Adopt what is there, refuse what is taken; gives back what is absent.

        `only_ours`: what does not bear our note counts as absent, because a plan has to show it first. What bears it
        proves that we posted to this company before, from a store that is lost: from the next run on no plan is needed.
        """
        there = {each.id: opened.there(each.id, found.get(each.number.strip().casefold(), [])) for each in candidates}
        self._replace_voided(opened, [each for row in candidates if row.retry for each in there[row.id]])
        opened.resolver.find_customers(
            [each.invoice for each in candidates if each.invoice is not None and there[each.id]]
        )
        outcomes, absent = [], []
        taken: set[str] = set()
        for candidate in candidates:
            verdict = _verdict(opened, candidate, there[candidate.id])
            row = posting_of(candidate, self._identity)
            if isinstance(verdict, Same) and verdict.found.id in taken:  # by another invoice of this run
                verdict = Taken(verdict.found)
            if isinstance(verdict, Same):
                taken.add(verdict.found.id)
            if isinstance(verdict, Same) and _is_ours(candidate, verdict.found):
                self._still_there(candidate)
            elif isinstance(verdict, Same) and only_ours and not opened.is_ours(candidate.id, verdict.found):
                absent.append(candidate)
            elif isinstance(verdict, Same):
                outcomes.append(adopted(row, verdict.found, self._journal.now()))
            elif isinstance(verdict, Taken):
                outcomes.append(with_fault(row, Outcome.CONFLICT, number_taken(verdict.found), self._journal.now()))
            elif candidate.id in opened.former and not candidate.retry:
                outcomes.append(with_fault(row, Outcome.HELD, gone(opened.former[candidate.id]), self._journal.now()))
            else:
                absent.append(candidate)
        if only_ours and any(each.outcome is Outcome.ADOPTED for each in outcomes):
            self._journal.learn([Lesson(POSTED_BEFORE, "note", "", {})])
        self._record(outcomes)
        self._checkpoint("found_recorded")
        return absent

    def _still_there(self, candidate: Candidate) -> None:
        """A retry of what is still in the books sends nothing and adopts nothing: what was posted stays on record."""
        posting = replace(_known(candidate), retry=False)
        if candidate.content_sha256 != posting.content_sha256:
            self._record([self._changed(candidate, posting)])
            return
        self._journal.write([_restored(candidate, posting) if posting.outcome is Outcome.CONFLICT else posting])
        self.summary.existing += 1
        self._logger.warning("%s is still in the books as %s: nothing to send", posting.number, posting.external_id)

    def _replace_voided(self, opened: _Open, there: Sequence[LedgerInvoice]) -> None:
        """Remember, before anything is sent, what a retry replaces: a lost answer is settled without it."""
        voided = {each.id: each.number.casefold() for each in there if each.voided and each.id not in opened.replaced}
        self._journal.learn([Lesson("replaced", key, key, {"number": number}) for key, number in voided.items()])
        opened.replaced.update(voided)

    def _leave_alone(self, absent: Sequence[Candidate]) -> None:
        """From before the go-live date and not in the books: counted, and not looked for again."""
        if absent:
            self._journal.leave_alone({each.id: each.content_sha256 for each in absent})
            for each in absent:
                if each.posting is not None:  # what was held or refused until now says so no longer
                    self._refuse(each, Outcome.HELD, before_post_from())
            self.summary.left["before_post_from"] += len(absent)
            self._checkpoint("left_alone_recorded")

    # Posting.

    def _post(self, opened: _Open, candidates: Sequence[Candidate]) -> None:
        invoices = [each.invoice for each in candidates if each.invoice is not None]
        opened.resolver.find(invoices)
        self._checkpoint("references_found")
        checked = [each for each in candidates if each.invoice is not None and self._passes(opened, each, each.invoice)]
        passed = self._one_of_each_number(checked)
        if self._options.dry_run:
            self.plan.extend(self._planned(opened, each) for each in passed)
            return
        opened.resolver.create_missing([each.invoice for each in passed if each.invoice is not None])
        ready = [each for each in (self._ready(opened, candidate) for candidate in passed) if each is not None]
        self._checkpoint("drafted")
        opened.outbox.post(ready, self._options.batch_size)

    def _one_of_each_number(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Refuse all but the first of those that bear one number: no look-up can see what is only about to be sent."""
        first: dict[str, Candidate] = {}
        for each in candidates:
            holder = first.setdefault(each.number.strip().casefold(), each)
            if holder is not each:
                self._refuse(each, Outcome.CONFLICT, number_twice(holder.id))
        return list(first.values())

    def _post_again(self, opened: _Open) -> None:
        """Invoices refused because a customer, item or tax code is gone: once more, with fresh references."""
        stale, opened.outbox.stale = opened.outbox.stale, []
        if not stale:
            return
        for each in stale:
            if each.invoice is not None:
                opened.resolver.forget(each.invoice)
        postings = self._journal.load([each.id for each in stale])
        self._post(opened, [replace(each, posting=postings.get(each.id)) for each in stale])
        opened.outbox.stale = []

    def _passes(self, opened: _Open, candidate: Candidate, invoice: Invoice) -> bool:
        """All that can be said before anything is created; refusals and holds are recorded."""
        try:
            checks.check_invoice(invoice, opened.company, self._ledger.capabilities)
            opened.resolver.items(invoice)
            tax_codes = opened.resolver.tax_codes(invoice)
            opened.resolver.customer(invoice)
            opened.resolver.exchange_rate(invoice)
            ledger_tax = self._ledger.predict_tax(invoice, tax_codes)
            rates = tuple(code.percent for code in tax_codes)
            hold = checks.check_tax(invoice, ledger_tax, rates, self._options.vat_difference)
        except Reject as refused:
            self._reject(candidate, refused)
            return False
        if hold is None and self._options.gate.plan is not None:
            hold = self._options.gate.objection_to_creating(self._planned(opened, candidate))
        if hold is not None:
            self._refuse(candidate, Outcome.HELD, hold)
        return hold is None

    def _ready(self, opened: _Open, candidate: Candidate) -> Ready | None:
        if candidate.invoice is None:
            return None
        try:
            references = opened.resolver.references(candidate.invoice)
            body = self._ledger.draft(candidate.invoice, references, opened.company)
        except Reject as refused:
            self._reject(candidate, refused)
            return None
        mapped = opened.resolver.told(candidate.invoice, references)
        return Ready(candidate, body, references.customer.id, mapped)

    def _planned(self, opened: _Open, candidate: Candidate) -> PlanRow:
        invoice = candidate.invoice
        if invoice is None:
            raise TypeError("an unreadable record never gets this far")
        customer = opened.resolver.customer(invoice)
        name = self._ledger.customer_name(self._choices.catalogue.client_name(invoice))
        new_items = [item.name for item in opened.resolver.items(invoice) if isinstance(item, NewItem)]
        return PlanRow(
            opsmerge_invoice_id=invoice.id,
            number=invoice.number,
            action=CREATE,
            customer=f"{customer.name} ({customer.id})" if customer else f"{name}{NEW_CUSTOMER}",
            new_items=tuple(dict.fromkeys(new_items)),
            issue_date=invoice.issue_date.isoformat(),
            currency=invoice.currency,
            net=invoice.subtotal,
            tax=invoice.tax_total,
            total=invoice.total,
            ledger_tax=self._ledger.predict_tax(invoice, opened.resolver.tax_codes(invoice)),
            content_sha256=candidate.content_sha256,
            mapping_sha256=candidate.mapping_sha256,
        )

    # Recording.

    def _reject(self, candidate: Candidate, refused: Fault) -> None:
        self._refuse(candidate, Outcome.REJECTED, refused)

    def _refuse(self, candidate: Candidate, outcome: Outcome, why: Fault) -> None:
        row = replace(posting_of(candidate, self._identity), external_id=None, settled_outcome=None)
        self._record([with_fault(row, outcome, why, self._journal.now())])

    def _record(self, postings: Iterable[Posting]) -> list[Posting]:
        written = self._journal.write(list(postings))
        for each in written:
            self._report(each)
        return written

    def _report(self, posting: Posting) -> None:
        """Count it, and say at once what a person may have to do."""
        self.summary.note(posting)
        if self._options.dry_run:
            self.plan.append(PlanRow.of_posting(posting))
        if posting.fault_message and posting.outcome not in IN_THE_BOOKS:
            place = f" at {posting.fault_field}" if posting.fault_field else ""
            self._logger.warning(
                "%s %s%s: %s. %s%s",
                printable(posting.number or posting.opsmerge_invoice_id),
                posting.outcome.value,
                place,
                printable(posting.fault_message),
                printable(posting.remedy or ""),
                f" [intuit_tid {posting.intuit_tid}]" if posting.intuit_tid else "",
            )


def _read(document: dict[str, Any], ledger: Ledger) -> tuple[Invoice | None, Reject | None]:
    try:
        invoice = records.parse(document)
        checks.check_number(invoice, ledger.capabilities)
    except Reject as problem:
        return None, problem
    return invoice, None


def _asks_the_ledger(steps: dict[Step, list[Candidate]]) -> bool:
    """Whether a step needs the ledger. What cannot be read is refused without it."""
    due = (Step.SETTLE, Step.FIND_AGAIN, Step.ADOPT_ONLY)
    return any(steps[step] for step in due) or any(each.problem is None for each in steps[Step.POST])


def _known(candidate: Candidate) -> Posting:
    if candidate.posting is None:
        raise TypeError("only a posting that exists gets this far")
    return candidate.posting


def _document_id(candidate: Candidate) -> str:
    """The ledger's id of an invoice that is in the books."""
    return _known(candidate).external_id or ""


def _has_ended(posting: Posting, found: LedgerInvoice | None, now: pendulum.DateTime) -> bool:
    """Whether the ledger's document is voided or deleted. One that is young may be missing from a list that lags."""
    if found is not None:
        return found.voided
    return posting.finished_at is None or posting.finished_at < now.subtract(minutes=LISTS_LAG_MINUTES)


def _is_held_so(candidate: Candidate, objection: Reject) -> bool:
    """Whether the store says already that this invoice is held for this reason."""
    posting = candidate.posting
    said = (posting.outcome, posting.fault_code, posting.fault_message) if posting is not None else ()
    same = posting is not None and posting.content_sha256 == candidate.content_sha256
    return same and said == (Outcome.HELD, objection.code, objection.message)


def _is_news(candidate: Candidate) -> bool:
    """Whether a resting posting's invoice reads otherwise than the store has it."""
    return candidate.posting is not None and candidate.posting.record != candidate.record


def _is_ours(candidate: Candidate, found: LedgerInvoice) -> bool:
    """Whether what was found is the very document that our posting names."""
    return candidate.posting is not None and candidate.posting.external_id == found.id


def _restored(candidate: Candidate, known: Posting | None = None) -> Posting:
    """The conflict is over: it is in the books as it is in OpsMerge, or is valid in neither."""
    posting = known or _known(candidate)
    return replace(
        posting,
        **NO_FAULT,
        outcome=posting.outcome if posting.outcome in IN_THE_BOOKS else Outcome(posting.settled_outcome or "created"),
        settled_outcome=None,
        retry=False,
        seen_sha256=candidate.content_sha256,
        record=candidate.record,
    )


def _verdict(opened: _Open, candidate: Candidate, there: Sequence[LedgerInvoice]) -> Verdict:
    """What the books have under an invoice's number: the same invoice, another one, or nothing."""
    customer = _customer(opened.resolver, candidate.invoice) if there else None
    return judge(
        candidate.id,
        candidate.invoice,
        there,
        customer.id if customer else None,
        opened.company,
        replaced=opened.replaced,
        former_id=opened.former.get(candidate.id),
    )


def _customer(resolver: Resolver, invoice: Invoice | None) -> Customer | None:
    """The customer to compare with; none where none can be chosen."""
    try:
        return resolver.customer(invoice) if invoice is not None else None
    except Reject:
        return None
