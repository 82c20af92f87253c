"""What happens to each invoice of a chunk: one pure function, asked by push, plan and preflight.

`decide` returns a decision per candidate. Where it has to know more, the decision names what to ask (`Need`); whoever
called reads that and asks again. The final decisions are applied (push), kept (plan), compared with those kept
(`post --plan`, through the gate) or grouped (preflight).

    store row                  OpsMerge says            decision
    none                       draft, voided, opted out LEAVE
    none                       open                     look up: ADOPT, CONFLICT, else references: CREATE, REJECT, HOLD
    none                       before the go-live date  look up: ADOPT, CONFLICT, else LEAVE_ALONE
    in the ledger              the same                 EXISTS; RESTORE where it was in conflict
    in the ledger              changed                  CONFLICT
    in the ledger              voided, opted out        look at the document: RESTORE where it ended too, else CONFLICT
    refused, held, conflict    the same                 KNOWN; as if there were no row where a retry is asked for
    refused, held, conflict    changed                  as if there were no row
    refused, held, conflict    voided, opted out        HOLD
    unknown, resting           anything                 WAIT
    unknown, rested            anything                 look up: ADOPT, CONFLICT, SEND_AGAIN, HOLD; edited: as if no row
    disconnected               anything                 look up: ADOPT, CONFLICT, else HOLD

Whatever is due and dated before the go-live date is adopted where it is there, and never sent.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import pendulum

from books.core.faults import Reject
from books.ledgers.contract import LedgerInvoice
from books.posting.adoption import (
    NUMBER_TWICE,
    Same,
    Taken,
    Verdict,
    fold,
    gone,
    identify,
    number_taken,
    number_twice,
)
from books.posting.candidates import Candidate, Identity, posting_of
from books.posting.changes import changed_after_posting
from books.posting.eligibility import (
    BEFORE_POST_FROM,
    BELONGS_TO_ANOTHER,
    OPEN_STATUSES,
    WITHDRAWALS,
    Scope,
    before_post_from,
    belongs_to_another,
    is_before_go_live,
    is_of_another,
    is_wanted,
    reason_to_leave,
    recall,
    withdrawal,
)
from books.posting.fence import NOT_SENT, rest_seconds
from books.posting.gate import GATES, Gate
from books.posting.judging import InvoiceJudge, Judged
from books.posting.plan import LEAVE, SEND_AGAIN, PlanRow
from books.posting.postings import (
    DISCONNECTED,
    GONE,
    RECALLED,
    Outcome,
    Posting,
    adopted,
    in_conflict,
    restored,
    with_fault,
)


class Action(StrEnum):
    """What happens to an invoice."""

    ASK = "ask"
    """Not decided yet: the ledger has to be asked first, see `Decision.need`."""

    LEAVE = "leave"
    """Not to be posted, and never was: counted only."""
    LEAVE_ALONE = "leave alone"
    """From before the go-live date and not in the ledger: not looked for again until it changes."""
    EXISTS = "exists"
    """In the ledger and unchanged, or ended on both sides: counted only."""
    STILL_THERE = "still there"
    """A person asked for a retry, and what was posted is still in the ledger: nothing is sent."""
    KNOWN = "known"
    """Refused, held or in conflict before, and nothing that could change that has changed."""
    WAIT = "wait"
    """Sent, the outcome unknown, and too early to look it up."""
    RESTORE = "restore"
    """In the ledger, and in conflict no longer: changed and changed back, reopened, or ended on both sides."""

    REJECT = "reject"
    HOLD = "hold"
    CONFLICT = "conflict"
    ADOPT = "adopt"
    """The ledger has it: its id is recorded."""
    CREATE = "create"
    SEND_AGAIN = "send again"
    """Sent before and not there: the same bytes under the same key."""


UNCOUNTED = (Action.EXISTS, Action.STILL_THERE)
"""Actions whose row, where there is one, is no new outcome."""


class Need(StrEnum):
    """What has to be asked before an invoice can be decided."""

    DOCUMENT = "document"
    """By id: whether the ledger's document was voided or deleted too."""
    NUMBER = "number"
    """By number, and by the id that it was once posted as."""
    CUSTOMER = "customer"
    """Who the client is in the ledger, to compare what was found under the number."""
    REFERENCES = "references"
    """Everything that the invoice names."""


