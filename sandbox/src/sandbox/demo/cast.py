"""Which invoice of the demo's month plays which part in the bookkeeper's two days of work."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from sandbox.demo.month import Invoice, posted, with_role

FULL = 84
THREE_INVOICES_CLIENT = "cl_21"
RENAMED_CLIENT = "cl_6"
RENAMED_TO = "Siân Rees & Partners Architects"


@dataclass(frozen=True)
class Cast:
    """Every invoice has at most one part, so that each deviation stands on an invoice of its own."""

    paid: tuple[Invoice, ...]
    paid_penny_apart: tuple[Invoice, ...]
    paid_in_part: tuple[Invoice, ...]
    paid_together: tuple[Invoice, ...]
    payment_voided: Invoice
    payment_deleted: Invoice
    edited: Invoice
    deleted: Invoice
    copied: Invoice


@cache
def cast() -> Cast:
    """Return the parts, picked by position: the same in every run."""
    ordinary = [invoice for invoice in posted() if not invoice.role and not invoice.penny_difference]
    together = [invoice for invoice in ordinary if invoice.client_id == THREE_INVOICES_CLIENT][:3]
    free = [invoice for invoice in ordinary if invoice not in together]
    single = [free[n] for n in (5, 15, 25, 35, 45)]
    in_part = free[50:100:10]
    rest = [invoice for invoice in free if invoice not in single and invoice not in in_part]
    return Cast(tuple(rest[:FULL]), tuple(_one_penny_each_way()), tuple(in_part), tuple(together), *single)


def _one_penny_each_way() -> list[Invoice]:
    """Return one invoice where OpsMerge has a penny more than QuickBooks, and one where it has a penny less."""
    apart = [invoice for invoice in posted() if invoice.penny_difference and not invoice.role]
    more = next(invoice for invoice in apart if invoice.penny_difference > 0)
    less = next(invoice for invoice in apart if invoice.penny_difference < 0)
    return [more, less]


def rejected() -> tuple[Invoice, Invoice]:
    """Return the two invoices that are rejected: a line without a service, a line without a tax code."""
    return with_role("line without service"), with_role("line without tax code")
