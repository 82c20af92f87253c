"""Streams from the state store: postings and push runs. They make no call to the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pendulum
from singer_sdk.helpers.conform import TypeConformanceLevel
from sqlalchemy import Select, Table, and_, exists, func, or_, select

from books.core.clock import text_of
from books.ledgers import columns
from books.singer.extracts import OfConnection
from books.singer.ledger_streams import no_bookmark, read_time
from books.store.tables_opsmerge import accounting_block
from books.store.tables_posting import posting, push_run

if TYPE_CHECKING:
    from books.singer.ledger_tap import LedgerTap

PAGE_ROWS = 5000


class StoreStream(OfConnection):
    """Rows of one table of the store in the order of `replication_key`, page by page."""

    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE  # rows and schema name the same columns, and are tested
    is_sorted = True
    table: Table

    def __init__(self, tap: LedgerTap, name: str, schema: columns.Schema) -> None:
        super().__init__(tap=tap, schema=schema, name=name)
        self.tap = tap
        self.clock = tap.clock

    def read(self, context: Any) -> Iterator[dict[str, Any]]:
        """Yield the rows after the bookmark; all of them, as a complete read, where the settings ask for it."""
        complete = self.tap.settings.full_refresh or self.replication_method == "FULL_TABLE"
        after = None if complete else self.start(context)
        if after is None:
            self.get_context_state(context).pop("replication_key_value", None)  # the SDK checks the order against it
            self.begin_full()
        while page := self._page(after):
            for row in page:
                yield {name: _plain(value) for name, value in row.items()}
            after = page[-1][str(self.replication_key)]

    def start(self, context: Any) -> Any:
        """Return the bookmark in the column's type; None means from the beginning."""
        raise NotImplementedError

    def bookmark(self, context: Any) -> Any:
        """Return how far an earlier run has read. `start_date` applies to the ledger only, not to the store."""
        return self.get_context_state(context).get("replication_key_value")

    def _page(self, after: Any) -> list[dict[str, Any]]:
        with self.tap.store.read() as connection:
            return [dict(row) for row in connection.execute(self._after(after)).mappings()]

    def _after(self, after: Any) -> Select[Any]:
        key = self.table.c[str(self.replication_key)]
        statement = select(*(column for name, column in self.table.c.items() if name in self.schema["properties"]))
        statement = statement.where(self.table.c.connection == self.tap.connection)
        statement = statement.where(key.is_not(None) if after is None else key > after)
        return statement.order_by(key).limit(PAGE_ROWS)


class Postings(StoreStream):
    """The result of each invoice's posting; `seq` rises with every change of a row."""

    table = posting
    primary_keys = ("connection", "opsmerge_invoice_id")
    replication_key = "seq"

    def __init__(self, tap: LedgerTap) -> None:
        super().__init__(tap, "postings", columns.POSTINGS)

    def _after(self, after: Any) -> Select[Any]:
        """Add the column that says whether target-opsmerge has written the invoice's block, or tried to."""
        block = accounting_block
        tried = or_(block.c.written_sha256.is_not(None), block.c.fault_code.is_not(None))
        same = and_(
            block.c.connection == posting.c.connection, block.c.opsmerge_invoice_id == posting.c.opsmerge_invoice_id
        )
        return super()._after(after).add_columns(exists().where(same, tried).label("written_to_opsmerge"))

    def start(self, context: Any) -> int | None:
        """Return the last `seq` read; None where the store's newest is lower, so that it is another store."""
        seq = self.bookmark(context)
        if seq is None:
            return None
        if not str(seq).isdigit():
            raise no_bookmark("the state of postings", seq, "a number such as 12")
        with self.tap.store.read() as connection:
            ours = posting.c.connection == self.tap.connection
            newest = int(connection.execute(select(func.max(posting.c.seq)).where(ours)).scalar_one() or 0)
        if int(seq) > newest:
            self.logger.warning(
                "The store's newest change is %d, the bookmark is %s: reading all postings", newest, seq
            )
            return None
        return int(seq)


class PushRuns(StoreStream):
    """Finished runs of the ledger's target: the reconciliation needs the start of the last complete push."""

    table = push_run
    primary_keys = ("connection", "id")
    replication_key = "finished_at"

    def __init__(self, tap: LedgerTap) -> None:
        super().__init__(tap, "push_runs", columns.PUSH_RUNS)

    def start(self, context: Any) -> pendulum.DateTime | None:
        """Return the finishing time of the last run that was read."""
        finished_at = self.bookmark(context)
        return None if finished_at is None else read_time("the state of push_runs", str(finished_at))


def _plain(value: Any) -> Any:
    return text_of(pendulum.instance(value)) if isinstance(value, datetime) else value