@dataclass(frozen=True)
class Decision:
    """What happens to one invoice, why, with what, and the row that records it."""

    candidate: Candidate
    action: Action
    need: Need | None = None
    reason: Reject | None = None
    row: Posting | None = None
    """The store's row to write before anything is sent; None where nothing is recorded."""
    found: LedgerInvoice | None = None
    """What is adopted."""
    judged: Judged = field(default_factory=Judged)
    same_number_as: str | None = None
    """Id of the invoice that is posted in its place, where two of OpsMerge have one number."""
    replaced: Mapping[str, str] = field(default_factory=dict)
    """Ids of voided documents that a person asked to post again, with their numbers."""
    proves_earlier_posting: bool = False
    """Whether, behind a shut gate, what is adopted bears our note: this company was posted to before."""

    def plan_row(self) -> PlanRow | None:
        """Return the row of a plan; None for what is only counted."""
        if self.action is Action.CREATE:
            return planned(self.candidate, self.judged)
        if self.action is Action.SEND_AGAIN:
            return PlanRow.of_posting(self.candidate.known, SEND_AGAIN)
        if self.action is Action.LEAVE and self.reason is not None:
            why = self.reason
            return PlanRow(self.candidate.id, self.candidate.number, LEAVE, reason=why.message, remedy=why.remedy)
        if self.row is not None and self.action not in UNCOUNTED:
            return PlanRow.of_posting(self.row)
        if self.action in (Action.KNOWN, Action.WAIT):
            return PlanRow.of_posting(self.candidate.known)
        return None


@dataclass(frozen=True)
class Policy:
    """What the settings and a plan say."""

    scope: Scope
    settle_seconds: int
    http_timeout: int = 130
    gate: Gate = field(default_factory=Gate)
    identity: Identity = ("", "", "")


@dataclass
class Known:
    """What the store says of a chunk, besides its postings."""

    now: pendulum.DateTime
    left_alone: Mapping[str, str] = field(default_factory=dict)
    """Invoice id to the content that was looked for and not found, of those from before the go-live date."""
    ended: dict[str, str] = field(default_factory=dict)
    """Id of a document of the ledger to `voided` or `deleted`, of those that were seen so."""
    in_flight: Mapping[str, str] = field(default_factory=dict)
    """Number, folded, to the id of the invoice that was sent with it, where the outcome is unknown."""
    former: Mapping[str, str] = field(default_factory=dict)
    """Invoice id to the id that it was once posted as, kept when the company was disconnected."""
    replaced: dict[str, str] = field(default_factory=dict)
    """Ids of voided documents that a person asked to post again: they are never adopted again."""


@dataclass
class Found:
    """Which documents the ledger has, as far as it was asked."""

    numbers: set[str] = field(default_factory=set)
    """Numbers, folded, that were asked for."""
    by_number: dict[str, list[LedgerInvoice]] = field(default_factory=dict)
    by_id: dict[str, LedgerInvoice] = field(default_factory=dict)
    """Of ids that invoices were once posted as."""
    documents: set[str] = field(default_factory=set)
    """Ids of documents that were asked for because their invoices were voided or opted out."""


def decide(
    candidates: Sequence[Candidate], known: Known, found: Found, judge: InvoiceJudge | None, policy: Policy
) -> list[Decision]:
    """Return a decision per candidate, in their order.

    `judge` is None until the ledger was opened: whatever needs it is `Action.ASK` with `Need.NUMBER` until then.
    """
    context = _Context(known, found, judge, policy)
    decisions = [_decide(each, context) for each in candidates]
    return _one_of_each_number(_one_of_each_document(decisions, context), context)


