"""The numbers behind the page's bars: pure. The template draws them, so a drawing needs no library and no script."""

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
    """One bar of a chart. `start` and `length` are per cent of the width that all bars of the chart share."""

    code: str
    name: str
    amount: Decimal
    start: Decimal
    length: Decimal


@dataclass(frozen=True)
class Chart:
    """Bars of one scale. `zero` is where their zero stands, in per cent of the width."""

    title: str
    zero: Decimal
    bars: Sequence[Bar]


def effects(report: Report) -> list[Chart]:
    """Per currency, a signed bar for each class of break or timing in the gross difference, the largest first."""
    gross = [row for row in report.effects if row["measure"] == "gross" and row["bucket"] != "tolerated"]
    return _by_currency(gross, lambda row: (row["class"], row["title"], row["effect"]))


def ageing(report: Report) -> list[Chart]:
    """Per currency, the exposure of open breaks by age in days."""
    worth = [row for row in report.ageing if row["exposure"]]
    return _by_currency(
        worth, lambda row: (f"{row['band']} days", f"({words.count(row['items'], 'break')})", row["exposure"])
    )


def trend(report: Report) -> Chart | None:
    """Open breaks of the last trusted runs, the oldest first; None where there are fewer than `TREND_RUNS_MIN`."""
    runs = [row for row in reversed(report.trend) if row["trusted"]]
    if len(runs) < TREND_RUNS_MIN:
        return None
    moments = ((words.moment(row["run_at"], report.time_zone), row) for row in runs)
    return _chart("trusted runs", [(at, "", Decimal(row["breaks"])) for at, row in moments])


def _by_currency(rows: Sequence[Row], read: Callable[[Row], tuple[str, str, Decimal]]) -> list[Chart]:
    currencies = dict.fromkeys(row["currency"] for row in rows)
    return [
        _chart(currency, [read(row) for row in rows if row["currency"] == currency][:CLASSES_MAX])
        for currency in currencies
    ]


def _chart(title: str, values: Sequence[tuple[str, str, Decimal]]) -> Chart:
    """Place each bar between the smallest and the largest value, with zero always in view."""
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
