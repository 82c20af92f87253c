"""The breaks as CSV: one row per break, the columns of `recon.drift`."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any

from books.core.files import write_text
from books.report.read import Break, Report, Row

COLUMNS = (
    "class", "title", "severity", "owner", "number", "external_id", "payment_id", "currency", "period",
    "opsmerge_value", "ledger_value", "effect", "exposure", "first_seen", "age_days", "root_class", "accepted",
    "cause", "remedy", "story", "link", "opsmerge_invoice_id", "drift_key", "run_id",
)  # fmt: skip
FORMULA_STARTS = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "\n",
    "\uff1d",
    "\uff0b",
    "\uff0d",
    "\uff20",
)  # the last four: full-width forms

_pick: Callable[[Row], tuple[Any, ...]] = itemgetter(*COLUMNS)


def write(report: Report, path: Path) -> Path:
    """Write the file; return its path."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(map(guarded, values(one)) for one in report.breaks)
    return write_text(path, text.getvalue())


def values(one: Break) -> tuple[Any, ...]:
    """Return a break's value for each column."""
    return _pick(one.row)


def guarded(value: Any) -> Any:
    """Return the value with an apostrophe before it where a spreadsheet would run it as a formula (CSV injection)."""
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return "'" + value
    return "" if value is None else value
