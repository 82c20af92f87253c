"""The state that all processes share: one SQLite file, or one PostgreSQL database for many machines.

May import core only. Start with `store`: transactions, locks and the clock. The tables are in `tables_*`.
"""

from books.store.schema import metadata
from books.store.store import Steady, Store
from books.store.types import Money, Timestamp

__all__ = ["Money", "Steady", "Store", "Timestamp", "metadata"]
