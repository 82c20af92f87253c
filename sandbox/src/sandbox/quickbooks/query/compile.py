"""From a statement to SQL, with every rule of what may be asked."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from sandbox.common.clock import parse_time
from sandbox.quickbooks import faults
from sandbox.quickbooks.books import ID_DIGITS_MAX, SCALE
from sandbox.quickbooks.query.parse import Condition, Statement
from sandbox.quickbooks.schema import BY_PATH, Column, Entity, Kind
from sandbox.quickbooks.switches import Switches

DEFAULT_RESULTS = 100
RESULTS_MAX = 1000
POSITION_MAX = 2**53
WHOLE_NUMBER = re.compile(r"-?[0-9]{1,15}")
ID = Column("Id", Kind.EXACT, ("Id",))
FLAGS = {"true": 1, "false": 0}
MONEY_LIMIT = Decimal(10) ** 14


@dataclass
class Compiled:
    """What is asked of the database."""

    entity: Entity
    count: bool
    where: str
    values: list[Any]
    order: str
    start: int
    most: int
    fields: list[str] = field(default_factory=list)


def _invalid(what: str) -> faults.ApiFault:
    return faults.query_fault("4001", f"QueryValidationError: {what}")


def compile_query(statement: Statement, switches: Switches) -> Compiled:
    """Check and translate.

    Raises:
        ApiFault: 4001, naming what is not allowed.
    """
    entity = BY_PATH.get(statement.entity.lower())
    if entity is None:
        raise _invalid(f"'{statement.entity[:60]}' is not a queryable entity")
    if statement.fields and switches.column_lists == "refuse":
        raise _invalid("only * and count(*) can be selected")
    where, values = ["realm = ?", "deleted = 0"], []
    for condition in statement.conditions:
        clause, bound = _condition(entity, condition)
        where.append(clause)
        values.extend(bound)
    if entity.listed and not any(condition.field.lower() == "active" for condition in statement.conditions):
        where.append('"Active" = 1')
    return Compiled(
        entity=entity,
        count=statement.count,
        where=" AND ".join(where),
        values=values,
        order=_order(entity, statement.order),
        start=_start(statement.start),
        most=_most(statement.most, switches),
        fields=statement.fields,
    )


def _column(entity: Entity, name: str) -> Column:
    if name.lower() == "id":
        return ID
    for column in entity.all_columns:
        if column.name.lower() == name.lower():
            return column
    raise _invalid(f"property '{name[:60]}' is not queryable")


def _condition(entity: Entity, condition: Condition) -> tuple[str, list[Any]]:
    column = _column(entity, condition.field)
    if column.name == "Id":
        return _by_id(condition)
    values = [_bound(column, value, condition.operator) for value in condition.values]
    if condition.operator == "IN":
        return f'"{column.name}" IN ({", ".join("?" * len(values))})', values
    if condition.operator == "LIKE":
        if column.kind is not Kind.TEXT:
            raise _invalid(f"operator LIKE is not supported on property '{column.name}'")
        return f"\"{column.name}\" LIKE ? ESCAPE '\\'", values
    return f'"{column.name}" {condition.operator} ?', values


def _by_id(condition: Condition) -> tuple[str, list[Any]]:
    if condition.operator not in ("=", "IN"):
        raise _invalid(f"operator {condition.operator} is not supported on property 'Id'")
    ids = [
        int(value) if value.isascii() and value.isdigit() and len(value) <= ID_DIGITS_MAX else -1
        for value in condition.values
    ]
    return f"id IN ({', '.join('?' * len(ids))})", list(ids)


def _bound(column: Column, value: str, operator: str) -> Any:
    """Return a literal as its column keeps it."""
    if column.kind is Kind.TEXT:
        return _pattern(value) if operator == "LIKE" else value.casefold()
    try:
        return _READ[column.kind](value)
    except (ValueError, InvalidOperation, OverflowError, KeyError) as error:
        raise _invalid(f"value '{value[:60]}' does not suit property '{column.name}'") from error


def _pattern(value: str) -> str:
    """Return a LIKE pattern in which only % is a wildcard."""
    return value.casefold().replace("\\", "\\\\").replace("_", "\\_")


def _money(value: str) -> Any:
    amount = Decimal(value)
    if not amount.is_finite() or abs(amount) >= MONEY_LIMIT:
        raise ValueError("out of range")
    exact = amount * SCALE
    whole = int(exact)
    return whole if exact == whole else float(exact)  # finer than money can be: equals nothing, still orders rightly


def _time(value: str) -> int:
    if len(value) == len("2026-11-22"):
        value = datetime.combine(date.fromisoformat(value), time.min).isoformat()
    return int(parse_time(value).timestamp())


_READ: dict[Kind, Any] = {
    Kind.EXACT: str,
    Kind.DATE: lambda value: date.fromisoformat(value[:10]).isoformat(),
    Kind.MONEY: _money,
    Kind.TIME: _time,
    Kind.FLAG: lambda value: FLAGS[value.lower()],
}


def _order(entity: Entity, order: list[tuple[str, bool]]) -> str:
    """Return the order. ORDERBY Id is ignored, as it has been since January 2026; the id decides between equals."""
    columns = [(_column(entity, name), descending) for name, descending in order]
    parts = [f'"{column.name}" {"DESC" if descending else "ASC"}' for column, descending in columns if column is not ID]
    return ", ".join([*parts, "id"])


def _number(text: str, name: str) -> int:
    if not WHOLE_NUMBER.fullmatch(text):
        raise faults.query_fault("4000", f"QueryParserError: Encountered {text[:40]!r} after {name}")
    return int(text)


def _start(text: str | None) -> int:
    start = 1 if text is None else _number(text, "STARTPOSITION")
    if start < 1:
        raise _invalid(f"value {start} is too small. Min allowed value is 1")
    return min(start, POSITION_MAX)


def _most(text: str | None, switches: Switches) -> int:
    most = DEFAULT_RESULTS if text is None else _number(text, "MAXRESULTS")
    if most < 0:
        raise _invalid(f"value {most} is too small. Min allowed value is 0")
    if most > RESULTS_MAX and switches.maxresults_over_1000 == "refuse":
        raise _invalid(f"value {most} is too large. Max allowed value is {RESULTS_MAX}")
    return min(most, RESULTS_MAX)
