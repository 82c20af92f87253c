"""Rows are merged by key, deletions keep what was known, and no row is lost."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from target_duckdb.database import Database
from target_duckdb.errors import InputError, MissingKeyError, NoSchemaError
from target_duckdb.loader import Loader, Options
from target_duckdb.messages import Decoder


def test_the_last_row_of_a_key_wins_within_a_run_and_across_runs(warehouse, singer):
    """One row per key, holding what came last."""
    schema = singer.schema(total=singer.money)
    warehouse.load(
        schema, singer.record(id="1", total=1), singer.record(id="2", total=2), singer.record(id="1", total=3)
    )
    warehouse.load(schema, singer.record(id="2", total=4))
    assert warehouse.query("SELECT id, CAST(total AS INT) FROM raw.invoices ORDER BY id") == [("1", 3), ("2", 4)]


def test_a_compound_key_is_one_key(warehouse, singer):
    """Rows that differ in any part of the key are different rows."""
    schema = singer.schema(keys=("realm_id", "id"), realm_id=singer.text)
    warehouse.load(schema, *(singer.record(realm_id=realm, id=key) for realm in "ab" for key in "12" for _ in range(2)))
    assert warehouse.query("SELECT count(*) FROM raw.invoices") == [(4,)]


def test_without_a_key_every_row_is_kept(warehouse, singer):
    """A stream without key properties is appended."""
    schema = singer.schema(keys=())
    warehouse.load(schema, singer.record(id="1"), singer.record(id="1"))
    warehouse.load(schema, singer.record(id="1"))
    assert warehouse.query("SELECT count(*) FROM raw.invoices") == [(3,)]


ROWS = st.lists(
    st.tuples(
        st.sampled_from("abcdefgh"),
        st.decimals("-99999999999.99", "99999999999.99", places=2),
        st.text(st.characters(codec="utf-8"), max_size=12),
    ),
    max_size=60,
)


@settings(max_examples=25, deadline=None)
@given(runs=st.lists(ROWS, min_size=1, max_size=3), batch_rows=st.integers(1, 17))
def test_no_row_is_lost_whatever_the_batches(runs, batch_rows, singer_messages):
    """After any runs in batches of any size, the table equals a dictionary filled in the same order."""
    expected = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "build.duckdb"
        for rows in runs:
            decoder, loader = Decoder(), Loader(Database(path), Options(batch_rows=batch_rows), lambda _state: None)
            for line in singer_messages(rows):
                message = decoder.decode(line, 1)
                (loader.schema if "SCHEMA" in line[:20] else loader.record)(message)
            loader.finish()
            expected |= {key: (amount, text) for key, amount, text in rows}
        with duckdb.connect(str(path)) as connection:
            loaded = connection.execute("SELECT id, total, note FROM invoices").fetchall()
            counted = connection.execute('SELECT "rows" FROM _loads ORDER BY loaded_at').fetchall()
    assert {key: (amount, text) for key, amount, text in loaded} == expected
    assert len(loaded) == len(expected)
    assert [count for (count,) in counted] == [len(rows) for rows in runs]


@pytest.fixture(scope="module")
def singer_messages():
    import json

    def lines(rows):
        properties = {
            "id": {"type": "string"},
            "total": {"type": "number", "multipleOf": 0.01},
            "note": {"type": "string"},
        }
        yield json.dumps(
            {"type": "SCHEMA", "stream": "invoices", "schema": {"properties": properties}, "key_properties": ["id"]}
        )
        for key, amount, text in rows:
            yield (
                f'{{"type":"RECORD","stream":"invoices","record":{{"id":"{key}","total":{amount:f},'
                f'"note":{json.dumps(text)}}}}}'
            )

    return lines


@pytest.mark.parametrize("split", [False, True], ids=["in one run", "in two runs"])
def test_a_deletion_keeps_what_was_known(warehouse, singer, split):
    """A row with `status: deleted` marks the row; columns that it leaves empty or out keep their earlier values."""
    schema = singer.schema(status=singer.text, total=singer.money, note=singer.text)
    before = [singer.record(id="1", status="active", total=9.99, note=None), singer.record(id="2", status="active")]
    stub = [singer.record(id="1", status="deleted", total=None)]
    for part in [[*before, *stub]] if not split else [before, stub]:
        warehouse.load(schema, *part)
    rows = warehouse.query(
        "SELECT id, status, CAST(total AS VARCHAR), note, _sdc_deleted_at IS NOT NULL FROM raw.invoices ORDER BY id"
    )
    assert rows == [("1", "deleted", "9.99", None, True), ("2", "active", None, None, False)]


def test_a_deletion_of_a_row_never_seen_is_a_row(warehouse, singer):
    """The deletion of an object that was never loaded is kept as what it is."""
    warehouse.load(singer.schema(status=singer.text, total=singer.money), singer.record(id="1", status="deleted"))
    assert warehouse.query("SELECT id, status, total FROM raw.invoices") == [("1", "deleted", None)]


def test_a_row_that_comes_back_is_live_again(warehouse, singer):
    """A live row after a deletion replaces it, in the same run too."""
    schema = singer.schema(status=singer.text, note=singer.text)
    warehouse.load(
        schema,
        singer.record(id="1", status="active", note="old"),
        singer.record(id="1", status="deleted"),
        singer.record(id="1", status="active", note=None),
    )
    assert warehouse.query("SELECT status, note, _sdc_deleted_at FROM raw.invoices") == [("active", None, None)]


def test_a_log_based_tap_s_deletion_needs_no_status(warehouse, singer):
    """`_sdc_deleted_at` in a record announces a deletion, as log-based taps do."""
    schema = singer.schema(note=singer.text)
    deleted_at = {"_sdc_deleted_at": "2026-11-03T00:00:00Z"}
    warehouse.load(schema, singer.record(id="1", note="kept"), singer.record(id="1", **deleted_at))
    assert warehouse.query("SELECT note, CAST(_sdc_deleted_at AS VARCHAR) FROM raw.invoices") == [
        ("kept", "2026-11-03 00:00:00+00")
    ]


@pytest.mark.parametrize("row", [{}, {"id": None}], ids=["left out", "null"])
def test_a_record_without_its_key_stops_the_load(warehouse, singer, row):
    """A row that could never be found again is refused."""
    with pytest.raises(MissingKeyError, match=r"invoices.*'id'"):
        warehouse.load(singer.schema(), singer.record(**row))


def test_a_key_outside_the_schema_stops_the_load(warehouse, singer):
    """Key properties must be properties."""
    with pytest.raises(InputError, match="nummer"):
        warehouse.load(singer.schema(keys=("nummer",)))


def test_a_record_before_its_schema_stops_the_load(warehouse, singer):
    """Without a SCHEMA there are no types to trust."""
    with pytest.raises(NoSchemaError, match="invoices"):
        warehouse.load(singer.record(id="1"))


def test_names_that_differ_in_case_only_are_two_columns(warehouse, singer):
    """DuckDB's names ignore case; Singer's do not. Neither value is lost."""
    warehouse.load(singer.schema(ID=singer.text), singer.record(id="small", ID="large"))
    assert warehouse.query("SELECT id, ID_2 FROM raw.invoices") == [("small", "large")]


def test_a_table_larger_than_the_memory_can_be_read_completely_again(warehouse, singer):
    """A daily complete read of unchanged rows takes no more memory than the first; so does one in which all changed."""
    chance = random.Random(6)
    filler = [chance.randbytes(900).hex() for _ in range(20_000)]
    for run in range(3):
        rows = [singer.record(id=str(number), note=f"{run // 2}{each}") for number, each in enumerate(filler)]
        warehouse.load(singer.schema(note=singer.text), *rows, memory_limit="40MB", batch_size_rows=2000)
    assert warehouse.query("SELECT count(*), min(note[1]), max(note[1]) FROM raw.invoices") == [(20_000, "1", "1")]
