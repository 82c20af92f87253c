"""What reconciliation has to find in the demo, and nothing else, once both stages of deeds and all jobs have run.

Payments that flowed back, in full, in part or over several invoices, leave no drift; nor do the payment that was
voided and the one that was deleted; nor does a renamed customer, because customers are matched by id; nor does an
invoice that was voided before it was ever posted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sandbox.demo.cast import cast, rejected
from sandbox.demo.month import invoices, posted


@dataclass(frozen=True)
class Planted:
    """One deviation: on which invoice, its drift class and bucket, and a pattern (any case) that its cause matches."""

    number: str
    drift_class: str
    bucket: str
    cause: str


def planted() -> list[Planted]:
    """All of them, by invoice number."""
    return sorted([*_breaks(), *_tolerated(), *_by_design()], key=lambda deviation: deviation.number)


def _breaks() -> Iterator[Planted]:
    parts = cast()
    no_service, no_tax_code = rejected()
    yield Planted(no_service.number, "I12", "break", r"service")
    yield Planted(no_tax_code.number, "I12", "break", r"tax code|VAT")
    yield Planted(parts.edited.number, "A01", "break", r"edited in QuickBooks")
    yield Planted(parts.deleted.number, "I09", "break", r"deleted")
    yield Planted(parts.copied.number, "I03", "break", r"twice|duplicate|copy|second")


def _tolerated() -> Iterator[Planted]:
    """VAT rounded per line in OpsMerge, per document in QuickBooks."""
    for invoice in posted():
        if invoice.penny_difference:
            yield Planted(invoice.number, "A03", "tolerated", r"round")


def _by_design() -> Iterator[Planted]:
    for invoice in invoices():
        if invoice.becomes == "draft":
            yield Planted(invoice.number, "D01", "by_design", r"draft")
        if invoice.becomes == "excluded":
            yield Planted(invoice.number, "D02", "by_design", r"opted out|push to")
