"""Erasing a client in the warehouse and in reports: no byte of the name stays, and every figure stays."""

from __future__ import annotations

import html
import json
import subprocess
import sys
import zipfile

import duckdb
import pytest
import xlsxwriter

from books.core.faults import Exit, Halt
from books.operations.forget import ClientData, in_files, in_warehouse
from books.report.publish import publish

NAME, EMAIL = "Zoë O'Brien & Söhne", "zoe.canary@brien.example"
CANARIES = (NAME, EMAIL, "Canary Wharf", "laptop of Zoë", "BACS ZOE")

CLIENT = "cl_7"

TABLES = """
create schema raw_opsmerge; create schema raw_quickbooks; create schema statement; create schema recon;
create schema staging;
create table raw_opsmerge.clients (id varchar, name varchar, email varchar, billing_address json);
create table raw_opsmerge.invoices (id varchar primary key, client_id varchar, client_name varchar,
  client_email varchar, billing_address json, notes varchar, lines json, total decimal(18,2));
create table raw_opsmerge.payments (id varchar, invoice_id varchar, reference varchar, amount decimal(18,2));
create table raw_quickbooks.postings (connection varchar, opsmerge_invoice_id varchar, external_id varchar,
  fault_message varchar);
create table raw_quickbooks.customers (realm_id varchar, id varchar, display_name varchar, company_name varchar,
  email varchar);
create table raw_quickbooks.invoices (realm_id varchar, id varchar, customer_id varchar, customer_name varchar,
  lines json, private_note varchar, total_amount decimal(18,2));
create table raw_quickbooks.payments (realm_id varchar, id varchar, customer_id varchar, customer_name varchar,
  payment_ref_number varchar, private_note varchar, total_amount decimal(18,2));
create table statement.unapplied (payment_id varchar, customer_name varchar, reference varchar);
create table recon.drift (drift_key varchar, cause varchar, effect decimal(18,2));
create view staging.totals as select sum(total) as total, count(*) as invoices from raw_opsmerge.invoices;
"""

ROWS = """
insert into raw_opsmerge.clients values ('cl_7', $name, $email, '{"line1": "1 Canary Wharf"}'),
  ('cl_8', $name || ' Hosting', null, null);
insert into raw_opsmerge.invoices values
  ('inv_1', 'cl_7', $name, $email, '{"line1": "1 Canary Wharf"}', 'ask Zoë', $lines, 12.00),
  ('inv_2', 'cl_8', $name || ' Hosting', null, null, null, $lines, 24.00);
insert into raw_opsmerge.payments values ('p1', 'inv_1', 'BACS ZOE', 12.00), ('p2', 'inv_2', 'BACS 2', 24.00);
insert into raw_quickbooks.postings values ('sandbox:9', 'inv_1', '101', $name), ('sandbox:9', 'inv_2', '102', null);
insert into raw_quickbooks.customers values ('9', '58', $name, $name, $email),
  ('9', '59', $name || ' Hosting', null, null), ('8', '58', 'of another company', null, null);
insert into raw_quickbooks.invoices values
  ('9', '101', '58', $name, $lines, 'Voided. OpsMerge invoice inv_1, laptop of Zoë', 12.00),
  ('9', '102', '59', 'other', $lines, 'OpsMerge invoice inv_2', 24.00);
insert into raw_quickbooks.payments values ('9', 'p1', '58', $name, 'BACS ZOE', 'from Zoë', 12.00),
  ('9', 'p2', '59', 'other', 'BACS 2', null, 24.00);
insert into statement.unapplied values ('p1', $name, 'BACS ZOE'), ('p2', 'other', 'BACS 2');
insert into recon.drift values ('d1', 'bought by ' || upper($name) || '.', 1.00), ('d2', $name || 'gruppe', 2.00);
"""


@pytest.fixture
def build(tmp_path):
    """Two clients of nearly the same name; canaries in everything of one."""
    lines = '[{"id": "l", "description": "laptop of Zoë", "net_amount": 10.00}]'
    values = {"name": NAME, "email": EMAIL, "lines": lines}
    path = tmp_path / "build.duckdb"
    with duckdb.connect(str(path)) as db:
        db.execute(TABLES)
        for statement in filter(str.strip, ROWS.split(";")):
            db.execute(statement, {key: value for key, value in values.items() if f"${key}" in statement})
    return path


def rows(path, sql):
    with duckdb.connect(str(path), read_only=True) as db:
        return db.execute(sql).fetchall()


FIGURES = (
    "select id, client_id, total from raw_opsmerge.invoices order by all",
    "select id, invoice_id, amount from raw_opsmerge.payments order by all",
    "select realm_id, id, customer_id, total_amount from raw_quickbooks.invoices order by all",
    "select drift_key, effect from recon.drift order by all",
    "select * from staging.totals",
)


