"""What the tap sent is what the table holds, to the last digit."""

from __future__ import annotations

import json
import random
from decimal import Decimal

import pytest

from target_duckdb.errors import InputError

NUMBER = {"type": ["number", "null"]}


def test_money_of_fifteen_digits_is_exact(warehouse, singer):
    """Every amount of up to 15 digits comes out as it went in: no float on the way."""
    chance = random.Random(6)
    amounts = [Decimal(chance.randrange(-(10**15), 10**15)).scaleb(-2) for _ in range(20_000)]
    lines = [
        f'{{"type":"RECORD","stream":"invoices","record":{{"id":"{number}","total":{amount}}}}}'
        for number, amount in enumerate(amounts)
    ]
    warehouse.load(singer.schema(total=singer.money), *lines)
    loaded = dict(warehouse.query("SELECT id, total FROM raw.invoices"))
    assert loaded == {str(number): amount for number, amount in enumerate(amounts)}


@pytest.mark.parametrize(
    ("definition", "sql_type"),
    [
        ({"type": "number", "multipleOf": 0.01}, "DECIMAL(18,2)"),
        ({"type": ["null", "number"], "multipleOf": 0.000001}, "DECIMAL(18,6)"),
        ({"type": "number", "multipleOf": 1e-12}, "DECIMAL(38,12)"),
        ({"type": "number", "multipleOf": 0.05}, "DECIMAL(18,2)"),
        ({"type": "number"}, "DOUBLE"),
        ({"type": "string", "format": "x-singer.decimal", "precision": 20, "scale": 4}, "DECIMAL(20,4)"),
        ({"type": ["integer", "null"]}, "BIGINT"),
        ({"type": "boolean"}, "BOOLEAN"),
        ({"type": "string"}, "VARCHAR"),
        ({"type": "string", "format": "date"}, "DATE"),
        ({"type": "string", "format": "date-time"}, "TIMESTAMP WITH TIME ZONE"),
        ({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}, "TIMESTAMP WITH TIME ZONE"),
        ({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string"}]}, "VARCHAR"),
        ({"type": ["integer", "string"]}, "VARCHAR"),
        ({"type": "array", "items": {"type": "number"}}, "JSON"),
        ({"type": ["object", "string"]}, "JSON"),
        ({}, "JSON"),
    ],
)
def test_a_property_gets_the_type_its_schema_promises(warehouse, singer, definition, sql_type):
    """The column's type follows the schema."""
    warehouse.load(singer.schema(value=definition))
    assert warehouse.types("invoices")["value"] == sql_type


@pytest.mark.parametrize(
    ("definition", "raw", "expected"),
    [
        ({"type": "number", "multipleOf": 0.01}, "1.10", Decimal("1.10")),
        ({"type": "number", "multipleOf": 0.01}, "9999999999999999.99", Decimal("9999999999999999.99")),
        ({"type": "number", "multipleOf": 0.01}, "1.5e3", Decimal("1500.00")),
        ({"type": "number", "multipleOf": 0.01}, '"12.30"', Decimal("12.30")),
        ({"type": "number", "multipleOf": 0.01}, "-0.00", Decimal("0.00")),
        ({"type": "integer"}, "9223372036854775807", 9223372036854775807),
        ({"type": ["integer", "string"]}, "12345678901234567890.10", "12345678901234567890.10"),
        ({"type": "string"}, '""', ""),
        ({"type": "string"}, '"null"', "null"),
        ({"type": "string"}, '"nul \\u0000 byte"', "nul \x00 byte"),
        ({"type": "string"}, '"half \\ud83d an emoji"', "half \ufffd an emoji"),
        ({"type": "string"}, '"whole \\ud83d\\ude00, path \\\\ud83d"', "whole \U0001f600, path \\ud83d"),
        ({"type": "boolean"}, "false", False),
        (
            {"type": "array"},
            '[1.10, {"a": 12345678901234567890.120}, "x"]',
            '[1.10, {"a": 12345678901234567890.120}, "x"]',
        ),
        ({"type": ["object", "string"]}, '"text"', '"text"'),
        ({"type": "object"}, "null", None),
        ({"type": "number", "multipleOf": 0.01}, "null", None),
    ],
)
def test_a_value_keeps_its_digits(warehouse, singer, definition, raw, expected):
    """Awkward values survive: trailing zeros in nested numbers, 20 digits, empty strings, nulls."""
    line = f'{{"type":"RECORD","stream":"invoices","record":{{"id":"1","value":{raw}}}}}'
    warehouse.load(singer.schema(value=definition), line)
    [(value,)] = warehouse.query("SELECT value FROM raw.invoices")
    assert value == expected
    assert not isinstance(value, float)


def test_times_are_instants(warehouse, singer):
    """A time with an offset is that instant; one without is UTC, whatever the machine's zone."""
    schema = singer.schema(day={"type": "string", "format": "date"}, at={"type": "string", "format": "date-time"})
    warehouse.load(
        schema,
        singer.record(id="1", day="2026-03-29", at="2026-03-29T02:30:00.123456+01:00"),
        singer.record(id="2", day="2026-03-29", at="2026-03-29T01:30:00"),
    )
    rows = warehouse.query('SELECT CAST(day AS VARCHAR), epoch_us("at") FROM raw.invoices ORDER BY id')
    assert rows == [("2026-03-29", 1774747800123456), ("2026-03-29", 1774747800000000)]


def test_more_decimals_than_promised_widen_the_column(warehouse, singer):
    """A sub-penny is stored as it is, not rounded: the reconciliation must be able to see it."""
    warehouse.load(singer.schema(total=singer.money), singer.record(id="1", total=1.10))
    warehouse.load(singer.schema(total=singer.money), singer.record(id="2", total=1.005))
    assert warehouse.query("SELECT total FROM raw.invoices ORDER BY id") == [(Decimal("1.10"),), (Decimal("1.005"),)]
    assert warehouse.types("invoices")["total"] == "DECIMAL(38,10)"


@pytest.mark.parametrize(
    ("definition", "value"),
    [
        ({"type": "integer"}, "many"),
        ({"type": "string", "format": "date"}, "31/12/2026"),
        ({"type": "string", "format": "date-time"}, "yesterday"),
        ({"type": "number", "multipleOf": 0.01}, "£1.10"),
        ({"type": "boolean"}, "perhaps"),
    ],
)
def test_a_row_with_a_value_of_another_type_is_rejected_alone(warehouse, singer, caplog, definition, value):
    """A row that breaks its own schema is named, with stream, key, property and value; the others are loaded.

    The extract does not count as complete, and the STATE is held back, so that the row comes again.
    """
    rows = [singer.record(id="1", value=value), singer.record(id="2"), singer.state({"upto": 2})]
    assert warehouse.load(singer.schema(value=definition), *rows) == []
    assert f"Stream invoices: the row id=1 was rejected at value: {value!r}" in caplog.text.replace('"1"', "1")
    assert warehouse.query("SELECT id FROM raw.invoices") == [("2",)]
    assert warehouse.query('SELECT "rows", complete FROM raw._loads') == [(2, False)]


@pytest.mark.parametrize(
    "name", ["Größe", 'a "quoted" name', "back\\slash", "tab\there", "ID", "select", "_sdc_position_2"]
)
def test_a_property_may_have_any_name(warehouse, singer, name):
    """Whatever a property is called, its value arrives in its column."""
    warehouse.load(singer.schema(**{name: singer.text, "a": singer.text}), singer.record(id="1", a="x", **{name: "y"}))
    columns = list(warehouse.types("invoices"))
    [row] = warehouse.query("SELECT * FROM raw.invoices")
    assert sorted(row[:3]) == ["1", "x", "y"]
    assert row[columns.index("ID_2" if name == "ID" else name)] == "y"


def test_streams_may_take_turns(warehouse, singer):
    """A tap that sends a parent, its children, and the next parent loses nothing and mixes nothing up."""
    parent, child = singer.schema("parents", amount=singer.money), singer.schema("children", note=singer.text)
    turns = [
        singer.record("parents", id=str(n), amount=n) if n % 3 == 0 else singer.record("children", id=str(n), note="é")
        for n in range(30)
    ]
    warehouse.load(parent, child, *turns)
    assert warehouse.query("SELECT count(*), sum(amount) FROM raw.parents") == [(10, Decimal("135.00"))]
    assert warehouse.query("SELECT count(*), min(note) FROM raw.children") == [(20, "é")]


def test_a_schema_in_another_order_is_the_same_schema(warehouse, singer):
    """Values go to their columns by name, in whatever order a later SCHEMA lists them."""
    schema = singer.schema(first=singer.text, second=singer.text)
    turned = singer.schema()
    turned["schema"]["properties"] = dict(reversed(schema["schema"]["properties"].items()))
    rows = [singer.record(id=key, first="1", second="2") for key in "ab"]
    warehouse.load(schema, rows[0], turned, rows[1])
    assert warehouse.query("SELECT first, second FROM raw.invoices") == [("1", "2"), ("1", "2")]


def test_whitespace_between_values_is_no_value(warehouse, singer):
    """Line ends of Windows, and a carriage return inside a nested value, are only space."""
    line = '{"type": "RECORD", "stream": "invoices", "record": {"lines": [1,\r 2.10 ], "id" : "1"} }\r'
    warehouse.load(singer.schema(lines={"type": "array"}), line)
    assert warehouse.query("SELECT CAST(lines AS VARCHAR) FROM raw.invoices") == [("[1,  2.10 ]",)]


def test_a_row_may_be_larger_than_any_buffer(warehouse, singer):
    """A value of 12 MB arrives whole."""
    warehouse.load(singer.schema(note=singer.text), singer.record(id="1", note="é" * 6_000_000))
    assert warehouse.query("SELECT length(note) FROM raw.invoices") == [(6_000_000,)]


def test_a_line_in_another_encoding_stops_the_load(warehouse, singer):
    """What is not UTF-8 is named by its line, before anything is loaded."""
    line = json.dumps(singer.record(id="£"), ensure_ascii=False).encode("latin-1")
    with pytest.raises(InputError, match="Line 2 of the input is not UTF-8"):
        warehouse.load(singer.schema(), line)


def test_half_a_pair_of_surrogates_is_no_character(warehouse, singer):
    """What sits beside it stays, an escaped backslash before the letter u among it."""
    line = r'{"type":"RECORD","stream":"invoices","record":{"id":"1","note":"a\\ud83d \ud83d b\n"}}'
    warehouse.load(singer.schema(note=singer.text), line)
    assert warehouse.query("SELECT note FROM raw.invoices") == [("a\\ud83d \ufffd b\n",)]
