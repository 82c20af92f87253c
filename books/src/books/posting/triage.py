"""What to do with one invoice, given what the store knows of it: one pure function, read top to bottom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum

import pendulum

from books.faults import Reject
from books.ledger import Invoice
from books.posting.fence import NOT_SENT, rest_seconds
from books.posting.postings import DISCONNECTED, GONE, Outcome, Posting

OPEN_STATUSES = frozenset({"open", "overdue"})


class Step(str, Enum):
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
    """In the books, changed, and changed back: no conflict any more."""
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


def reason_to_leave(invoice: Invoice, policy: Policy) -> str | None:
    """Why an invoice is not to be posted, as one word for the summary; None where it is."""
    if invoice.status == "voided":
        return "voided"
    if invoice.excluded:
        return "opted_out"
    if invoice.status in OPEN_STATUSES or (invoice.status == "paid" and policy.post_from is not None):
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
        return Step.FIND_AGAIN
    if posting.in_the_books:
        return _decide_in_the_books(candidate, posting, wanted=wanted)
    return _decide_refused(candidate, posting, policy, wanted=wanted)


def _decide_new(candidate: Candidate, policy: Policy, left_content: str | None) -> Step:
    if candidate.invoice is None:
        return Step.POST  # where its problem becomes a rejection
    if reason_to_leave(candidate.invoice, policy) is not None:
        return Step.LEAVE
    if _before_go_live(candidate.invoice, policy):
        return Step.LEAVE if left_content == candidate.content_sha256 else Step.ADOPT_ONLY
    return Step.POST


def _before_go_live(invoice: Invoice, policy: Policy) -> bool:
    return policy.post_from is not None and invoice.issue_date < policy.post_from


def _was_never_sent(posting: Posting) -> bool:
    """Whether all that is known of it is a claim that was given up before anything left."""
    return posting.outcome is Outcome.UNKNOWN and posting.fault_code == NOT_SENT and not posting.attempts


def _decide_never_sent(candidate: Candidate, policy: Policy) -> Step:
    if candidate.invoice is not None and reason_to_leave(candidate.invoice, policy) is not None:
        return Step.WITHDRAWN
    return (
        Step.ADOPT_ONLY if candidate.invoice is not None and _before_go_live(candidate.invoice, policy) else Step.POST
    )


def _rested(posting: Posting, policy: Policy, now: pendulum.DateTime) -> bool:
    was_noted = posting.fault_code not in (None, NOT_SENT)
    rest = rest_seconds(policy.settle_seconds, policy.http_timeout, was_noted=was_noted)
    return posting.attempted_at is None or now >= posting.attempted_at.add(seconds=rest)


def _decide_in_the_books(candidate: Candidate, posting: Posting, *, wanted: bool) -> Step:
    if posting.retry and wanted:
        return Step.POST
    if not wanted:
        return Step.EXISTS
    if candidate.content_sha256 == posting.content_sha256:
        return Step.RESTORED if posting.outcome is Outcome.CONFLICT else Step.EXISTS
    if posting.outcome is Outcome.CONFLICT and candidate.content_sha256 == posting.seen_sha256:
        return Step.KNOWN
    return Step.CHANGED


def _decide_refused(candidate: Candidate, posting: Posting, policy: Policy, *, wanted: bool) -> Step:
    if posting.fault_code == GONE and not posting.retry:
        return Step.KNOWN
    if not wanted:
        return Step.KNOWN if posting.outcome is Outcome.HELD and posting.fault_code in WITHDRAWALS else Step.WITHDRAWN
    same = candidate.content_sha256 == posting.content_sha256 and candidate.mapping_sha256 == posting.mapping_sha256
    early = candidate.invoice is not None and _before_go_live(candidate.invoice, policy)
    was_early = posting.fault_code == BEFORE_POST_FROM
    is_due_again = posting.fault_code in WITHDRAWALS | GATES or (was_early and not early)
    if same and not posting.retry and not is_due_again:
        return Step.KNOWN
    return Step.ADOPT_ONLY if early else Step.POST


WITHDRAWALS = frozenset({"voided", "opted_out", "draft", "paid"})
"""Fault codes of postings held because OpsMerge no longer wants them posted."""

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


def withdrawal(reason: str) -> Reject:
    """Why it is no longer sent, in words."""
    words = {"voided": "voided in OpsMerge", "opted_out": "opted out in OpsMerge"}.get(reason, f"{reason} in OpsMerge")
    return Reject(f"{words} before it was posted", code=reason, remedy="Nothing is needed.")
