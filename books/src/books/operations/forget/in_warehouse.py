"""Erasing in the warehouse: the file that loads write, and the published copy that readers open."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from books.core.faults import Exit, Halt
from books.operations.forget.client import ClientData, Erased

_CLIENT = "client_id = $client"
_INVOICE = "opsmerge_invoice_id in (select unnest($invoices))"
_OWN_NOTE = "nullif(regexp_extract(private_note, 'OpsMerge invoice [^ ]+'), '')"
_BARE_LINES = (
    "to_json(list_transform(from_json(lines, '[\"JSON\"]'), "
    "lambda line: json_merge_patch(line, '{\"description\": null}')))"
)
_OF_CUSTOMER = "realm_id || ':' || customer_id in (select unnest($customers))"
_OWN_DOCUMENT = f"({_OF_CUSTOMER} or realm_id || ':' || id in (select unnest($ledger_ids)))"
_DOCUMENT = {"customer_name": "$tag", "lines": _BARE_LINES, "private_note": _OWN_NOTE}


@dataclass(frozen=True)
class WarehouseRule:
    """Rows of one table that are the client's, and the SQL of each column's new value."""

    table: str
    what: str
    whose: str
    values: dict[str, str]


ERASED: tuple[WarehouseRule, ...] = (
    WarehouseRule(
        "raw_opsmerge.clients",
        "name, e-mail, address",
        "id = $client",
        {"name": "$tag", "email": "null", "billing_address": "null"},
    ),
    WarehouseRule(
        "raw_opsmerge.invoices",
        "name, e-mail, address, notes, descriptions of lines",
        _CLIENT,
        {
            "client_name": "$tag",
            "client_email": "null",
            "billing_address": "null",
            "notes": "null",
            "lines": _BARE_LINES,
        },
    ),
    WarehouseRule(
        "raw_opsmerge.payments", "references", "invoice_id in (select unnest($invoices))", {"reference": "null"}
    ),
    WarehouseRule("raw_quickbooks.postings", "error texts", _INVOICE, {"fault_message": "null"}),
    WarehouseRule(
        "raw_quickbooks.customers",
        "name, company, e-mail",
        "realm_id || ':' || id in (select unnest($customers))",
        {"display_name": "$tag", "company_name": "null", "email": "null"},
    ),
    WarehouseRule("raw_quickbooks.invoices", "name, descriptions of lines, private note", _OWN_DOCUMENT, _DOCUMENT),
    WarehouseRule("raw_quickbooks.credit_memos", "name, descriptions of lines, private note", _OF_CUSTOMER, _DOCUMENT),
    WarehouseRule(
        "raw_quickbooks.payments",
        "name, bank reference, private note",
        _OF_CUSTOMER,
        {"customer_name": "$tag", "payment_ref_number": "null", "private_note": "null"},
    ),
    WarehouseRule("statement.pairs", "error texts", _INVOICE, {"fault_message": "null"}),
    WarehouseRule("statement.differences", "error texts", _INVOICE, {"fault_message": "null"}),
    WarehouseRule(
        "statement.unapplied",
        "bank references",
        f"payment_id in (select id from raw_quickbooks.payments where {_OF_CUSTOMER})",
        {"reference": "null"},
    ),
)
"""Everything in the warehouse that is a client's. A new raw table with personal data is a new line here.

