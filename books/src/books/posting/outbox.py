"""The posting protocol: intent before the call, outcome after it, and what to do when the answer is lost.

    fresh:    commit the intent (members, exact bytes, key, bids) -> one call -> commit each outcome by its bid
    5xx:      wait, look up by number, adopt what is there, send the rest again under the same key and bids; bounded
    time-out: leave the posting `unknown`; a later run settles it after the settle wait
    settle:   look up, adopt what is there, send what is proved absent: same bytes, same key, same bid
    Where a key binds the whole call, each call that follows a look-up has a key of its own.

Every sending happens in one turn (the push lock): look-up, leave, claim, proof, bytes. Whoever waited looks up again
before claiming; a claim is proved ours and young right before the bytes leave (`fence`).

Nothing here decides what to post; everything here survives a crash between any two steps.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import pendulum

from books.core.backoff import backoff_seconds
from books.core.batches import batched
from books.core.clock import Clock
from books.core.faults import Exit, Fault, Halt, Reject, Retry, ServerError, Unknown
from books.core.printable import possessive
from books.ledgers.contract import Capabilities, Company, KeyScope, Ledger, LedgerInvoice, Member
from books.posting.adoption import Absent, Same, Taken, Verdict, by_number, fold, identify, number_taken
from books.posting.candidates import Candidate, identity_of, posting_of
from books.posting.crash import Checkpoint
from books.posting.fence import CLAIM_SECONDS_MAX, NOT_SENT, ClaimLost, age_seconds, must_look_up_again
from books.posting.journal import Journal
from books.posting.postings import NO_FAULT, Outcome, Posting, adopted, created, with_fault
from books.posting.records import sha256
from books.transport.call import Turn

SENDINGS_MAX = 5
"""Of one batch in one run, the first included."""
SENDINGS_MAX_EVER = 12
"""Of one invoice under one key; beyond it a person decides."""
LOST_IN_A_ROW_MAX = 3
"""Answers lost one after the other before the run gives up: the network is down."""
KEYS = uuid.UUID("0d9a4e1e-3c52-5b0f-8a6e-90f1d7b7a0c4")


@dataclass(frozen=True)
class Ready:
    """An invoice that may be sent: who it is, its bytes, and the customer that adoption compares."""

    candidate: Candidate
    body: bytes
    customer_id: str
    mapped: str | None = None
    """JSON for people: what it was sent with, and how that was found."""


Report = Callable[[Posting], None]


@dataclass(frozen=True)
class _Sent:
    """The result of one call. With a `fault` the call did not happen, and the claim stands as it was made."""

    claimed: Sequence[Posting] = ()
    open: Sequence[Posting] = ()
    """Those whose outcome is unknown, though the ledger did answer."""
    fault: Reject | Halt | None = None


@dataclass(frozen=True)
class _Moment:
    """A time by the store's clock, and by the process's own steady clock."""

    wall: pendulum.DateTime
    steady_seconds: float


class Outbox:
    """Sends invoices and records each outcome. Within a turn only: see `begin`."""

    def __init__(
        self,
        ledger: Ledger,
        journal: Journal,
        clock: Clock,
        company: Company,
        checkpoint: Checkpoint,
        report: Report,
        replaced: Mapping[str, str] | None = None,
    ) -> None:
        self._ledger = ledger
        self._journal = journal
        self._clock = clock
        self._company = company
        self._checkpoint = checkpoint
        self._report = report
        self._replaced = {} if replaced is None else replaced
        self._identity = identity_of(ledger)
        self._lost_in_a_row = 0
        self._halt: Halt | None = None
        self.stale: list[Candidate] = []
        """Invoices refused because a customer, item or tax code is gone: posted once more with fresh references."""
        self._ready: dict[str, Ready] = {}
        self._turn: Turn | None = None
        self._looked_up: _Moment | None = None

    def begin(self, turn: Turn) -> None:
        """Send within this turn from now on. What was looked up before it is not believed."""
        self._turn, self._looked_up = turn, None

    def looked_up(self) -> None:
        """Keep that everything to be sent next is looked up by number now, within this turn."""
        self._looked_up = self._moment()

    def post(self, ready: Sequence[Ready], batch_size: int) -> None:
        """Post invoices that were looked up and found absent.

        Raises:
            Halt: no more can be posted now. What was sent is recorded; what was not is as before.
        """
        for batch in batched(ready, batch_size):
            self._post_batch(batch)

    def _post_batch(self, ready: Sequence[Ready]) -> None:
        before = {each.candidate.id: each.candidate.posting for each in ready}
        self._ready |= {each.candidate.id: each for each in ready}
        self._checkpoint("before_intent")
        sent = self._send(self._intents(ready), "intent_committed")
        let_go = self._let_go(sent.claimed, before, sent.fault) if sent.fault is not None else {}
        if isinstance(sent.fault, Halt):
            raise sent.fault
        if sent.fault is not None:
            rows = [(each, let_go.get(each.candidate.id)) for each in ready]
            again = [replace(each, candidate=replace(each.candidate, posting=row)) for each, row in rows if row]
            self._split(again, sent.fault)
        self._see_through(sent.open)
        if self._halt is not None:
            raise self._halt

    def _split(self, ready: Sequence[Ready], refused: Reject) -> None:
        """Send halves of a batch that was refused as a whole, until the invoice that spoils it stands alone."""
        if len(ready) == 1:
            self._record(
                [with_fault(posting_of(ready[0].candidate, self._identity), Outcome.REJECTED, refused, self._now())]
            )
            return
        middle = len(ready) // 2
        self._post_batch(ready[:middle])
        self._post_batch(ready[middle:])

    def _intents(self, ready: Sequence[Ready]) -> list[Posting]:
        key = request_id(self._ledger.connection, ready)
        return [self._intent(each, key, str(place)) for place, each in enumerate(ready, 1)]

    def _intent(self, ready: Ready, key: str, bid: str) -> Posting:
        candidate = ready.candidate
        before = candidate.posting
        return replace(
            posting_of(candidate, self._identity),
            outcome=Outcome.UNKNOWN,
            payload_sha256=sha256(ready.body),
            request_id=key,
            bid=bid,
            body=ready.body.decode(),
            mapped=ready.mapped,
            generation=candidate.generation,
            attempts=(before.attempts if before else 0) + 1,
            finished_at=None,
            external_id=None,
            ledger_total=None,
            ledger_tax=None,
            vendor_request_id=None,
            settled_outcome=None,
            retry=False,
        )

    # Delivering.

    def resend(self, postings: Sequence[Posting]) -> None:
        """Send again what a lost answer left unknown and a look-up proved absent: same bytes, same key, same bid.

        Raises:
            Halt: no more can be posted now.
        """
        batches: defaultdict[str, list[Posting]] = defaultdict(list)
        for posting in postings:
            batches[posting.request_id or ""].append(posting)
        for batch in batches.values():
            self._resend_batch(batch)

    def _resend_batch(self, postings: Sequence[Posting]) -> None:
        worn = [posting for posting in postings if posting.attempts >= SENDINGS_MAX_EVER]
        fresh = [posting for posting in postings if posting.attempts < SENDINGS_MAX_EVER]
        self._record(
            [
                with_fault(posting, Outcome.REJECTED, _gave_up(self._ledger.capabilities), self._now())
                for posting in worn
            ]
        )
        if not fresh:
            return
        self._checkpoint("before_resend")
        sent = self._send([self._again(each) for each in fresh], "resend_committed")
        if isinstance(sent.fault, Reject):
            # The earlier sending may have been taken, so nothing but another look-up can settle these.
            self._record([with_fault(each, Outcome.UNKNOWN, sent.fault, self._now()) for each in sent.claimed])
        elif sent.fault is not None:
            self._let_go(sent.claimed, {each.opsmerge_invoice_id: each for each in fresh}, sent.fault)
            raise sent.fault
        self._see_through(sent.open)
        if self._halt is not None:
            raise self._halt

    def _again(self, posting: Posting) -> Posting:
        """Return the next intent of a posting that was sent before."""
        return replace(posting, **NO_FAULT, attempts=posting.attempts + 1)

    def _see_through(self, open_: Sequence[Posting]) -> None:
        """Look up and send again until every member has an outcome, within bounds."""
        for sending in range(1, SENDINGS_MAX):
            if not open_:
                return
            self._clock.sleep(backoff_seconds(sending + 1, self._clock.random()))
            self._checkpoint("before_look_up_again")
            absent = self._look_up_again(open_)
            if not absent:
                return
            open_ = self._call_again(absent)

    def _call_again(self, absent: Sequence[Posting]) -> Sequence[Posting]:
        self._checkpoint("before_resend")
        sent = self._send([self._again(each) for each in absent], "resend_committed")
        if sent.fault is None:
            return sent.open
        noted = self._note(sent.claimed, sent.fault)
        if isinstance(sent.fault, Halt):
            self._halt = sent.fault
            return []
        return noted

    # One sending.

    def _send(self, rows: Sequence[Posting], point: str) -> _Sent:
        """Claim rows and send them as one call; where the call did not happen, look up and claim again, bounded."""
        refused: Retry | None = None
        for tries in range(1, SENDINGS_MAX + 1):
            try:
                rows = self._keyed(self._still_absent(rows))
            except Halt as too_long:
                return _Sent(rows if refused else (), fault=too_long)
            if not rows:
                return _Sent()
            rows, prove = self._claim(rows)
            self._checkpoint(point)
            try:
                return _Sent(rows, self._call(rows, prove)) if rows else _Sent()
            except (Reject, Halt) as stopped:
                return _Sent(rows, fault=stopped)
            except Retry as again:
                refused, self._looked_up = again, None
                self._clock.sleep(
                    backoff_seconds(tries + 1, self._clock.random())
                )  # after a 429 `reserve` waits the rest
        return _Sent(rows, fault=_as_halt(refused) if refused else None)

    def _still_absent(self, rows: Sequence[Posting]) -> Sequence[Posting]:
        """Wait for the rate limiter, look up again where the last look-up is too old, and return what is absent."""
        if self._turn is None:
            raise TypeError("an outbox sends within a turn: call begin() first")
        waited_seconds = self._turn.reserve()
        looked_up = self._looked_up
        if looked_up is not None and not must_look_up_again(self._age_seconds(looked_up), waited_seconds):
            return rows
        absent, settled = self._sort(rows)
        for each in self._journal.write([replace(each, attempts=each.attempts - 1) for each in settled]):
            self._report(each)
        return absent

    def _keyed(self, rows: Sequence[Posting]) -> Sequence[Posting]:
        """Return rows with the key of this call, where a key binds the whole call and its bytes.

        The key comes from the members and from how often each was sent: a call that did not happen is repeated under
        it, one that failed never is. Where a key is per member, each keeps its own.
        """
        if self._ledger.capabilities.key_scope is KeyScope.MEMBER or not rows:
            return rows
        key = call_id(self._ledger.connection, rows)
        return [replace(each, request_id=key) for each in rows]

    def _claim(self, rows: Sequence[Posting]) -> tuple[list[Posting], Callable[[], None]]:
        """Commit the intent to send these now, and return what proves it.

        A row that somebody else has written meanwhile is not ours: the run ends after this sending.
        """
        made = self._moment()
        now = made.wall
        wanted = [replace(each, attempted_at=now, first_attempted_at=each.first_attempted_at or now) for each in rows]
        claimed = self._journal.intend(wanted)
        if len(claimed) < len(wanted):
            self._halt = _claimed_by_another(len(wanted) - len(claimed))
        return claimed, lambda: self._prove(claimed, made)

    def _prove(self, claimed: Sequence[Posting], made: _Moment) -> None:
        """Raise unless lock and claim are still ours, and the claim is young; called right before the bytes leave.

        Raises:
            ClaimLost: nothing may be sent under it.
        """
        if self._turn is None or not self._turn.is_held():
            raise ClaimLost("the push lock was lost (was the database server restarted?)")
        stored = self._journal.load([each.opsmerge_invoice_id for each in claimed])
        seqs = {invoice_id: each.seq for invoice_id, each in stored.items()}
        if any(seqs.get(each.opsmerge_invoice_id) != each.seq for each in claimed):
            raise ClaimLost("another run took them over")
        if self._age_seconds(made) > CLAIM_SECONDS_MAX:
            raise ClaimLost("more than a minute passed (did this machine stand still?)")

    def _let_go(
        self, claimed: Sequence[Posting], before: Mapping[str, Posting | None], fault: Reject | Halt
    ) -> dict[str, Posting]:
        """Release claims under which nothing was sent, and return the rows: the next run decides on them at once.

        The rows stay, because another run may have seen them and left their invoices to this one.
        """
        now = self._now()
        rows = []
        for each in claimed:
            earlier = before.get(each.opsmerge_invoice_id)
            row = replace(
                with_fault(each, Outcome.UNKNOWN, _not_sent(fault), now),
                attempts=each.attempts - 1,
                attempted_at=earlier.attempted_at if earlier else None,
                finished_at=None,
            )
            rows.append(row)
        return {each.opsmerge_invoice_id: each for each in self._journal.write(rows)}

    def _call(self, members: Sequence[Posting], prove: Callable[[], None]) -> Sequence[Posting]:
        """Send one call, and return the members whose outcome is unknown though the ledger did answer."""
        key = members[0].request_id or ""
        reused = set(self._replaced.values())
        asked = [Member(each.bid or "", (each.body or "").encode(), fold(each.number) in reused) for each in members]
        try:
            answers = self._ledger.create_invoices(asked, key, prove)
        except ServerError as failed:
            return self._note(members, failed)
        except Unknown as lost:
            self._note(members, lost)
            self._count_lost(lost)
            return []
        self._checkpoint("after_send")
        self._lost_in_a_row = 0
        return self._take(members, answers)

    def _look_up_again(self, members: Sequence[Posting]) -> list[Posting]:
        """Adopt those that are there after all, and return the others, proved absent."""
        absent, settled = self._sort(members)
        self._record(settled)
        return absent

    def _sort(self, members: Sequence[Posting]) -> tuple[list[Posting], list[Posting]]:
        """Look up by number, and return those that are absent, and those that are settled by what was found."""
        self.looked_up()
        found = by_number(self._ledger.find_invoices([each.number for each in members]))
        settled, absent = [], []
        for each in members:
            verdict = self._identify(each, found)
            if isinstance(verdict, Absent):
                absent.append(each)
            else:
                settled.append(self._settled(each, verdict))
        return absent, settled

    def _identify(self, posting: Posting, found: Mapping[str, Sequence[LedgerInvoice]]) -> Verdict:
        ready = self._ready.get(posting.opsmerge_invoice_id)
        return identify(
            posting.opsmerge_invoice_id,
            ready.candidate.invoice if ready else None,
            found.get(fold(posting.number), ()),
            ready.customer_id if ready else None,
            self._company,
            replaced=self._replaced,
        )

    def _settled(self, posting: Posting, verdict: Same | Taken) -> Posting:
        if isinstance(verdict, Same):
            return adopted(posting, verdict.found, self._now())
        return with_fault(
            posting, Outcome.CONFLICT, number_taken(verdict.found, self._ledger.capabilities.ledger), self._now()
        )

    def _take(self, members: Sequence[Posting], answers: Mapping[str, LedgerInvoice | Fault]) -> list[Posting]:
        """Commit each member's outcome, and return those that are still unknown."""
        now = self._now()
        outcomes: list[Posting] = []
        open_: list[Posting] = []
        stopped: list[Posting] = []
        taken: list[tuple[Posting, Reject]] = []
        for each in members:
            answer = answers.get(each.bid or "") or ServerError("no answer for this one", code="no_answer")
            if isinstance(answer, LedgerInvoice):
                outcomes.append(created(each, answer, now))
            elif isinstance(answer, Halt):
                stopped.append(each)
                self._halt = answer
            elif not isinstance(answer, Reject):
                open_.append(with_fault(each, Outcome.UNKNOWN, answer, now))
            elif answer.code == self._ledger.capabilities.number_taken_code:
                taken.append((each, answer))
            else:
                self._note_stale(each, answer)
                outcomes.append(with_fault(each, Outcome.REJECTED, answer, now))
        self._record(outcomes)
        still_open = self._journal.finish(open_)
        if self._halt is not None:
            self._let_go_of(stopped, self._halt)
        self._settle_taken(taken)
        self._checkpoint("outcome_committed")
        return still_open

    def _let_go_of(self, stopped: Sequence[Posting], halt: Halt) -> None:
        """Release the members of a batch that did not happen; those that were sent before stay unknown."""
        first = {each.opsmerge_invoice_id: self._ready.get(each.opsmerge_invoice_id) for each in stopped}
        before = {invoice_id: ready.candidate.posting for invoice_id, ready in first.items() if ready is not None}
        let_go = [
            each
            for each in stopped
            if each.opsmerge_invoice_id in before and _is_first_sending(each, before[each.opsmerge_invoice_id])
        ]
        self._let_go(let_go, before, halt)

    def _settle_taken(self, taken: Sequence[tuple[Posting, Reject]]) -> None:
        """Look up numbers that were used between look-up and call: adopt ours, record a conflict with another's."""
        if not taken:
            return
        found = by_number(self._ledger.find_invoices([each.number for each, _ in taken]))
        verdicts = [(each, refused, self._identify(each, found)) for each, refused in taken]
        self._record(
            [
                with_fault(each, Outcome.CONFLICT, refused, self._now())
                if isinstance(verdict, Absent)
                else self._settled(each, verdict)
                for each, refused, verdict in verdicts
            ]
        )

    def _note_stale(self, posting: Posting, refused: Reject) -> None:
        ready = self._ready.get(posting.opsmerge_invoice_id)
        if ready is not None and refused.code in self._ledger.capabilities.stale_reference_codes:
            self.stale.append(ready.candidate)

    def _note(self, members: Sequence[Posting], fault: Fault) -> list[Posting]:
        """Write why the answer is missing; the outcome stays unknown."""
        now = self._now()  # nothing leaves after this moment: the settle wait begins
        noted = [with_fault(each, Outcome.UNKNOWN, fault, now) for each in members]
        written = self._journal.finish([replace(each, attempted_at=now, finished_at=None) for each in noted])
        for each in written:
            self._report(each)
        return written

    def _count_lost(self, lost: Unknown) -> None:
        self._lost_in_a_row += 1
        if self._lost_in_a_row >= LOST_IN_A_ROW_MAX:
            self._halt = Halt(
                f"the answer was lost {self._lost_in_a_row} times in a row: {lost.message}",
                exit_code=Exit.TRY_LATER,
                code="answers_lost",
                remedy="Run again later: what is unknown is looked up first, and nothing is sent twice.",
            )

    def _record(self, postings: Sequence[Posting]) -> None:
        for each in self._journal.finish(postings):
            self._report(each)

    def _now(self) -> pendulum.DateTime:
        return self._journal.now()

    def _moment(self) -> _Moment:
        return _Moment(self._now(), self._clock.monotonic())

    def _age_seconds(self, moment: _Moment) -> float:
        now = self._moment()
        return age_seconds((now.wall - moment.wall).total_seconds(), now.steady_seconds - moment.steady_seconds)


