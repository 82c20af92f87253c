"""What reconciliation has to find in the demo, and nothing else, once both stages of deeds and all jobs have run.

Payments that flowed back, in full, in part or over several invoices, leave no drift; nor do the payment that was
voided and the one that was deleted; nor does an invoice that was voided before it was ever posted. A customer's other
name is reported once for each customer and tolerated, because customers are matched by id.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sandbox.demo.cast import RENAMED_CLIENT, cast, rejected
from sandbox.demo.catalogue import CLIENTS, TWINS
from sandbox.demo.month import invoices, posted


@dataclass(frozen=True)
class Planted:
    """One deviation: its drift class and bucket, and a pattern (any case) that its cause matches.

    It stands on an invoice (`number`), or on a customer as a whole (`client`, its name in OpsMerge).
    """

    drift_class: str
    bucket: str
    cause: str
    number: str | None = None
    client: str | None = None


def planted() -> list[Planted]:
    """Return all planted deviations: invoices by number, then customers."""
    found = [*_breaks(), *_rounding(), *_by_design(), *_renamed()]
    return sorted(found, key=lambda deviation: (deviation.number is None, deviation.number or deviation.client))


def _breaks() -> Iterator[Planted]:
    parts = cast()
    no_service, no_tax_code = rejected()
    yield Planted("I12", "break", r"service", no_service.number)
    yield Planted("I12", "break", r"tax code|VAT", no_tax_code.number)
    yield Planted("A01", "break", r"edited in QuickBooks", parts.edited.number)
    yield Planted("I09", "break", r"gone|deleted", parts.deleted.number)
    yield Planted("I03", "break", r"second|twice|duplicate|copy", parts.copied.number)


def _rounding() -> Iterator[Planted]:
    """Yield the rounding differences: OpsMerge rounds VAT per line, QuickBooks once per document."""
    for invoice in posted():
        if invoice.penny_difference:
            yield Planted("A03", "tolerated", r"round", invoice.number)


def _by_design() -> Iterator[Planted]:
    for invoice in invoices():
        if invoice.becomes == "draft":
            yield Planted("D01", "by_design", r"draft", invoice.number)
        if invoice.becomes == "excluded":
            yield Planted("D02", "by_design", r"opted out|don't push", invoice.number)


def _renamed() -> Iterator[Planted]:
    """Yield the customer that the bookkeeper renames, and the two with another name by the mapping file."""
    for client in CLIENTS:
        if client.id == RENAMED_CLIENT or client.id in TWINS:
            yield Planted("H05", "tolerated", r"name", client=client.name)
