"""What to do with one invoice, given what the store knows of it: one pure function, read top to bottom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import pendulum

from books.core.faults import Reject
from books.ledgers.contract import Invoice
from books.opsmerge import belonging
from books.posting.checks import is_negative
from books.posting.fence import NOT_SENT, rest_seconds
from books.posting.postings import DISCONNECTED, EXCLUDED_AFTER, GONE, RECALLED, VOIDED_AFTER, Outcome, Posting

OPEN_STATUSES = frozenset({"open", "overdue"})


class Step(StrEnum):
    """What to do next with an invoice."""

    LEAVE = "leave"
    """Not to be posted, and never was: counted only."""
    EXISTS = "exists"
    """Already in the books and unchanged: counted only."""
    KNOWN = "known"
    """Refused, held or in conflict before, and nothing that could change that has changed."""
    WAIT = "wait"
    """Unknown and resting; remember the invoice as it is now."""
    SETTLE = "settle"
    """Unknown and rested: look it up."""
    FIND_AGAIN = "find_again"
    """In the books before the company was disconnected: adopted where it still is, never created."""
    ADOPT_ONLY = "adopt_only"
    """From before the go-live date: adopted if it is there, never created."""
    POST = "post"
    """Look it up, and create it where it is absent."""
    CHANGED = "changed"
    """In the books, and changed in OpsMerge since: a conflict."""
    RESTORED = "restored"
    """In the books, and in conflict no longer: changed and changed back, taken back, or ended on both sides."""
    RECALLED = "recalled"
    """In the books, and voided or opted out in OpsMerge since: a conflict, unless the ledger's document ended too."""
    WITHDRAWN = "withdrawn"
    """Refused or in conflict before; now voided or opted out, so nothing more is wanted."""
    GATED = "gated"
    """Due, and kept back: by a plan, or for want of one."""


@dataclass(frozen=True)
class Candidate:
    """One invoice of this run, with what the store knows of it. `problem` is set where the record cannot be read."""

    id: str
    number: str
    record: str
    content_sha256: str
    mapping_sha256: str
    invoice: Invoice | None
    problem: Reject | None
    posting: Posting | None
    from_store: bool = False
    has_ended: bool = False
    """Whether the ledger's document was seen voided or deleted."""

    @property
    def retry(self) -> bool:
        """Whether a person asked for it to be posted again."""
        return self.posting is not None and self.posting.retry

    @property
    def generation(self) -> int:
        """Which key a new sending gets: a later one after anything that was sent before."""
        if self.posting is None:
            return 1
        return self.posting.generation + (1 if self.posting.attempts else 0)


@dataclass(frozen=True)
class Policy:
    """What the settings say about which invoices go."""

    post_from: date | None
    settle_seconds: int
    http_timeout: int = 130
    connection: str = ""
    """Which connection posts: an invoice that belongs to another production one in OpsMerge is left."""


def reason_to_leave(invoice: Invoice, policy: Policy) -> str | None:
    """Return why an invoice is not to be posted, as one word for the summary; None where it is.

    A credit that was paid is not left: it is refused in words, whatever the go-live date.
    """
    if belonging.bars_posting(invoice.owner, policy.connection):
        return BELONGS_TO_ANOTHER
    if invoice.status == "voided":
        return "voided"
    if invoice.excluded:
        return "opted_out"
    if invoice.status in OPEN_STATUSES:
        return None
    if invoice.status == "paid" and (policy.post_from is not None or is_negative(invoice)):
        return None
    return invoice.status