def _not_sent(fault: Reject | Halt) -> Fault:
    """Return why a claim was released, as the row keeps it."""
    if fault.code == NOT_SENT:
        return fault
    return Halt(
        f"not sent: {fault.message}",
        exit_code=Exit.TRY_LATER,
        code=NOT_SENT,
        remedy="Nothing is needed: the next run looks it up and decides again.",
        vendor_request_id=fault.vendor_request_id,
    )


def _is_first_sending(posting: Posting, before: Posting | None) -> bool:
    return posting.attempts == (before.attempts if before else 0) + 1


def request_id(connection: str, ready: Sequence[Ready]) -> str:
    """Return a batch's key, from its data: the same members with the same bytes have the same key (36 characters)."""
    members = (f"{each.candidate.id}:{each.candidate.generation}:{sha256(each.body)}" for each in ready)
    return str(uuid.uuid5(KEYS, "|".join((connection, *members))))


def call_id(connection: str, rows: Sequence[Posting]) -> str:
    """Return the key of one call, from its members, their bytes, and how often each was sent (36 characters)."""
    members = (f"{each.opsmerge_invoice_id}:{each.generation}:{each.payload_sha256}:{each.attempts}" for each in rows)
    return str(uuid.uuid5(KEYS, "|".join((connection, *members))))


def _gave_up(capabilities: Capabilities) -> Reject:
    return Reject(
        f"sent {SENDINGS_MAX_EVER} times, each time without an outcome, and it is not in the books",
        code="gave_up",
        remedy=f"Ask {possessive(capabilities.vendor)} support with the {capabilities.request_id_name}, then "
        "`books retry`.",
    )


def _claimed_by_another(count: int) -> Halt:
    return Halt(
        f"another run has worked on {count} of these invoices meanwhile, so they were not sent",
        exit_code=Exit.TRY_LATER,
        code="claimed_by_another",
        remedy="Run again: it decides again on what the other run left.",
    )


def _as_halt(stopped: Retry | Halt) -> Halt:
    if isinstance(stopped, Halt):
        return stopped
    return Halt(
        stopped.message,
        exit_code=Exit.TRY_LATER,
        code=stopped.code or "try_later",
        remedy=stopped.remedy or "Run again later; what was not sent is sent then.",
        vendor_request_id=stopped.vendor_request_id,
    )
