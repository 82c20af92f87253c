"""What changed in an invoice after it was posted, in words: pure."""

from __future__ import annotations

from books.core import money
from books.core.faults import Reject
from books.ledgers.contract import Invoice
from books.posting import records
from books.posting.candidates import Candidate
from books.posting.postings import Posting


def changed_after_posting(posting: Posting, candidate: Candidate, ledger: str) -> Reject:
    """Return the conflict of an invoice that OpsMerge changed after it was posted."""
    what = differences(_as_posted(posting), candidate.invoice)
    return Reject(
        f"changed in OpsMerge after it was posted: {', '.join(what) or 'the content'}",
        code="changed_after_posting",
        field=what[0].split(" ", maxsplit=1)[0] if what else "",
        remedy=f"Make the same change in {ledger}, or undo it in OpsMerge; for a new document: void this one in "
        f"{ledger}, then `books retry`.",
    )


def _as_posted(posting: Posting) -> Invoice | None:
    """Return the invoice as the store has it; after a second change that is the first change, which serves as well."""
    try:
        return records.parse(money.loads(posting.record))
    except Reject:
        return None


def differences(before: Invoice | None, now: Invoice | None) -> list[str]:
    """Return what differs, as `total 10.00 -> 12.00`; lines only by name."""
    if before is None or now is None:
        return []
    names = ("number", "issue_date", "due_date", "currency", "client_id", "subtotal", "tax_total", "total")
    differing = [
        f"{name} {getattr(before, name)} -> {getattr(now, name)}"
        for name in names
        if getattr(before, name) != getattr(now, name)
    ]
    return differing + (["lines"] if before.lines != now.lines else [])
