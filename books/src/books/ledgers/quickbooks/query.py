"""Build statements in QuickBooks' query language safely (Intuit, "Data queries").

Every value in a statement is quoted by `literal`: a customer called `O'Brien` must neither break the statement nor
match another one. Only AND exists; there is no OR, no NOT and no column list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from books.core.batches import batched
from books.core.printable import has_control

PAGE_ROWS_MAX = 1000
"""The most rows in one answer; more must not be requested."""

IN_LIST_VALUES_MAX = 400
"""Values in one IN list. Intuit documents no limit; a list of this size is sent by POST and was never refused."""

GET_STATEMENT_CHARS_MAX = 1500
"""A longer statement is sent by POST, so that the encoded address stays under 2 kB."""


def literal(value: str) -> str:
    r"""Quote one value: `O'Brien` becomes `'O\'Brien'`.

    Raises:
        ValueError: the value has a control character, which no name or number may have.
    """
    if has_control(value):
        raise ValueError("a control character cannot be part of a query")
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def in_list(field: str, values: Iterable[str]) -> str:
    """Return `field IN ('a','b')`; the caller splits many values with `chunks`."""
    return f"{field} IN ({','.join(literal(value) for value in values)})"


def chunks(values: Iterable[str], size: int = IN_LIST_VALUES_MAX) -> Iterator[list[str]]:
    """Split the values, without duplicates and in order, into lists short enough for one statement.

    Values with a control character are left out: nothing in QuickBooks has such a name or number.
    """
    return batched((each for each in dict.fromkeys(values) if not has_control(each)), size)


def page(
    entity: str,
    where: str = "",
    *,
    start_position: int | None = None,
    order_by: str = "",
    size: int = PAGE_ROWS_MAX,
) -> str:
    """Return the statement for one page of an entity. `start_position` counts rows from 1.

    Raises:
        ValueError: a page larger than 1,000, or a position below 1.
    """
    if not 1 <= size <= PAGE_ROWS_MAX:
        raise ValueError(f"a page holds 1 to {PAGE_ROWS_MAX} rows")
    if start_position is not None and start_position < 1:
        raise ValueError("positions count from 1")
    parts = [f"SELECT * FROM {entity}"]
    if where:
        parts.append(f"WHERE {where}")
    if order_by:
        parts.append(f"ORDERBY {order_by}")
    if start_position is not None:
        parts.append(f"STARTPOSITION {start_position}")
    parts.append(f"MAXRESULTS {size}")
    return " ".join(parts)


def count(entity: str, where: str = "") -> str:
    """Return the statement that counts rows."""
    return f"SELECT COUNT(*) FROM {entity}" + (f" WHERE {where}" if where else "")
