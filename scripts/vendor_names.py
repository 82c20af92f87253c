"""Refuse a vendor's name outside its own folder: whoever opens any other file should not see which vendor it serves.

`LEFT` are the files that still name one, with how many lines do. The numbers only fall: a line more is refused, and so
is a number that is higher than it needs to be.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "books" / "src" / "books"
NAMES = re.compile(r"quickbooks|intuit|\bqbo\b|\brealm|xero", re.IGNORECASE)
OWN = ("ledgers/quickbooks/", "ledgers/registry.py", "store/migrations/")
"""Where a vendor is named for good reason: its folder, the list of vendors, and migrations of what once was."""

LEFT = {
    "cli/connect.html": 1,
    "cli/connect.py": 1,
    "cli/disconnect.py": 4,
    "cli/forget.py": 2,
    "cli/log.py": 1,
    "cli/retry.py": 1,
    "cli/why.py": 12,
    "core/money.py": 2,
    "core/paths.py": 1,
    "core/printable.py": 1,
    "core/redact.py": 1,
    "core/settings.py": 1,
    "ledgers/columns.py": 1,
    "ledgers/pretend.py": 1,
    "operations/alerts/reconciliation.py": 2,
    "operations/breadcrumbs.py": 1,
    "operations/disconnect.py": 1,
    "operations/forget/client.py": 2,
    "operations/forget/in_store.py": 3,
    "operations/forget/in_warehouse.py": 18,
    "operations/preflight/company.py": 5,
    "operations/preflight/invoices.py": 3,
    "operations/preflight/things.py": 6,
    "operations/runs.py": 1,
    "operations/settings.py": 1,
    "operations/status.py": 1,
    "opsmerge/api.py": 3,
    "posting/records.py": 2,
    "report/__init__.py": 1,
    "report/html.py": 1,
    "report/markdown.py": 3,
    "report/page.html.j2": 11,
    "report/read.py": 1,
    "report/terminal.py": 3,
    "report/words.py": 11,
    "singer/__init__.py": 1,
    "singer/ledger_streams.py": 2,
    "store/tables_webhooks.py": 1,
    "webhooks/server.py": 1,
    "writeback/accounting.py": 1,
    "writeback/allocation_store.py": 2,
    "writeback/allocations.py": 5,
    "writeback/balances.py": 2,
    "writeback/payments.py": 3,
    "writeback/run.py": 2,
}


def lines_naming_a_vendor() -> dict[str, list[int]]:
    """Return the numbers of the lines that name one, by file."""
    found: dict[str, list[int]] = {}
    for path in sorted(SOURCE.rglob("*")):
        name = path.relative_to(SOURCE).as_posix()
        if path.suffix in (".py", ".html", ".j2") and not name.startswith(OWN):
            lines = path.read_text(encoding="utf-8").splitlines()
            if numbers := [number for number, line in enumerate(lines, start=1) if NAMES.search(line)]:
                found[name] = numbers
    return found


def main() -> int:
    """Print what is wrong; return 1 where anything is."""
    found, wrong = lines_naming_a_vendor(), 0
    for name in sorted({*found, *LEFT}):
        numbers, allowed = found.get(name, []), LEFT.get(name, 0)
        if len(numbers) > allowed:
            places = ", ".join(map(str, numbers))
            print(f"books/src/books/{name}: {len(numbers)} lines name a vendor, {allowed} may: lines {places}")
            print(
                "  What to do: take the word from `Words`, `Capabilities` or the dialect (docs/how-to/add-a-ledger.md)"
            )
        elif len(numbers) < allowed:
            print(
                f"books/src/books/{name}: only {len(numbers)} lines name a vendor now: lower its number in {__file__}"
            )
        wrong |= len(numbers) != allowed
    return wrong


if __name__ == "__main__":
    sys.exit(main())
