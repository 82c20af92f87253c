"""Services, tax codes and clients that due invoices name: mapped to what, by which way, and usable or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from books.faults import Reject
from books.ledger import Customer, Invoice, Line, NewItem
from books.posting.records import plain
from books.preflight import likeness
from books.preflight.company import account_problems
from books.preflight.facts import Facts
from books.preflight.findings import Finding, State


@dataclass(frozen=True)
class Use:
    """One service or tax code as invoices use it."""

    key: str
    label: str
    invoice: Invoice
    line: Line
    numbers: tuple[str, ...]

    @property
    def alone(self) -> Invoice:
        """An invoice of this one line, to ask the resolver about."""
        return replace(self.invoice, lines=(self.line,))


def inspect(facts: Facts) -> Iterator[Finding]:
    """A finding per service, tax code and client with something to say; clients without are one finding."""
    yield from (_service(facts, use) for use in _uses(facts, "service"))
    yield from (_tax_code(facts, use) for use in _uses(facts, "tax_code"))
    yield from _clients(facts)


def _uses(facts: Facts, kind: str) -> list[Use]:
    """What lines name, each once; of tax codes each rate by itself. A line that names nothing is another finding."""
    found: dict[tuple[str, str | None], tuple[Invoice, Line, dict[str, None]]] = {}
    for invoice in facts.source.invoices:
        for line in invoice.lines:
            key = getattr(line, f"{kind}_id") or getattr(line, f"{kind}_name")
            rate = plain(facts.choices.tax_rate(line)) if kind == "tax_code" else None
            if key:
                found.setdefault((key, rate), (invoice, line, {}))[2][invoice.number] = None
    return [
        Use(key, getattr(line, f"{kind}_name") or key, invoice, line, tuple(numbers))
        for (key, _), (invoice, line, numbers) in found.items()
    ]


# Services.


def _service(facts: Facts, use: Use) -> Finding:
    way = facts.choices.item_and_way(use.line)[1]
    try:
        (item,) = facts.resolver.items(use.alone)
    except Reject as refused:
        proposed = likeness.suggest_item(use.key, use.label, facts.items.rows)
        return Finding("service", use.label, State.BLOCKS, refused.message, refused.remedy, use.numbers, proposed)
    if isinstance(item, NewItem):
        return _new_item(facts, use, item)
    return Finding("service", use.label, State.OK, f"item {item.name} (id {item.id}), by {way}", numbers=use.numbers)


def _new_item(facts: Facts, use: Use, item: NewItem) -> Finding:
    problems = account_problems(facts)
    if problems:
        proposed = likeness.suggest_item(use.key, use.label, facts.items.rows)
        says = f"missing service: QuickBooks has no item {item.name!r}, and it cannot be created: {'; '.join(problems)}"
        remedy = f"Map {use.label!r} under services in mappings.yml, or correct the default accounts."
        return Finding("service", use.label, State.BLOCKS, says, remedy, use.numbers, proposed)
    proposed = likeness.suggest_item(use.key, use.label, facts.items.rows, least=likeness.VERY_LIKE)
    says = (
        f"the item {item.name!r} does not exist and will be created with {item.income_account}, {item.expense_account}"
    )
    remedy = "Map the service under services in mappings.yml, if QuickBooks has it under another name."
    return Finding("service", use.label, State.WARNING, says, remedy, use.numbers, proposed)


# Tax codes.


def _tax_code(facts: Facts, use: Use) -> Finding:
    way = facts.choices.tax_code_and_way(use.line)[1]
    rate = facts.choices.tax_rate(use.line)
    try:
        (code,) = facts.resolver.tax_codes(use.alone)
    except Reject as refused:
        proposed = likeness.suggest_tax_code(use.key, use.label, rate, facts.tax_codes)
        return Finding("tax code", use.label, State.BLOCKS, refused.message, refused.remedy, use.numbers, proposed)
    says = f"VAT code {code.name} (id {code.id}), {plain(code.percent)} % on both sides, by {way}"
    if rate is None:
        says = f"VAT code {code.name} (id {code.id}), {plain(code.percent)} %; OpsMerge names no rate; by {way}"
    if code.reverse_charge:
        remedy = "Make sure that the customer is to account for the VAT; else map to another code in mappings.yml."
        return Finding("tax code", use.label, State.WARNING, f"{says}: reverse charge", remedy, use.numbers)
    return Finding("tax code", use.label, State.OK, says, numbers=use.numbers)


# Clients.


def _clients(facts: Facts) -> Iterator[Finding]:
    found: dict[tuple[str, str], list[Invoice]] = {}
    for invoice in facts.source.invoices:
        found.setdefault((invoice.client_id, invoice.currency), []).append(invoice)
    ways: list[str] = []
    for invoices in found.values():
        finding = _client(facts, invoices, ways)
        if finding is not None:
            yield finding
    counts = ", ".join(f"{ways.count(way)} {way}" for way in dict.fromkeys(ways))
    yield Finding("client", f"{len(found)} clients", State.OK, counts or "none can be placed yet")


def _client(facts: Facts, invoices: Sequence[Invoice], ways: list[str]) -> Finding | None:
    """What a person has to know of a client; one with nothing to decide is only counted, in `ways`."""
    invoice = invoices[0]
    numbers = tuple(each.number for each in invoices)
    label = f"{facts.choices.catalogue.client_name(invoice)} ({invoice.client_id})"
    try:
        customer = facts.resolver.customer(invoice)
    except Reject as refused:
        return Finding("client", label, State.BLOCKS, refused.message, refused.remedy, numbers)
    if isinstance(customer, Customer):
        ways.append(f"found by {facts.resolver.customer_way(invoice)}")
        return None
    finding = _new_client(facts, invoice, label, numbers)
    if finding is None:
        ways.append("new, will be created")
    return finding


def _new_client(facts: Facts, invoice: Invoice, label: str, numbers: tuple[str, ...]) -> Finding | None:
    """What speaks against creating its customer: the name is another party's, or a customer is very like it."""
    name = facts.ledger.customer_name(facts.choices.catalogue.client_name(invoice))
    holder = facts.holders.get(name.casefold())
    if holder is not None:
        remedy = "Create the customer in QuickBooks under another name, and name it under clients in mappings.yml."
        says = f"a {holder} has the name {name!r} in QuickBooks, so no customer can be created with it"
        return Finding("client", label, State.BLOCKS, says, remedy, numbers)
    proposed, like = likeness.suggest_customer(invoice.client_id, label, name, facts.customers.rows)
    if not like:
        return None
    says = f"no customer {name!r}: one will be created, and QuickBooks has {', '.join(like)}"
    remedy = "If it is one of those, name it under clients in mappings.yml."
    return Finding("client", label, State.WARNING, says, remedy, numbers, proposed)
