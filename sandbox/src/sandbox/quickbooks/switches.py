"""Every behaviour that Intuit does not state plainly, or that a test wants to turn: one switch each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, get_type_hints

CHOICES: dict[str, tuple[str, ...]] = {
    "retry_after": ("none", "seconds", "date"),
    "batch_counts_as": ("one", "items"),
    "replay_changed_body": ("replay", "fault"),
    "replay_scope": ("realm", "app"),
    "fault_casing": ("upper", "lower"),
    "duplicate_name_detail": ("text", "id", "null"),
    "inactive_reference": ("2500", "610"),
    "negative_lines": ("accept", "refuse"),
    "discount_vat": ("pro_rata", "none"),
    "tax_override": ("ignore", "apply"),
    "linked_delete": ("refuse", "unlink"),
    "foreign_link": ("unapplied", "refuse"),
    "over_application": ("refuse", "620", "cap"),
    "maxresults_over_1000": ("refuse", "cap"),
    "cdc_too_old": ("refuse", "truncate"),
    "cdc_limit": ("response", "entity"),
    "column_lists": ("refuse", "answer"),
    "webhook_shape": ("cloudevents", "legacy"),
    "webhook_merge_id": ("losing", "winning"),
    "unknown_properties": ("refuse", "ignore"),
    "environment": ("sandbox", "production"),
}


@dataclass
class Switches:
    """The state of every switch; the comments give what is turned, the defaults are the safe choices."""

    environment: str = "sandbox"
    # transport
    limits: bool = True
    requests_per_minute: int = 500
    requests_per_second: int = 10
    batches_per_minute_app: int = 40
    batches_per_minute_realm: int = 120
    batch_counts_as: str = "one"
    retry_after: str = "none"
    concurrent_requests: int = 0
    metered_quota: int = 0
    fault_with_200: bool = False
    fault_casing: str = "upper"
    short_numbers: bool = False
    extra_fields: bool = False
    unknown_properties: str = "refuse"
    # tokens
    access_token_seconds: int = 3600
    refresh_rotation_seconds: int = 86_400
    refresh_idle_seconds: int = 8_640_000
    refresh_hard_seconds: int = 157_680_000
    old_refresh_grace_seconds: int = 0
    code_reuse_revokes: bool = True
    # idempotency
    replay_retention_seconds: int = 86_400
    replay_failures: bool = False
    replay_changed_body: str = "replay"
    replay_scope: str = "realm"
    # books
    duplicate_name_detail: str = "text"
    inactive_suffix: bool = True
    inactive_name_taken: bool = False
    inactive_reference: str = "2500"
    negative_lines: str = "accept"
    discount_vat: str = "pro_rata"
    tax_override: str = "ignore"
    linked_delete: str = "refuse"
    foreign_link: str = "unapplied"
    over_application: str = "refuse"
    payment_touches_invoice: bool = True
    stale_lists_seconds: int = 0
    # query, changes, batch
    maxresults_over_1000: str = "refuse"
    column_lists: str = "refuse"
    url_characters_max: int = 8192
    cdc_too_old: str = "refuse"
    cdc_limit: str = "response"
    batch_unordered: bool = False
    batch_empty_answers: int = 0
    # webhooks
    webhook_shape: str = "cloudevents"
    webhook_delay_seconds: int = 0
    webhook_copies: int = 1
    webhook_shuffle: bool = False
    webhook_loss: bool = False
    webhook_own_writes: bool = True
    webhook_merge_id: str = "losing"

    def update(self, changes: Mapping[str, Any]) -> None:
        """Set some, all or none.

        Raises:
            ValueError: no such switch, or not one of its positions.
        """
        checked = {name: _checked(name, value) for name, value in changes.items()}
        for name, value in checked.items():
            setattr(self, name, value)

    def as_json(self) -> dict[str, Any]:
        """Return all switches."""
        return asdict(self)


KINDS = get_type_hints(Switches)
NAMES = frozenset(field.name for field in fields(Switches))


def _checked(name: str, value: Any) -> Any:
    if name not in NAMES:
        raise ValueError(f"no switch {name!r}; known: {', '.join(sorted(NAMES))}")
    if name in CHOICES and value not in CHOICES[name]:
        raise ValueError(f"{name} must be one of {', '.join(CHOICES[name])}")
    kind = KINDS[name]
    if type(value) is not kind or (kind is int and value < 0):
        raise ValueError(
            f"{name} must be {'true or false' if kind is bool else 'a text' if kind is str else '0 or more'}"
        )
    return value
