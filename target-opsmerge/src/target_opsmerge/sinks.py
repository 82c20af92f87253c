"""What the target does with each stream: three are taken into the store, the others are left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singer_sdk.sinks import BatchSink

if TYPE_CHECKING:
    from target_opsmerge.target import TargetOpsMerge


class StoredSink(BatchSink):
    """Takes records into the store as they come: no validation that could end the run, no parsed dates."""

    MAX_SIZE_DEFAULT = 2000

    def __init__(self, target: TargetOpsMerge, *args: Any, **kwargs: Any) -> None:
        super().__init__(target, *args, **kwargs)
        self.bridge = target.bridge
        self._singer_target = target

    def get_validator(self) -> None:
        """Records are checked one by one when they are read: a wrong one is reported, the others go on."""
        return

    def _parse_timestamps_in_record(self, record: dict[str, Any], schema: dict[str, Any], treatment: Any) -> None:
        """Times stay text, which is what they are compared as."""


class PostingsSink(StoredSink):
    """What came of each invoice's posting."""

    def process_batch(self, context: dict[str, Any]) -> None:
        """Follow the postings; OpsMerge is told before STATE leaves."""
        self.bridge.take_in_postings(context.get("records", []))

    def activate_version(self, new_version: int) -> None:
        """Nothing: a posting that is not shown is still what happened."""


class PaymentsSink(StoredSink):
    """Which payment settles which invoice."""

    def setup(self) -> None:
        """A run that reads payments also looks at what people did to those in OpsMerge."""
        self.bridge.look_at_payments()

    def process_batch(self, context: dict[str, Any]) -> None:
        """Follow the payments; OpsMerge is told before STATE leaves."""
        self.bridge.take_in_payments(context.get("records", []))

    def activate_version(self, new_version: int) -> None:
        """The read was complete: payments that this run has not shown are gone."""
        del new_version
        self._singer_target.drain_one(self)
        self.bridge.payments_complete()


class InvoicesSink(StoredSink):
    """What QuickBooks says is still owed of each invoice: the payments must explain it."""

    def process_batch(self, context: dict[str, Any]) -> None:
        """Follow the balances."""
        self.bridge.take_in_invoices(context.get("records", []))

    def activate_version(self, new_version: int) -> None:
        """Nothing: an invoice that is gone has a row that says so, or stands in the drift report."""


class IgnoringSink(BatchSink):
    """A stream that OpsMerge has no use for."""

    def __init__(self, target: TargetOpsMerge, stream_name: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(target, stream_name, *args, **kwargs)
        self.logger.info("Stream %s is not for OpsMerge and is left alone", stream_name)

    def get_validator(self) -> None:
        """What is left alone needs no check."""
        return

    def _parse_timestamps_in_record(self, record: dict[str, Any], schema: dict[str, Any], treatment: Any) -> None:
        """Nor any parsing."""

    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:
        """Keep nothing."""

    def process_batch(self, context: dict[str, Any]) -> None:
        """Do nothing."""

    def activate_version(self, new_version: int) -> None:
        """Nor this."""
