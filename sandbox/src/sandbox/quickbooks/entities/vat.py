"""How QuickBooks computes VAT: by rate over the document, or line by line when prices include it. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from sandbox.quickbooks.codec import ZERO, half_up

HUNDRED = Decimal(100)
Rates = tuple[tuple[str, Decimal], ...]


@dataclass(frozen=True)
class Taxed:
    """What the computation needs of a line. `gross` is given only where prices include VAT."""

    net: Decimal
    rates: Rates
    gross: Decimal | None = None


@dataclass(frozen=True)
class RateTax:
    """The tax of one rate on the whole document."""

    rate_id: str
    percent: Decimal
    base: Decimal
    amount: Decimal


def by_document(lines: Iterable[Taxed], discount: Decimal = ZERO) -> list[RateTax]:
    """Return the tax per rate: round(sum of its nets x rate), half up; a discount is spread by the nets."""
    bases, percents, subtotal = _bases(lines)
    result = []
    for rate_id, base in bases.items():
        share = half_up(discount * base / subtotal) if discount and subtotal else ZERO
        taxable = base - share
        amount = half_up(taxable * percents[rate_id] / HUNDRED)
        result.append(RateTax(rate_id, percents[rate_id], taxable, amount))
    return result


def by_line(lines: Iterable[Taxed]) -> list[RateTax]:
    """Return the tax of prices with VAT: each line is split separately, so pennies can differ from the sum's."""
    totals: dict[str, RateTax] = {}
    for line in lines:
        for rate_id, percent in line.rates:
            tax = half_up(line.net * percent / HUNDRED) if line.gross is None else line.gross - line.net
            old = totals.get(rate_id, RateTax(rate_id, percent, ZERO, ZERO))
            totals[rate_id] = RateTax(rate_id, percent, old.base + line.net, old.amount + tax)
    return list(totals.values())


def net_of(gross: Decimal, rates: Rates) -> Decimal:
    """Return the part of a gross amount before tax, rounded by itself."""
    percent = sum((percent for _, percent in rates), Decimal(0))
    return half_up(gross * HUNDRED / (HUNDRED + percent)) if percent > -HUNDRED else gross


def _bases(lines: Iterable[Taxed]) -> tuple[dict[str, Decimal], dict[str, Decimal], Decimal]:
    bases: dict[str, Decimal] = {}
    percents: dict[str, Decimal] = {}
    subtotal = ZERO
    for line in lines:
        subtotal += line.net
        for rate_id, percent in line.rates:
            bases[rate_id] = bases.get(rate_id, ZERO) + line.net
            percents[rate_id] = percent
    return bases, percents, subtotal
