"""The breaks as CSV: one row per break, the columns of `recon.drift`."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from books.report.read import Report
from books.report.whole import write_text

COLUMNS = (
    "class", "title", "severity", "owner", "number", "external_id", "payment_id", "currency", "period",
    "opsmerge_value", "ledger_value", "effect", "exposure", "first_seen", "age_days", "root_class", "accepted",
    "cause", "remedy", "story", "link", "opsmerge_invoice_id", "drift_key", "run_id",
)  # fmt: skip
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def write(report: Report, path: Path) -> Path:
    """Write the file whole; return its path."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for one in report.breaks:
        writer.writerow([guarded(getattr(one, name)) for name in COLUMNS])
    return write_text(path, text.getvalue())


def guarded(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula gets an apostrophe before it (OWASP: CSV injection)."""
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return "'" + value
    return "" if value is None else value
