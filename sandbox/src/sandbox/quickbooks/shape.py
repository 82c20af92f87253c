"""Is a request's body made of known properties with values of the right type? Nothing behind this sees anything else.

The field lists come from Intuit's published XSD (fields.json). Numbers in quotes and quoted booleans are accepted, as
the real API does; a null or an empty text is as good as absent.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from importlib.resources import files
from typing import Any

from sandbox.quickbooks import codec, faults

DIGITS_MAX = 15
LIST_LENGTH_MAX = 10_000
LENGTHS: dict[tuple[str, str], int] = {
    ("Invoice", "DocNumber"): 21,
    ("CreditMemo", "DocNumber"): 21,
    ("Payment", "PaymentRefNum"): 21,
    ("*", "PrivateNote"): 4000,
    ("MemoRef", "value"): 1000,
    ("Line", "Description"): 4000,
    ("EmailAddress", "Address"): 100,
    ("*", "DisplayName"): 500,
    ("*", "GivenName"): 100,
    ("*", "MiddleName"): 100,
    ("*", "FamilyName"): 100,
    ("*", "CompanyName"): 100,
    ("*", "Title"): 16,
    ("*", "Suffix"): 16,
    ("*", "Name"): 100,
    ("Item", "Sku"): 100,
    ("Item", "Description"): 4000,
}
ABSENT = object()


@lru_cache(maxsize=1)
def catalogue() -> tuple[dict[str, dict[str, str]], dict[str, list[str]]]:
    """Return fields by type, and values by enumeration."""
    content = codec.decode((files("sandbox.quickbooks") / "fields.json").read_bytes())
    return content["types"], content["enums"]


def check(entity: str, body: Any, *, lenient: bool = False) -> dict[str, Any]:
    """Return the body with every value in its proper type; absent, null and empty values are left out.

    Raises:
        ApiFault: 2010, 2040, 2050 or 2060, naming the property.
    """
    if not isinstance(body, dict):
        raise faults.bad_property(entity, "must be a JSON object")
    return _object(entity, body, "", lenient)


def _object(type_name: str, body: dict[str, Any], path: str, lenient: bool) -> dict[str, Any]:
    known = catalogue()[0][type_name]
    result: dict[str, Any] = {}
    for name, value in body.items():
        where = f"{path}.{name}" if path else name
        if name not in known:
            if lenient or name in ("sparse", "domain"):
                continue
            raise faults.bad_property(where)
        checked = _value(known[name], value, where, lenient)
        if checked is not ABSENT:
            _check_length(type_name, name, checked, where)
            result[name] = checked
    return result


def _check_length(type_name: str, name: str, value: Any, where: str) -> None:
    longest = LENGTHS.get((type_name, name)) or LENGTHS.get(("*", name))
    if longest is not None and isinstance(value, str) and len(value) > longest:
        raise faults.bad_length(where, len(value), longest)


def _value(type_name: str, value: Any, where: str, lenient: bool) -> Any:
    if value is None or (value == "" and type_name != "string"):
        return ABSENT
    if type_name.endswith("[]"):
        return _list(type_name[:-2], value, where, lenient)
    if type_name in _SIMPLE:
        return _SIMPLE[type_name](value, where)
    types, enums = catalogue()
    if type_name in enums:
        return _enum(enums[type_name], value, where)
    if type_name in types:
        if not isinstance(value, dict):
            raise faults.bad_property(where, "must be an object")
        return _object(type_name, value, where, lenient)
    return value


def _list(type_name: str, value: Any, where: str, lenient: bool) -> list[Any]:
    if not isinstance(value, list):
        raise faults.bad_property(where, "must be a list")
    if len(value) > LIST_LENGTH_MAX:
        raise faults.bad_property(where, f"has more than {LIST_LENGTH_MAX} entries")
    checked = [_value(type_name, item, f"{where}[{index}]", lenient) for index, item in enumerate(value)]
    return [item for item in checked if item is not ABSENT]


def _text(value: Any, where: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, Decimal)):
        return str(value)
    raise faults.bad_property(where, "must be a text")


def decimal(value: Any, where: str) -> Decimal:
    """Return a number of at most 15 digits, also when quoted."""
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise faults.bad_property(where, "must be a number")
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise faults.bad_property(where, "must be a number") from error
    if not number.is_finite():
        raise faults.bad_property(where, "must be a number")
    if max(number.adjusted() + 1, 0) > DIGITS_MAX or len(number.as_tuple().digits) > DIGITS_MAX + 2:
        raise faults.bad_length(where, max(number.adjusted() + 1, len(number.as_tuple().digits)), DIGITS_MAX)
    return number if number.adjusted() > -DIGITS_MAX else Decimal(0)


def _boolean(value: Any, where: str) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise faults.bad_property(where, "must be true or false")


def _date(value: Any, where: str) -> str:
    text = _text(value, where)
    try:
        return date.fromisoformat(text[:10]).isoformat()
    except ValueError as error:
        raise faults.bad_date(text[:40], where) from error


def _integer(value: Any, where: str) -> int:
    return int(decimal(value, where))


def _enum(values: list[str], value: Any, where: str) -> str:
    text = _text(value, where)
    if text not in values:
        raise faults.bad_enum(text[:80], where)
    return text


_SIMPLE: dict[str, Any] = {
    "string": _text,
    "id": _text,
    "decimal": decimal,
    "boolean": _boolean,
    "date": _date,
    "int": _integer,
    "positiveInteger": _integer,
    "MetaData": lambda value, _where: value,
}
