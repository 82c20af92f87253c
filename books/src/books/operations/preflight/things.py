"""Services, tax codes and clients that due invoices name: mapped to what, by which way, and usable or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from books.core.faults import Reject
from books.ledgers.contract import Customer, Invoice, Item, Line, NewItem, TaxCode
from books.operations.preflight import likeness
from books.operations.preflight.company import account_problems
from books.operations.preflight.findings import Finding, State, Suggestion
from books.operations.preflight.gather import BothSides
from books.posting.mappings import Named
from books.posting.records import plain


@dataclass(frozen=True)
class Use:
    """One service or tax code as invoices use it."""

    key: str
    label: str
    name: str
    """What a push looks for in QuickBooks."""
    invoice: Invoice
    line: Line
    numbers: tuple[str, ...]
    is_clear: bool
    """Whether an entry for `key` in mappings.yml would be about this use and no other."""

    @property
    def alone(self) -> Invoice:
        """An invoice of this one line, to ask the judge about."""
        return replace(self.invoice, lines=(self.line,))


def inspect(sides: BothSides) -> Iterator[Finding]:
    """Yield a finding per service, tax code and client with something to say; clients without are one finding."""
    yield from (_service(sides, use) for use in _uses(sides, "service"))
    yield from (_tax_code(sides, use) for use in _uses(sides, "tax_code"))
    yield from _clients(sides)


def _uses(sides: BothSides, kind: str) -> list[Use]:
    """Return what lines name, each once, by what a push would look for; of tax codes each rate by itself.

    A line that names nothing is another finding.
    """
    choose = sides.choices.item if kind == "service" else sides.choices.tax_code
    found: dict[tuple[str, Named, str | None], tuple[Invoice, Line, dict[str, None]]] = {}
    for invoice in sides.invoices:
        for line in invoice.lines:
            key = getattr(line, f"{kind}_id") or getattr(line, f"{kind}_name")
            rate = plain(sides.choices.tax_rate(line)) if kind == "tax_code" else None
            if key:
                found.setdefault((key, choose(line), rate), (invoice, line, {}))[2][invoice.number] = None
    catalogue = sides.choices.catalogue.services if kind == "service" else sides.choices.catalogue.tax_codes
    names = [{key, getattr(line, f"{kind}_name")} for (key, _, _), (_, line, _) in found.items()]
    names += [{each.name} for each_id, each in catalogue.items() if each_id not in {key for key, _, _ in found}]
    return [
        Use(
            key=key,
            label=getattr(line, f"{kind}_name") or key,
            name=chosen.name or getattr(line, f"{kind}_name") or key,
            invoice=invoice,
            line=line,
            numbers=tuple(numbers),
            is_clear=sum(key in each for each in names) == 1,
        )
        for (key, chosen, _), (invoice, line, numbers) in found.items()
    ]


@dataclass(frozen=True)
class Proposal:
    """What may be entered into mappings.yml unasked, and what a person may choose from."""

    suggestion: Suggestion | None = None
    candidates: tuple[Suggestion, ...] = ()


def _propose(
    section: str, key: str, label: str, found: likeness.Match[Item] | likeness.Match[TaxCode], *, is_clear: bool
) -> Proposal:
    """Return the entry of an equal name where it is clear what it would be about; else candidates."""
    candidates = tuple(Suggestion(section, key, label, each.id, each.name, score) for each, score in found.candidates)
    if found.equal is None or not is_clear:
        return Proposal(None, candidates)
    return Proposal(Suggestion(section, key, label, found.equal.id, found.equal.name, 1.0), candidates)


def _item_proposal(sides: BothSides, use: Use) -> Proposal:
    found = likeness.match_item(use.name, sides.items.rows)
    return _propose("services", use.key, use.label, found, is_clear=use.is_clear)


def _tax_code_proposal(sides: BothSides, use: Use, rate: Decimal | None) -> Proposal:
    found = likeness.match_tax_code(use.name, rate, sides.tax_codes)
    return _propose("tax_codes", use.key, use.label, found, is_clear=use.is_clear)


# Services.


def _service(sides: BothSides, use: Use) -> Finding:
    way = sides.choices.item_and_way(use.line)[1]
    try:
        (item,) = sides.judge.items(use.alone)
    except Reject as refused:
        proposal = _item_proposal(sides, use)
        return _finding("service", use, State.BLOCKS, refused.message, refused.remedy, proposal)
    if isinstance(item, NewItem):
        return _new_item(sides, use, item)
    return Finding("service", use.label, State.OK, f"item {item.name} (id {item.id}), by {way}", numbers=use.numbers)


def _new_item(sides: BothSides, use: Use, item: NewItem) -> Finding:
    problems = account_problems(sides)
    if problems:
        proposal = _item_proposal(sides, use)
        says = f"missing service: QuickBooks has no item {item.name!r}, and it cannot be created: {'; '.join(problems)}"
        remedy = f"Map {use.label!r} under services in mappings.yml, or correct the default accounts."
        return _finding("service", use, State.BLOCKS, says, remedy, proposal)
    proposal = _item_proposal(sides, use)
    says = (
        f"the item {item.name!r} does not exist and will be created with {item.income_account}, {item.expense_account}"
    )
    remedy = "Map the service under services in mappings.yml, if QuickBooks has it under another name."
    return _finding("service", use, State.WARNING, says, remedy, proposal)


def _finding(area: str, use: Use, state: State, says: str, remedy: str, proposal: Proposal) -> Finding:
    return Finding(area, use.label, state, says, remedy, use.numbers, proposal.suggestion, proposal.candidates)


# Tax codes.


def _tax_code(sides: BothSides, use: Use) -> Finding:
    way = sides.choices.tax_code_and_way(use.line)[1]
    rate = sides.choices.tax_rate(use.line)
    try:
        (code,) = sides.judge.tax_codes(use.alone)
    except Reject as refused:
        proposal = _tax_code_proposal(sides, use, rate)
        return _finding("tax code", use, State.BLOCKS, refused.message, refused.remedy, proposal)
    says = f"VAT code {code.name} (id {code.id}), {plain(code.percent)} % on both sides, by {way}"
    if rate is None:
        says = f"VAT code {code.name} (id {code.id}), {plain(code.percent)} %; OpsMerge names no rate; by {way}"
    if code.reverse_charge:
        remedy = "Make sure that the customer is to account for the VAT; else map to another code in mappings.yml."
        return Finding("tax code", use.label, State.WARNING, f"{says}: reverse charge", remedy, use.numbers)
    return Finding("tax code", use.label, State.OK, says, numbers=use.numbers)


# Clients.


def _clients(sides: BothSides) -> Iterator[Finding]:
    found: dict[tuple[str, str], list[Invoice]] = {}
    for invoice in sides.invoices:
        found.setdefault((invoice.client_id, invoice.currency), []).append(invoice)
    ways: list[str] = []
    for invoices in found.values():
        finding = _client(sides, invoices, ways)
        if finding is not None:
            yield finding
    counts = ", ".join(f"{ways.count(way)} {way}" for way in dict.fromkeys(ways))
    yield Finding("client", f"{len(found)} clients", State.OK, counts or "none can be placed yet")


def _client(sides: BothSides, invoices: Sequence[Invoice], ways: list[str]) -> Finding | None:
    """Return what a person has to know of a client; one with nothing to decide is only counted, in `ways`."""
    invoice = invoices[0]
    numbers = tuple(each.number for each in invoices)
    label = f"{sides.choices.catalogue.client_name(invoice)} ({invoice.client_id})"
    try:
        customer = sides.judge.customer(invoice)
    except Reject as refused:
        return Finding("client", label, State.BLOCKS, refused.message, refused.remedy, numbers)
    if isinstance(customer, Customer):
        ways.append(f"found by {sides.judge.customer_way(invoice)}")
        return None
    finding = _new_client(sides, invoice, label, numbers)
    if finding is None:
        ways.append("new, will be created")
    return finding


def _new_client(sides: BothSides, invoice: Invoice, label: str, numbers: tuple[str, ...]) -> Finding | None:
    """Return what speaks against creating a customer: the name is another party's, or a customer is very like it."""
    name = sides.judge.customer_name(invoice)
    holder = sides.holders.get(name.casefold())
    if holder is not None:
        remedy = "Create the customer in QuickBooks under another name, and name it under clients in mappings.yml."
        says = f"a {holder} has the name {name!r} in QuickBooks, so no customer can be created with it"
        return Finding("client", label, State.BLOCKS, says, remedy, numbers)
    proposal = _customer_proposal(sides, invoice, label, name)
    if not proposal.candidates:
        return None
    like = ", ".join(f"{each.ledger_name} ({each.ledger_id})" for each in proposal.candidates)
    says = f"no customer {name!r}: one will be created, and QuickBooks has {like}"
    remedy = "If it is one of those, name it under clients in mappings.yml."
    return Finding(
        "client", label, State.WARNING, says, remedy, numbers, proposal.suggestion, candidates=proposal.candidates
    )


