"""The demo's October 2026: 150 invoices, the same in every run, planned without a clock, a server or chance.

Numbers are known beforehand, because OpsMerge numbers without gaps in the order of creation: first the recurring run
of 00:01 on the 1st, then what people write by hand, day by day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from functools import cache

from sandbox.demo.catalogue import CLIENTS, SERVICES, STANDARD, Service

PENNY = Decimal("0.01")
PERCENT = Decimal("0.01")
RATES = {"tax_1": Decimal(20), "tax_2": Decimal(5), "tax_3": Decimal(0), "tax_4": Decimal(0), "tax_5": Decimal(0)}
RECURRING = 60
BY_HAND = 90
BY_ID = {service.id: service for service in SERVICES}
TERMS = (14, 30, 7, 30, 60)


@dataclass(frozen=True)
class Line:
    """A line as a person enters it. `net` overrides quantity x unit price."""

    description: str
    quantity: Decimal
    unit_price: Decimal
    service_id: str | None
    tax_code_id: str | None
    net: Decimal | None = None

    @property
    def amount(self) -> Decimal:
        """Return the line's net in pounds."""
        return _half_up(self.quantity * self.unit_price) if self.net is None else self.net


@dataclass(frozen=True)
class Invoice:
    """An invoice as planned. `becomes` is open, draft, excluded or voided; `role` names what it is there to show."""

    client_id: str
    day: int
    lines: tuple[Line, ...]
    terms_days: int = 30
    becomes: str = "open"
    role: str = ""
    notes: str | None = None
    number: str = ""

    @property
    def issue_date(self) -> str:
        """Return its day of October 2026."""
        return f"2026-10-{self.day:02d}"

    @property
    def net(self) -> Decimal:
        """Return the sum of the lines."""
        return sum((line.amount for line in self.lines), Decimal("0.00"))

    @property
    def opsmerge_tax(self) -> Decimal:
        """Return the VAT as OpsMerge computes it: rounded line by line."""
        return sum((_tax(line.amount, line.tax_code_id) for line in self.lines), Decimal("0.00"))

    @property
    def quickbooks_tax(self) -> Decimal:
        """Return the VAT as QuickBooks computes it: rounded once for each tax code of the document."""
        codes = sorted({line.tax_code_id for line in self.lines if line.tax_code_id})
        sums = {code: sum(line.amount for line in self.lines if line.tax_code_id == code) for code in codes}
        return sum((_tax(Decimal(net), code) for code, net in sums.items()), Decimal("0.00"))

    @property
    def penny_difference(self) -> Decimal:
        """Return OpsMerge's total minus QuickBooks', for the same lines: rounding only."""
        return self.opsmerge_tax - self.quickbooks_tax


@cache
def invoices() -> tuple[Invoice, ...]:
    """Return all 150 invoices, in the order of their numbers."""
    planned = [*_recurring(), *_by_hand()]
    return tuple(replace(invoice, number=f"INV-2026-{n:04d}") for n, invoice in enumerate(planned, start=1))


def recurring() -> tuple[Invoice, ...]:
    """Return the invoices of the recurring run."""
    return invoices()[:RECURRING]


def by_hand() -> tuple[Invoice, ...]:
    """Return the invoices that people wrote."""
    return invoices()[RECURRING:]


def with_role(role: str) -> Invoice:
    """Return the one invoice with this role."""
    return next(invoice for invoice in invoices() if invoice.role == role)


def _recurring() -> Iterator[Invoice]:
    """Yield one agreement for each client's support, and a second, for connectivity, for every other client."""
    for n, client in enumerate(CLIENTS):
        yield Invoice(client.id, 1, tuple(_support(n)), TERMS[n % len(TERMS)], notes="Managed services, October 2026")
    for n, client in enumerate(CLIENTS[: 2 * (RECURRING - len(CLIENTS)) : 2]):
        yield Invoice(client.id, 1, tuple(_connectivity(n)), 30, notes="Connectivity, October 2026")


