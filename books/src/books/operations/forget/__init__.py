"""Erasing a client's personal data (UK GDPR, article 17) wherever this project keeps any.

client        who is meant, and every name, address and id under which they are known here
in_store      the state store: `ERASED` is the one list of what goes and what stays
in_warehouse  the DuckDB files: `ERASED` likewise
in_files      reports, logs and plans

What the law wants kept for the books stays: numbers, ids, amounts, dates, outcomes. A dry run does the same work and
takes it back, so its counts are exact.
"""

from books.operations.forget.client import Client, Erased, find

__all__ = ["Client", "Erased", "find"]
