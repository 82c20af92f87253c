"""No edit goes unseen: one column of one untouched document is changed, and a break, or a failed gate, must follow."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import duckdb
import pytest
from recon_runner import ROOT, Compiled
from recon_world import RUN_AT, World, agreeing, load

from books.ledgers import columns
from books.opsmerge import api

LEDGER = {
    "postings": columns.POSTINGS,
    "push_runs": columns.PUSH_RUNS,
    "payments": columns.PAYMENTS,
    "invoices": columns.INVOICES,
    "credit_memos": columns.CREDIT_MEMOS,
    "customers": columns.CUSTOMERS,
    "accounts": columns.ACCOUNTS,
}

STREAMS = {
    **{f"raw_quickbooks.{name}": list(schema["properties"]) for name, schema in LEDGER.items()},
    **{f"raw_opsmerge.{listing.name}": list(listing.schema["properties"]) for listing in api.LISTINGS},
}
"""The columns that the taps send, per raw table."""
UNSEEN = {
    "opsmerge invoice": {
        "client_id": "the client's customer is judged by its other invoices; a client of one invoice has none",
        "client_name": "a customer is known by its id: another name is reported, and tolerated (H05)",
        "client_email": "not in the books",
        "billing_address": "not compared: QuickBooks takes it from the customer",
        "notes": "not in the books",
        "opened_at": "says when it was due to be posted; it is posted",
        "voided_at": "the status says whether it is void",
        "created_at": "a time stamp of the system",
        "updated_at": "a time stamp of the system",
    },
    "quickbooks invoice": {
        "connection": "the company's id says whose it is",
        "customer_name": "a customer is known by its id",
        "exchange_rate": "OpsMerge has no rate to compare with",
        "payment_ids": "payments name their invoices themselves",
        "private_note": "the posting names the invoice; the note is only asked where it does not",
        "sync_token": "a version of the system",
        "created_at": "a time stamp of the system",
        "updated_at": "a time stamp of the system",
    },
    "opsmerge payment": {
        "id": "the allocation's key names the payment",
        "method": "no counterpart that is kept alike",
        "reference": "the allocation's key names the payment; the reference is only asked where it does not",
        "external_id": "found again by reference and amount",
        "updated_at": "a time stamp of the system",
    },
    "quickbooks payment": {
        "connection": "the company's id says whose it is",
        "id": "found again by reference and amount",
        "exchange_rate": "OpsMerge has no rate to compare with",
        "customer_id": "QuickBooks lets a payment settle its own customer's invoices only",
        "customer_name": "as the customer",
        "payment_ref_number": "the allocation's key names the payment",
        "payment_method": "no counterpart that is kept alike",
        "private_note": "not in OpsMerge",
        "sync_token": "a version of the system",
        "created_at": "a time stamp of the system",
        "updated_at": "a time stamp of the system",
    },
}
TABLES = {
    "opsmerge invoice": "raw_opsmerge.invoices",
    "quickbooks invoice": "raw_quickbooks.invoices",
    "opsmerge payment": "raw_opsmerge.payments",
    "quickbooks payment": "raw_quickbooks.payments",
}
EDITS = {
    "DECIMAL(18,2)": "coalesce({column}, 0) + 0.07",
    "DATE": "{column} + 3",
    "BOOLEAN": "not coalesce({column}, false)",
    "TIMESTAMP WITH TIME ZONE": "coalesce({column}, timestamptz '2026-11-19 00:00:00+00') - interval 1 hour",
    "VARCHAR": "{column} || 'x'",
    "DECIMAL(18,6)": "coalesce({column}, 1) * 2",
}
OF_THEIR_OWN = {
    ("opsmerge invoice", "lines"): """replace({column}::varchar, 'Service', 'Something')::json""",
    ("opsmerge invoice", "status"): "'voided'",
    ("opsmerge invoice", "due_date"): "null",
    ("opsmerge invoice", "number"): "null",
    ("quickbooks invoice", "lines"): "'[]'::json",
    ("quickbooks invoice", "tax_lines"): """'[{{"amount": 99999.99}}]'::json""",
    ("quickbooks invoice", "payment_ids"): "'[]'::json",
    ("quickbooks invoice", "status"): "'deleted'",
    ("quickbooks invoice", "doc_number"): "null",
    ("quickbooks payment", "allocations"): r"""regexp_replace({column}::varchar, '("amount": ?"?)', '\19')::json""",
    ("quickbooks payment", "status"): "'deleted'",
    ("opsmerge invoice", "billing_address"): "'{{}}'::json",
    ("opsmerge invoice", "accounting"): "'{{}}'::json",
}  # fmt: skip
SYSTEM = ("_sdc_extracted_at",)


def columns(connection: duckdb.DuckDBPyConnection, table: str) -> list[tuple[str, str]]:
    found = connection.execute(f"describe {table}").fetchall()
    return [(name, kind) for name, kind, *_ in found if name not in SYSTEM]


def edit(kind: str, column: str, sql_type: str) -> str:
    template = OF_THEIR_OWN.get((kind, column)) or EDITS[sql_type]
    return template.format(column=f'"{column}"')


def documents(kind: str, connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """Untouched documents of a kind: its id, and the OpsMerge invoice that a break must name."""
    unpaid = (
        "select opsmerge_invoice_id, external_id from raw_quickbooks.postings"
        " where opsmerge_invoice_id not in (select invoice_id from raw_opsmerge.payments)"
    )
    paid = (
        "select id, invoice_id, external_id from raw_opsmerge.payments where external_id is not null"
        " and invoice_id in (select invoice_id from raw_opsmerge.payments group by 1 having count(*) = 1)"
    )
    sql = {
        "opsmerge invoice": f"select opsmerge_invoice_id, opsmerge_invoice_id from ({unpaid}) order by 1",
        "quickbooks invoice": f"select external_id, opsmerge_invoice_id from ({unpaid}) order by 1 desc",
        "opsmerge payment": f"select id, invoice_id from ({paid}) order by 1",
        "quickbooks payment": f"select split_part(external_id, ':', 2), any_value(invoice_id) from ({paid})"
        " group by 1 having count(*) = 1 order by 1 desc",
    }
    return connection.execute(sql[kind]).fetchall()


@pytest.mark.parametrize("kind", TABLES)
def test_an_edit_of_any_column_is_seen_or_listed(compiled: Compiled, database: Path, tmp_path: Path, kind: str):
    """Each column of each document is either compared, or stands in the list of what is not, with its reason."""
    world = agreeing(seed=21, invoices=200)
    numbers = {row["id"]: row["number"] for row in world.opsmerge.values()}
    ids = {row["opsmerge_invoice_id"]: row["external_id"] for row in world.postings.values()}
    with duckdb.connect(str(database)) as connection:
        load(world, connection, tmp_path)
        table, spare = TABLES[kind], documents(kind, connection)
        touched: dict[str, set[str]] = {}
        for column, sql_type in columns(connection, table):
            document, invoice = spare.pop()
            connection.execute(
                f'update {table} set "{column}" = {edit(kind, column, sql_type)} where id = ?', [document]
            )
            touched[column] = {invoice, document, numbers[invoice], ids[invoice]}
        compiled.run(connection, "run-1", RUN_AT)
        named = connection.execute(
            "select opsmerge_invoice_id, number, external_id, payment_id from recon.drift where bucket = 'break'"
        )
        broken = {value for row in named.fetchall() for value in row if value}
    unseen = {column for column, names in touched.items() if not broken & names}
    assert unseen == set(UNSEEN[kind])


UNSEEN_INSIDE = {
    "opsmerge line": {
        "id": "an id of the system; lines are compared whatever their order",
        "position": "lines are compared whatever their order",
        "service_id": "which item stands for a service is the mapping's choice, and may change with time",
        "service_name": "as the service",
        "tax_code_name": "a tax code is known by its id",
        "tax_rate": "the VAT amounts are compared, and each line's tax code",
    },
    "quickbooks line": {
        "id": "an id of the system",
        "item_id": "which item stands for a service is the mapping's choice, and may change with time",
        "item_name": "as the item",
    },
    "allocation": {
        "invoice_number": "the id names the invoice",
        "opsmerge_invoice_id": "the posting names the invoice",
    },
}
INSIDE = {
    "opsmerge line": {
        "id": "l99",
        "position": 99,
        "description": "Something else",
        "quantity": "77",
        "unit_price": "0.07",
        "service_id": "svc_99",
        "service_name": "Something else",
        "tax_code_id": {"tx_20": "tx_5", "tx_5": "tx_20", "tx_0": "tx_ex", "tx_ex": "tx_0"},
        "tax_code_name": "Something else",
        "tax_rate": "17.5",
        "net_amount": "0.07",
        "tax_amount": "0.07",
    },
    "quickbooks line": {
        "id": "99",
        "item_id": "99",
        "item_name": "Something else",
        "description": None,
        "quantity": "77",
        "unit_price": "0.07",
        "amount": "0.07",
        "tax_code_id": {"6": "7", "7": "6", "10": "11", "11": "10"},
    },
    "allocation": {
        "transaction_type": "JournalEntry",
        "transaction_id": "99",
        "invoice_number": "N-99",
        "opsmerge_invoice_id": "inv_99",
        "amount": "0.07",
    },
}


def inside(world: World, kind: str) -> list[tuple[str, dict]]:
    """Untouched invoices, and the first line or allocation of each (of its one payment), to be edited in place."""
    if kind == "allocation":
        single = [row for row in world.quickbooks_payments.values() if len(row["allocations"]) == 1]
        ours = {posting["external_id"]: invoice for invoice, posting in world.postings.items()}
        return [(ours[row["allocations"][0]["transaction_id"]], row["allocations"][0]) for row in single]
    exact = [one for one in world.untouched if world.opsmerge[one]["tax_total"] == world.partner(one)["tax_amount"]]
    return [
        (one, (world.opsmerge[one] if kind == "opsmerge line" else world.partner(one))["lines"][0]) for one in exact
    ]


@pytest.mark.parametrize("kind", INSIDE)
def test_an_edit_inside_a_list_is_seen_or_listed(reconcile, kind: str):
    """Each field of a line, and of an allocation, is compared or gated, or stands in the list of what is not."""
    world = agreeing(seed=24, invoices=160)
    spare, touched = inside(world, kind), {}
    for name, value in INSIDE[kind].items():
        invoice, part = spare.pop()
        part[name] = value[part[name]] if isinstance(value, dict) else value
        touched[name] = (invoice, world.opsmerge[invoice]["number"])
    connection = reconcile(world)
    named = connection.execute("select opsmerge_invoice_id, number from recon.drift where bucket = 'break'").fetchall()
    broken = {value for row in named for value in row}
    gated = {name for name, (invoice, _) in touched.items() if invoice in unfooted(connection)}
    unseen = {name for name, names in touched.items() if not broken & set(names)} - gated
    assert unseen == set(UNSEEN_INSIDE[kind])


def unfooted(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """What the gate lines_add_up counts."""
    rows = connection.execute(
        "select invoice.opsmerge_invoice_id from staging.stg_opsmerge__invoices as invoice"
        " join statement.opsmerge_line_totals as lines using (opsmerge_invoice_id)"
        " where lines.net <> invoice.net or lines.tax <> invoice.tax"
    ).fetchall()
    [(failures,)] = connection.execute("select failures from recon.checks where check_name = 'lines_add_up'").fetchall()
    assert failures == len(rows)
    return {invoice for (invoice,) in rows}


LISTED = {
    "opsmerge line": ("raw_opsmerge.invoices", "lines[]."),
    "quickbooks line": ("raw_quickbooks.invoices", "lines[]."),
    "allocation": ("raw_quickbooks.payments", "allocations[]."),
}


def listed_in_the_docs() -> dict[str, dict[str, str]]:
    """Per raw table, each column that docs/tables.md lists as compared with nothing, and why."""
    page = (ROOT / "docs" / "tables.md").read_text()
    section = page.split("\n## Columns that are compared with nothing", 1)[1].split("\n## ", 1)[0]
    found: dict[str, dict[str, str]] = {}
    for table, names, why in re.findall(r"^\| `([\w.]+)` \| (`.*`) \| (.*) \|$", section, re.MULTILINE):
        found.setdefault(table, {}).update(dict.fromkeys(re.findall(r"`([^`]+)`", names), why))
    return found


def test_the_docs_list_what_is_compared_with_nothing():
    """docs/tables.md lists, word for word, the columns of documents that an edit of which goes unseen."""
    unseen: dict[str, dict[str, str]] = {TABLES[kind]: dict(columns) for kind, columns in UNSEEN.items()}
    for kind, columns in UNSEEN_INSIDE.items():
        table, prefix = LISTED[kind]
        unseen[table].update({prefix + name: why for name, why in columns.items()})
    listed = listed_in_the_docs()
    assert {table: listed[table] for table in unseen} == unseen


@pytest.mark.parametrize("table", sorted(STREAMS))
def test_a_column_that_no_model_reads_is_in_the_docs(table: str):
    """Each column of a stream is read by its staging model, or stands in docs/tables.md with the reason why not."""
    source = "source('{}', '{}')".format(*table.split("."))
    staging = [path.read_text() for path in (ROOT / "transform" / "models" / "staging").glob("*.sql")]
    read = set(re.findall(r"\w+", "".join(text for text in staging if source in text)))
    listed = {name for name in listed_in_the_docs().get(table, {}) if "[]." not in name}
    assert set(STREAMS[table]) - read <= listed <= set(STREAMS[table])


DIRTY = [
    ("ids_are_unique", "insert into raw_quickbooks.invoices select * from raw_quickbooks.invoices limit 1"),
    ("ids_are_unique", "insert into raw_opsmerge.payments select * from raw_opsmerge.payments limit 1"),
    ("ids_are_unique", "update raw_opsmerge.invoices set lines = json_array(lines->0, lines->0) where id = 'inv_1'"),
    ("ids_are_unique", "update raw_quickbooks.invoices set lines = json_array(lines->0, lines->0) where id = '11'"),
    ("each_invoice_is_used_once", "insert into raw_quickbooks.postings select * from raw_quickbooks.postings limit 1"),
    ("each_invoice_is_used_once", "insert into raw_quickbooks.customers select * from raw_quickbooks.customers"),
    ("every_row_read_is_there", "delete from raw_quickbooks.invoices where id = '11'"),
    ("every_row_read_is_there", "delete from raw_opsmerge.payments where id = 'pay_1'"),
    (
        "every_row_read_is_there",
        ("insert into raw_opsmerge.invoices (id, number, _sdc_extracted_at) values ('inv_left',"
        " 'INV-2026-0099', timestamptz '2026-11-21 06:00:00+00')"),
    ),
    ("statuses_are_known", "update raw_quickbooks.invoices set status = 'parked' where id = '11'"),
    ("statuses_are_known", "update raw_quickbooks.payments set status = 'parked'"),
    ("money_is_there", "update raw_quickbooks.payments set unapplied_amount = null"),
    ("money_is_there", "update raw_opsmerge.invoices set issue_date = null where id = 'inv_1'"),
    (
        "money_is_whole_pennies",
        ("alter table raw_opsmerge.invoices alter total type double; update raw_opsmerge.invoices set total = total +"
        " 0.004 where id = 'inv_1'"),
    ),
    (
        "money_is_whole_pennies",
        ("alter table raw_quickbooks.payments alter total_amount type decimal(38,10); update raw_quickbooks.payments"
        " set total_amount = total_amount + 0.004"),
    ),
    ("both_sides_complete", "update raw_quickbooks._loads set complete = false where stream = 'postings'"),
    ("totals_add_up", "update raw_opsmerge.invoices set subtotal = subtotal + 1, lines = '[]' where id = 'inv_1'"),
    ("nothing_is_unexplained", "insert into raw_opsmerge.payments select * from raw_opsmerge.payments limit 1"),
    ("ids_are_unique", "insert into raw_opsmerge.invoices select * from raw_opsmerge.invoices limit 1"),
    ("ids_are_unique", "insert into raw_quickbooks.payments select * from raw_quickbooks.payments limit 1"),
    ("numbers_are_unique", "update raw_opsmerge.invoices set number = 'inv-2026-0002 ' where number = 'INV-2026-0001'"),
    ("statuses_are_known", "update raw_opsmerge.invoices set status = 'parked' where id = 'inv_1'"),
    ("statuses_are_known", "update raw_opsmerge.invoices set status = null where id = 'inv_1'"),
    ("money_is_there", "update raw_quickbooks.invoices set currency = null where id = '11'"),
    ("money_is_there", "update raw_opsmerge.invoices set total = null where id = 'inv_1'"),
    ("money_is_there", "update raw_opsmerge.payments set paid_on = null where id = 'pay_1'"),
    (
        "money_is_whole_pennies",
        ("update raw_opsmerge.invoices set lines = '[{\"net_amount\": 1.005, \"tax_amount\": 0}]' where"
        " id = 'inv_1'"),
    ),
    ("totals_add_up", "update raw_quickbooks.invoices set tax_amount = tax_amount + 1 where id = '11'"),
    ("lines_add_up", "update raw_opsmerge.invoices set lines = null where id = 'inv_1'"),
    ("voided_is_zero", "update raw_quickbooks.invoices set status = 'voided' where id = '11'"),
    (
        "postings_name_one_invoice",
        ("update raw_quickbooks.postings set external_id = '11' where opsmerge_invoice_id ="
        " 'inv_2'"),
    ),
    ("every_row_read_is_there", "delete from raw_quickbooks.postings where opsmerge_invoice_id = 'inv_1'"),
    ("every_row_read_is_there", "delete from raw_quickbooks.customers where id = '1'"),
    ("postings_are_known", "update raw_quickbooks.postings set opsmerge_invoice_id = null where number like '%1'"),
    ("postings_are_known", "update raw_quickbooks.postings set outcome = 'parked' where opsmerge_invoice_id = 'inv_1'"),
    ("postings_are_known", "update raw_quickbooks.postings set outcome = null where opsmerge_invoice_id = 'inv_1'"),
    (
        "money_is_whole_pennies",
        ("update raw_quickbooks.payments set allocations ="
        " regexp_replace(allocations::varchar, '([0-9][.][0-9]{2})', '\\14')::json"),
    ),
    ("nothing_is_later_than_the_run", "update raw_quickbooks.push_runs set started_at = started_at + interval 1 day"),
    (
        "nothing_is_later_than_the_run",
        ("update raw_opsmerge._loads set extract_ended_at = extract_ended_at + interval 1 hour where stream ="
        " 'payments'"),
    ),
    ("both_sides_complete", "update raw_opsmerge._loads set complete = null"),
    ("both_sides_complete", "delete from raw_quickbooks._loads where stream = 'invoices'"),
    ("both_sides_fresh", "update raw_quickbooks._loads set extract_started_at = extract_started_at - interval 3 day"),
    ("push_not_overdue", "update raw_quickbooks.push_runs set complete = false"),
    (
        "every_line_has_a_class",
        ("delete from recon.drift_class where class = 'H03'; update raw_quickbooks.invoices set txn_date"
        " = txn_date + 40 where id = '11'"),
    ),
]  # fmt: skip


def _each_gate_once() -> list:
    """The first way to each gate in every run, every way with `make soak`."""
    first = dict(reversed(DIRTY))
    return [pytest.param(*each, marks=[] if first[each[0]] == each[1] else pytest.mark.soak) for each in DIRTY]


@pytest.fixture(scope="module")
def clean(compiled: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small world that agrees, loaded once, to be copied and spoiled."""
    folder = tmp_path_factory.mktemp("clean")
    database = compiled.copy(folder / "build.duckdb")
    with duckdb.connect(str(database)) as connection:
        load(agreeing(seed=22, invoices=12), connection, folder)
    return database


