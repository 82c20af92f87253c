"""The settings of a push and of a pull that every ledger's plugins share."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from datetime import date
from typing import Literal

from books.core.settings import Settings, refusal, setting
from books.transport.settings import LedgerSettings

SETTLE_SECONDS_MIN = 300
"""In production: a request whose answer was lost may still arrive so much later."""


@dataclass(frozen=True, kw_only=True)
class PushSettings(Settings):
    """The company, and how to post to it. A vendor's own class adds what only its ledger has."""

    ledger: LedgerSettings
    mapping_file: str = setting(
        "Services, tax codes and clients by hand; a missing file is an empty one", default="mappings.yml"
    )
    batch_size: int = setting("Invoices in one call", default=1, least=1)
    settle_seconds: int = setting(
        "How long an unknown posting rests before it may be sent again; at least 300 in production",
        default=900,
        least=0,
    )
    vat_difference: Literal["post", "hold"] = setting(
        "`post` or `hold` when the ledger's VAT will differ from OpsMerge's by proved rounding", default="post"
    )
    post_from: date | None = setting(
        "Go-live date (YYYY-MM-DD): earlier invoices are never posted, only adopted. Required in production",
        default=None,
    )
    dry_run: bool = setting("Plan only: read the ledger, write nothing there, emit no STATE", default=False)
    plan_file: str | None = setting("Where a dry run writes its plan, besides stderr", default=None)
    plan: str | None = setting("A plan file: create exactly what it shows, and hold everything else", default=None)
    fail_on_rejected: bool = setting("End with exit code 65 when records were rejected", default=False)

    @property
    @abstractmethod
    def item_accounts(self) -> tuple[str | None, str | None]:
        """The names of the income and the expense account that a missing item is created with."""

    @property
    def duplicate_numbers_answer(self) -> str | None:
        """What a person said of the ledger's own check for duplicate numbers; None: nobody did, or need not."""
        return None

    def check(self) -> None:
        """Refuse what is not safe in production, or for this ledger's idempotency keys."""
        if self.ledger.environment != "production":
            return
        if self.post_from is None:
            raise refusal("post_from", "is required in production: the date from which invoices are posted")
        if self.settle_seconds < SETTLE_SECONDS_MIN:
            raise refusal(
                "settle_seconds",
                f"must be at least {SETTLE_SECONDS_MIN} in production, not {self.settle_seconds}: a request whose "
                "answer was lost may still arrive",
            )


@dataclass(frozen=True, kw_only=True)
class PullSettings(Settings):
    """The company, and how far to read."""

    ledger: LedgerSettings
    start_date: str | None = setting(
        "Read changes from this moment on, when there is no bookmark yet", default=None, format="date-time"
    )
    overlap_seconds: int = setting("How far each read reaches back before the bookmark", default=300, least=0)
    full_refresh: bool = setting("Read every stream completely, in the order of creation", default=False)
