"""Everything that would stop an invoice, said before the first write: reads both sides, writes nothing.

gather     both sides, read, and what a push would decide on each invoice
company    the company's switches, the reading itself, default accounts
things     services, tax codes and clients: mapped to what, by which way, and whether that can be used
invoices   the decisions that would not create or adopt, grouped by cause
likeness   which names are equal, and which are alike (pure)
writing    entries for equal names into mappings.yml, which keeps its comments and its entries
"""

from __future__ import annotations

from collections.abc import Sequence

from books.operations.preflight import company, invoices, things
from books.operations.preflight.findings import Finding, State, worst_first
from books.operations.preflight.gather import BothSides

__all__ = ["BothSides", "Finding", "State", "inspect"]


def inspect(sides: BothSides) -> Sequence[Finding]:
    """Return every finding, worst first."""
    return worst_first([*company.inspect(sides), *things.inspect(sides), *invoices.inspect(sides)])
