"""Streams of objects in the company file: payments, invoices, credit memos, customers, accounts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pendulum
from singer_sdk.helpers.conform import TypeConformanceLevel

from books.core.batches import batched
from books.core.faults import Exit, Halt
from books.ledgers.quickbooks import reading_rows as rows
from books.ledgers.quickbooks.reading import ACTIVE_OR_NOT, Entity
from books.singer.extracts import Extracts
from tap_quickbooks_payments import properties

if TYPE_CHECKING:
    from tap_quickbooks_payments.tap import TapQuickBooksPayments

CHUNK_ROWS = 500
"""Objects converted at once, so that their postings are looked up together."""

CURSOR, CONNECTION, NOTICED = "changed_since", "connection", "notice_seq"


@dataclass(frozen=True)
class Objects:
    """A stream as data: its entity, its columns, and how an object becomes a row."""

    name: str
    entity: Entity
    schema: properties.Schema
    row: Callable[[rows.Json, str], rows.Row] | None = None
    is_announced: bool = False
    """Whether a webhook is expected for each change. Not where we write ourselves: Intuit does not document whether an
    app gets webhooks for its own writes."""


PAYMENTS = Objects("payments", Entity("Payment"), properties.PAYMENTS, is_announced=True)
INVOICES = Objects("invoices", Entity("Invoice"), properties.INVOICES, rows.invoice)
CREDIT_MEMOS = Objects("credit_memos", Entity("CreditMemo"), properties.CREDIT_MEMOS, rows.credit_memo)
CUSTOMERS = Objects("customers", Entity("Customer", ACTIVE_OR_NOT), properties.CUSTOMERS, rows.customer)
RECEIVABLES = f"AccountType = 'Accounts Receivable' AND {ACTIVE_OR_NOT}"
ACCOUNTS = Objects("accounts", Entity("Account", RECEIVABLES, has_changes=False), properties.ACCOUNTS, rows.account)
"""Read completely every time: a posting moves the balance without changing the account."""

ALL = (PAYMENTS, INVOICES, CREDIT_MEMOS, CUSTOMERS, ACCOUNTS)


class CompanyStream(Extracts):
    """One kind of object: what changed since the last run, or everything."""

    primary_keys = ("realm_id", "id")
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE  # rows and schema are written side by side, and tested

    def __init__(self, tap: TapQuickBooksPayments, objects: Objects) -> None:
        super().__init__(tap=tap, schema=objects.schema, name=objects.name)
        self.forced_replication_method = "LOG_BASED"  # CDC; a catalog may ask for FULL_TABLE instead
        self.objects = objects
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
        return state if state.get(CONNECTION) == self.tap.settings.ledger.connection else {}

    def read(self, context: Any) -> Iterator[dict[str, Any]]:
        """Yield the rows: what changed or everything, then the objects of notices that were not among them.

        The cursor and the offset in the inbox move after all rows were emitted.
        """
        del context
        entity = self.objects.entity
        noticed = self.tap.noticed(entity.name, _offset(self._own_state()))
        extract = self.tap.reader.extract(entity)
        self._started_at = extract.started_at
        if extract.is_complete:
            self.begin_full()
        shown: dict[str, pendulum.DateTime | None] = {}
        yield from self._rows(extract.rows, shown)
        if self.objects.is_announced:
            self.tap.record_unnoticed(entity.name, shown)
        if not extract.is_complete:
            yield from self._rows(self.tap.reader.objects(entity, noticed.missing_from(shown)), {})
        self._keep(extract.cursor(), noticed.seq)

    def _rows(self, source: Iterable[rows.Row], shown: dict[str, pendulum.DateTime | None]) -> Iterator[rows.Row]:
        """Yield the source's objects as rows; note in `shown` which objects they were and when each changed last."""
        for chunk in batched(source, CHUNK_ROWS):
            shown.update((str(each["Id"]), rows.changed_at(each)) for each in chunk)
            yield from self._converted(chunk)

    def _converted(self, chunk: list[rows.Row]) -> Iterator[rows.Row]:
        to_row = self.objects.row or self._payment_rows(chunk)
        realm_id = self.tap.settings.ledger.realm_id
        for each in chunk:
            home_currency = "" if each.get("CurrencyRef") else self.tap.home_currency
            yield rows.keyed(realm_id, each, to_row(each, home_currency))

    def _payment_rows(self, chunk: list[rows.Row]) -> Callable[[rows.Json, str], rows.Row]:
        posted = self.tap.posted(rows.linked_invoices(chunk))
        return lambda each, home_currency: rows.payment(each, home_currency, posted)

    def _keep(self, cursor: pendulum.DateTime, noticed: int) -> None:
        state = self.get_context_state(None)
        state[CURSOR] = rows.text_of(cursor)
        state[NOTICED] = noticed
        state[CONNECTION] = self.tap.settings.ledger.connection
        if not self._reads_everything:
            self.tap.mark_read(self.objects.entity.name, noticed)


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