def decide(candidate: Candidate, policy: Policy, now: pendulum.DateTime, left_content: str | None = None) -> Step:
    """The next step for an invoice. `left_content` is the content that was looked for and not found before."""
    posting = candidate.posting
    if posting is None:
        return _decide_new(candidate, policy, left_content)
    if _was_never_sent(posting):
        return _decide_never_sent(candidate, policy)
    if posting.outcome is Outcome.UNKNOWN:
        return Step.SETTLE if _rested(posting, policy, now) else Step.WAIT
    wanted = candidate.invoice is None or reason_to_leave(candidate.invoice, policy) is None
    if posting.fault_code == DISCONNECTED and not (posting.retry and wanted):
        return Step.KNOWN if _is_of_another(candidate, policy) else Step.FIND_AGAIN
    if posting.in_the_books:
        return _decide_in_the_books(candidate, posting, policy, wanted=wanted)
    return _decide_refused(candidate, posting, policy, wanted=wanted)


def _decide_new(candidate: Candidate, policy: Policy, left_content: str | None) -> Step:
    if candidate.invoice is None:
        return Step.POST  # where its problem becomes a rejection
    if reason_to_leave(candidate.invoice, policy) is not None:
        return Step.LEAVE
    if before_go_live(candidate.invoice, policy):
        return Step.LEAVE if left_content == candidate.content_sha256 else Step.ADOPT_ONLY
    return Step.POST


def before_go_live(invoice: Invoice, policy: Policy) -> bool:
    """Whether it may only be adopted. Not a credit: that is refused, in the same words on every day."""
    return policy.post_from is not None and invoice.issue_date < policy.post_from and not is_negative(invoice)


def _was_never_sent(posting: Posting) -> bool:
    """Whether all that is known of it is a claim that was given up before anything left."""
    return posting.outcome is Outcome.UNKNOWN and posting.fault_code == NOT_SENT and not posting.attempts


def _decide_never_sent(candidate: Candidate, policy: Policy) -> Step:
    if candidate.invoice is not None and reason_to_leave(candidate.invoice, policy) is not None:
        return Step.WITHDRAWN
    return Step.ADOPT_ONLY if candidate.invoice is not None and before_go_live(candidate.invoice, policy) else Step.POST


def _rested(posting: Posting, policy: Policy, now: pendulum.DateTime) -> bool:
    was_noted = posting.fault_code not in (None, NOT_SENT)
    rest = rest_seconds(policy.settle_seconds, policy.http_timeout, was_noted=was_noted)
    return posting.attempted_at is None or now >= posting.attempted_at.add(seconds=rest)


def _decide_in_the_books(candidate: Candidate, posting: Posting, policy: Policy, *, wanted: bool) -> Step:
    recalled = recall(candidate, policy)
    if recalled is not None:
        return _decide_recalled(candidate, posting, recalled)
    if posting.retry and wanted:
        return Step.POST
    is_conflict = posting.outcome is Outcome.CONFLICT
    is_draft = candidate.invoice is not None and candidate.invoice.status not in (*OPEN_STATUSES, "paid")
    if is_draft or _is_of_another(candidate, policy):  # a draft is being worked on: reconciliation has a class for it
        return Step.KNOWN if is_conflict else Step.EXISTS
    if candidate.content_sha256 == posting.content_sha256:
        return Step.RESTORED if is_conflict else Step.EXISTS
    if is_conflict and posting.fault_code not in RECALLED and candidate.content_sha256 == posting.seen_sha256:
        return Step.KNOWN
    return Step.CHANGED


def _decide_recalled(candidate: Candidate, posting: Posting, recalled: Reject) -> Step:
    """Once for each reason; a person's retry has the ledger asked again, and sends nothing."""
    if candidate.has_ended:
        return Step.RESTORED if posting.outcome is Outcome.CONFLICT or posting.retry else Step.EXISTS
    is_known = posting.fault_code == recalled.code and not posting.retry
    return Step.KNOWN if is_known else Step.RECALLED


