"""The streams of tap-opsmerge: five lists of the OpsMerge API, as `books.opsmerge.api` describes them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from singer_sdk.helpers.conform import TypeConformanceLevel

from books.core.faults import Exit, Halt
from books.opsmerge import api
from books.opsmerge.api import Listing
from books.singer.extracts import Extracts

if TYPE_CHECKING:
    from tap_opsmerge.tap import TapOpsMerge


class OpsMergeStream(Extracts):
    """One list of the API, described by a `Listing`.

    An incremental list that the catalog sets to FULL_TABLE is read completely, as the reconciliation needs it.
    """

    primary_keys = ("id",)
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE  # records and schema come from one table of fields

    def __init__(self, tap: TapOpsMerge, listing: Listing) -> None:
        super().__init__(tap=tap, schema=listing.schema, name=listing.name)
        self._opsmerge = tap
        self._listing = listing
        self.replication_key = "updated_at" if listing.incremental else None

    @property
    def is_sorted(self) -> bool:
        """Return whether the API lists in the order of change, so that a run may stop anywhere and continue from there.

        The SDK checks the order with every record and stops the run if it is broken.
        """
        return self._listing.incremental

    def read(self, context: Any) -> Iterable[dict[str, Any]]:
        """Return the records from the bookmark on, including the bookmark's own record, in the API's order."""
        return self._opsmerge.client.records(
            self._listing, params=self._params(context), page_size=self._opsmerge.page_size, is_strict=False
        )

    def _params(self, context: Any) -> dict[str, str]:
        params: dict[str, str] = {}
        since = self.get_starting_replication_key_value(context) if self.replication_method == "INCREMENTAL" else None
        if since:
            params[api.CHANGED_SINCE] = _since(self.name, str(since))
        if api.STATUS in self._listing.operation.parameters and self._opsmerge.invoice_status:
            params[api.STATUS] = ",".join(self._opsmerge.invoice_status)
        return params


DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def _since(stream: str, value: str) -> str:
    """Return a bookmark or start date in the API's format; a date without a time begins at midnight UTC."""
    try:
        return api.zulu(f"{value}T00:00:00Z" if DAY.fullmatch(value) else value)
    except ValueError:
        raise Halt(
            f"{stream}: the start date or bookmark {value!r} is not a valid timestamp",
            exit_code=Exit.MISCONFIGURED,
            code="setting_refused",
            remedy="correct start_date, for example 2026-11-01T00:00:00Z, or clear the state: find its STATE_ID with "
            "`meltano state list`, then `meltano state clear STATE_ID`",
        ) from None
