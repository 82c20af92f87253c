"""The decisions of a push that would not create or adopt an invoice, grouped by cause; each group is one finding."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from books.core.faults import Reject
from books.operations.preflight.findings import Finding, State
from books.operations.preflight.gather import BothSides
from books.posting.decide import Action, Decision
from books.posting.eligibility import BELONGS_TO_ANOTHER, OPEN_STATUSES, is_before_go_live
from books.posting.judging import About

TITLES = {
    "wrong_type": "unreadable",
    "number_too_long": "number too long",
    "currency_off": "currency",
    "period_closed": "closed period",
    "missing_service": "missing service",
    "missing_tax_code": "missing TaxCodeRef",
    "totals_disagree": "totals",
    "vat_differs": "VAT",
    "number_taken": "number taken",
}
REFUSED = (Action.REJECT, Action.HOLD, Action.CONFLICT)

Problems = list[tuple[str, Reject]]
"""Number of an invoice, and what stops it."""


def inspect(sides: BothSides) -> Iterator[Finding]:
    """Yield every finding; a last one says how many invoices have none."""
    problems = _problems(sides.due)
    yield from _by_code(problems)
    yield from _by_code([*_of_another_company(sides), *_in_conflict(sides)], State.WARNING)
    yield from _same_number(sides.due)
    yield from _pennies(sides.due)
    there = tuple(each.candidate.number for each in sides.due if each.action is Action.ADOPT)
    if there:
        yield Finding("invoice", "adoption", State.OK, "already in QuickBooks, and will be adopted", numbers=there)
    bad = {number for number, _ in problems}
    good = [each for each in sides.due if each.candidate.number not in bad]
    says = f"{len(good)} of {len(sides.due)} have nothing wrong of their own"
    yield Finding("invoice", f"{len(sides.due)} due", State.OK, says)


def _problems(due: Sequence[Decision]) -> Problems:
    """Return what stops invoices by itself. What is wrong with a service, tax code or client is found with it."""
    found: Problems = []
    for each in due:
        if each.action not in REFUSED or each.same_number_as is not None:
            continue
        if each.judged.problems:
            own = (problem.reason for problem in each.judged.problems if problem.about is About.INVOICE)
            found += [(each.candidate.number, reason) for reason in own]
        elif each.reason is not None:
            found.append((each.candidate.number, each.reason))
    return found


def _by_code(problems: Problems, state: State = State.BLOCKS) -> Iterator[Finding]:
    """Yield one finding per kind: the words are the first one's, as a push would say them."""
    kinds: defaultdict[str, Problems] = defaultdict(list)
    for number, reason in problems:
        kinds[reason.code].append((number, reason))
    for code, some in kinds.items():
        number, first = some[0]
        says = first.message if len(some) == 1 else f"{first.message} ({number}; the others likewise)"
        numbers = tuple(number for number, _ in some)
        yield Finding("invoice", TITLES.get(code, code.replace("_", " ")), state, says, first.remedy, numbers)


def _of_another_company(sides: BothSides) -> Problems:
    """Return the invoices that a push leaves because they belong to another production company."""
    return [
        (each.candidate.number, each.reason)
        for each in sides.decisions
        if each.reason is not None
        and each.reason.code == BELONGS_TO_ANOTHER
        and each.candidate.invoice is not None
        and each.candidate.invoice.status in {*OPEN_STATUSES, "paid"}
        and not is_before_go_live(each.candidate.invoice, sides.scope)
    ]


def _in_conflict(sides: BothSides) -> Problems:
    """Return the invoices that were posted, and were changed, voided or opted out since, or are missing."""
    return [
        (each.candidate.number, each.reason)
        for each in sides.decisions
        if each.candidate.posting is not None
        and each.action in (Action.CONFLICT, Action.KNOWN)
        and each.reason is not None
    ]


def _same_number(due: Sequence[Decision]) -> Iterator[Finding]:
    again = [each for each in due if each.same_number_as is not None]
    first = {each.same_number_as for each in again}
    numbers = tuple(each.candidate.number for each in due if each in again or each.candidate.id in first)
    if numbers:
        yield Finding(
            "invoice",
            "number twice",
            State.BLOCKS,
            "OpsMerge has several invoices of one number, and QuickBooks ignores case",
            "Renumber all but one in OpsMerge.",
            numbers,
        )


def _pennies(due: Sequence[Decision]) -> Iterator[Finding]:
    differ = {
        each.candidate.number: each.judged.ledger_tax - each.candidate.invoice.tax_total
        for each in due
        if each.action is Action.CREATE and each.candidate.invoice and each.judged.ledger_tax is not None
    }
    differ = {number: pennies for number, pennies in differ.items() if pennies}
    if differ:
        says = (
            f"QuickBooks' VAT will differ by proved rounding, {sum(differ.values()):+} in all: it rounds per document"
        )
        yield Finding("invoice", "VAT pennies", State.OK, says, numbers=tuple(differ))
