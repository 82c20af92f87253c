"""The one place where posting meets Singer: records in, one push at the end of the input, STATE after it.

The SDK would drain and print STATE whenever five minutes have passed; here nothing is drained before the end, because
services, tax codes and clients may come after the invoices that need them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from singer_sdk import Target
from singer_sdk.sinks import RecordSink

from books.core import paths
from books.core.clock import Clock, SystemClock
from books.core.faults import Exit, Halt
from books.core.files import write_text
from books.core.printable import printable
from books.ledgers.contract import Ledger
from books.ledgers.registry import Vendor
from books.ledgers.settings import PushSettings
from books.posting import crash, mappings, plans, records
from books.posting.choices import Catalogue, Choices
from books.posting.gate import Gate
from books.posting.journal import SqlJournal
from books.posting.plan import Plan, PlanRow, to_json
from books.posting.plan import load as load_plan
from books.posting.preview import PreviewJournal
from books.posting.run import Options, PushRun
from books.posting.spool import Spool
from books.posting.summary import Summary
from books.store import Store
from books.writeback.accounting import mark_changed_links

LINKS_CHUNK = 400
"""Accounting blocks that are compared with the store in one transaction."""

ID_LENGTH_MAX = 255
"""Characters of OpsMerge's id that the store keeps."""

NUMBER_LENGTH_SHOWN = 40

STREAMS = ("invoices", "services", "tax_codes", "clients")


class Intake:
    """Takes in the records of one run, and pushes them at its end."""

    def __init__(
        self, vendor: Vendor, settings: PushSettings, logger: logging.Logger, clock: Clock | None = None
    ) -> None:
        self.settings = settings
        self._vendor = vendor
        self.checkpoint = crash.from_environment()
        self._logger = logger
        self._clock = clock or SystemClock()
        self._mappings = mappings.load(paths.resolve(settings.mapping_file))
        self._plan = _plan_to_post(settings)
        self._spool = Spool()
        self._catalogue = Catalogue()
        self._unreadable = 0
        self.words = ""

    def take(self, stream: str, record: Mapping[str, Any]) -> None:
        """Keep one record; nothing about it can stop the others."""
        if stream == "invoices":
            self._take_invoice(record)
        elif stream == "services" and (service := records.service(record)) is not None:
            self._catalogue.services[service.id] = service
        elif stream == "tax_codes" and (tax_code := records.tax_code(record)) is not None:
            self._catalogue.tax_codes[tax_code.id] = tax_code
        elif stream == "clients" and (client := records.client(record)) is not None:
            self._catalogue.clients[client.id] = client

    def _take_invoice(self, record: Mapping[str, Any]) -> None:
        invoice_id = record.get("id")
        if not isinstance(invoice_id, str) or not 0 < len(invoice_id.strip()) <= ID_LENGTH_MAX:
            self._unreadable += 1
            self._logger.warning(
                "an invoice without a usable id was rejected (number %s); it cannot be kept track of. "
                "What to do: look at it in OpsMerge, and report it to the makers of its API",
                str(record.get("number"))[:NUMBER_LENGTH_SHOWN],
            )
            return
        self._spool.add(invoice_id.strip(), record)
        client_id, name = record.get("client_id"), record.get("client_name")
        if isinstance(client_id, str) and isinstance(name, str) and name.strip():
            self._catalogue.invoiced[client_id.strip()] = name.strip()

    def push(self) -> Summary:
        """Post everything read and left unfinished, and return the summary.

        Raises:
            Halt: the run ended early; what was done is recorded.
        """
        store = Store.open(self.settings.ledger.store_url, self._clock)
        try:
            if not self.settings.dry_run:
                self._look_at_links(store)
            run = self._run(store, self._vendor.open_ledger(self.settings.ledger, store, self._clock))
            return self._push(run) if self._plan is None else self._push_plan(run, store, self._plan)
        finally:
            store.close()
            self._spool.close()

    def _push_plan(self, run: PushRun, store: Store, plan: Plan) -> Summary:
        """Post a plan. One that was begun and not ended shuts the company to pushes without it (`plans.why_shut`)."""
        if self.settings.dry_run:
            return self._push(run)
        plans.begin(store, plan)
        summary = self._push(run)
        plans.finish(store, plan)
        return summary

    def _push(self, run: PushRun) -> Summary:
        run.summary.unreadable = self._unreadable
        whole = False
        try:
            run.execute(self._spool)
            whole = True
        finally:
            self._show(run, whole=whole)
            self.words = "; ".join(run.summary.lines())
        return run.summary

    def _look_at_links(self, store: Store) -> None:
        """Have target-opsmerge write again what lost or changed its link in OpsMerge; this run's records show it."""
        connection = self.settings.ledger.connection
        marked = sum(mark_changed_links(store, connection, blocks) for blocks in self._spool.blocks(LINKS_CHUNK))
        if marked:
            self._logger.warning(
                "%d invoices lost or changed their link in OpsMerge; target-opsmerge writes it again where it may",
                marked,
            )

    def ends_as_rejected(self, summary: Summary) -> bool:
        """Return whether the settings ask for an exit code of its own, and records were rejected."""
        return self.settings.fail_on_rejected and summary.rejected > 0 and not self.settings.dry_run

    def _run(self, store: Store, ledger: Ledger) -> PushRun:
        settings = self.settings
        journal = (PreviewJournal if settings.dry_run else SqlJournal)(store, ledger.connection)
        options = Options(
            post_from=settings.post_from,
            settle_seconds=settings.settle_seconds,
            http_timeout=settings.ledger.http_timeout,
            duplicate_numbers_checked=settings.duplicate_numbers_answer,
            batch_size=settings.batch_size,
            vat_difference=settings.vat_difference,
            dry_run=settings.dry_run,
            gate=self._gate(store),
        )
        choices = Choices(self._mappings, self._catalogue, *settings.item_accounts)
        return PushRun(ledger, journal, self._clock, options, choices, self.checkpoint, self._logger)

    def _gate(self, store: Store) -> Gate:
        """Return what a plan lets through; where none is set, whether this company still needs its first one."""
        if self._plan is not None or self.settings.dry_run:
            return Gate(self._plan)
        return Gate(shut=plans.why_shut(store, self.settings.ledger.connection))

    def _show(self, run: PushRun, *, whole: bool) -> None:
        connection = self.settings.ledger.connection
        if self.settings.dry_run:
            self._logger.info("Plan for %s; nothing was written", connection)
            self._show_plan(run.plan, whole=whole)
        else:
            self._logger.info("Push to %s", connection)
        for line in run.summary.lines():
            self._logger.info("  %s", line)

    def _show_plan(self, rows: Sequence[PlanRow], *, whole: bool) -> None:
        """Write the plan into the log, and into a file where it is whole: half a plan is not to be posted."""
        plan = Plan.of(self.settings.ledger.connection, self._clock.now().to_iso8601_string(), rows)
        for row in plan.rows:
            self._logger.info("  %s", printable(row.line()))
        if self.settings.plan_file and whole:
            path = paths.resolve(self.settings.plan_file)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, to_json(plan), private=True)  # it names customers and amounts
            self._logger.info("  The plan %s is in %s", plan.id, path)


