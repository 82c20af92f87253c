"""The report as one HTML page: self-contained, without JavaScript, without network."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from books.core.files import write_text
from books.report import words
from books.report.read import BUCKETS, Report

DOCUMENTS_SHOWN = 100


def write(report: Report, path: Path) -> Path:
    """Write the page; return its path."""
    return write_text(path, render(report))


def render(report: Report) -> str:
    """Return the page. Everything that came from a ledger is escaped."""
    from books.report import charts, workbook

    return (
        _templates()
        .get_template("page.html.j2")
        .render(
            report=report,
            effects=charts.effects(report),
            ageing=charts.ageing(report),
            trend=charts.trend(report),
            buckets=BUCKETS,
            shown=report.documents[:DOCUMENTS_SHOWN],
            hidden=max(0, len(report.documents) - DOCUMENTS_SHOWN),
            sheet_max=workbook.BREAKS_MAX,
            accepted=[one for one in report.breaks if one.accepted],
        )
    )


def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("books.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    figures = {"money": words.money, "signed": words.signed, "number": "{:,}".format}
    templates.filters.update(**figures, day=words.day, count=words.count)
    templates.globals.update(figures)  # the macro of the bars is given one of them
    templates.filters.update(moment=words.moment, name_of=words.name_of, sides=words.sides)
    templates.filters.update(in_quickbooks=words.in_quickbooks, sentence=words.sentence, currency=words.currency)
    return templates
