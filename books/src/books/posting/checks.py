"""What can be said of an invoice before anything is looked up: pure, and for every ledger alike."""

from __future__ import annotations

from decimal import Decimal

from books.core import money
from books.core.faults import Exit, Halt, Reject
from books.ledgers.contract import Capabilities, Company, Invoice, KeyScope, Line
from books.posting.records import TEXT_REMEDY


def check_company(company: Company) -> None:
    """Raise one clear message before the first write, instead of a refusal per invoice.

    Raises:
        Halt: MISCONFIGURED; the company is not set up to take these invoices.
    """
    for obstacle in company.obstacles:
        raise _not_ready(obstacle.code, obstacle.message, obstacle.remedy)


def check_settle_wait(capabilities: Capabilities, settle_seconds: float) -> None:
    """Refuse a wait after which a request may be sent again while its key still stands for the first one.

    A key that binds a whole call replays its first answer, an error too, so the invoice would seem refused.

    Raises:
        Halt: MISCONFIGURED; settle_seconds is shorter than the ledger remembers such a key.
    """
    seconds = capabilities.key_lifetime_seconds
    if capabilities.key_scope is KeyScope.CALL and settle_seconds < seconds:
        raise _not_ready(
            "settle_seconds_too_short",
            f"setting settle_seconds is {settle_seconds:.0f}, and {capabilities.ledger} remembers the key of a call "
            f"for {seconds:.0f} seconds",
            f"Set settle_seconds to {seconds:.0f} or more.",
        )


def check_duplicate_numbers(connection: str, capabilities: Capabilities, answer: str | None) -> None:
    """Ask a person, once, before anything is created in production, what cannot be read.

    Raises:
        Halt: MISCONFIGURED; nobody has answered yet.
    """
    asked = capabilities.duplicates
    if asked is not None and connection.startswith("production:") and answer is None:
        raise _not_ready(
            "duplicate_numbers_unchecked",
            f"nobody has said yet whether {capabilities.ledger} warns of duplicate invoice numbers, and its API does "
            "not show it",
            f"Look in {capabilities.ledger}: {asked.switch}. Where it is on (recommended), set "
            f"{asked.variable}=yes, else =accepted to go on without it.",
        )


def _not_ready(code: str, message: str, remedy: str) -> Halt:
    return Halt(message, exit_code=Exit.MISCONFIGURED, code=code, remedy=remedy)


def check_number(invoice: Invoice, capabilities: Capabilities) -> None:
    """Raise for a number that the ledger could not hold. It is never cut: a cut number is another number.

    Raises:
        Reject: too long.
    """
    if len(invoice.number) > capabilities.number_chars_max:
        raise Reject(
            f"the number has {len(invoice.number)} characters; {capabilities.ledger} takes "
            f"{capabilities.number_chars_max}",
            code="number_too_long",
            field="number",
            remedy="Shorten the number format in OpsMerge; the number is never cut.",
        )


def check_invoice(invoice: Invoice, company: Company, capabilities: Capabilities) -> None:
    """Raise for an invoice that cannot be posted at all.

    Raises:
        Reject: lines, totals, currency or date forbid it; `field` says where.
    """
    _check_lines(invoice, capabilities)
    _check_totals(invoice, capabilities)
    if not company.takes(invoice.currency):
        raise Reject(
            f"the invoice is in {invoice.currency}, and {company.name} keeps its books in {company.home_currency} only",
            code="currency_off",
            field="currency",
            remedy=capabilities.currency_remedy,
        )
    if company.closed_until is not None and invoice.issue_date <= company.closed_until:
        raise Reject(
            f"the books are closed until {company.closed_until}, and the invoice is dated {invoice.issue_date}",
            code="period_closed",
            field="issue_date",
            remedy="Ask the accountant: reopen the period and `books retry`, or date the invoice in an open one.",
        )


def _check_lines(invoice: Invoice, capabilities: Capabilities) -> None:
    if not invoice.lines:
        raise Reject("the invoice has no lines", code="no_lines", field="lines", remedy=TEXT_REMEDY)
    if len(invoice.lines) > capabilities.lines_max:
        raise Reject(
            f"the invoice has {len(invoice.lines)} lines; {capabilities.ledger} takes {capabilities.lines_max}",
            code="too_many_lines",
            field="lines",
            remedy="Split the invoice in OpsMerge.",
        )
    for index, line in enumerate(invoice.lines):
        if not (line.service_id or line.service_name):
            raise Reject(
                f"missing service on line {index + 1}",
                code="missing_service",
                field=f"lines[{index}].service",
                remedy="Give the line a service in OpsMerge.",
            )
        if not (line.tax_code_id or line.tax_code_name):
            raise Reject(
                f"missing TaxCodeRef: line {index + 1} has no tax code",
                code="missing_tax_code",
                field=f"lines[{index}].tax_code",
                remedy="Give the line a tax code in OpsMerge.",
            )


def is_negative(invoice: Invoice) -> bool:
    """Return whether an invoice is a credit, which no ledger takes as an invoice."""
    return invoice.total < 0 or invoice.subtotal < 0


def negative_total(total: Decimal, ledger: str) -> Reject:
    """Return why a credit is refused."""
    return Reject(
        f"the total {total} is negative",
        code="negative_total",
        field="total",
        remedy=f"Enter it as a credit note in {ledger}, unless it is there, and opt the invoice out in OpsMerge.",
    )


def _check_totals(invoice: Invoice, capabilities: Capabilities) -> None:
    if is_negative(invoice):
        raise negative_total(invoice.total, capabilities.ledger)
    net = sum((line.net for line in invoice.lines), money.ZERO)
    if net != invoice.subtotal or invoice.subtotal + invoice.tax_total != invoice.total:
        raise Reject(
            f"the totals do not add up: lines {net}, subtotal {invoice.subtotal}, VAT {invoice.tax_total}, "
            f"total {invoice.total}",
            code="totals_disagree",
            field="subtotal" if net != invoice.subtotal else "total",
            remedy="Save the invoice again in OpsMerge, so that it computes its totals again.",
        )


def is_proved_rounding(invoice: Invoice, rates: tuple[Decimal, ...]) -> bool:
    """Return whether OpsMerge's VAT is what rounding each line by itself gives, at the ledger's very rates."""
    by_line = sum((_line_tax(line, rate) for line, rate in zip(invoice.lines, rates, strict=True)), money.ZERO)
    return invoice.tax_total == by_line


def _line_tax(line: Line, rate: Decimal) -> Decimal:
    return money.half_up(line.net * rate / 100)


def check_tax(invoice: Invoice, ledger_tax: Decimal, rates: tuple[Decimal, ...], policy: str) -> Reject | None:
    """Return why an invoice is held for its VAT; None where it agrees, or rounding explains it and may be posted.

    Raises:
        Reject: the difference is no rounding, so a tax code is wrong.
    """
    if invoice.tax_total == ledger_tax:
        return None
    difference = ledger_tax - invoice.tax_total
    if not is_proved_rounding(invoice, rates):
        raise Reject(
            f"VAT differs by {difference}: OpsMerge says {invoice.tax_total}, the books would say {ledger_tax}, "
            "and rounding does not explain it",
            code="vat_differs",
            field="tax_total",
            remedy="Check the tax codes of the lines and their mapping under tax_codes in mappings.yml.",
        )
    if policy == "post":
        return None
    return Reject(
        f"VAT would differ by {difference} through rounding: OpsMerge {invoice.tax_total}, the books {ledger_tax}",
        code="vat_rounding",
        field="tax_total",
        remedy="Set vat_difference to post, or change the lines so that both round alike.",
    )
