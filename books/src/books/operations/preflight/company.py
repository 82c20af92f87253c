"""The company's switches, the default accounts, and whether everything was read."""

from __future__ import annotations

from collections.abc import Iterator

from books.core.faults import Halt
from books.ledgers.contract import Account
from books.operations.preflight.findings import Finding, State
from books.operations.preflight.gather import BothSides
from books.posting.checks import check_company, check_duplicate_numbers

AREA = "company"
HOME_COUNTRIES = frozenset({"GB", "GBR", "UK"})


def inspect(sides: BothSides) -> Iterator[Finding]:
    """Yield every finding about the company as a whole."""
    yield _ready(sides)
    yield _country(sides)
    yield _duplicates(sides)
    yield _closed(sides)
    yield _currencies(sides)
    yield from _accounts(sides)
    yield _read(sides)


def _ready(sides: BothSides) -> Finding:
    """Return the finding of the check that a push makes before its first write."""
    try:
        check_company(sides.company)
    except Halt as halt:
        return _blocks(sides, halt)
    return Finding(AREA, "VAT and numbers", State.OK, "VAT and custom transaction numbers are switched on")


def _blocks(sides: BothSides, halt: Halt) -> Finding:
    numbers = tuple(each.number for each in sides.invoices)
    return Finding(AREA, halt.code.replace("_", " "), State.BLOCKS, halt.message, halt.remedy, numbers)


def _country(sides: BothSides) -> Finding:
    country = sides.company.country
    if country.upper() in HOME_COUNTRIES:
        return Finding(AREA, "country", State.OK, f"{sides.company.name}, {country}")
    return Finding(
        AREA,
        "country",
        State.WARNING,
        f"the country of {sides.company.name} is {country or 'not set'}, and this bridge is made for UK VAT",
        "Check that this is the right company.",
    )


def _duplicates(sides: BothSides) -> Finding:
    """Return the finding of the question that a push asks before it creates anything."""
    answer, capabilities = sides.rules.duplicate_numbers_checked, sides.ledger.capabilities
    asked, ledger = capabilities.duplicates, capabilities.ledger
    if asked is None:
        return Finding(AREA, "duplicate numbers", State.OK, f"{ledger} refuses them itself")
    try:
        check_duplicate_numbers(sides.company.connection, capabilities, answer)
    except Halt as halt:
        return _blocks(sides, halt)
    if answer == "yes":
        return Finding(AREA, "duplicate numbers", State.OK, f"a person has seen that {ledger} warns of them")
    return Finding(
        AREA,
        "duplicate numbers",
        State.WARNING,
        f"{ledger} may not warn of them: accepted"
        if answer
        else f"whether {ledger} warns of duplicate numbers cannot be read through its API",
        f"Look once: {asked.switch}. On is safer: {ledger} itself then refuses a second invoice of one number.",
    )


def _closed(sides: BothSides) -> Finding:
    """Return until when the books are closed; `invoices` names the invoices dated before."""
    closed = sides.company.closed_until
    says = f"the books are closed until {closed}" if closed else "no period is closed"
    return Finding(AREA, "closed periods", State.OK, says)


def _currencies(sides: BothSides) -> Finding:
    takes = sides.company.currencies
    state = "on" if takes is None or len(takes) > 1 else "off"
    return Finding(AREA, "currency", State.OK, f"books in {sides.company.home_currency}, Multicurrency {state}")


def _accounts(sides: BothSides) -> Iterator[Finding]:
    wanted = _wanted_accounts(sides)
    if not any(wanted.values()):
        yield Finding(AREA, "default accounts", State.OK, "not set: a service without an item is refused, not created")
        return
    for setting, name in wanted.items():
        yield _account(sides, setting, name)


KINDS = {
    "default_income_account": "an income account",
    "default_expense_account": "an expense or cost of sales account",
}


def _wanted_accounts(sides: BothSides) -> dict[str, str | None]:
    return dict(zip(KINDS, (sides.rules.income_account, sides.rules.expense_account), strict=True))


def account_problems(sides: BothSides) -> list[str]:
    """Return why missing items could not be created with the default accounts; none where nothing is wrong."""
    found = [_account(sides, setting, name) for setting, name in _wanted_accounts(sides).items() if name]
    return [f"{each.what} {each.says}" for each in found if each.state is State.BLOCKS]


def _account(sides: BothSides, setting: str, name: str | None) -> Finding:
    kind = KINDS[setting]
    if name is None:
        return Finding(AREA, setting, State.WARNING, "is not set, and items are created only with both", "Set both.")
    account = next((each for each in sides.accounts if each.name.casefold() == name.casefold()), None)
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


def _read(sides: BothSides) -> Finding:
    rows = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sides.rows.items())
    says = (
        f"all pages of OpsMerge ({rows}) and of QuickBooks ({len(sides.items.rows)} items, "
        f"{len(sides.customers.rows)} customers, {len(sides.tax_codes)} VAT codes for sales)"
    )
    if sides.items.complete and sides.customers.complete:
        return Finding("reading", "pages", State.OK, says)
    return Finding(
        "reading",
        "pages",
        State.WARNING,
        "QuickBooks' own count of items or customers is not what was read: somebody may be working in it",
        "Run `books preflight` again.",
    )
