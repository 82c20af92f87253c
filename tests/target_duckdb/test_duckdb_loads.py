"""Complete reads retire what is gone; `_loads` says how fresh and how complete each table is."""

from __future__ import annotations

import pytest

LOADS = """SELECT stream, mode, CAST(extract_started_at AS VARCHAR), CAST(extract_ended_at AS VARCHAR), "rows",
           rows_gone, complete FROM raw._loads ORDER BY loaded_at, stream"""


def live(warehouse):
    return [row[0] for row in warehouse.query("SELECT id FROM raw.invoices WHERE _sdc_deleted_at IS NULL ORDER BY id")]


def test_a_complete_read_retires_what_is_gone(warehouse, singer):
    """ACTIVATE_VERSION after a complete read sets `_sdc_deleted_at` on the rows that were not in it."""
    schema = singer.schema()
    warehouse.load(schema, *(singer.record(id=key) for key in "abc"))
    warehouse.load(schema, *(singer.record(id=key, version=7) for key in "ac"), singer.activate(7))
    assert live(warehouse) == ["a", "c"]
    warehouse.load(schema, *(singer.record(id=key, version=8) for key in "abc"), singer.activate(8))
    assert live(warehouse) == ["a", "b", "c"]


def test_hard_delete_removes_what_is_gone(warehouse, singer):
    """With `hard_delete` the rows go."""
    schema = singer.schema()
    warehouse.load(schema, singer.record(id="a"), singer.record(id="b"))
    warehouse.load(schema, singer.record(id="a", version=7), singer.activate(7), hard_delete=True)
    assert warehouse.query("SELECT id FROM raw.invoices") == [("a",)]


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param(lambda s: [s.activate(7)], id="failed before its first row"),
        pytest.param(lambda s: [s.activate(7), s.record(id="a", version=7)], id="failed after its first row"),
        pytest.param(lambda s: [s.ended(s.schema(), complete=False)], id="said that it failed"),
    ],
)
def test_a_tap_that_fails_retires_nothing(warehouse, singer, messages):
    """Taps of the Singer SDK announce the version at the start too; only the end of a read proves anything."""
    warehouse.load(singer.schema(), *(singer.record(id=key) for key in "abc"))
    warehouse.load(singer.schema(), *messages(singer))
    assert live(warehouse) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param(lambda s: [s.activate(7), s.activate(7)], id="announced at both ends"),
        pytest.param(lambda s: [s.activate(7), s.ended(s.schema(), complete=True, rows=0)], id="said to be complete"),
    ],
)
def test_a_complete_read_of_nothing_retires_everything(warehouse, singer, messages):
    """A source that is empty now leaves no live row."""
    warehouse.load(singer.schema(), *(singer.record(id=key) for key in "abc"))
    warehouse.load(singer.schema(), *messages(singer))
    assert live(warehouse) == []
    assert warehouse.query("SELECT mode, rows_gone, complete FROM raw._loads WHERE complete") == [("full", 3, True)]


SPAN = ("2026-11-02 09:00:00+00", "2026-11-02 09:05:00+00")


@pytest.mark.parametrize(
    ("closing", "expected"),
    [
        pytest.param(lambda s: [s.activate(7)], ("full", *SPAN, 2, 0, True), id="a sweep"),
        pytest.param(lambda _: [], ("full", *SPAN, 2, 0, None), id="nothing said"),
        pytest.param(
            lambda s: [
                s.ended(
                    s.schema(),
                    mode="incremental",
                    started_at="2026-11-02T08:59:00Z",
                    ended_at="2026-11-02T10:06:00+01:00",
                    rows=2,
                    complete=True,
                )
            ],
            ("incremental", "2026-11-02 08:59:00+00", "2026-11-02 09:06:00+00", 2, 0, True),
            id="the tap's own word",
        ),
        pytest.param(
            lambda s: [s.ended(s.schema(), mode="full", rows=3, complete=True)],
            ("full", *SPAN, 2, 0, False),
            id="a row did not arrive",
        ),
    ],
)
def test_each_stream_of_a_run_has_a_row_in_loads(warehouse, singer, closing, expected):
    """When it was extracted, how many rows came, and whether that was all."""
    later = singer.record(id="b", version=7) | {"time_extracted": "2026-11-02T09:05:00Z"}
    warehouse.load(singer.schema(), later, singer.record(id="a", version=7), *closing(singer))
    assert warehouse.query(LOADS) == [("invoices", *expected)]


def test_a_stream_without_rows_has_a_row_in_loads_too(warehouse, singer):
    """Nothing new is news: the table is as fresh as the run."""
    incremental = singer.schema("payments") | {"bookmark_properties": ["updated_at"]}
    warehouse.load(singer.schema(), incremental)
    rows = warehouse.query('SELECT stream, mode, "rows" FROM raw._loads ORDER BY stream')
    assert rows == [("invoices", "full", 0), ("payments", "incremental", 0)]


def test_extraction_time_is_the_tap_s(warehouse, singer):
    """`_sdc_extracted_at` is when the tap read the row, and the load's own time where the tap does not say."""
    silent = singer.record(id="b")
    del silent["time_extracted"]
    warehouse.load(singer.schema(), singer.record(id="a"), silent)
    rows = warehouse.query(
        "SELECT _sdc_extracted_at = TIMESTAMPTZ '2026-11-02 09:00:00Z', _sdc_extracted_at IS NULL "
        "FROM raw.invoices ORDER BY id"
    )
    assert rows == [(True, False), (False, False)]
