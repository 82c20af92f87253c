"""Makes OpsMerge's payments what QuickBooks' allocations are: told once, in both directions, after any interruption.

refresh   read what changed in OpsMerge since the last time
decide    per allocation, from ledger and mirror alone (books.writeback.allocations)
tell      PUT, DELETE, or remember a payment entered by hand; what takes money away first, so that what an
          invoice loses with one payment and gains with another never adds up to too much in between
keep      commit in small groups; what a crash leaves uncommitted is seen by the next refresh
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from books.core.faults import Reject
from books.core.money import ZERO
from books.opsmerge import belonging
from books.opsmerge.belonging import Act, Ruling
from books.opsmerge.client import OpsMergeClient
from books.opsmerge.payments import Entry, Settlement
from books.store import Store
from books.writeback.accounting import Left
from books.writeback.allocation_ledger import AllocationLedger, Due, Told
from books.writeback.allocations import Effect, decide
from books.writeback.opsmerge_payments import Mirror, View

GROUP = 20
"""Allocations in one commit."""

STEPS_MAX = 4
"""Looks at one allocation in a run: void it on one invoice, write it on another, and see that it is so are three."""


@dataclass
class Counts:
    """What a run did to payments in OpsMerge."""

    written: int = 0
    voided: int = 0
    linked: int = 0
    already: int = 0
    false: list[Entry] = field(default_factory=list)
    """Voided, because a non-production company had put them there: no money was received."""
    left: list[Left] = field(default_factory=list)
    """The invoice belongs to another connection."""
    shown: list[Left] = field(default_factory=list)
    """They would have been written, were this connection allowed to."""
    refused: list[Reject] = field(default_factory=list)


class Payments:
    """Brings OpsMerge's payments into line with the ledger. Hold the store's effects lock meanwhile."""

    def __init__(self, store: Store, client: OpsMergeClient) -> None:
        self._client = client
        self._ledger = AllocationLedger(store)
        self._mirror = Mirror(store, client)

    def tell(self, *, look: bool, complete_realms: Iterable[str] = ()) -> Counts:
        """Tell OpsMerge what is due.

        `look` reads OpsMerge even when nothing is due, to see what people did there; `complete_realms` are those
        whose payments were all read in this run.

        Raises:
            Halt: OpsMerge cannot be used now; what was told until then is kept.
        """
        complete = tuple(complete_realms)
        self._ledger.resolve()
        if not (look or complete or self._ledger.has_due()):
            return Counts()
        self._mirror.refresh()
        for realm_id in complete:
            self._mirror.adopt_orphans(realm_id)
        false = self._void_false()
        counts = self._tell(self._ledger.due())
        counts.false += false.false
        counts.refused += false.refused
        return counts

    def _void_false(self) -> Counts:
        """Void what a non-production company paid, where a production connection of ours may write the invoice."""
        ours, live = self._mirror.of_nonproduction()
        counts = Counts()
        try:
            for entry in live:
                self._void_if_ours(entry, ours, counts)
        finally:
            self._mirror.keep(counts.false)
        return counts

    def _void_if_ours(self, entry: Entry, ours: Sequence[str], counts: Counts) -> None:
        try:
            block = self._client.invoice(entry.invoice_id).get("accounting")
            if any(belonging.decide(block, each, opsmerge_is_test=self._client.is_test).writes for each in ours):
                self._client.void_payment(entry.invoice_id, str(entry.external_id))
                counts.false.append(replace(entry, voided=True))
        except Reject as fault:
            counts.refused.append(fault)

    def _tell(self, due: Sequence[Due]) -> Counts:
        telling = _Telling(self._client, self._ledger, self._mirror, self._mirror.view(due))
        try:
            for each in telling.in_order(due):
                telling.tell(each)
        finally:
            telling.commit()
        return telling.counts


class _Telling:
    """One pass over what is due: OpsMerge as we know it, what was done, and what is not yet committed."""

    def __init__(self, client: OpsMergeClient, ledger: AllocationLedger, mirror: Mirror, view: View) -> None:
        self.counts = Counts()
        self._client = client
        self._ledger = ledger
        self._mirror = mirror
        self._view = view
        self._told: list[Told] = []
        self._entries: list[Entry] = []

    def in_order(self, due: Sequence[Due]) -> list[Due]:
        """What takes money away from invoices first."""
        return sorted(due, key=self._gain)

    def tell(self, due: Due) -> None:
        """Bring one allocation into line, or note why OpsMerge or the payment does not allow it."""
        try:
            if not belonging.may_write(due.connection, opsmerge_is_test=self._client.is_test):
                self._show(due, due.wanted)
                return
            told = self._bring_into_line(due, due.wanted)
        except _LeftError as left:
            self.counts.left.append(Left(due.invoice_number or due.invoice_id, left.ruling))
            told = Told(due, due.written_sha256, due.linked_payment_id, ruling=left.ruling)
        except Reject as fault:
            self.counts.refused.append(fault)
            told = Told(due, fault=fault)
        self._told.append(told)
        if len(self._told) >= GROUP:
            self.commit()

    def commit(self) -> None:
        """Keep what was done."""
        self._mirror.keep(self._entries)
        self._ledger.settle(self._told)
        self._entries, self._told = [], []

    def _gain(self, due: Due) -> Decimal:
        ours = self._view.there(due).ours
        return due.settlement.amount - (ours.settlement.amount if ours and not ours.voided else ZERO)

    def _bring_into_line(self, due: Due, wanted: Settlement | None) -> Told:
        written = due.written_sha256
        for step in range(STEPS_MAX):
            effect, entry = decide(wanted, due.invoice_id, self._view.there(due), written)
            if effect is Effect.NOTHING:
                self.counts.already += step == 0 and wanted is not None
                return Told(due, wanted.sha256 if wanted else None, _linked_id(entry))
            if effect is Effect.LINK and entry:
                return self._link(due, entry)
            if effect is Effect.VOID and entry:
                self._void(due, entry)
            elif effect is Effect.WRITE and wanted:
                self._write(due, wanted)
                written = wanted.sha256
            else:
                raise _change_by_hand(due, entry)
        raise _not_as_written(due)

    def _show(self, due: Due, wanted: Settlement | None) -> None:
        """Count what would be written. It stays due, for the day when it may be."""
        effect, _ = decide(wanted, due.invoice_id, self._view.there(due), due.written_sha256)
        if effect in (Effect.WRITE, Effect.VOID):
            ruling = belonging.decide(None, due.connection, opsmerge_is_test=self._client.is_test)
            self.counts.shown.append(Left(due.invoice_number or due.invoice_id, ruling))

    def _ask(self, due: Due, invoice_id: str) -> None:
        """Read whose invoice it is, right before writing.

        Raises:
            _LeftError: another connection's.
        """
        block = self._client.invoice(invoice_id).get("accounting")
        ruling = belonging.decide(block, due.connection, opsmerge_is_test=self._client.is_test)
        if ruling.act is Act.LEAVE:
            raise _LeftError(ruling)

    def _link(self, due: Due, entry: Entry) -> Told:
        self.counts.linked += 1
        self._view.linked.add(entry.id)
        return Told(due, linked_payment_id=entry.id)

    def _void(self, due: Due, entry: Entry) -> None:
        self._ask(due, entry.invoice_id)
        self._client.void_payment(entry.invoice_id, due.external_id)
        self.counts.voided += 1
        self._keep(Entry(entry.id, entry.invoice_id, entry.external_id, entry.settlement, voided=True))

    def _write(self, due: Due, wanted: Settlement) -> None:
        self._ask(due, due.invoice_id)
        entry = self._client.put_payment(due.invoice_id, due.external_id, wanted)
        self.counts.written += 1
        self._keep(entry)

    def _keep(self, entry: Entry) -> None:
        self._view.add([entry])
        self._entries.append(entry)


class _LeftError(Exception):
    """The invoice belongs to another connection: its payments are left as they are."""

    def __init__(self, ruling: Ruling) -> None:
        super().__init__(ruling.why)
        self.ruling = ruling


def _linked_id(entry: Entry | None) -> str | None:
    """The payment entered by hand, where it is one."""
    return entry.id if entry and entry.external_id is None else None


def _change_by_hand(due: Due, entry: Entry | None) -> Reject:
    there = f"{entry.id} of {entry.settlement.amount}" if entry else "a payment"
    return Reject(
        f"invoice {due.invoice_number or due.invoice_id}: payment {due.payment_id} gives it "
        f"{due.settlement.amount} in QuickBooks; in OpsMerge {there}, entered by hand, stands for it",
        code="entered_by_hand",
        field="amount",
        remedy="void that payment in OpsMerge; the next run then shows what QuickBooks says",
    )


def _not_as_written(due: Due) -> Reject:
    return Reject(
        f"invoice {due.invoice_number or due.invoice_id}: OpsMerge answers payment {due.external_id} "
        "with other content than was written",
        code="not_as_written",
        remedy="look at the payment in OpsMerge; `books contract-check` says whether the API has changed",
    )
