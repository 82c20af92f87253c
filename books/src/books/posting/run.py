"""One run of posting: per chunk, read, decide, apply; then what earlier runs left unfinished."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import msgspec
import pendulum

from books.core import money
from books.core.batches import batched
from books.core.clock import Clock
from books.core.faults import Halt, Reject
from books.core.printable import printable
from books.ledgers.contract import Company, Ledger, NewItem
from books.posting import checks
from books.posting.adoption import fold
from books.posting.candidates import Candidate, identity_of, posting_of, read
from books.posting.choices import Choices
from books.posting.crash import Checkpoint
from books.posting.creating import Creator
from books.posting.decide import UNCOUNTED, Action, Decision, Found, Need, Policy, decide, is_to_be_found_again
from books.posting.documents import VOIDED
from books.posting.eligibility import BEFORE_POST_FROM, BELONGS_TO_ANOTHER, Scope, reason_to_leave
from books.posting.finding import Finder, is_fresh
from books.posting.gate import GATES, Gate
from books.posting.journal import FORMER_ID, POSTED_BEFORE, REPLACED, Journal, Lesson
from books.posting.judging import InvoiceJudge, KnownReferences
from books.posting.outbox import Outbox, Ready
from books.posting.plan import PlanRow
from books.posting.postings import IN_THE_BOOKS, Outcome, Posting, with_fault
from books.posting.reading import Reader, known_to_store, read_documents, replaced_documents
from books.posting.spool import Spool
from books.posting.summary import Summary

COMPANY_KEPT_MINUTES = 60
LEFT_SHOWN_MAX = 5
"""Invoices of another company that a run names; the summary counts all."""
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


@dataclass(frozen=True)
class _Opened:
    """What exists only once the ledger had to be asked: with nothing to post, no call is made."""

    finder: Finder
    reader: Reader
    creator: Creator
    outbox: Outbox
    replaced: dict[str, str]
    """Shared with the outbox, see `Known.replaced`."""
    sent: dict[str, str]
    """Shared with the reader: number, folded, to invoice id, of what this run has sent."""


class PushRun:
    """Puts invoices into the ledger, once."""

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
            Scope(options.post_from, ledger.connection, ledger.capabilities.ledger),
            options.settle_seconds,
            options.http_timeout,
            options.gate,
            identity_of(ledger),
        )
        self._opened: _Opened | None = None
        self.summary = Summary(ledger.capabilities.ledger, shut=options.gate.shut)
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
            self.summary.calls, self.summary.metered = spent.calls, spent.metered
            self.summary.seconds = self._clock.monotonic() - clock_started
        self._record_run(run_id, started_at, self._journal.now())
        self._checkpoint("run_recorded")
        return self.summary

    def _post_everything(self, spool: Spool) -> None:
        self.summary.seen = len(spool)
        size = self._options.batch_size * CHUNK_BATCHES
        for texts in spool.chunks(size):
            documents = [(text, money.loads(text)) for text in texts]
            postings = self._journal.load([document["id"].strip() for _, document in documents])
            self._process(
                [self._read(text, document, postings.get(document["id"].strip())) for text, document in documents]
            )
        self._checkpoint("input_read")
        waiting = [each for each in self._journal.unfinished() if each.opsmerge_invoice_id not in spool]
        for batch in batched(waiting, size):
            self._process([self._read_stored(each) for each in batch])

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
                "metered": summary.metered,
            }
        )

    # Read.

    def _read(self, text: str, document: Mapping[str, Any], posting: Posting | None) -> Candidate:
        return read(text, document, posting, self._ledger, self._choices, self._options.vat_difference)

    def _read_stored(self, posting: Posting) -> Candidate:
        return replace(self._read(posting.record, money.loads(posting.record), posting), from_store=True)

    def _as_stored_now(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Return the candidates with their rows as they are now: another run may have had them meanwhile."""
        postings = self._journal.load([each.id for each in candidates])
        fresh = []
        for each in candidates:
            posting = postings.get(each.id)
            if posting is None:
                if not each.from_store:
                    fresh.append(replace(each, posting=None))
            elif each.posting is not None and each.posting.seq == posting.seq:
                fresh.append(each)
            elif each.from_store:
                fresh.append(self._read_stored(posting))
            else:
                fresh.append(self._read(each.record, money.loads(each.record), posting))
        return fresh

    # Decide.

    def _process(self, candidates: Sequence[Candidate]) -> None:
        """Decide on a chunk and apply it: first what the store alone decides, then what the ledger has to be asked for.

        The ledger is asked in our turn only; candidates are read and decided once more when it begins.
        """
        known, found = known_to_store(self._journal, candidates, self._policy), Found()
        decisions = decide(candidates, known, found, None, self._policy)
        documents = [each for each in decisions if each.need is Need.DOCUMENT]
        if documents:
            read_documents(self._ledger, self._journal, documents, known, found, self._logger)
            decisions = decide(candidates, known, found, None, self._policy)
        self._record([each for each in decisions if each.need is None])
        waiting = [each.candidate for each in decisions if each.need is not None]
        if not waiting:
            return
        checks.check_settle_wait(self._ledger.capabilities, self._options.settle_seconds)
        opened = self._open()
        if self._options.dry_run:
            self._apply(opened, opened.reader.decide(waiting, Found()))
            return
        if not self._options.gate.shut:  # behind a shut gate nothing is created
            asked = self._ledger.capabilities, self._options.duplicate_numbers_checked
            checks.check_duplicate_numbers(self._ledger.connection, *asked)
        with self._ledger.turn() as turn:
            opened.outbox.begin(turn)
            found = Found()
            self._apply(opened, opened.reader.decide(self._as_stored_now(waiting), found))
            self._post_stale(opened, found)

    def _open(self) -> _Opened:
        if self._opened is None:
            company = self._company()
            self._checkpoint("company_checked")
            judge = InvoiceJudge(self._ledger, company, self._choices, self._options.vat_difference, KnownReferences())
            replaced = replaced_documents(self._journal)
            finder = Finder(self._ledger, self._journal, judge)
            parts = (self._ledger, self._journal, self._clock)
            outbox = Outbox(*parts, company, self._checkpoint, self._report, replaced)
            sent: dict[str, str] = {}
            reader = Reader(
                self._ledger,
                self._journal,
                finder,
                self._policy,
                self._logger,
                sent=sent,
                checkpoint=self._checkpoint,
                before_look_up=outbox.looked_up,
            )
            self._opened = _Opened(finder, reader, Creator(*parts, judge, self._checkpoint), outbox, replaced, sent)
        return self._opened

    def _company(self) -> Company:
        """Return the company, its switches checked before the first write; believed for an hour."""
        lesson = self._journal.lessons("company").get("company")
        if lesson is not None and is_fresh(lesson, self._journal.now(), COMPANY_KEPT_MINUTES):
            with suppress(msgspec.ValidationError):  # an older version's: asked again
                return msgspec.convert(lesson.detail, Company)
        company = self._ledger.company()
        checks.check_company(company)
        self._journal.learn([Lesson("company", "company", "", msgspec.to_builtins(company))])
        return company

    # Apply.

    def _apply(self, opened: _Opened, decisions: Sequence[Decision]) -> None:
        """Record what is decided, then send: first what was sent before, then what is new."""
        replaced = {key: number for each in decisions for key, number in each.replaced.items()}
        # Kept before anything is sent: a lost answer is settled without what a retry replaces.
        self._journal.learn([Lesson(REPLACED, key, key, {"number": number}) for key, number in replaced.items()])
        opened.replaced.update(replaced)
        self._record(decisions)
        self._checkpoint("decisions_recorded")
        new = [each for each in decisions if each.action is Action.CREATE]
        opened.sent.update((fold(each.candidate.number), each.candidate.id) for each in new)
        if self._options.dry_run:
            return
        opened.outbox.resend([each.candidate.known for each in decisions if each.action is Action.SEND_AGAIN])
        judge = opened.finder.judge
        invoices = [each.candidate.invoice for each in new if each.judged.customer is None and each.candidate.invoice]
        items = [item for each in new for item in each.judged.items if isinstance(item, NewItem)]
        opened.creator.create_missing(invoices, items)
        ready = [each for each in (self._draft(judge, each.candidate) for each in new) if each is not None]
        if new:
            self._checkpoint("drafted")
        opened.outbox.post(ready, self._options.batch_size)

    def _draft(self, judge: InvoiceJudge, candidate: Candidate) -> Ready | None:
        """Return the exact bytes to send; None, with the refusal recorded, where a reference could not be created."""
        if candidate.invoice is None:
            return None
        try:
            references = judge.references(candidate.invoice)
            body = self._ledger.draft(candidate.invoice, references, judge.company)
        except Reject as refused:
            row = posting_of(candidate, self._policy.identity)
            row = replace(row, external_id=None, settled_outcome=None)
            self._write([with_fault(row, Outcome.REJECTED, refused, self._journal.now())])
            return None
        return Ready(candidate, body, references.customer.id, judge.describe(candidate.invoice, references))

    def _post_stale(self, opened: _Opened, found: Found) -> None:
        """Post once more, with fresh references, what was refused because a customer, item or tax code is gone."""
        stale, opened.outbox.stale = opened.outbox.stale, []
        if not stale:
            return
        for each in stale:
            if each.invoice is not None:
                opened.finder.forget(each.invoice)
        postings = self._journal.load([each.id for each in stale])
        again = [replace(each, posting=postings.get(each.id), is_stale=True) for each in stale]
        self._apply(opened, opened.reader.decide(again, found))
        opened.outbox.stale = []

    # Record.

    def _record(self, decisions: Sequence[Decision]) -> None:
        """Write and count what is decided, but for what is sent."""
        voided = {each.found.id: VOIDED for each in decisions if each.found is not None and each.found.voided}
        self._journal.note_ended(voided)
        uncounted = [each for each in decisions if each.action in UNCOUNTED]
        others = [each.row for each in decisions if each.row is not None and each.action not in UNCOUNTED]
        self._journal.write([each.row for each in uncounted if each.row is not None])
        self._write(others)
        self._leave_alone([each.candidate for each in decisions if each.action is Action.LEAVE_ALONE])
        if any(each.proves_earlier_posting for each in decisions):
            self._journal.learn([Lesson(POSTED_BEFORE, "note", "", {})])
        self._forget_former(decisions)
        for each in decisions:
            self._count(each)
            row = each.plan_row() if self._options.dry_run else None
            if row is not None:
                self.plan.append(row)

    def _leave_alone(self, candidates: Sequence[Candidate]) -> None:
        """Remember what is from before the go-live date and not in the ledger: it is not looked for again."""
        if candidates:
            self._journal.leave_alone({each.id: each.content_sha256 for each in candidates})
            self._checkpoint("left_alone_recorded")

    def _forget_former(self, decisions: Sequence[Decision]) -> None:
        """Forget the ids from before a disconnect of those that were looked for."""
        wanted = [
            each.candidate.id
            for each in decisions
            if each.action is not Action.KNOWN and is_to_be_found_again(each.candidate, self._policy.scope)
        ]
        if wanted:
            kept = self._journal.lessons(FORMER_ID)
            self._journal.forget(FORMER_ID, [kept[each].ledger_id for each in wanted if each in kept])

    def _count(self, decision: Decision) -> None:
        """Count what leaves no new row, and say what a person has to know of it."""
        summary, candidate, posting = self.summary, decision.candidate, decision.candidate.posting
        if decision.action is Action.EXISTS:
            summary.existing += not candidate.from_store
        elif decision.action is Action.STILL_THERE:
            summary.existing += 1
            where = candidate.known.external_id
            self._logger.warning("%s is still in the books as %s: nothing to send", candidate.number, where)
        elif decision.action in (Action.LEAVE, Action.LEAVE_ALONE):
            reason = reason_to_leave(candidate.invoice, self._policy.scope) if candidate.invoice else None
            summary.left[reason or BEFORE_POST_FROM] += 1
            why = decision.reason if decision.action is Action.LEAVE else None
            if why is not None and summary.left[BELONGS_TO_ANOTHER] <= LEFT_SHOWN_MAX:
                self._logger.warning("%s left: %s. %s", candidate.number, why.message, why.remedy)
        elif decision.action in (Action.KNOWN, Action.WAIT) and posting is not None and not candidate.from_store:
            summary.known[posting.outcome.value] += 1
        code = decision.reason.code if decision.action is Action.HOLD and decision.reason else None
        if decision.action is Action.KNOWN and posting is not None:
            code = posting.fault_code
        summary.kept_back += code in GATES

    def _write(self, rows: Sequence[Posting]) -> None:
        for each in self._journal.write(rows):
            self._report(each)

    def _report(self, posting: Posting) -> None:
        """Count a row, and say at once what a person may have to do."""
        self.summary.note(posting)
        if posting.fault_message and posting.outcome not in IN_THE_BOOKS:
            place = f" at {posting.fault_field}" if posting.fault_field else ""
            self._logger.warning(
                "%s %s%s: %s. %s%s",
                printable(posting.number or posting.opsmerge_invoice_id),
                posting.outcome.value,
                place,
                printable(posting.fault_message),
                printable(posting.remedy or ""),
                f" [{self._ledger.capabilities.request_id_name} {posting.vendor_request_id}]"
                if posting.vendor_request_id
                else "",
            )