def _decide_refused(candidate: Candidate, posting: Posting, policy: Policy, *, wanted: bool) -> Step:
    if posting.fault_code == GONE and not posting.retry:
        return Step.KNOWN
    if not wanted:
        return Step.KNOWN if posting.outcome is Outcome.HELD and posting.fault_code in WITHDRAWALS else Step.WITHDRAWN
    same = candidate.content_sha256 == posting.content_sha256 and candidate.mapping_sha256 == posting.mapping_sha256
    early = candidate.invoice is not None and before_go_live(candidate.invoice, policy)
    was_early = posting.fault_code == BEFORE_POST_FROM
    is_due_again = posting.fault_code in WITHDRAWALS | GATES or (was_early and not early)
    if same and not posting.retry and not is_due_again:
        return Step.KNOWN
    return Step.ADOPT_ONLY if early else Step.POST


def _is_of_another(candidate: Candidate, policy: Policy) -> bool:
    return candidate.invoice is not None and belonging.bars_posting(candidate.invoice.owner, policy.connection)


BELONGS_TO_ANOTHER = "belongs_to_another_company"
"""Why an invoice is left that belongs to another production connection in OpsMerge."""

WITHDRAWALS = frozenset({"voided", "opted_out", "draft", "paid", BELONGS_TO_ANOTHER})
"""Fault codes of postings held because OpsMerge no longer wants them posted."""

RECALLS = {"voided": VOIDED_AFTER, "opted_out": EXCLUDED_AFTER}
"""Reasons to leave an invoice, and the fault code of each where the invoice is in the books."""


def recall(candidate: Candidate, policy: Policy) -> Reject | None:
    """Return the conflict of an invoice that is in the books and was voided or opted out in OpsMerge since, or None.

    A record that cannot be read keeps the conflict that is known.
    """
    posting, invoice = candidate.posting, candidate.invoice
    if posting is None or not posting.in_the_books:
        return None
    known = next((reason for reason, code in RECALLS.items() if code == posting.fault_code), None)
    reason = reason_to_leave(invoice, policy) if invoice is not None else known
    return _recalled(reason, posting) if reason in RECALLS else None


def _recalled(reason: str, posting: Posting) -> Reject:
    words, undo = {
        "voided": ("voided in OpsMerge", "reopen it in OpsMerge"),
        "opted_out": ("opted out in OpsMerge", "clear the opt-out in OpsMerge"),
    }[reason]
    return Reject(
        f"{words} after it was posted; QuickBooks still counts it (id {posting.external_id})",
        code=RECALLS[reason],
        field="status" if reason == "voided" else "accounting_excluded",
        remedy=f"Void it in QuickBooks too, or {undo}. It ends by itself once the pull of payments has seen it.",
    )


PLAN_NEEDED = "plan_needed"
NOT_IN_PLAN = "not_in_plan"
CHANGED_SINCE_PLAN = "changed_since_plan"
PLAN_DIFFERS = "plan_differs"
GATES = frozenset({PLAN_NEEDED, NOT_IN_PLAN, CHANGED_SINCE_PLAN, PLAN_DIFFERS})
"""Fault codes of postings held by a plan or for want of one: due again at every push."""


BEFORE_POST_FROM = "before_post_from"
"""Fault code of postings held or refused once, now dated before the go-live date, and not in the ledger."""


def before_post_from() -> Reject:
    """Why it is left alone, in words."""
    return Reject(
        "dated before the go-live date, and not in QuickBooks",
        code=BEFORE_POST_FROM,
        field="issue_date",
        remedy="Nothing is needed; to have it posted, set post_from to an earlier day.",
    )


def belongs_to_another(owner: str | None) -> Reject:
    """Why an invoice of another production company is left, in words."""
    message = f"it belongs to {owner} in OpsMerge, whose books it is in already"
    return Reject(message, code=BELONGS_TO_ANOTHER, field="accounting", remedy=belonging.move(owner))


def withdrawal(reason: str, owner: str | None = None) -> Reject:
    """Why it is no longer sent, in words."""
    if reason == BELONGS_TO_ANOTHER:
        return belongs_to_another(owner)
    words = {"voided": "voided in OpsMerge", "opted_out": "opted out in OpsMerge"}.get(reason, f"{reason} in OpsMerge")
    return Reject(f"{words} before it was posted", code=reason, remedy="Nothing is needed.")