@dataclass(frozen=True)
class _Context:
    """All that a decision rests on, and the rows that it leads to."""

    known: Known
    found: Found
    maybe_judge: InvoiceJudge | None
    policy: Policy

    @property
    def scope(self) -> Scope:
        return self.policy.scope

    @property
    def judge(self) -> InvoiceJudge:
        if self.maybe_judge is None:
            raise TypeError("nothing is judged before the ledger was opened")
        return self.maybe_judge

    def has_ended(self, posting: Posting) -> bool:
        return posting.external_id in self.known.ended

    def there(self, c: Candidate, number: str) -> list[LedgerInvoice]:
        """Return what the ledger has under a number, and under the id that the invoice was once posted as."""
        by_number = self.found.by_number.get(fold(number), [])
        formerly = self.found.by_id.get(former_id(c, self.known, self.scope) or "")
        return [*by_number, *([formerly] if formerly is not None and formerly not in by_number else [])]

    def was_asked(self, *numbers: str) -> bool:
        return all(fold(number) in self.found.numbers for number in numbers if number)

    def row(self, c: Candidate, outcome: Outcome, reason: Reject) -> Posting:
        """Return the row of an invoice that is not posted, about its content as it is now."""
        return with_fault(posting_of(c, self.policy.identity), outcome, reason, self.known.now)

    def refuse(self, c: Candidate, outcome: Outcome, reason: Reject, judged: Judged | None = None) -> Decision:
        """Return the decision that nothing is posted and nothing of it is in the ledger."""
        row = replace(self.row(c, outcome, reason), external_id=None, settled_outcome=None)
        return Decision(c, _ACTIONS[outcome], reason=reason, row=row, judged=judged or Judged())

    def keep_in_conflict(self, c: Candidate, posting: Posting, reason: Reject) -> Decision:
        """Return the conflict of an invoice that is in the ledger: id and what was sent stay on record."""
        row = in_conflict(posting, reason, c.content_sha256, c.record, self.known.now)
        return Decision(c, Action.CONFLICT, reason=reason, row=row)


_ACTIONS = {Outcome.REJECTED: Action.REJECT, Outcome.HELD: Action.HOLD, Outcome.CONFLICT: Action.CONFLICT}


def ask(c: Candidate, need: Need) -> Decision:
    """Return that more has to be known of an invoice."""
    return Decision(c, Action.ASK, need=need)


def former_id(c: Candidate, known: Known, scope: Scope) -> str | None:
    """Return the id that an invoice was once posted as: kept by the store, or shown by OpsMerge.

    OpsMerge shows it where the store is lost or older than the posting.
    """
    if c.retry and c.posting is not None and c.posting.in_the_books:
        return c.posting.external_id  # a bookkeeper may have changed its number: it is still there
    kept = known.former.get(c.id)
    if kept is not None or c.invoice is None or (c.posting is not None and c.posting.in_the_books):
        return kept
    return c.invoice.owner_id if c.invoice.owner == scope.connection else None


# By what the store knows.


def _decide(c: Candidate, context: _Context) -> Decision:
    posting = c.posting
    if posting is None:
        return _decide_new(c, context)
    if posting.outcome is Outcome.UNKNOWN:
        return _decide_unknown(c, posting, context)
    if is_to_be_found_again(c, context.scope):
        return Decision(c, Action.KNOWN) if is_of_another(c.invoice, context.scope) else _find_again(c, context)
    if posting.in_the_books:
        return _decide_in_the_ledger(c, posting, context)
    return _decide_refused(c, posting, context)


def _decide_new(c: Candidate, context: _Context) -> Decision:
    reason = reason_to_leave(c.invoice, context.scope) if c.invoice else None
    if reason is not None:
        is_named = reason == BELONGS_TO_ANOTHER
        return Decision(c, Action.LEAVE, reason=belongs_to_another(c.invoice.owner) if is_named and c.invoice else None)
    if is_before_go_live(c.invoice, context.scope) and context.known.left_alone.get(c.id) == c.content_sha256:
        return Decision(c, Action.LEAVE)
    return _due(c, context)


