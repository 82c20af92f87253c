"""The workbook for accountants: breaks to filter, the statement, the classes, the checks."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import xlsxwriter

from books.core.files import write_bytes
from books.report import words
from books.report.read import Report
from books.report.sheet import COLUMNS, values

BREAKS_MAX = 20_000  # more than a person works through in a sheet; the CSV file has all
CELL_LETTERS_MAX = 32_767  # Excel's
WIDTHS = {
    "cause": 48,
    "remedy": 48,
    "story": 48,
    "title": 30,
    "promise": 60,
    "link": 40,
    "number": 18,
    "check_name": 26,
}
MONEY, DATE, HEAD = {"num_format": "#,##0.00;[Red]-#,##0.00"}, {"num_format": "d mmm yyyy"}, {"bold": True, "bottom": 1}
TOTAL_COLUMNS = (
    "measure", "currency", "period", "opsmerge_total", "ledger_total", "difference", "by_design", "timing", "tolerated",
    "breaks", "unexplained",
)  # fmt: skip
CLASS_COLUMNS = (
    "class",
    "title",
    "bucket",
    "owner",
    "currency",
    "items",
    "documents",
    "new_items",
    "effect",
    "exposure",
    "oldest_age_days",
)
CHECK_COLUMNS = ("check_name", "is_gate", "ok", "failures", "promise", "remedy")


def write(report: Report, path: Path) -> Path:
    """Write the workbook; return its path."""
    content = io.BytesIO()
    # Text stays text: nothing that came from a ledger may become a formula or a link of its own.
    texts = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(content, {"constant_memory": True, **texts}) as book:
        _sheet(book, "Breaks", COLUMNS, map(values, report.breaks[:BREAKS_MAX]), _left_out(report))
        _sheet(book, "Control totals", TOTAL_COLUMNS, _picked(report.cells, TOTAL_COLUMNS))
        _sheet(book, "Classes", CLASS_COLUMNS, _picked(report.classes, CLASS_COLUMNS))
        _sheet(book, "Checks", CHECK_COLUMNS, _picked(report.checks, CHECK_COLUMNS))
    return write_bytes(path, content.getvalue())


def _left_out(report: Report) -> str:
    left = len(report.breaks) - BREAKS_MAX
    return f"and {words.count(left, 'more break')} of lower severity or exposure: see the CSV file" if left > 0 else ""


def _picked(rows: Iterable[dict[str, Any]], names: Sequence[str]) -> Iterable[Sequence[Any]]:
    return ([row[name] for name in names] for row in rows)


def _sheet(book: Any, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], footnote: str = "") -> None:
    """Write one sheet with a frozen header and filters. Rows go to the file one by one, to save memory."""
    sheet = book.add_worksheet(name)
    formats = {"money": book.add_format(MONEY), "date": book.add_format(DATE), "head": book.add_format(HEAD)}
    sheet.freeze_panes(1, 0)
    for at, column in enumerate(columns):
        sheet.set_column(at, at, WIDTHS.get(column, 14))
        sheet.write_string(0, at, column.replace("_", " "), formats["head"])
    last = 0
    for last, row in enumerate(rows, start=1):
        for at, value in enumerate(row):
            if value is not None:
                _cell(sheet, last, at, value, formats)
    sheet.autofilter(0, 0, max(last, 1), len(columns) - 1)
    if footnote:
        sheet.write_string(last + 2, 0, footnote)


def _cell(sheet: Any, row: int, column: int, value: Any, formats: dict[str, Any]) -> None:
    """Write a value by its type."""
    if isinstance(value, str):
        sheet.write_string(row, column, value[:CELL_LETTERS_MAX])
    elif isinstance(value, Decimal):
        sheet.write_number(row, column, value, formats["money"])
    elif isinstance(value, bool):
        sheet.write_string(row, column, "yes" if value else "no")
    elif isinstance(value, int):
        sheet.write_number(row, column, value)
    elif isinstance(value, (date, datetime)):
        sheet.write_datetime(row, column, value, formats["date"])
    else:
        sheet.write_string(row, column, str(value))
