"""Streams of objects in the company's books: payments, invoices, credit memos, customers, accounts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pendulum
from singer_sdk.helpers.conform import TypeConformanceLevel

from books.core.batches import batched
from books.core.clock import text_of
from books.core.faults import Exit, Halt
from books.ledgers.columns import STREAMS
from books.ledgers.contract import Entity, Row
from books.singer.extracts import OfConnection

if TYPE_CHECKING:
    from books.singer.ledger_tap import LedgerTap

CHUNK_ROWS = 500
"""Rows taken at once, so that their postings are looked up together."""

CURSOR, CONNECTION, NOTICED = "changed_since", "connection", "notice_seq"

INVOICE = "Invoice"
"""The type of an allocation's transaction that is an invoice."""


class LedgerStream(OfConnection):
    """One kind of object: what changed since the last run, or everything."""

    primary_keys = ("realm_id", "id")
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE  # rows and schema are written side by side, and tested

    def __init__(self, tap: LedgerTap, entity: Entity) -> None:
        super().__init__(tap=tap, schema=STREAMS[entity.name], name=entity.name)
        self.forced_replication_method = "LOG_BASED"  # changes; a catalog may ask for FULL_TABLE instead
        self.entity = entity
        self.tap = tap
        self.clock = tap.clock

    @property
    def cursor(self) -> pendulum.DateTime | None:
        """Return the server's time up to which changes were read; None where everything is to be read.

        Raises:
            Halt: MISCONFIGURED; the state or start_date is not a valid timestamp.
        """
        if self._reads_everything:
            return None
        state = self._own_state()
        if CURSOR in state:
            return read_time(f"the state of {self.name}", str(state[CURSOR]))
        start = self.tap.settings.start_date
        return None if start is None else read_time("start_date", start)

    @property
    def _reads_everything(self) -> bool:
        """Return whether the settings ask for everything, whatever was read before."""
        return self.tap.settings.full_refresh or self.replication_method == "FULL_TABLE"

    def _own_state(self) -> dict[str, Any]:
        """Return the bookmark, unless it is another company's."""
        state = self.get_context_state(None)
        return state if state.get(CONNECTION) == self.tap.connection else {}

    def read(self, context: Any) -> Iterator[dict[str, Any]]:
        """Yield the rows: what changed or everything, then the objects of notices that were not among them.

        The cursor and the offset in the inbox move after all rows were emitted.
        """
        del context
        noticed = self.tap.noticed(self.entity, _offset(self._own_state()))
        extract = self.tap.books.changes(self.entity.name)
        self._started_at = extract.started_at
        if extract.is_complete:
            self.begin_full()
        shown: dict[str, pendulum.DateTime | None] = {}
        yield from self._rows(extract.rows, shown)
        if self.entity.is_announced:
            self.tap.record_unnoticed(self.entity, shown)
        if not extract.is_complete:
            yield from self._rows(self.tap.books.objects(self.entity.name, noticed.missing_from(shown)), {})
        self._keep(extract.cursor(), noticed.seq)

    def _rows(self, source: Iterable[Row], shown: dict[str, pendulum.DateTime | None]) -> Iterator[Row]:
        """Yield the rows with their keys; note in `shown` which objects they were and when each changed last."""
        company = {"connection": self.tap.connection, "realm_id": self.tap.settings.ledger.company_id}
        for chunk in batched(source, CHUNK_ROWS):
            shown.update((row["id"], changed_at(row)) for row in chunk)
            self._name_invoices(chunk)
            yield from (company | row for row in chunk)

    def _name_invoices(self, chunk: list[Row]) -> None:
        """Write into each allocation to an invoice that we posted which one of OpsMerge it is."""
        allocations = [
            each for row in chunk for each in row.get("allocations") or () if each["transaction_type"] == INVOICE
        ]
        posted = self.tap.posted({each["transaction_id"] for each in allocations}) if allocations else {}
        for each in allocations:
            if ours := posted.get(each["transaction_id"]):
                each["opsmerge_invoice_id"], each["invoice_number"] = ours

    def _keep(self, cursor: pendulum.DateTime, noticed: int) -> None:
        state = self.get_context_state(None)
        state[CURSOR] = text_of(cursor)
        state[NOTICED] = noticed
        state[CONNECTION] = self.tap.connection
        if not self._reads_everything:
            self.tap.mark_read(self.entity, noticed)


def changed_at(row: Row) -> pendulum.DateTime | None:
    """Return when an object last changed; None if a deletion does not say."""
    text = row.get("updated_at")
    parsed = pendulum.parse(text) if text else None
    return parsed if isinstance(parsed, pendulum.DateTime) else None


def _offset(state: dict[str, Any]) -> int:
    """Return how far the inbox was read; 0 where the state does not say."""
    offset = str(state.get(NOTICED, ""))
    return int(offset) if offset.isdigit() else 0


def read_time(where: str, text: str) -> pendulum.DateTime:
    """Parse a time from a setting or a state.

    Raises:
        Halt: MISCONFIGURED; it is not a valid timestamp.
    """
    try:
        parsed = pendulum.parse(text)
    except ValueError:
        parsed = None
    if not isinstance(parsed, pendulum.DateTime):
        raise no_bookmark(where, text, "a valid timestamp such as 2026-11-01T00:00:00Z")
    return parsed


def no_bookmark(where: str, value: object, wanted: str) -> Halt:
    """Return the fault for a setting or a state that does not say where to begin."""
    return Halt(
        f"{where} is {value!r}, which is not {wanted}",
        exit_code=Exit.MISCONFIGURED,
        code="setting_refused",
        remedy=f"set it to {wanted}; or, to read everything again, find the STATE_ID with `meltano state list` and run "
        "`meltano state clear STATE_ID`",
    )
