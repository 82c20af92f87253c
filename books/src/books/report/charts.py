"""Compute the bars of the page's charts. The template draws them, without a library or script."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from books.core.money import ZERO
from books.report import words
from books.report.read import Report, Row

CLASSES_MAX = 12
TREND_RUNS_MIN = 3
"""Two points make no trend."""


@dataclass(frozen=True)
class Bar:
    """One bar of a chart. `start` and `length` are percentages of the chart's width."""

    code: str
    name: str
    amount: Decimal
    start: Decimal
    length: Decimal


@dataclass(frozen=True)
class Chart:
    """Bars of one scale. `zero` is the position of their zero, as a percentage of the width."""

    title: str
    zero: Decimal
    bars: Sequence[Bar]


def effects(report: Report) -> list[Chart]:
    """Return, per currency, a signed bar for each class of break or timing in the gross difference, largest first."""
    gross = [row for row in report.effects if row["measure"] == "gross" and row["bucket"] != "tolerated"]
    return _by_currency(gross, lambda row: (row["class"], row["title"], row["effect"]))


def ageing(report: Report) -> list[Chart]:
    """Return, per currency, the exposure of open breaks by age in days."""
    worth = [row for row in report.ageing if row["exposure"]]
    return _by_currency(
        worth, lambda row: (f"{row['band']} days", f"({words.count(row['items'], 'break')})", row["exposure"])
    )


def trend(report: Report) -> Chart | None:
    """Return the open breaks of the last trusted runs, oldest first; None for fewer than `TREND_RUNS_MIN` runs."""
    runs = [row for row in reversed(report.trend) if row["trusted"]]
    if len(runs) < TREND_RUNS_MIN:
        return None
    times = ((words.moment(row["run_at"], report.time_zone), row) for row in runs)
    return _chart("trusted runs", [(at, "", Decimal(row["breaks"])) for at, row in times])


def _by_currency(rows: Sequence[Row], read: Callable[[Row], tuple[str, str, Decimal]]) -> list[Chart]:
    currencies = dict.fromkeys(row["currency"] for row in rows)
    return [
        _chart(currency, [read(row) for row in rows if row["currency"] == currency][:CLASSES_MAX])
        for currency in currencies
    ]


def _chart(title: str, values: Sequence[tuple[str, str, Decimal]]) -> Chart:
    """Return a chart from the smallest to the largest value, which always includes zero."""
    amounts = [amount for _, _, amount in values]
    lowest, highest = min([ZERO, *amounts]), max([ZERO, *amounts])
    width = highest - lowest or Decimal(1)

    def percent(part: Decimal) -> Decimal:
        return round(part * 100 / width, 2)

    bars = [
        Bar(code, name, amount, percent(min(amount, ZERO) - lowest), percent(abs(amount)))
        for code, name, amount in values
    ]
    return Chart(title, percent(-lowest), bars)