def _plan_to_post(settings: PushSettings) -> Plan | None:
    """Return the plan that the settings name.

    Raises:
        Halt: MISCONFIGURED; it cannot be used, or is another company's.
    """
    if settings.plan is None:
        return None
    path = paths.resolve(settings.plan)
    plan = load_plan(path)
    if plan.connection != settings.ledger.connection:
        raise Halt(
            f"the plan {path} is for {plan.connection}, and this is {settings.ledger.connection}",
            exit_code=Exit.MISCONFIGURED,
            code="plan_refused",
            remedy="Name the plan of this company, or choose its environment.",
        )
    return plan


def rejected(summary: Summary) -> Halt:
    """Return the end of a run with rejected records, where the settings ask for an exit code of its own."""
    return Halt(
        f"{summary.rejected} records were rejected",
        exit_code=Exit.REJECTED,
        code="rejected",
        remedy="Each is named above with its remedy.",
    )


class IntakeSink(RecordSink):
    """Hands records over as they came: no validation that could stop the run, no parsing of dates."""

    def __init__(
        self, target: Target, stream_name: str, schema: dict[str, Any], key_properties: Sequence[str] | None
    ) -> None:
        super().__init__(target, stream_name, schema, key_properties)
        self._target = target

    def get_validator(self) -> None:
        """Return none: a value of the wrong type is a rejection of its record, not the end of the run."""
        return

    def _parse_timestamps_in_record(self, record: dict[str, Any], schema: dict[str, Any], treatment: Any) -> None:
        """Leave dates as they came: `records.parse` reads them, and says which one is wrong."""

    def _singer_validate_message(self, record: dict[str, Any]) -> None:
        """Let it pass: a record without its key is counted as rejected by the intake."""

    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:
        """Give the record to the intake."""
        del context
        intake: Intake = self._target.intake  # type: ignore[attr-defined] # targets that use this sink have an intake
        intake.take(self.stream_name, record)

    def activate_version(self, new_version: int) -> None:
        """Do nothing: what OpsMerge no longer lists is still what was posted."""


class IgnoringSink(RecordSink):
    """For streams that are none of ours: one log line each."""

    def activate_version(self, new_version: int) -> None:
        """Do nothing."""

    def setup(self) -> None:
        """Log once that the stream is ignored."""
        self.logger.info("stream %r is not posted; its records are ignored", self.stream_name)

    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:
        """Ignore the record."""
        del record, context
