"""Charts as SVG, drawn here and set into the page: no script, no network. Imported late: Altair takes its time."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import altair as alt
import vl_convert

from books.report.read import Report, Row

WIDTH_PIXELS = 760  # all charts alike, so that their letters are of one size on the page
BAR_PIXELS = 26
LABEL_PIXELS = 250
CLASSES_MAX = 12
INK, OVER, UNDER, CALM = "#1c2733", "#b4541a", "#1f5f8b", "#5b7083"


def effects(report: Report) -> list[tuple[str, str]]:
    """Per currency, a signed bar for each class of break or timing in the gross difference: (currency, SVG)."""
    gross = [row for row in report.effects if row["measure"] == "gross" and row["bucket"] != "tolerated"]
    return [
        (currency, _effects([row for row in gross if row["currency"] == currency])) for currency in _currencies(gross)
    ]


def _effects(rows: list[Row]) -> str:
    values = [
        {"class": f"{row['class']} {row['title']}", "effect": float(row["effect"]), "side": _side(row["effect"])}
        for row in rows[:CLASSES_MAX]
    ]
    chart = _bars(values, "class", "effect", "more in QuickBooks   \u2190   \u2192   more in OpsMerge")
    colour = alt.Color("side:N", scale=alt.Scale(domain=["over", "under"], range=[OVER, UNDER]), legend=None)
    return _svg(chart.encode(color=colour), rows=len(values))


def _side(effect: Decimal) -> str:
    return "over" if effect > 0 else "under"


def ageing(report: Report) -> list[tuple[str, str]]:
    """Per currency, the exposure of open breaks by age in days: (currency, SVG)."""
    return [(currency, _ageing(report, currency)) for currency in _currencies(report.ageing)]


def _ageing(report: Report, currency: str) -> str:
    values = [
        {"days": f"{row['band']} days", "exposure": float(row["exposure"])}
        for row in report.ageing
        if row["currency"] == currency
    ]
    return _svg(_bars(values, "days", "exposure", "exposure"), rows=len(values))


def trend(report: Report) -> str | None:
    """Open breaks over the last runs; None while there are fewer than three to compare."""
    values = [
        {"run": row["run_at"].isoformat(), "breaks": row["breaks"]} for row in reversed(report.trend) if row["trusted"]
    ]
    if len(values) < 3:  # noqa: PLR2004 -- two points make no trend
        return None
    chart = (
        alt.Chart(_data(values))
        .mark_line(point=True, color=CALM)
        .encode(
            x=alt.X("run:T", title=None, axis=alt.Axis(format="%-d %b", labelOverlap=True)),
            y=alt.Y(
                "breaks:Q",
                title="open breaks",
                scale=alt.Scale(domainMin=0),
                axis=alt.Axis(tickMinStep=1, minExtent=LABEL_PIXELS - 180),
            ),
        )
    )
    return _svg(chart, rows=5)


def _currencies(rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(row["currency"] for row in rows))


def _data(values: list[dict[str, Any]]) -> alt.Data:
    data: alt.Data = alt.Data(values=values)  # type: ignore[no-untyped-call]  # Altair leaves its constructors untyped
    return data


def _bars(values: list[dict[str, Any]], name: str, amount: str, title: str) -> alt.Chart:
    chart: alt.Chart = (
        alt.Chart(_data(values))
        .mark_bar(height=BAR_PIXELS - 10, color=CALM)
        .encode(
            x=alt.X(f"{amount}:Q", title=title, axis=alt.Axis(format=",.0f", tickCount=6, labelOverlap=True)),
            y=alt.Y(
                f"{name}:N",
                title=None,
                sort=None,
                axis=alt.Axis(
                    labelLimit=LABEL_PIXELS, minExtent=LABEL_PIXELS, maxExtent=LABEL_PIXELS, ticks=False, domain=False
                ),
            ),
        )
    )
    return chart


def _svg(chart: alt.Chart, *, rows: int) -> str:
    styled = (
        chart.properties(width=WIDTH_PIXELS - LABEL_PIXELS, height=max(1, rows) * BAR_PIXELS, background="transparent")
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