@pytest.mark.parametrize(("gate", "spoil"), _each_gate_once())
def test_dirty_input_stops_at_a_gate(compiled: Compiled, clean: Path, tmp_path: Path, gate: str, spoil: str):
    """What makes the comparison worthless fails its gate, so that nobody acts on the run and no case moves."""
    with duckdb.connect(str(shutil.copy(clean, tmp_path / "build.duckdb"))) as connection:
        connection.execute(spoil)
        compiled.run(connection, "run-1", RUN_AT)
        assert connection.execute("select ok from recon.checks where check_name = ?", [gate]).fetchone() == (False,)
        assert connection.execute("select trusted from recon.run_history").fetchone() == (False,)
        assert connection.execute("select count(*) from recon.drift_cases").fetchone() == (0,)


HEALED = [
    "update raw_quickbooks.invoices set currency = lower(currency), status = upper(status)",
    "update raw_quickbooks.postings set external_id = '' where outcome <> 'created'",
    "update raw_quickbooks.invoices set private_note = null",
    ("insert into raw_quickbooks.payments (realm_id, id, status, total_amount, unapplied_amount, currency, txn_date,"
    " allocations) values ('2', '9000', 'active', 5, 5, 'GBP', date '2026-11-01', '[{\"transaction_type\": \"Invoice\","
    " \"transaction_id\": \"11\", \"amount\": 5}]')"),
    "update raw_opsmerge.invoices set currency = ' gbp ' where currency = 'GBP'",
    "update raw_opsmerge.invoices set status = upper(status)",
    "update raw_opsmerge.payments set reference = null, external_id = null",
    "update raw_quickbooks.payments set payment_ref_number = null",
    ("update raw_quickbooks.invoices set lines = (select json_group_array(line) from (select"
    " unnest(from_json(lines, '[\"json\"]')) as line order by line->>'id' desc))"),
    "update raw_quickbooks.customers set display_name = null",
    ("insert into raw_quickbooks.push_runs (connection, id, started_at, complete) select 'sandbox:2',"
    " 'other', started_at - interval 1 hour, true from raw_quickbooks.push_runs"),
    ("insert into raw_quickbooks.invoices (realm_id, id, status, total_amount, currency, txn_date) values"
    " ('2', '11', 'live', 5, 'GBP', date '2026-11-01')"),
]  # fmt: skip


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param("; ".join(HEALED), id="all at once"),
        *(pytest.param(each, marks=pytest.mark.soak) for each in HEALED),
    ],
)
def test_what_does_not_matter_does_not_show(compiled: Compiled, database: Path, tmp_path: Path, spoil: str):
    """Case, blanks, order, missing references, another company's rows: no break, no failed gate, no penny."""
    with duckdb.connect(str(database)) as connection:
        load(agreeing(seed=23, invoices=40), connection, tmp_path)
        connection.execute(spoil)
        compiled.run(connection, "run-1", RUN_AT)
        assert (
            connection.execute(
                "select class, number, opsmerge_value, ledger_value from recon.drift where bucket = 'break'"
            ).fetchall()
            == []
        )
        assert connection.execute("select check_name from recon.checks where is_gate and not ok").fetchall() == []