def _customer_proposal(sides: BothSides, invoice: Invoice, label: str, name: str) -> Proposal:
    """Return the customer of an equal name, where it is nobody else's and takes the client's only currency.

    A customer is proposed with more care than an item: a wrong one gets somebody else's invoice.
    """
    found = likeness.match_customer(name, sides.customers.rows)
    client_id, customer = invoice.client_id, found.equal
    is_clear = (
        customer is not None
        and _is_free(sides, customer, client_id)
        and _names_alone(sides, name, client_id)
        and _currencies(sides, client_id) == {customer.currency or sides.company.home_currency}
    )
    candidates = tuple(
        Suggestion("clients", client_id, label, each.id, each.name, score) for each, score in found.candidates
    )
    if customer is None or not is_clear:
        return Proposal(None, candidates)
    return Proposal(Suggestion("clients", client_id, label, customer.id, customer.name, 1.0), candidates)


def _is_free(sides: BothSides, customer: Customer, client_id: str) -> bool:
    """Return whether no other client stands for this customer: by what was posted before, or by mappings.yml."""
    mapped = (named for key, named in sides.rules.mappings.clients.items() if key != client_id)
    by_file = any(named.id == customer.id or named.name == customer.name for named in mapped)
    return not by_file and sides.judge.owner(customer) in (None, client_id)


def _names_alone(sides: BothSides, name: str, client_id: str) -> bool:
    """Return whether no other client of OpsMerge has this name in another spelling."""
    names = sides.choices.catalogue.names().items()
    alike = {
        key for key, other in names if likeness.spelling(sides.ledger.customer_name(other)) == likeness.spelling(name)
    }
    return alike <= {client_id}


def _currencies(sides: BothSides, client_id: str) -> set[str]:
    return {each.currency for each in sides.invoices if each.client_id == client_id}
