"""The company's switches, the default accounts, and whether everything was read."""

from __future__ import annotations

from collections.abc import Iterator

from books.core.faults import Halt
from books.ledgers.contract import Account
from books.operations.preflight.facts import Facts
from books.operations.preflight.findings import Finding, State
from books.posting.checks import DUPLICATES_SWITCH, check_company, check_duplicate_numbers

AREA = "company"
HOME_COUNTRIES = frozenset({"GB", "GBR", "UK"})


def inspect(facts: Facts) -> Iterator[Finding]:
    """Every finding about the company as a whole."""
    yield _ready(facts)
    yield _country(facts)
    yield _duplicates(facts)
    yield _closed(facts)
    yield _currencies(facts)
    yield from _accounts(facts)
    yield _read(facts)


def _ready(facts: Facts) -> Finding:
    """The same check that a push makes before its first write."""
    try:
        check_company(facts.company)
    except Halt as halt:
        return _blocks(facts, halt)
    return Finding(AREA, "VAT and numbers", State.OK, "VAT and custom transaction numbers are switched on")


def _blocks(facts: Facts, halt: Halt) -> Finding:
    numbers = tuple(each.number for each in facts.source.invoices)
    return Finding(AREA, halt.code.replace("_", " "), State.BLOCKS, halt.message, halt.remedy, numbers)


def _country(facts: Facts) -> Finding:
    country = facts.company.country
    if country.upper() in HOME_COUNTRIES:
        return Finding(AREA, "country", State.OK, f"{facts.company.name}, {country}")
    return Finding(
        AREA,
        "country",
        State.WARNING,
        f"the country of {facts.company.name} is {country or 'not set'}, and this bridge is made for UK VAT",
        "Check that this is the right company: realm_id.",
    )


def _duplicates(facts: Facts) -> Finding:
    """The same question that a push asks before it creates anything."""
    answer = facts.rules.duplicate_numbers_checked
    try:
        check_duplicate_numbers(facts.company.connection, answer)
    except Halt as halt:
        return _blocks(facts, halt)
    if answer == "yes":
        return Finding(AREA, "duplicate numbers", State.OK, "a person has seen that QuickBooks warns of them")
    return Finding(
        AREA,
        "duplicate numbers",
        State.WARNING,
        "QuickBooks may not warn of them: accepted"
        if answer
        else "whether QuickBooks warns of duplicate numbers cannot be read through its API",
        f"Look once: {DUPLICATES_SWITCH}. On is safer: QuickBooks itself then refuses a second invoice of one number.",
    )


def _closed(facts: Facts) -> Finding:
    """Invoices dated in closed books are told by `invoices`, one by one."""
    closed = facts.company.closed_until
    says = f"the books are closed until {closed}" if closed else "no period is closed"
    return Finding(AREA, "closed periods", State.OK, says)


def _currencies(facts: Facts) -> Finding:
    state = "on" if facts.company.multi_currency else "off"
    return Finding(AREA, "currency", State.OK, f"books in {facts.company.home_currency}, Multicurrency {state}")


def _accounts(facts: Facts) -> Iterator[Finding]:
    wanted = _wanted_accounts(facts)
    if not any(wanted.values()):
        yield Finding(AREA, "default accounts", State.OK, "not set: a service without an item is refused, not created")
        return
    for setting, name in wanted.items():
        yield _account(facts, setting, name)


KINDS = {
    "default_income_account": "an income account",
    "default_expense_account": "an expense or cost of sales account",
}


def _wanted_accounts(facts: Facts) -> dict[str, str | None]:
    return dict(zip(KINDS, (facts.rules.income_account, facts.rules.expense_account), strict=True))


def account_problems(facts: Facts) -> list[str]:
    """Why a missing item could not be created with the default accounts; none where it could, or none are set."""
    found = [_account(facts, setting, name) for setting, name in _wanted_accounts(facts).items() if name]
    return [f"{each.what} {each.says}" for each in found if each.state is State.BLOCKS]


def _account(facts: Facts, setting: str, name: str | None) -> Finding:
    kind = KINDS[setting]
    if name is None:
        return Finding(AREA, setting, State.WARNING, "is not set, and items are created only with both", "Set both.")
    account = next((each for each in facts.accounts if each.name.casefold() == name.casefold()), None)
    problem = _problem(account, setting, kind)
    if problem:
        remedy = f"Set {setting} to the name of {kind} of QuickBooks' chart of accounts."
        return Finding(AREA, setting, State.BLOCKS, f"{name!r} {problem}", remedy)
    return Finding(AREA, setting, State.OK, f"{name!r} is there, active and {kind}")


def _problem(account: Account | None, setting: str, kind: str) -> str:
    if account is None:
        return "is no account of QuickBooks"
    if not account.active:
        return "is inactive in QuickBooks"
    fits = account.takes_income if setting == "default_income_account" else account.takes_expense
    return "" if fits else f"is of type {account.kind}, and {kind} is needed"


def _read(facts: Facts) -> Finding:
    rows = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in facts.source.rows.items())
    says = (
        f"all pages of OpsMerge ({rows}) and of QuickBooks ({len(facts.items.rows)} items, "
        f"{len(facts.customers.rows)} customers, {len(facts.tax_codes)} VAT codes for sales)"
    )
    if facts.items.complete and facts.customers.complete:
        return Finding("reading", "pages", State.OK, says)
    return Finding(
        "reading",
        "pages",
        State.WARNING,
        "QuickBooks' own count of items or customers is not what was read: somebody may be working in it",
        "Run `books preflight` again.",
    )