def _decide_unknown(c: Candidate, posting: Posting, context: _Context) -> Decision:
    if posting.fault_code == NOT_SENT and not posting.attempts:  # claimed, and given up before anything left
        if not is_wanted(c, context.scope):
            return _withdraw(c, context)
        return _due(c, context)
    was_noted = posting.fault_code not in (None, NOT_SENT)
    rest = rest_seconds(context.policy.settle_seconds, context.policy.http_timeout, was_noted=was_noted)
    if posting.attempted_at is not None and context.known.now < posting.attempted_at.add(seconds=rest):
        # The sent body stays; the record learns what OpsMerge says now.
        is_news = posting.record != c.record
        row = replace(posting, record=c.record, seen_sha256=c.content_sha256) if is_news else None
        return Decision(c, Action.WAIT, row=row)
    return _settle(c, posting, context)


def is_to_be_found_again(c: Candidate, scope: Scope) -> bool:
    """Return whether an invoice was in the ledger before the company was disconnected: adopted, never created."""
    if c.posting is None or c.posting.fault_code != DISCONNECTED:
        return False
    return not (c.retry and is_wanted(c, scope))


def _decide_in_the_ledger(c: Candidate, posting: Posting, context: _Context) -> Decision:
    conflict = recall(c, context.scope)
    if conflict is not None:
        return _decide_recalled(c, posting, conflict, context)
    if posting.retry and is_wanted(c, context.scope):
        return _due(c, context)
    is_conflict = posting.outcome is Outcome.CONFLICT
    is_draft = c.invoice is not None and c.invoice.status not in (*OPEN_STATUSES, "paid")
    if is_draft or is_of_another(c.invoice, context.scope):  # reconciliation has a class for a draft that was posted
        return Decision(c, Action.KNOWN if is_conflict else Action.EXISTS)
    if c.is_unchanged:
        return _restore(c, posting) if is_conflict else Decision(c, Action.EXISTS)
    if is_conflict and posting.fault_code not in RECALLED and c.content_sha256 == posting.seen_sha256:
        return Decision(c, Action.KNOWN)
    return context.keep_in_conflict(c, posting, changed_after_posting(posting, c, context.scope.ledger))


def _decide_recalled(c: Candidate, posting: Posting, conflict: Reject, context: _Context) -> Decision:
    """Decide on what was voided or opted out in OpsMerge after it was posted: a conflict, once for each reason.

    A person's retry has the ledger asked again, and sends nothing.
    """
    if context.has_ended(posting):
        if posting.outcome is Outcome.CONFLICT or posting.retry:
            return _restore(c, posting)
        # The store learns that it is withdrawn: otherwise a later retry, decided from the store, would post it again.
        is_news = posting.record != c.record
        return Decision(c, Action.EXISTS, row=replace(posting, record=c.record) if is_news else None)
    if posting.fault_code == conflict.code and not posting.retry:
        return Decision(c, Action.KNOWN, reason=conflict)
    if posting.external_id not in context.found.documents:
        return ask(c, Need.DOCUMENT)
    return context.keep_in_conflict(c, posting, conflict)


def _decide_refused(c: Candidate, posting: Posting, context: _Context) -> Decision:
    if posting.fault_code == GONE and not posting.retry:
        return Decision(c, Action.KNOWN, reason=gone(None, context.scope.ledger))
    if not is_wanted(c, context.scope):
        is_known = posting.outcome is Outcome.HELD and posting.fault_code in WITHDRAWALS
        return Decision(c, Action.KNOWN) if is_known else _withdraw(c, context)
    was_early = posting.fault_code == BEFORE_POST_FROM
    is_due_again = (
        posting.retry
        or c.is_stale
        or posting.fault_code in WITHDRAWALS | GATES | {NUMBER_TWICE}
        or (was_early and not is_before_go_live(c.invoice, context.scope))
    )
    if c.is_unchanged and c.mapping_sha256 == posting.mapping_sha256 and not is_due_again:
        return Decision(c, Action.KNOWN)
    return _due(c, context)


# By what the ledger has.


