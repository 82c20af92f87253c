"""QuickBooks Online as `Books`: what `reading` reads, as the rows of `reading_rows`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pendulum

from books.core.clock import Clock
from books.ledgers.contract import Entity, Extract, Row
from books.ledgers.notices import fold
from books.ledgers.quickbooks import reading, reading_rows
from books.ledgers.quickbooks.client import QuickBooksClient
from books.ledgers.quickbooks.reading import ACTIVE_OR_NOT, CompanyReader

ToRow = Callable[[Mapping[str, Any], str], Row]

RECEIVABLES = f"AccountType = 'Accounts Receivable' AND {ACTIVE_OR_NOT}"


@dataclass(frozen=True)
class _Kind:
    """How one entity is read, and how its JSON becomes a row."""

    entity: reading.Entity
    to_row: ToRow
    is_announced: bool = False


KINDS: Mapping[str, _Kind] = {
    "payments": _Kind(reading.Entity("Payment"), reading_rows.payment, is_announced=True),
    "invoices": _Kind(reading.Entity("Invoice"), reading_rows.invoice),
    "credit_memos": _Kind(reading.Entity("CreditMemo"), reading_rows.credit_memo),
    "customers": _Kind(reading.Entity("Customer", ACTIVE_OR_NOT), reading_rows.customer),
    # Read completely every time: a posting moves the balance without changing the account.
    "accounts": _Kind(reading.Entity("Account", RECEIVABLES, has_changes=False), reading_rows.account),
}
"""By stream. Only payments are announced: Intuit does not document whether an app gets webhooks for its own writes."""


class QuickBooksBooks:
    """One QuickBooks company, read back. `cursors`: per stream the time to read from; None: from the beginning."""

    entities = tuple(Entity(name, fold(kind.entity.name), kind.is_announced) for name, kind in KINDS.items())

    def __init__(
        self,
        client: QuickBooksClient,
        clock: Clock,
        cursors: Mapping[str, pendulum.DateTime | None],
        *,
        overlap_seconds: int,
    ) -> None:
        self._client = client
        since = {KINDS[name].entity: cursor for name, cursor in cursors.items()}
        self._reader = CompanyReader(client, clock, since, overlap_seconds=overlap_seconds)

    def changes(self, entity: str) -> Extract:
        """Return what changed, by change data capture; everything where that cannot say."""
        return self._as_rows(entity, self._reader.extract(KINDS[entity].entity))

    def everything(self, entity: str) -> Extract:
        """Return all rows, counted."""
        return self._as_rows(entity, self._reader.everything(KINDS[entity].entity))

    def objects(self, entity: str, ids: Iterable[str]) -> Iterator[Row]:
        """Yield objects by id as they are now, a missing one as a deletion."""
        return self._rows(entity, self._reader.objects(KINDS[entity].entity, ids))

    def _as_rows(self, entity: str, extract: Extract) -> Extract:
        return replace(extract, rows=self._rows(entity, extract.rows))

    def _rows(self, entity: str, objects: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
        to_row = KINDS[entity].to_row
        for each in objects:
            currency = "" if each.get("CurrencyRef") else self._home_currency
            yield reading_rows.keyed(each, to_row(each, currency))

    @cached_property
    def _home_currency(self) -> str:
        """The company's currency, read when a row names none: companies with one currency leave it out."""
        answer = self._client.get("preferences")
        currency = (answer.get("Preferences") or {}).get("CurrencyPrefs") or {}
        return str((currency.get("HomeCurrency") or {}).get("value") or "GBP")
