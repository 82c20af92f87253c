"""Run a query and word its answer."""

from __future__ import annotations

from typing import Any

from sandbox.quickbooks import codec
from sandbox.quickbooks.books import Books
from sandbox.quickbooks.query.compile import RESULTS_MAX, Compiled, compile_query
from sandbox.quickbooks.query.parse import Statement, parse
from sandbox.quickbooks.schema import NONE_HERE

SINGLETONS = {"CompanyInfo": "info", "Preferences": "preferences"}
ALWAYS_SHOWN = ("domain", "sparse", "Id", "SyncToken")
_NONE_HERE = frozenset(name.lower() for name in NONE_HERE)


def run_query(books: Books, text: str, most: int = RESULTS_MAX) -> dict[str, Any]:
    """Return the value of `QueryResponse`, with `most` objects whatever is asked for.

    Raises:
        ApiFault: 4000 or 4001.
    """
    statement = parse(text)
    if statement.entity.lower() in _NONE_HERE:
        return _nothing(statement)
    compiled = compile_query(statement, books.switches)
    compiled.most = min(compiled.most, most)
    if compiled.entity.name in SINGLETONS:
        return _singleton(books, compiled)
    if compiled.count:
        return {"totalCount": _count(books, compiled)}
    rows = _rows(books, compiled)
    if not rows:
        return {}
    return {compiled.entity.name: rows, "startPosition": compiled.start, "maxResults": len(rows)}


def _nothing(statement: Statement) -> dict[str, Any]:
    """Return the answer for an entity that exists in the product but not in this company; fields are not checked."""
    return {"totalCount": 0} if statement.count else {}


def _singleton(books: Books, compiled: Compiled) -> dict[str, Any]:
    document = getattr(books.company, SINGLETONS[compiled.entity.name])()
    if compiled.count:
        return {"totalCount": 1}
    return {compiled.entity.name: [document], "startPosition": 1, "maxResults": 1}


def _count(books: Books, compiled: Compiled) -> int:
    sql = f'SELECT count(*) FROM "{compiled.entity.table}" WHERE {compiled.where}'
    row = books.db.one(sql, books.realm, *compiled.values)
    return int(row[0]) if row else 0


def _rows(books: Books, compiled: Compiled) -> list[Any]:
    table = compiled.entity.table  # the page is found first, its documents are read after
    page = f'SELECT rowid FROM "{table}" WHERE {compiled.where} ORDER BY {compiled.order} LIMIT ? OFFSET ?'
    sql = f'SELECT doc, "MetaData.LastUpdatedTime" FROM "{table}" WHERE rowid IN ({page}) ORDER BY {compiled.order}'
    rows = books.db.all(sql, books.realm, *compiled.values, compiled.most, compiled.start - 1)
    stale_after = books.now() - books.switches.stale_lists_seconds
    return [_row(books, compiled, doc, stale=updated > stale_after) for doc, updated in rows]


def _row(books: Books, compiled: Compiled, doc: bytes, *, stale: bool) -> Any:
    """Return the stored JSON unchanged where nothing has to be done to it."""
    old = stale and books.switches.stale_lists_seconds > 0
    if not old and not compiled.fields:
        return codec.Raw(doc)
    document = codec.decode(doc)
    if old:
        document["SyncToken"] = str(max(0, int(document["SyncToken"]) - 1))
    return _projected(document, compiled.fields) if compiled.fields else document


def _projected(document: dict[str, Any], fields: list[str]) -> dict[str, Any]:
    """Return a sparse object with the listed columns; documented as unsupported, but answered."""
    wanted = {name.split(".")[0].lower() for name in fields}
    shown = {name: value for name, value in document.items() if name.lower() in wanted or name in ALWAYS_SHOWN}
    return {**shown, "sparse": True}
