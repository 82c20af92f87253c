"""Which invoices a plan lets through, and that a company's first writes in production need one: pure.

Nothing here forbids looking, adopting or settling what was sent before: a plan is about what is written to the books.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from books.core import money
from books.core.faults import Reject
from books.posting.candidates import Candidate
from books.posting.plan import CREATE, NEW_CUSTOMER, SEND_AGAIN, Plan, PlanRow

PLAN_NEEDED = "plan_needed"
NOT_IN_PLAN = "not_in_plan"
CHANGED_SINCE_PLAN = "changed_since_plan"
PLAN_DIFFERS = "plan_differs"
GATES = frozenset({PLAN_NEEDED, NOT_IN_PLAN, CHANGED_SINCE_PLAN, PLAN_DIFFERS})
"""Fault codes of postings held by a plan or for want of one: due again at every push."""

MAKE_A_PLAN = "`books plan`, look at it, then `books post --plan FILE`."
DUE_AGAIN = "Nothing, if the next push may post it; else make a new plan with `books plan`."

COMPARED = ("customer", "new_items", "currency", "net", "tax", "total", "ledger_tax")
"""What a person saw in the plan, and is to find in the books."""


@dataclass(frozen=True)
class Gate:
    """Lets everything through, or what a plan shows, or nothing for the reason in `shut`."""

    plan: Plan | None = None
    shut: str = ""

    def objection(self, candidate: Candidate) -> Reject | None:
        """Return why an invoice is not to be created in this run; None where it may be."""
        if self.plan is None:
            return _held(PLAN_NEEDED, self.shut, MAKE_A_PLAN) if self.shut else None
        row = self.plan.by_invoice.get(candidate.id)
        if row is None:
            return _held(NOT_IN_PLAN, f"not in the plan {self.plan.id}", DUE_AGAIN)
        changes = _changes(row, candidate)
        return _held(CHANGED_SINCE_PLAN, f"{changes} since the plan {self.plan.id}", DUE_AGAIN) if changes else None

    def objection_to_creating(self, now: PlanRow) -> Reject | None:
        """Return how an invoice that would be created, `now`, differs from the plan; None where it does not."""
        row = self.plan.by_invoice.get(now.opsmerge_invoice_id) if self.plan else None
        if self.plan is None or row is None:
            return None
        differences = _differences(row, now)
        words = f"not as in the plan {self.plan.id}: {differences}"
        return _held(PLAN_DIFFERS, words, DUE_AGAIN) if differences else None


def _held(code: str, words: str, remedy: str) -> Reject:
    return Reject(words, code=code, remedy=remedy)


def _changes(row: PlanRow, candidate: Candidate) -> str:
    """Return what changed of the invoice or its mapping since the plan; empty where nothing did."""
    if row.content_sha256 != candidate.content_sha256:
        total = candidate.invoice.total if candidate.invoice else None
        return "changed in OpsMerge" + (f" (total {row.total} -> {total})" if total != row.total else "")
    return "its mapping changed" if row.mapping_sha256 != candidate.mapping_sha256 else ""


def _differences(row: PlanRow, now: PlanRow) -> str:
    if row.action not in (CREATE, SEND_AGAIN):
        return f"{row.action} was planned{f' ({row.reason})' if row.reason else ''}, and it would be created"
    if row.action == SEND_AGAIN:
        return ""  # the content is the same, and that is all that a plan knows of what was sent before
    then = replace(row, customer=_customer_then(row, now), new_items=_new_items_then(row, now))
    differences = [
        f"{name} {_spell(getattr(then, name))} -> {_spell(getattr(now, name))}"
        for name in COMPARED
        if getattr(then, name) != getattr(now, name)
    ]
    return ", ".join(differences)


def _customer_then(row: PlanRow, now: PlanRow) -> str:
    """Return the plan's customer; today's where an earlier invoice of the plan created the one it names."""
    name = row.customer.removesuffix(NEW_CUSTOMER)
    is_made = row.customer.endswith(NEW_CUSTOMER) and now.customer.casefold().startswith(f"{name.casefold()} (")
    return now.customer if is_made else row.customer


def _new_items_then(row: PlanRow, now: PlanRow) -> tuple[str, ...]:
    """Return the plan's new items that are still missing: earlier invoices of the plan created the others."""
    return now.new_items if set(now.new_items) <= set(row.new_items) else row.new_items


def _spell(value: object) -> str:
    return money.dumps(value) if isinstance(value, tuple) else str(value)
