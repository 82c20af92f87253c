"""A tap may change its mind about a stream's shape; the rows already there keep their values."""

from __future__ import annotations

from decimal import Decimal

import pytest

INTEGER = {"type": ["integer", "null"]}
RATE = {"type": ["number", "null"], "multipleOf": 0.000001}
DAY = {"type": ["string", "null"], "format": "date"}
MOMENT = {"type": ["string", "null"], "format": "date-time"}


def test_a_new_property_is_a_new_column(warehouse, singer):
    """Rows from before hold null in it; a property that goes keeps its column."""
    warehouse.load(singer.schema(old=singer.text), singer.record(id="1", old="a"))
    warehouse.load(singer.schema(new=singer.text), singer.record(id="2", new="b"))
    assert warehouse.query("SELECT id, old, new FROM raw.invoices ORDER BY id") == [("1", "a", None), ("2", None, "b")]


@pytest.mark.parametrize(
    ("before", "first", "after", "second", "sql_type", "values"),
    [
        (INTEGER, 1, RATE, 0.25, "DECIMAL(25,6)", [Decimal(1), Decimal("0.25")]),
        (RATE, 0.25, INTEGER, 1, "DECIMAL(25,6)", [Decimal("0.25"), Decimal(1)]),
        (INTEGER, 1, {"type": "number"}, 0.1, "DECIMAL(38,10)", [Decimal(1), Decimal("0.1")]),
        (DAY, "2026-11-02", MOMENT, "2026-11-03T01:00:00Z", "TIMESTAMP WITH TIME ZONE", None),
        (INTEGER, 7, {"type": "string"}, "seven", "VARCHAR", ["7", "seven"]),
        ({"type": "string"}, "plain", {"type": "object"}, {"a": 1.5}, "JSON", ['"plain"', '{"a": 1.5}']),
        (INTEGER, 7, INTEGER, 2**70, "DECIMAL(38,10)", [Decimal(7), Decimal(2**70)]),
        (INTEGER, 7, INTEGER, 7.5, "DECIMAL(38,10)", [Decimal(7), Decimal("7.5")]),
        (DAY, "2026-11-02", DAY, "2026-11-03T01:00:00Z", "TIMESTAMP WITH TIME ZONE", None),
    ],
)
def test_a_type_widens_and_never_narrows(warehouse, singer, before, first, after, second, sql_type, values):
    """Both the values from before and the new ones fit, exactly."""
    warehouse.load(singer.schema(value=before), singer.record(id="1", value=first))
    warehouse.load(singer.schema(value=after), singer.record(id="2", value=second))
    assert warehouse.types("invoices")["value"] == sql_type
    if values is not None:
        assert [row[0] for row in warehouse.query("SELECT value FROM raw.invoices ORDER BY id")] == values


def test_the_shape_may_change_within_a_run(warehouse, singer):
    """What came under the first shape is loaded under it."""
    warehouse.load(
        singer.schema(value=INTEGER),
        singer.record(id="1", value=1),
        singer.schema(value=RATE, note=singer.text),
        singer.record(id="2", value=0.5, note="x"),
    )
    assert warehouse.query("SELECT value, note FROM raw.invoices ORDER BY id") == [
        (Decimal(1), None),
        (Decimal("0.5"), "x"),
    ]


def test_a_table_of_somebody_else_keeps_its_types(warehouse, singer):
    """A column whose type this target would never choose is left as it is."""
    import duckdb

    with duckdb.connect(str(warehouse.path)) as connection:
        connection.execute("CREATE SCHEMA raw; CREATE TABLE raw.invoices (id VARCHAR, value SMALLINT)")
    warehouse.load(singer.schema(value=INTEGER), singer.record(id="1", value=7))
    assert warehouse.types("invoices")["value"] == "SMALLINT"
    assert warehouse.query("SELECT value FROM raw.invoices") == [(7,)]


def test_a_property_outside_the_schema_is_named_in_a_warning(warehouse, singer, caplog):
    """What has no column is not loaded, and that is said."""
    warehouse.load(singer.schema(), singer.record(id="1", surprise=1))
    assert "surprise" in caplog.text
