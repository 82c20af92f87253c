"""The test double of a ledger: a company's books in memory, behind a network that fails as the test chooses.

For seeded simulations (thousands of schedules a second), and for anyone who writes a vendor's folder and wants to see
what posting asks of it. It assigns ids to its invoices, remembers idempotency keys, and can apply a request long
after its caller gave up.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import Enum

import pendulum

from books.core import money
from books.core.clock import Clock, text_of
from books.core.faults import Exit, Fault, Halt, Reject, Retry, ServerError, Unknown
from books.ledgers.contract import (
    Account,
    Capabilities,
    Company,
    Customer,
    Entity,
    Extract,
    Invoice,
    Item,
    KeyScope,
    LedgerInvoice,
    Member,
    NewCustomer,
    NewItem,
    References,
    Row,
    Spent,
    TaxCode,
    Whole,
)
from books.transport.call import Turn


class Fate(Enum):
    """What happens to one call that creates invoices."""

    FINE = "fine"
    REFUSED = "refused"
    """Never sent: Retry."""
    LOST = "lost"
    """Never arrived, and the caller cannot know: Unknown."""
    ANSWER_LOST = "answer lost"
    """Applied; the answer is lost: Unknown."""
    LATE = "late"
    """Unknown now, applied later."""
    FAILED_BEFORE = "5xx before"
    """Not applied: ServerError."""
    FAILED_AFTER = "5xx after"
    """Applied: ServerError."""
    HALF_ANSWERED = "half answered"
    """Applied; the answer leaves out every second member."""


CALL_KEY_SECONDS = 360.0
"""How long a key that binds a whole call is remembered, as at Xero."""


@dataclass
class _Remembered:
    """A call under a key that binds all of it."""

    members: tuple[Member, ...]
    until_seconds: float
    made: dict[str, LedgerInvoice | Fault] = field(default_factory=dict)
    failed: bool = False

    def answer(self) -> dict[str, LedgerInvoice | Fault]:
        """Return the first answer again, or raise it."""
        if self.failed:
            raise ServerError("HTTP 500", code="http_500")
        return self.made


class PretendLedger:
    """A company's books in memory. `fate()` decides what happens to each call that creates invoices."""

    def __init__(
        self,
        clock: Clock,
        fate: Callable[[], Fate] = lambda: Fate.FINE,
        *,
        remembers_keys: bool = True,
        key_scope: KeyScope = KeyScope.MEMBER,
    ) -> None:
        self.invoices: dict[str, LedgerInvoice] = {}
        self.created_at: dict[str, pendulum.DateTime] = {}
        self.customers: dict[str, Customer] = {}
        self.items: dict[str, Item] = {}
        self._clock = clock
        self._fate = fate
        self._remembers_keys = remembers_keys
        self._key_scope = key_scope
        self._answers: dict[tuple[str, str], LedgerInvoice] = {}
        self._calls_by_key: dict[str, _Remembered] = {}
        self.keys_refused = 0
        """Calls under a key that was used for another call."""
        self._late: list[tuple[float, str, Sequence[Member]]] = []
        self._calls = 0
        self._ids = itertools.count(1)
        self._late_seconds: Callable[[], float] = lambda: 600.0
        self._lock: object | None = None
        self.wait_for_permit: Callable[[], float] = lambda: 0.0

    @property
    def connection(self) -> str:
        """The pretend company."""
        return "pretend:1"

    @property
    def capabilities(self) -> Capabilities:
        """Numbers need not be unique; a key per member is remembered for ever, a key per call for six minutes."""
        binds_call = self._key_scope is KeyScope.CALL
        return Capabilities(
            "pretend",
            "the pretend ledger",
            "nobody",
            "request id",
            number_chars_max=21,
            lines_max=750,
            key_scope=self._key_scope,
            key_lifetime_seconds=CALL_KEY_SECONDS if binds_call else math.inf,
            key_stores_errors=binds_call,
        )

    def spent(self) -> Spent:
        """Return the calls so far."""
        return Spent(self._calls, 0)

    def company(self) -> Company:
        """Return a UK company."""
        return Company(
            connection=self.connection,
            name="Pretend Ltd",
            country="GB",
            home_currency="GBP",
            currencies=frozenset({"GBP"}),
            closed_until=None,
        )

    def customer_name(self, name: str) -> str:
        """Return the name as given, stripped."""
        return name.strip()

    def find_customers(self, *, names: Sequence[str] = (), ids: Sequence[str] = ()) -> Sequence[Customer]:
        """Return those with one of the names or ids."""
        wanted = {name.casefold() for name in names}
        return [each for each in self.customers.values() if each.name.casefold() in wanted or each.id in ids]

    def find_items(self, *, names: Sequence[str] = (), ids: Sequence[str] = ()) -> Sequence[Item]:
        """Return those with one of the names or ids."""
        wanted = {name.casefold() for name in names}
        return [each for each in self.items.values() if each.name.casefold() in wanted or each.id in ids]

    def tax_codes(self) -> Sequence[TaxCode]:
        """Return one code of 20 %."""
        return [TaxCode("5", "20.0% S", (("9", Decimal(20)),))]

    def exchange_rate(self, currency: str, on: date) -> Decimal | None:
        """Return None: no rates."""
        del currency, on
        return None

    def find_invoices(self, numbers: Sequence[str] = (), *, ids: Sequence[str] = ()) -> Sequence[LedgerInvoice]:
        """Return invoices by number or id, after late requests that are due were applied."""
        self._calls += 1
        self._apply_late()
        wanted = {number.casefold() for number in numbers}
        return [each for each in self.invoices.values() if each.number.casefold() in wanted or each.id in ids]

    def create_customers(self, customers: Sequence[NewCustomer], key: str) -> Sequence[Customer | Fault]:
        """Create; always succeeds. Names are unique."""
        del key
        for each in customers:
            self.customers.setdefault(each.name.casefold(), Customer(str(len(self.customers) + 1), each.name))
        return [self.customers[each.name.casefold()] for each in customers]

    def create_items(self, items: Sequence[NewItem], key: str) -> Sequence[Item | Fault]:
        """Create; always succeeds. Names are unique."""
        del key
        for each in items:
            self.items.setdefault(each.name.casefold(), Item(str(len(self.items) + 1), each.name))
        return [self.items[each.name.casefold()] for each in items]

    def list_customers(self) -> Whole[Customer]:
        """Return all."""
        return Whole(list(self.customers.values()), complete=True)

    def list_items(self) -> Whole[Item]:
        """Return all."""
        return Whole(list(self.items.values()), complete=True)

    def find_accounts(self, names: Sequence[str]) -> Sequence[Account]:
        """Return an account of each name, for income and expense."""
        return [Account(name, name, "Any", takes_income=True, takes_expense=True) for name in names]

    def other_holders(self, names: Sequence[str]) -> Mapping[str, str]:
        """Return nothing: no other parties."""
        del names
        return {}

    def predict_tax(self, invoice: Invoice, tax_codes: Sequence[TaxCode]) -> Decimal:
        """Return the VAT at one rate over the whole document."""
        net = sum((line.net for line in invoice.lines), money.ZERO)
        return money.half_up(net * tax_codes[0].percent / 100) if tax_codes else money.ZERO

    def draft(self, invoice: Invoice, references: References, company: Company) -> bytes:
        """Return the values that adoption compares, as JSON."""
        del company
        day = invoice.issue_date.isoformat()
        values = [invoice.number, day, references.customer.id, invoice.subtotal, invoice.tax_total, invoice.id]
        return money.dumps(values).encode()

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Hold the push lock; a second caller gets a Halt at once."""
        if self._lock is not None:
            raise Halt("another run is pushing", exit_code=Exit.TRY_LATER, code="lock_busy")
        mine = self._lock = object()
        try:
            yield Turn(self.wait_for_permit, lambda: self._lock is mine)
        finally:
            if self._lock is mine:
                self._lock = None

    def lose_lock(self) -> None:
        """Free the lock under its holder, as a restart of the database server does."""
        self._lock = None

    def create_invoices(
        self, members: Sequence[Member], key: str, prove: Callable[[], None]
    ) -> Mapping[str, LedgerInvoice | Fault]:
        """Create invoices in one call, with the fate that `fate()` returns."""
        prove()
        self._calls += 1
        self._apply_late()
        fate = self._fate()
        if fate is Fate.REFUSED:
            raise Retry("connection refused")
        if self._key_scope is KeyScope.CALL and fate is not Fate.LOST:
            return self._answer_call(key, members, fate)
        if fate is Fate.LATE:
            self._late.append((self._clock.monotonic() + self._late_seconds(), key, members))
        if fate in (Fate.LOST, Fate.LATE):
            raise Unknown("timed out", code="timed_out")
        if fate is Fate.FAILED_BEFORE:
            raise ServerError("HTTP 503", code="http_503")
        answers = self._apply(key, members)
        if fate is Fate.ANSWER_LOST:
            raise Unknown("connection cut", code="cut")
        if fate is Fate.FAILED_AFTER:
            raise ServerError("HTTP 504", code="http_504")
        if fate is Fate.HALF_ANSWERED:
            lost = ServerError("left out", code="no_answer")
            return {member.bid: lost if place % 2 else answers[member.bid] for place, member in enumerate(members)}
        return answers

    def _answer_call(self, key: str, members: Sequence[Member], fate: Fate) -> Mapping[str, LedgerInvoice | Fault]:
        """Answer a call whose key binds all of it: its first answer, an error too, is replayed; another is refused."""
        now = self._clock.monotonic()
        known = self._calls_by_key.get(key)
        if known is not None and now < known.until_seconds:
            if known.members != tuple(members):
                self.keys_refused += 1
                raise Reject("the key is used with a different request", code="key_used")
            return known.answer()
        remembered = self._calls_by_key[key] = _Remembered(tuple(members), now + CALL_KEY_SECONDS)
        if fate is Fate.LATE:
            self._late.append((now + self._late_seconds(), key, members))
            raise Unknown("timed out", code="timed_out")
        if fate is not Fate.FAILED_BEFORE:
            remembered.made = self._apply(key, members)
        remembered.failed = fate in (Fate.FAILED_BEFORE, Fate.FAILED_AFTER)
        if fate is Fate.ANSWER_LOST:
            raise Unknown("connection cut", code="cut")
        if fate is Fate.HALF_ANSWERED:
            lost = ServerError("left out", code="no_answer")
            return {each.bid: lost if place % 2 else remembered.made[each.bid] for place, each in enumerate(members)}
        return remembered.answer()

    def _apply(self, key: str, members: Sequence[Member]) -> dict[str, LedgerInvoice | Fault]:
        return {member.bid: self._create(key, member) for member in members}

    def _create(self, key: str, member: Member) -> LedgerInvoice:
        is_kept = self._remembers_keys and self._key_scope is KeyScope.MEMBER
        known = self._answers.get((key, member.bid)) if is_kept else None
        if known is not None:
            return known
        number, day, customer_id, net, tax, source_id = money.loads(member.body)
        made = LedgerInvoice(
            id=str(next(self._ids)),
            number=number,
            issue_date=date.fromisoformat(day),
            customer_id=customer_id,
            currency="GBP",
            net=net,
            tax=tax,
            total=net + tax,
            source_id=source_id,
        )
        self.invoices[made.id] = made
        self.created_at[made.id] = self._clock.now()
        self._answers[(key, member.bid)] = made
        return made

    def late_after(self, seconds: Callable[[], float]) -> None:
        """Set how long a late request takes to arrive."""
        self._late_seconds = seconds

    def _apply_late(self) -> None:
        due = [late for late in self._late if late[0] <= self._clock.monotonic()]
        self._late = [late for late in self._late if late not in due]
        for _, key, members in due:
            self._apply(key, members)


class PretendBooks:
    """The same company, read back: invoices and customers. `cursors`: per entity the time to read from, or None."""

    entities = (Entity("invoices", "invoice"), Entity("customers", "customer"))

    def __init__(self, ledger: PretendLedger, clock: Clock, cursors: Mapping[str, pendulum.DateTime | None]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._cursors = cursors

    def changes(self, entity: str) -> Extract:
        """Return what was created since the cursor; everything without one."""
        since = self._cursors.get(entity)
        if since is None:
            return self.everything(entity)
        rows = [row for row in self._rows(entity) if row["created_at"] >= text_of(since)]
        return self._extract(rows, is_complete=False)

    def everything(self, entity: str) -> Extract:
        """Return all rows."""
        return self._extract(self._rows(entity), is_complete=True)

    def objects(self, entity: str, ids: Iterable[str]) -> Iterator[Row]:
        """Yield objects by id, a missing one as a deletion."""
        there = {row["id"]: row for row in self._rows(entity)}
        yield from (there.get(each, {"id": each, "status": "deleted"}) for each in ids)

    def _extract(self, rows: Sequence[Row], *, is_complete: bool) -> Extract:
        now = self._clock.now()
        return Extract(iter(rows), is_complete, now, lambda: now)

    def _rows(self, entity: str) -> list[Row]:
        if entity == "customers":
            made = text_of(self._clock.now())
            return [
                {"id": each.id, "display_name": each.name, "status": "active", "created_at": made}
                for each in self._ledger.customers.values()
            ]
        return [
            {
                "id": each.id,
                "doc_number": each.number,
                "customer_id": each.customer_id,
                "currency": each.currency,
                "net_amount": each.net,
                "tax_amount": each.tax,
                "total_amount": each.total,
                "status": "voided" if each.voided else "live",
                "created_at": text_of(self._ledger.created_at[each.id]),
            }
            for each in self._ledger.invoices.values()
        ]