After these, every text of `statement` and `recon` is searched for the client's names and e-mail addresses.
"""

SEARCHED = ("statement", "recon")


def known(path: Path, wanted: str) -> dict[str, ClientData]:
    """Clients of an id or a name that the warehouse knows, by id, with all that it knows of them."""
    if not path.is_file():
        return {}
    with _opened(path, read_only=True) as db:
        tables = _tables(db)
        return {key: _client(db, tables, key) for key in _ids(db, tables, wanted)}


def erase(path: Path, client: ClientData, *, act: bool) -> list[Erased]:
    """Erase in one file, or count what would be. The file is rewritten, so that no old page stays.

    Raises:
        Halt: TRY_LATER; another process is writing it.
    """
    if not path.is_file():
        return []
    fresh = path.with_name(path.name + ".erased")
    with _opened(path, read_only=False) as db:
        db.execute("begin")
        found = [*_by_key(db, path.name, client), *_by_search(db, path.name, client)]
        changed = act and any(each.count for each in found)
        db.execute("commit" if changed else "rollback")
        if changed:
            _copy(db, fresh)
    if changed:
        fresh.replace(path)
    return [each for each in found if each.count]


def erase_published(path: Path, client: ClientData, *, act: bool) -> list[Erased]:
    """The same for a file that readers have open: in a copy, which takes its place whole."""
    if not path.is_file():
        return []
    copy = path.with_name(path.name + ".new")
    try:
        shutil.copyfile(path, copy)
        found = erase(copy, client, act=act)
        if act and found:
            copy.replace(path)
    finally:
        copy.unlink(missing_ok=True)
    return [replace(each, place=each.place.replace(copy.name, path.name)) for each in found]


def _copy(db: duckdb.DuckDBPyConnection, fresh: Path) -> None:
    fresh.unlink(missing_ok=True)
    here = str(_value(db, "select current_database()")).replace('"', '""')
    db.execute(f"attach '{_quoted(fresh)}' as fresh")
    db.execute(f'copy from database "{here}" to fresh')
    db.execute("detach fresh")


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _value(db: duckdb.DuckDBPyConnection, sql: str) -> Any:
    row = db.execute(sql).fetchone()
    return row[0] if row else None


@contextmanager
def _opened(path: Path, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    try:
        db = duckdb.connect(str(path), read_only=read_only)
    except duckdb.IOException as error:
        raise Halt(
            f"{path.name} is in use by another process",
            exit_code=Exit.TRY_LATER,
            code="warehouse_busy",
            remedy="wait until the other run has ended, or close the program that reads it, then run again",
        ) from error
    with db:
        db.execute("set TimeZone = 'UTC'")
        yield db


def _tables(db: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    """The tables with their columns and types; no views."""
    rows = db.execute(
        "select c.table_schema || '.' || c.table_name, c.column_name, c.data_type from information_schema.columns c "
        "join information_schema.tables t using (table_catalog, table_schema, table_name) "
        "where t.table_type = 'BASE TABLE'"
    ).fetchall()
    tables: dict[str, dict[str, str]] = {}
    for table, column, kind in rows:
        tables.setdefault(table, {})[column] = kind
    return tables


def _ids(db: duckdb.DuckDBPyConnection, tables: dict[str, dict[str, str]], wanted: str) -> set[str]:
    of_clients = "select id from raw_opsmerge.clients where id = $w or lower(trim(name)) = lower($w)"
    of_invoices = (
        "select client_id from raw_opsmerge.invoices where client_id = $w or lower(trim(client_name)) = lower($w)"
    )
    queries = (("raw_opsmerge.clients", of_clients), ("raw_opsmerge.invoices", of_invoices))
    return {
        str(row[0])
        for table, query in queries
        if table in tables
        for row in db.execute(query, {"w": wanted.strip()}).fetchall()
    }


def _client(db: duckdb.DuckDBPyConnection, tables: dict[str, dict[str, str]], key: str) -> ClientData:
    def ask(table: str, sql: str, **more: Any) -> set[str]:
        if table not in tables:
            return set()
        return {
            str(row[0])
            for row in db.execute(sql, {**({"client": key} if "$client" in sql else {}), **more}).fetchall()
            if row[0]
        }

    invoices = ask("raw_opsmerge.invoices", f"select id from raw_opsmerge.invoices where {_CLIENT}")
    customers, shared = _customers(db, tables, invoices)
    mine = {"customers": sorted(customers)}
    of_customers = "from raw_quickbooks.customers where realm_id || ':' || id in (select unnest($customers))"
    return ClientData(
        key,
        names=frozenset(
            ask("raw_opsmerge.clients", "select name from raw_opsmerge.clients where id = $client")
            | ask("raw_opsmerge.invoices", f"select distinct client_name from raw_opsmerge.invoices where {_CLIENT}")
            | ask("raw_quickbooks.customers", f"select display_name {of_customers}", **mine)
            | ask("raw_quickbooks.customers", f"select company_name {of_customers}", **mine)
        ),
        emails=frozenset(
            ask("raw_opsmerge.clients", "select email from raw_opsmerge.clients where id = $client")
            | ask("raw_opsmerge.invoices", f"select distinct client_email from raw_opsmerge.invoices where {_CLIENT}")
            | ask("raw_quickbooks.customers", f"select email {of_customers}", **mine)
        ),
        invoices=frozenset(invoices),
        customers=frozenset(customers),
        shared_customers=frozenset(shared),
    )


def _customers(
    db: duckdb.DuckDBPyConnection, tables: dict[str, dict[str, str]], invoices: set[str]
) -> tuple[set[str], set[str]]:
    """The QuickBooks customers of these invoices: those that are theirs alone, and those shared with other clients."""
    if not {"raw_quickbooks.invoices", "raw_quickbooks.postings"} <= set(tables):
        return set(), set()
    rows = db.execute(
        "select i.realm_id || ':' || i.customer_id, bool_and(list_contains($invoices, p.opsmerge_invoice_id)) "
        "from raw_quickbooks.postings p "
        "join raw_quickbooks.invoices i on i.realm_id = split_part(p.connection, ':', 2) and i.id = p.external_id "
        "where i.customer_id is not null group by 1 having bool_or(list_contains($invoices, p.opsmerge_invoice_id))",
        {"invoices": sorted(invoices)},
    ).fetchall()
    return {str(row[0]) for row in rows if row[1]}, {str(row[0]) for row in rows if not row[1]}


def _by_key(db: duckdb.DuckDBPyConnection, name: str, client: ClientData) -> Iterator[Erased]:
    tables = _tables(db)
    for erasure in ERASED:
        columns = tables.get(erasure.table, {})
        values = {name: f"cast({sql} as {columns[name]})" for name, sql in erasure.values.items() if name in columns}
        if values:
            differs = " or ".join(f'"{name}" is distinct from {sql}' for name, sql in values.items())
            changes = ", ".join(f'"{name}" = {sql}' for name, sql in values.items())
            statement = f"update {erasure.table} set {changes} where {erasure.whose} and ({differs})"
            yield Erased(f"{name}, {erasure.table}", erasure.what, _run(db, statement, client))


def _run(db: duckdb.DuckDBPyConnection, statement: str, client: ClientData) -> int:
    """Run an update; how many rows it changed."""
    bound = {
        "client": client.id,
        "tag": client.tag,
        "invoices": sorted(client.invoices),
        "customers": sorted(client.customers),
        "ledger_ids": sorted(client.ledger_ids),
    }
    used = {name: value for name, value in bound.items() if f"${name}" in statement}
    return int(_first(db.execute(statement, used).fetchone()))


def _first(row: Any) -> Any:
    return row[0] if row else 0


def _by_search(db: duckdb.DuckDBPyConnection, name: str, client: ClientData) -> Iterator[Erased]:
    """Names and addresses in the texts of what dbt has built."""
    for table, columns in _tables(db).items() if client.texts else ():
        texts = [name for name, kind in columns.items() if kind == "VARCHAR"]
        if table.partition(".")[0] in SEARCHED and texts:
            count = sum(_mask(db, table, name, client) for name in texts)
            yield Erased(f"{name}, {table}", "the name or e-mail address in texts", count)


def _mask(db: duckdb.DuckDBPyConnection, table: str, column: str, client: ClientData) -> int:
    """Each distinct text that mentions the client, masked by the same rule as everywhere."""
    hits = " or ".join(f'contains(lower("{column}"), lower($t{n}))' for n in range(len(client.texts)))
    bound = {f"t{n}": text for n, text in enumerate(client.texts)}
    found = [row[0] for row in db.execute(f'select distinct "{column}" from {table} where {hits}', bound).fetchall()]
    count = 0
    for text in found:
        if (masked := client.masked(text)) != text:
            update = f'update {table} set "{column}" = $new where "{column}" = $old'
            count += int(_first(db.execute(update, {"new": masked, "old": text}).fetchone()))
    return count
