"""QuickBooks' query language, written safely (facts: Intuit, "Data queries").

Every value that reaches a statement goes through `literal`: a customer called `O'Brien` must neither break the
statement nor find somebody else. Only AND exists; there is no OR, no NOT and no column list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from books.core.batches import batched
from books.core.printable import has_control

PAGE_ROWS_MAX = 1000
"""Most rows of one answer; asking for more is not defined."""

IN_LIST_VALUES_MAX = 400
"""Values of one IN list. Intuit names no limit; such a list goes by POST, well under any size seen refused."""

GET_STATEMENT_CHARS_MAX = 1500
"""A longer statement goes by POST, so that the address stays under 2 kB once encoded."""


def literal(value: str) -> str:
    r"""Quote one value: `O'Brien` becomes `'O\'Brien'`.

    Raises:
        ValueError: the value holds a control character, which no name or number may.
    """
    if has_control(value):
        raise ValueError("a control character cannot be part of a query")
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def in_list(field: str, values: Iterable[str]) -> str:
    """`field IN ('a','b')`; the caller splits with `chunks` where there are many values."""
    return f"{field} IN ({','.join(literal(value) for value in values)})"


def chunks(values: Iterable[str], size: int = IN_LIST_VALUES_MAX) -> Iterator[list[str]]:
    """Split values, each once and in the order given, into lists short enough for one statement.

    What holds a control character is left out: nothing in QuickBooks has such a name or number.
    """
    return batched((each for each in dict.fromkeys(values) if not has_control(each)), size)


def page(
    entity: str,
    where: str = "",
    *,
    after_id: str | None = None,
    start_position: int | None = None,
    order_by: str = "",
    size: int = PAGE_ROWS_MAX,
) -> str:
    """One page of an entity, as a statement.

    `start_position` counts rows from 1. `after_id` is refused: Id supports only `=` and `IN`, so pages go by position.

    Raises:
        ValueError: a page larger than 1,000, a position below 1, or `after_id`.
    """
    if after_id is not None:
        raise ValueError("QuickBooks compares Id only with = and IN; page by start_position")
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
    """How many rows, as a statement."""
    return f"SELECT COUNT(*) FROM {entity}" + (f" WHERE {where}" if where else "")
