"""Everything that would stop an invoice, said before the first write: reads both sides, writes nothing.

facts      what is read: OpsMerge's invoices that are due, the company, what the invoices name
company    the company's switches, the reading itself, default accounts
things     services, tax codes and clients: mapped to what, by which way, and whether that can be used
invoices   numbers, dates, currencies, totals and VAT of each invoice
likeness   which names are equal, and which are alike (pure)
writing    entries for equal names into mappings.yml, which keeps its comments and its entries
"""

from __future__ import annotations

from collections.abc import Sequence

from books.operations.preflight import company, invoices, things
from books.operations.preflight.facts import Facts
from books.operations.preflight.findings import Finding, State, worst_first

__all__ = ["Facts", "Finding", "State", "inspect"]


def inspect(facts: Facts) -> Sequence[Finding]:
    """Every finding, worst first."""
    return worst_first([*company.inspect(facts), *things.inspect(facts), *invoices.inspect(facts)])