def _support(n: int) -> Iterator[Line]:
    users = 4 + n * 7 % 23
    yield _line("svc_1", users)
    yield _line("svc_3", users - users // 3)
    if users // 3:
        yield _line("svc_4", users // 3)
    if n % 3 == 0:
        yield _line("svc_2", 1 + n % 4)
        yield _line("svc_5", 2 + n % 9)
    if n % 2:
        yield _line("svc_6", users)
    if n % 10 == 0:
        yield _line("svc_19", 2 * users)


def _connectivity(n: int) -> Iterator[Line]:
    yield _line("svc_8" if n % 4 == 0 else "svc_9", 1)
    yield _line("svc_10", 4 + 4 * (n % 6))
    if n % 3 == 0:
        yield _line("svc_11", 1000 * (1 + n % 5), description="Call charges, minutes")


def _by_hand() -> Iterator[Invoice]:
    """Yield ordinary work on most days, and among it the invoices with a role."""
    special = dict(_special())
    ordinary = 0
    for n in range(BY_HAND):
        if n in special:
            yield replace(special[n], day=_day(n))
        else:
            yield _ordinary(ordinary, _day(n))
            ordinary += 1


def _day(n: int) -> int:
    """Spread over the 2nd to the 30th, in order."""
    return 2 + n * 29 // BY_HAND


def _ordinary(n: int, day: int) -> Invoice:
    client = CLIENTS[(n * 11 + 3) % len(CLIENTS)]
    return Invoice(client.id, day, tuple(JOBS[n % len(JOBS)](n)), TERMS[n % len(TERMS)])


def _remote(n: int) -> Iterator[Line]:
    yield _line("svc_12", _quarters(n), description="Remote support, hours")


def _visit(n: int) -> Iterator[Line]:
    yield _line("svc_13", _quarters(n + 2), description="Engineer on site, hours")
    if n % 2:
        yield _line("svc_16", 1 + n % 3, price="64.99", description="USB-C docking station")


def _laptops(n: int) -> Iterator[Line]:
    yield _line("svc_16", 1 + n % 4, price="748.33", description='Laptop, 14", 16 GB')
    yield _line("svc_19", 12 * (1 + n % 4), description="Device insurance, months")


def _project(n: int) -> Iterator[Line]:
    yield _line("svc_15", Decimal(1 + n % 5) / 2, description="Project work, days")
    yield _line("svc_18", 2 + n % 4)


def _heating(n: int) -> Iterator[Line]:
    yield _line("svc_17", 1 + n % 3)
    yield _line("svc_13", Decimal("1.5"), description="Commissioning, hours")


def _night(n: int) -> Iterator[Line]:
    yield _line("svc_14", Decimal("0.75") + n % 3, description="Out-of-hours call-out, hours")
    yield _line("svc_20", 1)


JOBS = (_remote, _visit, _laptops, _project, _remote, _heating, _night)


def _special() -> Iterator[tuple[int, Invoice]]:
    """Yield a position among the invoices by hand, and the invoice (its day comes from the position)."""
    yield 3, _show("cl_16", "line without service", _line(None, 1, price="150.00", description="Goodwill adjustment"))
    yield 7, _show("cl_9", "line without tax code", replace(_line("svc_12", 2), tax_code_id=None), _line("svc_12", 1))
    yield 11, _show("cl_5", "opted out", _line("svc_15", 3), becomes="excluded")
    yield 16, _show("cl_23", "half a penny up", _line("svc_6", Decimal("2.5")), _line("svc_7", Decimal("0.7")))
    yield 20, _show("cl_30", "three decimals", _line("svc_11", Decimal("128.350"), price="14.50"))
    yield 25, _show("cl_18", "net overridden", replace(_line("svc_12", Decimal("3.25")), net=Decimal("250.00")))
    yield 29, _show("cl_26", "sixty lines", *_sixty())
    for n, client_id in ((34, "cl_3"), (52, "cl_21"), (86, "cl_29"), (88, "cl_40")):
        yield n, _show(client_id, f"draft {n}", _line("svc_12", _quarters(n)), becomes="draft")
    for n, client_id in ((14, "cl_7"), (40, "cl_33"), (61, "cl_12")):
        yield n, _show(client_id, f"voided {n}", _line("svc_13", _quarters(n)), becomes="voided")


def _show(client_id: str, role: str, *lines: Line, becomes: str = "open") -> Invoice:
    return Invoice(client_id, 1, lines, role=role, becomes=becomes)


def _sixty() -> Iterator[Line]:
    """Yield one line for each device of an audit."""
    for n in range(60):
        yield _line("svc_6", 1 + n % 3, description=f"Endpoint protection, device NH-{n + 1:03d}")


def _quarters(n: int) -> Decimal:
    """Return hours, in quarters."""
    return Decimal(1 + n * 5 % 17) / 4


def _line(
    service_id: str | None, quantity: int | Decimal, *, price: str | None = None, description: str | None = None
) -> Line:
    service = BY_ID[service_id] if service_id else Service("", "", Decimal(0), STANDARD)
    unit_price = service.price if price is None else Decimal(price)
    return Line(description or service.name, Decimal(quantity), unit_price, service_id, service.tax_code)


def _tax(net: Decimal, code: str | None) -> Decimal:
    return _half_up(net * RATES[code] * PERCENT) if code else Decimal("0.00")


def _half_up(amount: Decimal) -> Decimal:
    return amount.quantize(PENNY, rounding=ROUND_HALF_UP)


def posted() -> Sequence[Invoice]:
    """Return the invoices that reach QuickBooks: open, and every line has a service and a tax code."""
    return [invoice for invoice in invoices() if invoice.becomes == "open" and all(map(_complete, invoice.lines))]


def _complete(line: Line) -> bool:
    return bool(line.service_id and line.tax_code_id)