def _due(c: Candidate, context: _Context) -> Decision:
    """Post what is due; from before the go-live date it is only adopted, whatever became of it until now."""
    return _adopt_only(c, context) if is_before_go_live(c.invoice, context.scope) else _post(c, context)


def _post(c: Candidate, context: _Context) -> Decision:
    """Adopt what is there under the number, refuse what is taken, create what is absent, as far as the gate allows."""
    if c.invoice is None:
        return _reject_unreadable(c, context)
    objection = context.policy.gate.objection(c)
    kept_back = _keep_back(c, objection, context) if objection is not None else None
    if kept_back is not None:
        return kept_back
    looked = _look_up(c, c.number, context)
    if isinstance(looked, Need):
        return ask(c, looked)
    decision = _adopt_or_refuse(c, looked, context)
    if objection is not None:
        return _behind_the_gate(c, looked.verdict, decision, objection, context)
    return decision or replace(_create(c, context), replaced=looked.replaced)


def _behind_the_gate(
    c: Candidate, verdict: Verdict, decision: Decision | None, objection: Reject, context: _Context
) -> Decision:
    """Return what happens behind a shut gate: what is ours is adopted; a plan has to show the rest first.

    What bears our note was posted from a store that is lost: from the next run on no plan is needed.
    """
    is_foreign = isinstance(verdict, Same) and not _is_ours(c, verdict.found, context)
    if decision is None or is_foreign:
        return context.refuse(c, Outcome.HELD, objection)
    return replace(decision, proves_earlier_posting=decision.action is Action.ADOPT)


def _keep_back(c: Candidate, objection: Reject, context: _Context) -> Decision | None:
    """Return what happens to an invoice that the gate objects to; None where it is to be looked up before."""
    if c.posting is not None and c.posting.in_the_books:
        return Decision(c, Action.EXISTS)  # the retry of something posted waits for a push that may do it
    if _is_recorded(c, Outcome.HELD, objection):
        return Decision(c, Action.KNOWN)
    return None if context.policy.gate.shut else context.refuse(c, Outcome.HELD, objection)


def _adopt_only(c: Candidate, context: _Context) -> Decision:
    """Adopt what is there under the number, refuse what is taken, leave alone what is absent."""
    looked = _look_up(c, c.number, context)
    if isinstance(looked, Need):
        return ask(c, looked)
    decision = _adopt_or_refuse(c, looked, context)
    if decision is not None:
        return decision
    if c.posting is None:
        return Decision(c, Action.LEAVE_ALONE)
    # The reason that stood in the row until now is replaced.
    return replace(context.refuse(c, Outcome.HELD, before_post_from(context.scope.ledger)), action=Action.LEAVE_ALONE)


@dataclass(frozen=True)
class _Looked:
    """What the ledger has under an invoice's number or former id, and the voided documents that a retry replaces."""

    verdict: Verdict
    replaced: Mapping[str, str]


def _look_up(c: Candidate, number: str, context: _Context) -> _Looked | Need:
    """Return what the ledger has under a number: the same invoice, another one, or nothing."""
    if not context.was_asked(number, *([c.number] if c.invoice is not None else [])):
        return Need.NUMBER
    there = context.there(c, number)
    customer = None
    if there and c.invoice is not None:
        if not context.judge.knows_customer(c.invoice):
            return Need.CUSTOMER
        with contextlib.suppress(Reject):  # without a customer to compare with, only our note says that it is the same
            customer = context.judge.customer(c.invoice)
    known = context.known.replaced
    replaced = {each.id: fold(each.number) for each in there if c.retry and each.voided and each.id not in known}
    verdict = identify(
        c.id,
        c.invoice,
        there,
        customer.id if customer else None,
        context.judge.company,
        replaced={**known, **replaced},
        former_id=former_id(c, context.known, context.scope),
    )
    return _Looked(verdict, replaced)


