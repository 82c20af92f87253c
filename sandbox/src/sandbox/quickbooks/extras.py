"""Small endpoints around the books: exchange rates, e-mail, PDF."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from sandbox.quickbooks import faults
from sandbox.quickbooks.books import Books, Document
from sandbox.quickbooks.entities.names import looks_like_mail
from sandbox.quickbooks.times import stamp

MAILS_PER_DAY = 40


def exchange_rate(books: Books, params: Mapping[str, str]) -> Document:
    """Return the newest rate on or before a day; 1 where none is known, as the product answers.

    Raises:
        ApiFault: 2020 without a currency, 2040 for a day that is none.
    """
    currency = params.get("sourcecurrencycode", "").upper()
    if not currency:
        raise faults.missing("sourcecurrencycode")
    day = params.get("asofdate") or books.today()
    try:
        date.fromisoformat(day)
    except ValueError as error:
        raise faults.bad_date(day[:40], "asofdate") from error
    row = books.db.one(
        "SELECT rate FROM rate WHERE realm = ? AND currency = ? AND day <= ? ORDER BY day DESC LIMIT 1",
        books.realm,
        currency,
        day,
    )
    return {
        "SyncToken": "0",
        "domain": "QBO",
        "AsOfDate": day,
        "SourceCurrencyCode": currency,
        "Rate": Decimal(row[0]) if row else 1,
        "TargetCurrencyCode": books.company.HomeCurrency,
        "sparse": False,
        "MetaData": {"LastUpdatedTime": stamp(books.now())},
    }


def set_rates(books: Books, rates: Mapping[str, Mapping[str, Any]]) -> None:
    """Keep `{"USD": {"2026-11-01": "0.79"}}`: home units for one foreign unit.

    Raises:
        ValueError: a day or a rate that is none.
    """
    for currency, by_day in rates.items():
        for day, rate in by_day.items():
            date.fromisoformat(day)
            exact = str(rate)
            if not 0 < float(exact) < 1_000_000:  # noqa: PLR2004 -- a bound, not arithmetic
                raise ValueError(f"no rate: {exact}")
            books.db.run("INSERT OR REPLACE INTO rate VALUES (?, ?, ?, ?)", currency.upper(), books.realm, day, exact)


def send_invoice(books: Books, invoice_id: str, address: str | None) -> Document:
    """Run `POST /invoice/{id}/send`: mark the invoice as sent; no mail leaves the simulator.

    Raises:
        ApiFault: 610; 2020 without an address; 3001 beyond a sandbox's 40 mails a day.
    """
    invoice = books.need("Invoice", invoice_id)
    target = address or (invoice.get("BillEmail") or {}).get("Address")
    if not target:
        raise faults.missing("BillEmail")
    if not looks_like_mail(target):
        raise faults.business("Email Address does not conform to the syntax rules of RFC 822.", "sendTo")
    _count_mail(books)
    sent = {
        **invoice,
        "BillEmail": {"Address": target},
        "EmailStatus": "EmailSent",
        "DeliveryInfo": {"DeliveryType": "Email", "DeliveryTime": stamp(books.now())},
    }
    return books.update("Invoice", sent, "emailed")


def _count_mail(books: Books) -> None:
    row = books.db.one(
        "INSERT INTO mail VALUES (?, ?, 1) ON CONFLICT (realm, day) DO UPDATE SET sent = sent + 1 RETURNING sent",
        books.realm,
        books.today(),
    )
    if row and row[0] > MAILS_PER_DAY and books.switches.limits:
        raise faults.throttled()


def invoice_pdf(books: Books, invoice_id: str) -> bytes:
    """Return a one-line PDF that names the invoice.

    Raises:
        ApiFault: 610.
    """
    invoice = books.need("Invoice", invoice_id)
    number = str(invoice.get("DocNumber") or invoice["Id"]).encode("ascii", "replace")
    text = b"".join(b"\\" + bytes([c]) if c in b"()\\" else bytes([c]) for c in number)
    stream = b"BT /F1 18 Tf 72 720 Td (Invoice " + text + b") Tj ET"
    parts = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
            b"/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>"
        ),
        b"<< /Length " + str(len(stream)).encode() + b" >> stream\n" + stream + b"\nendstream",
    )
    return _pdf_file(parts)


def _pdf_file(parts: tuple[bytes, ...]) -> bytes:
    """Return a PDF file: objects, cross-reference table, trailer (ISO 32000-1 §7.5)."""
    body, offsets = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, start=1):
        offsets.append(len(body))
        body += str(number).encode() + b" 0 obj\n" + part + b"\nendobj\n"
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(parts) + 1)
    tail = b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(parts) + 1, len(body))
    return body + head + table + tail
