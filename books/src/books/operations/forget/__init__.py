"""Erase a client's personal data (UK GDPR, article 17) wherever this project keeps any.

everywhere    all places in turn, and what only a person can erase
client        the client: every name, address and id under which they are known here
in_store      the state store: `ERASED` is the one list of what is erased and what is kept
in_warehouse  the DuckDB files: `ERASED` likewise
in_files      reports, logs and plans

What the law requires for the books is kept: numbers, ids, amounts, dates, outcomes. A dry run does the same work and
rolls it back, so its counts are exact. Start with `everywhere`.
"""

from books.operations.forget.client import ClientData, Erased, find

__all__ = ["ClientData", "Erased", "find"]
