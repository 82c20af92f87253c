"""Numbers, dates, currencies, totals and VAT of each due invoice; those of one kind are one finding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal

from books.core import money
from books.core.faults import Reject
from books.ledgers.contract import Customer, Invoice
from books.operations.preflight.facts import Facts
from books.operations.preflight.findings import Finding, State
from books.posting import checks
from books.posting.adoption import Same, Taken, judge, number_taken

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


def inspect(facts: Facts) -> Iterator[Finding]:
    """Every finding; a last one says how many invoices have none."""
    problems = [*_unreadable(facts), *_refused(facts), *_taken(facts)]
    yield from _by_code(problems)
    yield from _by_code([*facts.source.elsewhere, *facts.source.recalled], State.WARNING)
    yield from _doubled(facts)
    yield from _pennies(facts)
    yield from _there(facts)
    bad = {number for number, _ in problems}
    good = [each for each in facts.source.invoices if each.number not in bad]
    total = len(facts.source.invoices) + len(facts.source.unreadable)
    yield Finding("invoice", f"{total} due", State.OK, f"{len(good)} of {total} have nothing wrong of their own")


def _unreadable(facts: Facts) -> Iterator[tuple[str, Reject]]:
    return ((each.number, each.problem) for each in facts.source.unreadable)


def _refused(facts: Facts) -> Iterator[tuple[str, Reject]]:
    refusals = ((each.number, _refusal(facts, each)) for each in facts.source.invoices)
    return ((number, refused) for number, refused in refusals if refused is not None)


def _refusal(facts: Facts, invoice: Invoice) -> Reject | None:
    try:
        checks.check_invoice(invoice, facts.company, facts.ledger.capabilities)
        facts.resolver.exchange_rate(invoice)
        _check_tax(facts, invoice)
    except Reject as refused:
        return refused
    return None


def _check_tax(facts: Facts, invoice: Invoice) -> Decimal:
    """The pennies by which the ledger's VAT will differ; 0.00 where a tax code is not known: that is told elsewhere."""
    try:
        codes = facts.resolver.tax_codes(invoice)
    except Reject:
        return money.ZERO
    ledger_tax = facts.ledger.predict_tax(invoice, codes)
    hold = checks.check_tax(invoice, ledger_tax, tuple(code.percent for code in codes), facts.rules.vat_difference)
    if hold is not None:
        raise hold
    return ledger_tax - invoice.tax_total


def _taken(facts: Facts) -> Iterator[tuple[str, Reject]]:
    for invoice in facts.source.invoices:
        verdict = _verdict(facts, invoice)
        if isinstance(verdict, Taken):
            yield invoice.number, number_taken(verdict.found)


def _verdict(facts: Facts, invoice: Invoice) -> object:
    there = facts.found.get(invoice.number.strip().casefold(), ())
    customer = _customer(facts, invoice) if there else None
    return judge(invoice.id, invoice, there, customer.id if customer else None, facts.company)


def _customer(facts: Facts, invoice: Invoice) -> Customer | None:
    try:
        return facts.resolver.customer(invoice)
    except Reject:
        return None


def _by_code(problems: Sequence[tuple[str, Reject]], state: State = State.BLOCKS) -> Iterator[Finding]:
    """Yield one finding per kind: the words are the first one's, as a push would say them."""
    for code in dict.fromkeys(refused.code for _, refused in problems):
        some = [(number, refused) for number, refused in problems if refused.code == code]
        first = some[0][1]
        says = first.message if len(some) == 1 else f"{first.message} ({some[0][0]}; the others likewise)"
        numbers = tuple(number for number, _ in some)
        yield Finding("invoice", TITLES.get(code, code.replace("_", " ")), state, says, first.remedy, numbers)


def _doubled(facts: Facts) -> Iterator[Finding]:
    counts = Counter(each.number.strip().casefold() for each in facts.source.invoices)
    double = tuple(each.number for each in facts.source.invoices if counts[each.number.strip().casefold()] > 1)
    if double:
        yield Finding(
            "invoice",
            "number twice",
            State.BLOCKS,
            "OpsMerge has several invoices of one number, and QuickBooks ignores case",
            "Renumber all but one in OpsMerge.",
            double,
        )


def _pennies(facts: Facts) -> Iterator[Finding]:
    good = [each for each in facts.source.invoices if _refusal(facts, each) is None]
    found = {each.number: _check_tax(facts, each) for each in good}
    differ = {number: pennies for number, pennies in found.items() if pennies}
    if differ:
        says = (
            f"QuickBooks' VAT will differ by proved rounding, {sum(differ.values()):+} in all: it rounds per document"
        )
        yield Finding("invoice", "VAT pennies", State.OK, says, numbers=tuple(differ))


def _there(facts: Facts) -> Iterator[Finding]:
    there = tuple(each.number for each in facts.source.invoices if isinstance(_verdict(facts, each), Same))
    if there:
        yield Finding("invoice", "adoption", State.OK, "already in QuickBooks, and will be adopted", numbers=there)