def _adopt_or_refuse(c: Candidate, looked: _Looked, context: _Context) -> Decision | None:
    """Return what happens to an invoice that is there, or whose number is taken; None where it is absent."""
    verdict, former = looked.verdict, former_id(c, context.known, context.scope)
    if isinstance(verdict, Taken):
        decision = _absent(c, Outcome.CONFLICT, number_taken(verdict.found, context.scope.ledger), context)
    elif isinstance(verdict, Same) and c.posting is not None and c.posting.external_id == verdict.found.id:
        decision = replace(_still_there(c, c.posting, context), found=verdict.found)
    elif isinstance(verdict, Same):
        row = adopted(posting_of(c, context.policy.identity), verdict.found, context.known.now)
        decision = Decision(c, Action.ADOPT, row=row, found=verdict.found)
    elif former is not None and not c.retry:
        decision = _absent(c, Outcome.HELD, gone(former, context.scope.ledger), context)
    else:
        return None
    return replace(decision, replaced=looked.replaced)


def _still_there(c: Candidate, posting: Posting, context: _Context) -> Decision:
    """Keep what was posted on record: a retry of what is still in the ledger sends nothing and adopts nothing."""
    kept = replace(posting, retry=False)
    if not c.is_unchanged:
        return context.keep_in_conflict(c, kept, changed_after_posting(kept, c, context.scope.ledger))
    row = restored(kept, c.content_sha256, c.record) if kept.outcome is Outcome.CONFLICT else kept
    return Decision(c, Action.STILL_THERE, row=row)


def _settle(c: Candidate, posting: Posting, context: _Context) -> Decision:
    """Settle what was sent without an answer: adopt it, send the same bytes again, or let go of it."""
    if not context.was_asked(posting.number, *([c.number] if c.invoice is not None else [])):
        return ask(c, Need.NUMBER)
    there = context.found.by_number.get(fold(posting.number), ())
    as_sent = c.invoice if c.is_unchanged else None
    verdict = identify(c.id, as_sent, there, None, context.judge.company, replaced=context.known.replaced)
    if isinstance(verdict, Same):
        return _settle_found(c, posting, verdict.found, context)
    if isinstance(verdict, Taken) and c.is_unchanged:
        return _as_sent(c, posting, Outcome.CONFLICT, number_taken(verdict.found, context.scope.ledger), context)
    if not is_wanted(c, context.scope):
        return _withdraw(c, context)
    if c.is_unchanged and not is_before_go_live(c.invoice, context.scope):
        return Decision(c, Action.SEND_AGAIN)
    return _due(c, context)


def _find_again(c: Candidate, context: _Context) -> Decision:
    """Adopt what was in the ledger before a disconnect; if it is missing, hold it for a person's retry."""
    posting = c.known
    looked = _look_up(c, posting.number, context)
    if isinstance(looked, Need):
        return ask(c, looked)
    verdict = looked.verdict
    if isinstance(verdict, Same):
        return _settle_found(c, posting, verdict.found, context)
    if not is_wanted(c, context.scope):
        return _withdraw(c, context)
    lost = replace(posting, settled_outcome=None)
    if isinstance(verdict, Taken):
        return _as_sent(c, lost, Outcome.CONFLICT, number_taken(verdict.found, context.scope.ledger), context)
    return _as_sent(
        c, lost, Outcome.HELD, gone(former_id(c, context.known, context.scope), context.scope.ledger), context
    )


def _settle_found(c: Candidate, posting: Posting, found: LedgerInvoice, context: _Context) -> Decision:
    """Adopt what was sent and is there; what OpsMerge says otherwise by now is a conflict at once."""
    row = adopted(posting, found, context.known.now)
    seen = {found.id: "voided"} if found.voided else {}
    after = replace(
        context,
        known=replace(context.known, ended={**context.known.ended, **seen}),
        found=replace(context.found, documents={*context.found.documents, found.id}),
    )
    then = _decide_in_the_ledger(replace(c, posting=row), row, after)
    if then.action is Action.CONFLICT:
        return replace(then, candidate=c, found=found)
    return Decision(c, Action.ADOPT, row=row, found=found)


def _is_ours(c: Candidate, found: LedgerInvoice, context: _Context) -> bool:
    """Return whether we posted what was found, as its note or OpsMerge says."""
    return found.source_id == c.id or found.id == former_id(c, context.known, context.scope)