def test_the_warehouse_forgets_a_client_and_keeps_every_figure(build, tmp_path):
    """In the build and in the published copy, while a reader has that open: no byte of the canaries, all figures."""
    published = publish(build, tmp_path / "books.duckdb")
    before = [rows(build, sql) for sql in FIGURES]
    known = in_warehouse.known(build, NAME.upper())
    client = known[CLIENT]
    assert set(known) == {CLIENT}
    assert (client.names, client.emails, client.customers) == ({NAME}, {EMAIL}, {"9:58"})

    planned = in_warehouse.erase(build, client, act=False)
    assert NAME in str(rows(build, "select name from raw_opsmerge.clients"))
    assert in_warehouse.erase(build, client, act=True) == planned
    with duckdb.connect(str(published), read_only=True) as reader:
        in_warehouse.erase_published(published, client, act=True)
        assert reader.execute("select count(*) from raw_opsmerge.invoices").fetchone() == (2,)
    for path in (build, published):
        assert [rows(path, sql) for sql in FIGURES] == before
        assert rows(path, "select lines->>'$[0].net_amount' from raw_opsmerge.invoices where id = 'inv_1'") == [
            ("10.0",)
        ]
        assert rows(path, "select private_note from raw_quickbooks.invoices where id = '101'") == [
            ("OpsMerge invoice inv_1,",)
        ]
        assert rows(path, "select name from raw_opsmerge.clients order by id") == [
            (f"[erased {CLIENT}]",),
            (f"{NAME} Hosting",),
        ]
        assert rows(path, "select display_name from raw_quickbooks.customers where realm_id = '8'") == [
            ("of another company",)
        ]
        assert rows(path, "select cause from recon.drift order by drift_key") == [
            (f"bought by [erased {CLIENT}].",),
            (f"{NAME}gruppe",),
        ]
        mine = ("select * from raw_opsmerge.invoices where id = 'inv_1'", "select * from statement.unapplied limit 1")
        assert not any(canary in str(rows(path, sql)) for sql in mine for canary in CANARIES)
        for canary in (EMAIL, "Canary Wharf", "BACS ZOE", "ask Zoë"):
            assert canary.encode() not in path.read_bytes(), path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["books.duckdb", "build.duckdb"]
    assert in_warehouse.erase(build, client, act=True) == []
    assert in_warehouse.known(build, NAME) == {}


def test_a_customer_that_others_share_is_left(build):
    """Two clients posted to one customer: the customer is the other's too, so it is named and not erased."""
    with duckdb.connect(str(build)) as db:
        db.execute("update raw_quickbooks.invoices set customer_id = '58'")
    client = in_warehouse.known(build, CLIENT)[CLIENT]
    assert (client.customers, client.shared_customers) == (set(), {"9:58"})
    in_warehouse.erase(build, client, act=True)
    assert rows(build, "select display_name from raw_quickbooks.customers where id = '58' and realm_id = '9'") == [
        (NAME,)
    ]


def test_a_warehouse_that_is_being_written_is_left_for_later(build):
    """Exit code 75, and nothing is changed."""
    hold = f"import duckdb, sys; c = duckdb.connect({str(build)!r}); print('held', flush=True); sys.stdin.read()"
    writer = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert writer.stdout.readline() == b"held\n"
    with pytest.raises(Halt, match="in use by another process") as caught:
        in_warehouse.erase(build, ClientData(CLIENT), act=True)
    writer.communicate(b"", timeout=20)
    assert caught.value.exit_code is Exit.TRY_LATER


def test_reports_and_logs_forget_a_client(tmp_path):
    """Page, workbook, CSV, Markdown and logs, however the name is spelt there; other files are not touched."""
    written = {
        "drift.html": f"<td>{html.escape(NAME)}</td>",
        "drift.csv": f'1,"{NAME}",12.00',
        "drift.md": f"| {NAME} | {EMAIL} |",
        "job.log": json.dumps({"client": NAME}, ensure_ascii=False),
        "other.md": f"{NAME}gruppe, and no other",
    }
    for name, text in written.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    with xlsxwriter.Workbook(str(tmp_path / "drift.xlsx")) as book:
        book.add_worksheet().write_row(0, 0, [NAME, 12.0])
    stamp = (tmp_path / "other.md").stat().st_mtime_ns
    client = ClientData(CLIENT, names=frozenset({NAME}), emails=frozenset({EMAIL}))
    planned = in_files.erase([tmp_path], client, act=False)
    assert [each.count for each in planned] == [5]
    assert in_files.erase([tmp_path], client, act=True) == planned
    assert in_files.erase([tmp_path], client, act=True) == []
    assert {name: (tmp_path / name).read_text(encoding="utf-8") for name in written} == {
        "drift.html": f"<td>[erased {CLIENT}]</td>",
        "drift.csv": f'1,"[erased {CLIENT}]",12.00',
        "drift.md": f"| [erased {CLIENT}] | [erased {CLIENT}] |",
        "job.log": json.dumps({"client": f"[erased {CLIENT}]"}),
        "other.md": written["other.md"],
    }
    assert (tmp_path / "other.md").stat().st_mtime_ns == stamp
    with zipfile.ZipFile(tmp_path / "drift.xlsx") as book:
        assert book.testzip() is None
        assert f"[erased {CLIENT}]".encode() in book.read("xl/sharedStrings.xml")
