"""One OpsMerge tenant: its documents, keys, switches and clock, in memory or in a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.common import FaultPlan, RequestLog, SimClock
from sandbox.opsmerge.documents import Document, settled
from sandbox.opsmerge.errors import invalid, not_found
from sandbox.opsmerge.fields import stamp
from sandbox.opsmerge.store import Store

LONG_AGO = "2026-01-01T00:00:00.000000Z"
TIMEZONE = ZoneInfo("Europe/London")
KEY = "om_sandbox_key"
SCOPES = (
    "psa_invoices:read",
    "psa_invoices:write",
    "psa_payments:read",
    "psa_payments:write",
    "psa_services:read",
    "psa_tax_codes:read",
    "clients:read",
)
TAX_CODES: tuple[Document, ...] = (
    {"id": "tax_1", "name": "VAT Standard 20%", "rate": Decimal("20.0"), "quickbooks_tax_code": "20.0% S"},
    {"id": "tax_2", "name": "VAT Reduced 5%", "rate": Decimal("5.0"), "quickbooks_tax_code": "5.0% R"},
    {"id": "tax_3", "name": "VAT Zero 0%", "rate": Decimal("0.0"), "quickbooks_tax_code": "0.0% Z"},
    {"id": "tax_4", "name": "VAT Exempt", "rate": Decimal("0.0"), "quickbooks_tax_code": "Exempt"},
    {"id": "tax_5", "name": "Outside VAT", "rate": Decimal("0.0"), "quickbooks_tax_code": "No VAT"},
)


@dataclass(frozen=True)
class Switches:
    """What the real API's pages leave open, so that a client can be tried with either answer.

    requests_per_minute: more than this for one key are answered 429; None is no limit.
    retry_after: how a 429 says when to come back: "seconds", "date" or "none".
    identical_put_moves_updated_at: whether a PUT that changes nothing counts as a change.
    refuse_overpayment: whether a payment beyond the balance is answered 409; otherwise the balance turns negative.
    """

    requests_per_minute: int | None = None
    retry_after: str = "seconds"
    identical_put_moves_updated_at: bool = False
    refuse_overpayment: bool = False


POSITIONS: Mapping[str, Callable[[Any], bool]] = {
    "requests_per_minute": lambda value: value is None or (type(value) is int and value > 0),
    "retry_after": lambda value: value in ("seconds", "date", "none"),
    "identical_put_moves_updated_at": lambda value: isinstance(value, bool),
    "refuse_overpayment": lambda value: isinstance(value, bool),
}


class OpsMergeState:
    """The state behind one simulator. `path` is a folder; None keeps everything in memory.

    A state in a folder is complete on disk before an answer goes out: a killed server goes on where it was.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.store = Store(Path(path) / "opsmerge.db" if path else None)
        self.clock = SimClock()
        self.faults = FaultPlan()
        self.log = RequestLog()
        self.clock.restore(self.store.setting("clock", {}))
        self.clock.on_change.append(lambda clock: self.store.set("clock", clock.snapshot()))
        self._furnish()

    def close(self) -> None:
        """Close the files."""
        self.store.close()

    def reset(self) -> None:
        """Reset to an empty tenant with the five tax codes and one key for everything, in real time, without faults."""
        self.faults.clear()
        self.log.clear()
        with self.store.transaction():
            self.store.clear()
            self.clock.real_time()
            self._furnish()

    @property
    def switches(self) -> Switches:
        """Return the switches as they stand."""
        return Switches(**self.store.setting("switches", {}))

    def set_switches(self, changes: Mapping[str, Any]) -> Switches:
        """Change some switches; ApiError 422 for a name that is none and a value it cannot have."""
        if wrong := [name for name in sorted(changes) if name not in POSITIONS or not POSITIONS[name](changes[name])]:
            raise invalid(f"{name}: is not a switch, or cannot be {changes[name]!r}" for name in wrong)
        switches = replace(self.switches, **changes)
        self.store.set("switches", asdict(switches))
        return switches

    def scopes(self, key: str) -> list[str] | None:
        """Return the scopes of a key; None when there is no such key."""
        scopes: list[str] | None = self.store.setting("keys", {}).get(key)
        return scopes

    def set_key(self, key: str, scopes: list[str]) -> None:
        """Create a key, or change its scopes."""
        self.store.set("keys", {**self.store.setting("keys", {}), key: scopes})

    @property
    def notes(self) -> dict[str, Any]:
        """Return the notes that a user of the simulator keeps with the state, such as a scenario's progress."""
        notes: dict[str, Any] = self.store.setting("notes", {})
        return notes

    def add_notes(self, notes: Mapping[str, Any]) -> dict[str, Any]:
        """Add or replace notes; all of them."""
        self.store.set("notes", {**self.notes, **notes})
        return self.notes

    def today(self) -> str:
        """Return the day in the tenant's time zone, YYYY-MM-DD."""
        return self.clock.now().astimezone(TIMEZONE).date().isoformat()

    @contextmanager
    def change(self) -> Iterator[str]:
        """Run a transaction; yield its time, later than every earlier one's, even if the clock stops or goes back."""
        with self.store.transaction():
            now = stamp(self.clock.now())
            last = self.store.setting("last_change", "")
            if now <= last:
                now = stamp(datetime.fromisoformat(last) + timedelta(microseconds=1))
            self.store.set("last_change", now)
            yield now

    def next_id(self, prefix: str) -> str:
        """Return the next id of a kind: inv_1, inv_2, ..."""
        return f"{prefix}_{self._count(f'id:{prefix}')}"

    def next_number(self, year: str) -> str:
        """Return the next invoice number of a year, without gaps: INV-2026-0001."""
        return f"INV-{year}-{self._count(f'number:{year}'):04d}"

    def need(self, kind: str, identifier: str) -> Document:
        """Return a document; raise ApiError 404 where it does not exist."""
        document = self.store.get(kind, identifier)
        if document is None:
            raise not_found(kind.replace("_", " "), identifier)
        return document

    def save_invoice(self, invoice: Document, now: str) -> Document:
        """Write an invoice that has changed: its balance and status are worked out again, updated_at moves."""
        document = {**self._settled(invoice), "updated_at": now}
        self.store.put("invoice", document, now)
        return document

    def turn_day(self) -> None:
        """Make open invoices past their due date overdue, as OpsMerge does by night (and back, if time goes back).

        Runs with the first request of a new day.
        """
        today = self.today()
        if self.store.setting("day", "") == today:
            return
        self.store.set("day", today)
        unpaid = [*self.store.all("invoice", "open"), *self.store.all("invoice", "overdue")]
        if turned := [invoice for invoice in unpaid if self._settled(invoice)["status"] != invoice["status"]]:
            with self.change() as now:
                for invoice in turned:
                    self.save_invoice(invoice, now)

    def _settled(self, invoice: Document) -> Document:
        return settled(invoice, self.store.children("payment", invoice["id"]), self.today())

    def _count(self, name: str) -> int:
        count = int(self.store.setting(name, 0)) + 1
        self.store.set(name, count)
        return count

    def _furnish(self) -> None:
        if self.store.setting("keys", None) is None:
            self.set_key(KEY, list(SCOPES))
            for code in TAX_CODES:
                self.store.put("tax_code", code, LONG_AGO)
