"""Charts as SVG, drawn here and set into the page: no script, no network. Imported late: Altair takes its time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

import altair as alt
import vl_convert

from books.report import words
from books.report.read import Report, Row

BAR_PIXELS = 26
CLASSES_MAX = 12
INK, OVER, UNDER, CALM = "#1c2733", "#b4541a", "#1f5f8b", "#5b7083"


@dataclass(frozen=True)
class Size:
    """How wide all charts of a page are, so that their letters are of one size, and how much of it is labels."""

    width_pixels: int
    label_pixels: int
    ticks: int
    names: bool
    """Whether classes have their names beside their codes."""


DESK = Size(width_pixels=760, label_pixels=250, ticks=6, names=True)
PHONE = Size(width_pixels=300, label_pixels=64, ticks=3, names=False)


@dataclass(frozen=True)
class Chart:
    """One chart, drawn for a desk and for a phone. The page shows the one that fits."""

    title: str
    desk: str
    phone: str


def _drawn(title: str, draw: Callable[[Size], str]) -> Chart:
    return Chart(title, desk=draw(DESK), phone=draw(PHONE))


def effects(report: Report) -> list[Chart]:
    """Per currency, a signed bar for each class of break or timing in the gross difference."""
    gross = [row for row in report.effects if row["measure"] == "gross" and row["bucket"] != "tolerated"]
    return [
        _drawn(currency, partial(_effects, [row for row in gross if row["currency"] == currency]))
        for currency in _currencies(gross)
    ]


def _effects(rows: list[Row], size: Size) -> str:
    values = [
        {
            "class": f"{row['class']} {row['title']}" if size.names else row["class"],
            "effect": float(row["effect"]),
            "side": _side(row["effect"]),
        }
        for row in rows[:CLASSES_MAX]
    ]
    title = ["\u2190 more in QuickBooks", "more in OpsMerge \u2192"]
    chart = _bars(values, "class", "effect", " \u00b7 ".join(title) if size.names else title, size)
    colour = alt.Color("side:N", scale=alt.Scale(domain=["over", "under"], range=[OVER, UNDER]), legend=None)
    return _svg(chart.encode(color=colour), len(values), size)


def _side(effect: Decimal) -> str:
    return "over" if effect > 0 else "under"


def ageing(report: Report) -> list[Chart]:
    """Per currency, the exposure of open breaks by age in days."""
    worth = [row for row in report.ageing if row["exposure"]]
    return [
        _drawn(currency, partial(_ageing, [row for row in worth if row["currency"] == currency]))
        for currency in _currencies(worth)
    ]


def _ageing(rows: list[Row], size: Size) -> str:
    values = [
        {
            "days": f"{row['band']} days" + (f" ({words.count(row['items'], 'break')})" if size.names else ""),
            "exposure": float(row["exposure"]),
        }
        for row in rows
    ]
    return _svg(_bars(values, "days", "exposure", "exposure", size), len(values), size)


def trend(report: Report) -> Chart | None:
    """Open breaks over the last runs; None while there are fewer than three to compare."""
    values = [
        {"run": row["run_at"].isoformat(), "breaks": row["breaks"]} for row in reversed(report.trend) if row["trusted"]
    ]
    if len(values) < 3:  # noqa: PLR2004 -- two points make no trend
        return None
    return _drawn("trusted runs", partial(_trend, values))


def _trend(values: list[dict[str, Any]], size: Size) -> str:
    days = alt.Axis(format="%-d %b", labelOverlap=True, tickCount=size.ticks)
    breaks = alt.Axis(tickMinStep=1, tickCount=4, minExtent=size.label_pixels // 4)
    chart = (
        alt.Chart(_data(values))
        .mark_line(point=True, color=CALM)
        .encode(
            x=alt.X("run:T", title=None, axis=days),
            y=alt.Y("breaks:Q", title="open breaks", scale=alt.Scale(domainMin=0), axis=breaks),
        )
    )
    return _svg(chart, 5, size)


def _currencies(rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(row["currency"] for row in rows))


def _data(values: list[dict[str, Any]]) -> alt.Data:
    data: alt.Data = alt.Data(values=values)  # type: ignore[no-untyped-call]  # Altair leaves its constructors untyped
    return data


def _bars(values: list[dict[str, Any]], name: str, amount: str, title: str | list[str], size: Size) -> alt.Chart:
    label = size.label_pixels
    chart: alt.Chart = (
        alt.Chart(_data(values))
        .mark_bar(height=BAR_PIXELS - 10, color=CALM)
        .encode(
            x=alt.X(f"{amount}:Q", title=title, axis=alt.Axis(format=",.0f", tickCount=size.ticks, labelOverlap=True)),
            y=alt.Y(
                f"{name}:N",
                title=None,
                sort=None,
                axis=alt.Axis(labelLimit=label, minExtent=label, maxExtent=label, ticks=False, domain=False),
            ),
        )
    )
    return chart


def _svg(chart: alt.Chart, rows: int, size: Size) -> str:
    styled = (
        chart.properties(
            width=size.width_pixels - size.label_pixels, height=max(1, rows) * BAR_PIXELS, background="transparent"
        )
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=INK,
            titleColor=INK,
            labelFontSize=13,
            titleFontSize=12,
            titleFontWeight="normal",
            gridColor="#e3e8ec",
        )
        .configure(font="sans-serif")
    )
    return str(vl_convert.vegalite_to_svg(styled.to_dict()))
