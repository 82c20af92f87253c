"""target-quickbooks: posts OpsMerge invoices to QuickBooks Online. The plugin only; the work is done in `books`."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from singer_sdk import Target
from singer_sdk.sinks import Sink

from books.core.clock import Clock
from books.ledgers.registry import vendor
from books.singer.endings import TARGET_CAPABILITIES, PluginEndings
from books.singer.lines import LineReader
from books.singer.sink import STREAMS, IgnoringSink, Intake, IntakeSink, rejected


class TargetQuickBooks(PluginEndings, Target):
    """Reads `invoices`, and, optional and in any order, `services`, `tax_codes` and `clients`.

    `clock` is for tests; everything else comes from the settings.
    """

    name = "target-quickbooks"
    vendor = vendor("quickbooks")
    capabilities = TARGET_CAPABILITIES
    message_reader_class = LineReader
    default_sink_class = IgnoringSink
    config_jsonschema: ClassVar[dict[str, Any]] = vendor.push_settings.config_schema()
    _MAX_RECORD_AGE_IN_MINUTES = math.inf  # no STATE before the push: it would cover invoices that are not posted yet

    def __init__(self, *args: Any, clock: Clock | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings = self.vendor.push_settings.from_config(self.config)
        self.intake = Intake(self.vendor, settings, self.logger, clock)
        self.max_parallelism = 1  # sinks only pass records on; threads would gain nothing

    def get_sink_class(self, stream_name: str) -> type[Sink]:
        """Return the sink of a stream; all but four are ignored."""
        return IntakeSink if stream_name in STREAMS else IgnoringSink

    def process_endofpipe(self) -> None:
        """Push; emit STATE only after every outcome is committed, and not at all after a plan."""
        try:
            summary = self.intake.push()
        finally:
            self.record_summary(self.intake.words)
        self.intake.checkpoint("before_state")
        if self.intake.settings.dry_run:
            self.skip_record()
            return
        super().process_endofpipe()
        if self.intake.ends_as_rejected(summary):
            raise rejected(summary)


if __name__ == "__main__":
    TargetQuickBooks.cli()
