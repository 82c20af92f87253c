"""Choose the column type that holds a property without losing a digit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from typing import Any

EXTRACTED_AT, DELETED_AT, VERSION = METADATA_NAMES = "_sdc_extracted_at", "_sdc_deleted_at", "_sdc_table_version"
TIMESTAMP = "TIMESTAMP WITH TIME ZONE"
WIDEST_DECIMAL = "DECIMAL(38,10)"
DECIMAL_FORMATS = ("x-singer.decimal", "singer.decimal")
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
_SCALARS = {"boolean": "BOOLEAN", "integer": "BIGINT", "object": "JSON", "array": "JSON"}
_DATES = {"date": "DATE", "date-time": TIMESTAMP}
_OURS = ("BIGINT", "BOOLEAN", "DATE", "DOUBLE", "JSON", "VARCHAR", TIMESTAMP)
_MAX_SCALE_OF_18_DIGITS = 9
UNNAMED = "unnamed"


@dataclass(frozen=True)
class Column:
    """A column `name` of SQL type `type`, filled from the record's property `source`."""

    name: str
    type: str
    source: str


def columns_of(schema: Mapping[str, Any]) -> list[Column]:
    """Return one column per property. DuckDB's names ignore case, so `ID` beside `id` becomes `ID_2`."""
    taken: set[str] = set()
    columns = []
    for source, definition in schema.get("properties", {}).items():
        name = _free_name(source, taken)
        taken.add(name.lower())
        columns.append(Column(name, sql_type(definition), source))
    return columns


def _free_name(wanted: str, taken: set[str]) -> str:
    wanted = wanted.replace("\0", "") or UNNAMED  # DuckDB has no column without a name
    name, suffix = wanted, 2
    while name.lower() in taken:
        name, suffix = f"{wanted}_{suffix}", suffix + 1
    return name


def sql_type(definition: Mapping[str, Any]) -> str:
    """Return the column type of a JSON Schema property; JSON if the schema names no type."""
    alternatives = [*definition.get("anyOf", []), *definition.get("oneOf", [])]
    types = [sql_type(part) for part in alternatives if part.get("type") not in ("null", ["null"])]
    types += [_single_type(name, definition) for name in _type_names(definition)]
    return reduce(widest, types) if types else "JSON"


def _type_names(definition: Mapping[str, Any]) -> list[str]:
    names = definition.get("type", [])
    return [name for name in ([names] if isinstance(names, str) else names) if name != "null"]


def _single_type(name: str, definition: Mapping[str, Any]) -> str:
    if name == "number":
        return _number_type(definition.get("multipleOf"))
    if name == "string" and definition.get("format") in DECIMAL_FORMATS:
        return f"DECIMAL({definition.get('precision', 38)},{definition.get('scale', 10)})"
    if name == "string":
        return _DATES.get(definition.get("format", ""), "VARCHAR")
    return _SCALARS.get(name, "JSON")


def _number_type(multiple_of: float | None) -> str:
    """Return the type of a number: DECIMAL(18,2) for `multipleOf: 0.01`, DOUBLE without `multipleOf`."""
    if not multiple_of:
        return "DOUBLE"
    scale = max(0, -int(Decimal(str(multiple_of)).normalize().as_tuple().exponent))
    return f"DECIMAL({18 if scale <= _MAX_SCALE_OF_18_DIGITS else 38},{scale})"


def widest(one: str, other: str) -> str:
    """Return the narrowest type that holds the values of both. Exact wins: DECIMAL with DOUBLE is DECIMAL."""
    if one == other:
        return one
    pair = {one, other}
    if all(is_number(each) for each in pair):
        return _widest_number(pair)
    if pair == set(_DATES.values()):
        return TIMESTAMP
    return "JSON" if "JSON" in pair else "VARCHAR"


def _widest_number(pair: set[str]) -> str:
    if "DOUBLE" in pair:
        return WIDEST_DECIMAL
    whole = max(_digits(each)[0] for each in pair)
    scale = max(_digits(each)[1] for each in pair)
    return f"DECIMAL({min(38, whole + scale)},{scale})"


def is_ours(sql: str) -> bool:
    """Return whether this target creates columns of this type; a user chose any other."""
    return sql in _OURS or sql.startswith("DECIMAL")


def is_number(sql: str) -> bool:
    """Return whether a column of this type holds numbers."""
    return sql in ("BIGINT", "DOUBLE") or sql.startswith("DECIMAL")


def _digits(sql: str) -> tuple[int, int]:
    """Return the digits before and after the decimal point."""
    match = _DECIMAL.fullmatch(sql)
    if match is None:
        return 19, 0
    precision, scale = int(match[1]), int(match[2])
    return precision - scale, scale


def next_wider(sql: str) -> str | None:
    """Return the type to try if a value does not fit exactly; None if there is none and the value is wrong."""
    if sql == "BIGINT" or (sql.startswith("DECIMAL") and sql != WIDEST_DECIMAL):
        return WIDEST_DECIMAL
    return TIMESTAMP if sql == _DATES["date"] else None


def text_of(cell: str, sql: str) -> str:
    """Return an SQL expression for the text of a JSON value `cell`, to be cast to type `sql`; JSON stays unchanged."""
    if sql == "JSON":
        return cell
    unquoted = f"CASE WHEN contains({cell}, '\\') THEN {cell} ->> '$' ELSE {cell}[2:-2] END"  # escapes are rare
    return f"CASE WHEN starts_with({cell}, '\"') THEN {unquoted} ELSE {cell} END"


def fits(text: str, sql: str) -> str | None:
    """Return an SQL condition: the expression `text` is exactly a value of type `sql`. None: always true."""
    if sql in ("VARCHAR", "JSON"):
        return None
    cast = f"TRY_CAST({text} AS {sql})"
    if sql == "DATE":
        return f"{cast} IS NOT NULL AND length({text}) = 10"
    if sql in ("DOUBLE", TIMESTAMP):
        return f"isfinite({cast})"
    if not is_number(sql):
        return f"{cast} IS NOT NULL"
    scale = _digits(sql)[1]
    decimals = f"length(rtrim(split_part({text}, '.', 2), '0')) <= {scale}"
    exponent = f"{cast} = TRY_CAST({text} AS DECIMAL(38,18))"
    return f"{cast} IS NOT NULL AND CASE WHEN contains(lower({text}), 'e') THEN {exponent} ELSE {decimals} END"


def quoted(name: str) -> str:
    """Return an SQL identifier, safe for any name."""
    return '"' + name.replace('"', '""') + '"'


def listed(names: Iterable[str]) -> str:
    """Return SQL identifiers, comma-separated."""
    return ", ".join(quoted(name) for name in names)