# By the references.


def _create(c: Candidate, context: _Context) -> Decision:
    """Create what is absent, unless the invoice, its references, its VAT or the plan speak against it."""
    if c.invoice is None:
        return _reject_unreadable(c, context)
    if not context.judge.knows(c.invoice):
        return ask(c, Need.REFERENCES)
    judged = context.judge.judge(c.invoice)
    if judged.problems:
        first = judged.problems[0]
        return context.refuse(c, first.outcome, first.reason, judged)
    objection = context.policy.gate.objection_to_creating(planned(c, judged))
    if objection is not None:
        return context.refuse(c, Outcome.HELD, objection, judged)
    return Decision(c, Action.CREATE, judged=judged)


def planned(c: Candidate, judged: Judged) -> PlanRow:
    """Return the row of an invoice that would be created."""
    if c.invoice is None:
        raise TypeError("a record that cannot be read is never created")
    return PlanRow.to_create(c.invoice, judged, c.content_sha256, c.mapping_sha256)


def _reject_unreadable(c: Candidate, context: _Context) -> Decision:
    if c.problem is None:
        raise TypeError("a candidate without an invoice has a problem")
    if c.posting is not None and c.posting.in_the_books:
        return Decision(c, Action.KNOWN)  # its id stays; the retry waits until the record can be read
    return context.refuse(c, Outcome.REJECTED, c.problem)


# Decisions that only need words.


def _withdraw(c: Candidate, context: _Context) -> Decision:
    return _absent(c, Outcome.HELD, withdrawal(c, context.scope), context)


def _absent(c: Candidate, outcome: Outcome, reason: Reject, context: _Context) -> Decision:
    return Decision(c, _ACTIONS[outcome], reason=reason, row=context.row(c, outcome, reason))


def _as_sent(c: Candidate, posting: Posting, outcome: Outcome, reason: Reject, context: _Context) -> Decision:
    """Return a refusal whose row stays about what was sent."""
    return Decision(c, _ACTIONS[outcome], reason=reason, row=with_fault(posting, outcome, reason, context.known.now))


def _restore(c: Candidate, posting: Posting) -> Decision:
    return Decision(c, Action.RESTORE, row=restored(posting, c.content_sha256, c.record))


def _is_recorded(c: Candidate, outcome: Outcome, reason: Reject) -> bool:
    """Return whether the store says already that this invoice has this outcome for this reason."""
    if c.posting is None or not c.is_unchanged:
        return False
    recorded = (c.posting.outcome, c.posting.fault_code, c.posting.fault_message)
    return recorded == (outcome, reason.code, reason.message)


# Among the invoices of a chunk.


def _one_of_each_document(decisions: Sequence[Decision], context: _Context) -> list[Decision]:
    """Let one invoice adopt each document: first those that were posted before, then in order."""
    adopter: dict[str, Candidate] = {}
    for each in sorted(decisions, key=lambda each: each.candidate.posting is None):
        if each.found is not None:
            adopter.setdefault(each.found.id, each.candidate)
    return [
        _absent(each.candidate, Outcome.CONFLICT, number_taken(each.found, context.scope.ledger), context)
        if each.found is not None and adopter[each.found.id] is not each.candidate
        else each
        for each in decisions
    ]


def _one_of_each_number(decisions: Sequence[Decision], context: _Context) -> list[Decision]:
    """Create one invoice of each number: no look-up can see what is only about to be sent, or on its way."""
    first = dict(context.known.in_flight)
    judged = []
    for each in decisions:
        if each.action is Action.CREATE:
            holder = first.setdefault(fold(each.candidate.number), each.candidate.id)
            if holder != each.candidate.id:
                refused = context.refuse(each.candidate, Outcome.CONFLICT, number_twice(holder), each.judged)
                is_known = _is_recorded(each.candidate, Outcome.CONFLICT, number_twice(holder))
                known = Decision(each.candidate, Action.KNOWN) if is_known else refused
                judged.append(replace(known, same_number_as=holder))
                continue
        judged.append(each)
    return judged
