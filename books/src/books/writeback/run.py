"""The target's work without Singer: take rows into the store, then tell OpsMerge, then say what was done."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from books.core.faults import Reject
from books.core.printable import printable
from books.opsmerge import OpsMergeClient
from books.store import Store
from books.writeback.accounting import EFFECTS_LOCK, EFFECTS_WAIT_SECONDS, AccountingBlocks, BlockCounts, Left
from books.writeback.allocation_ledger import AllocationLedger
from books.writeback.balances import Balances
from books.writeback.payments import Counts, Payments

REFUSALS_SHOWN_MAX = 20
SHOWN_MAX = 5
"""Invoices named in a line that counts more."""

Record = Mapping[str, Any]


class WriteBack:
    """One run. Rows may come in any order and again; OpsMerge is told what the newest of each say."""

    def __init__(self, store: Store, client: OpsMergeClient, logger: logging.Logger) -> None:
        self._store = store
        self._logger = logger
        self._blocks = AccountingBlocks(store, client)
        self._ledger = AllocationLedger(store)
        self._balances = Balances(store)
        self._payments = Payments(store, client)
        self._run = str(uuid.uuid4())
        self._realms: set[str] = set()
        self._unexplained: set[tuple[str, str]] = set()
        self._invoices: set[tuple[str, str]] = set()
        self._complete: set[str] = set()
        self._look = False
        self._untold = True

    def take_in_postings(self, records: Sequence[Record]) -> None:
        """Rows of the stream `postings`."""
        changed = self._blocks.take_in(records)
        self._untold = True
        self._logger.info("Took in %d postings, %d of them news", len(records), changed)

    def look_at_payments(self) -> None:
        """See what people did to payments in OpsMerge, even if QuickBooks has no news."""
        self._look = self._untold = True

    def take_in_payments(self, records: Sequence[Record]) -> None:
        """Rows of the stream `payments`."""
        taken = self._ledger.take_in(records, self._run)
        self._realms |= {str(record["realm_id"]) for record in records}
        named = [(str(record["realm_id"]), str(record["id"])) for record in records]
        self._unexplained |= set(self._balances.settled_by(named))
        self._untold = True
        self._logger.info(
            "Took in %d payments, %d of them news, %d older than known", len(records), taken.changed, taken.stale
        )
        self._show(taken.refused)

    def take_in_invoices(self, records: Sequence[Record]) -> None:
        """Rows of the stream `invoices`: what QuickBooks says is still owed. Another tap's invoices are left alone."""
        of_the_books = [record for record in records if record.get("realm_id") and record.get("id")]
        named = set(self._balances.take_in(of_the_books))
        self._invoices |= named
        self._unexplained |= named
        self._untold |= bool(of_the_books)

    def invoices_complete(self) -> None:
        """All invoices of the realm were shown in this run: of one that was not, nothing is owed any more."""
        realms = {realm_id for realm_id, _ in self._invoices}
        gone = sum(self._balances.forget_all_but(self._invoices, realm_id) for realm_id in realms)
        self._logger.info("All invoices were read; %d are gone", gone)
        self._untold |= gone > 0

    def payments_complete(self) -> None:
        """All payments of the realm were shown in this run. Which realm, if it has none, only a lone one tells."""
        realms = sorted(self._realms) or self._lone_realm()
        for realm_id in realms:
            gone = self._ledger.mark_gone(realm_id, self._run)
            self._logger.info("All payments of company %s were read; %d are gone", realm_id, gone)
            self._unexplained |= set(self._balances.of_realm(realm_id))
        self._complete |= set(realms)
        self._untold = True

    def tell(self) -> None:
        """Tell OpsMerge what is due, once per change.

        Raises:
            Halt: OpsMerge or the store cannot be used now; what was told until then is kept.
        """
        if not self._untold:
            return
        with self._store.lock(EFFECTS_LOCK, EFFECTS_WAIT_SECONDS):
            blocks = self._blocks.tell()
            payments = self._payments.tell(look=self._look, complete_realms=self._complete)
            self._balances.explain(self._unexplained)
        self._complete.clear()
        self._unexplained.clear()
        self._look = self._untold = False
        self._summarise(blocks, payments)

    def _lone_realm(self) -> list[str]:
        realms = self._ledger.realms()
        if len(realms) > 1:
            self._logger.warning(
                "A complete read without payments names no company; the store has several: nothing is voided"
            )
            return []
        return realms

    def _summarise(self, blocks: BlockCounts, payments: Counts) -> None:
        self._logger.info(
            "OpsMerge invoices: %d told, %d of them taken over from a non-production connection, %d said so already, "
            "%d left, %d refused",
            blocks.written,
            blocks.taken_over,
            blocks.already,
            len(blocks.left),
            len(blocks.refused),
        )
        self._logger.info(
            "OpsMerge payments: %d written, %d voided, %d linked to one entered by hand, %d there already, %d left, "
            "%d refused, %d for invoices that are not OpsMerge's",
            payments.written,
            payments.voided,
            payments.linked,
            payments.already,
            len(payments.left),
            len(payments.refused),
            self._ledger.count_unknown_invoices(),
        )
        self._show_false(payments)
        self._show_left("left as they are", [*blocks.left, *payments.left])
        self._show_left(
            f"would be written ({len(blocks.shown)} blocks, {len(payments.shown)} payments), and were not",
            [*blocks.shown, *payments.shown],
        )
        self._show([*blocks.refused, *payments.refused])
        self._show_remainders()

    def _show_false(self, payments: Counts) -> None:
        for entry in payments.false[:REFUSALS_SHOWN_MAX]:
            self._logger.warning(
                "Payment %s of %s on invoice %s was voided in OpsMerge: a non-production company had put it there, so "
                "no money was received",
                entry.external_id,
                entry.settlement.amount,
                entry.invoice_id,
            )
        if payments.false:
            self._logger.warning("%d payments of non-production companies were voided", len(payments.false))

    def _show_left(self, words: str, left: Sequence[Left]) -> None:
        """The first few invoices that were not written, and why; those of one reason in one line."""
        for ruling in dict.fromkeys(each.ruling for each in left):
            numbers = list(dict.fromkeys(each.number for each in left if each.ruling == ruling))
            more = f" and {len(numbers) - SHOWN_MAX} more" if len(numbers) > SHOWN_MAX else ""
            self._logger.warning(
                "OpsMerge invoices %s%s %s: %s. %s",
                ", ".join(numbers[:SHOWN_MAX]),
                more,
                words,
                ruling.why,
                ruling.remedy,
            )

    def _show_remainders(self) -> None:
        found = self._balances.unexplained()
        for each in found[:REFUSALS_SHOWN_MAX]:
            self._logger.warning(
                "%s: QuickBooks has %s %s of %s still open; payments and credit notes leave %s of that unexplained. "
                "What to do: look in QuickBooks for a journal entry or a deposit on the invoice",
                printable(each.number),
                each.balance,
                each.currency or "",
                each.total,
                each.remainder,
            )
        if len(found) > REFUSALS_SHOWN_MAX:
            self._logger.warning("... and %d more whose balance is not explained", len(found) - REFUSALS_SHOWN_MAX)

    def _show(self, refused: Sequence[Reject]) -> None:
        for fault in refused[:REFUSALS_SHOWN_MAX]:
            self._logger.warning("%s. What to do: %s", printable(fault.message), printable(fault.remedy))
        if len(refused) > REFUSALS_SHOWN_MAX:
            self._logger.warning("... and %d more; the store has them all", len(refused) - REFUSALS_SHOWN_MAX)
