"""Histories: what people do on both sides, how the news travels, where processes die; and what must hold at the end.

Everything is decided by the dice of a seed. Both simulators answer over real HTTP; tap, target and inbox run in this
process on one store; time passes only where a history says so.
"""

from __future__ import annotations

import json
import random
import shutil
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import closing, redirect_stdout, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pendulum
from mortal import Killed, Life, Output, Pipe, mortal
from sqlalchemy import insert, select
from worlds import REALM, opsmerge_settings, posting_row, quickbooks_settings

from books.core.clock import VirtualClock
from books.core.faults import Halt
from books.core.money import ZERO
from books.ledgers.quickbooks.webhook import QuickBooksWebhooks
from books.store import Store
from books.store.tables_opsmerge import allocation
from books.store.tables_posting import posting
from books.webhooks.inbox import Inbox
from books.writeback.balances import Balances
from sandbox.control import ControlError
from tap_quickbooks_payments.tap import TapQuickBooksPayments
from target_opsmerge.target import TargetOpsMerge

CONNECTION = f"sandbox:{REALM}"
STREAMS = ("payments", "invoices")
NETS = ("100.00", "33.33", "0.05", "250.00")
REFERENCES = ("BACS 1", "BACS 2", None)
BEGIN = "2026-11-02T09:00:00+00:00"
NEVER = 10**9
"""Seconds: longer than any history."""

PATIENT_TOKENS = dict.fromkeys(("refresh_rotation_seconds", "refresh_idle_seconds"), NEVER)
"""Consent is not what these histories are about; a kill between a refresh and its commit may cost it."""

WAITS = (0, 0, 1, 40, 400, 4000, 90_000, 27 * 86_400)
"""Seconds between two deeds: within one second, within the overlap, beyond it, beyond what CDC reaches."""

DEEDS_MAX = 12
TAP_STEPS, TAP_LINES, TARGET_STEPS = 90, 12, 55
"""How many steps, or lines, a run usually takes; killed at one that it does not reach, it lives."""


class Between:
    """Both simulators, a store, and the bridge's processes."""

    def __init__(self, opsmerge: Any, quickbooks: Any, folder: Path, life: Life) -> None:
        self.opsmerge = opsmerge
        self.quickbooks = quickbooks
        self.life = life
        self._folder = folder
        self._stores = 0
        Store.open(f"sqlite:///{folder}/empty.db").close()

    @classmethod
    def opened(cls, opsmerge: Any, quickbooks: Any, folder: Path) -> Iterator[Between]:
        """With every step of the bridge's processes counted."""
        life = Life()
        with mortal(life):
            yield cls(opsmerge, quickbooks, folder, life)

    def renew(self) -> None:
        """Everything as at the beginning: an hour at which nobody has done anything."""
        self.opsmerge.control.reset()
        self.quickbooks.control.reset()
        self.quickbooks.control.switches(limits=False, **PATIENT_TOKENS)
        self.quickbooks.control.post("webhooks", {"url": "http://127.0.0.1:9/webhooks/quickbooks"})
        for each in (self.opsmerge, self.quickbooks):
            each.control.post("clock", {"now": BEGIN, "frozen": True})
        self.clock = VirtualClock(at=pendulum.parse(BEGIN))
        self.state: Any = None
        self._stores += 1
        shutil.copy2(self._folder / "empty.db", self._folder / f"{self._stores}.db")
        self.store_url = f"sqlite:///{self._folder}/{self._stores}.db"

    def forget(self) -> None:
        """Give the disk back."""
        for path in self._folder.glob(f"{self._stores}.db*"):
            path.unlink()

    def wait(self, seconds: float) -> None:
        """Let time pass everywhere."""
        self.clock.advance(seconds)
        for each in (self.opsmerge, self.quickbooks):
            each.control.advance(seconds)

    def store(self) -> Any:
        return closing(Store.open(self.store_url, self.clock))

    # -- the bridge's processes

    def run(self, *, tap_steps=None, tap_lines=None, target_steps=None, part=False, ends=True, **settings: Any) -> bool:
        """One `meltano run pull-payments`, the processes killed at these steps. STATE is kept as Meltano keeps it.

        Whether the tap came to its end.
        """
        done = False
        told = Output(self.life, lines=tap_lines, part=part)
        with self.life.of(tap_steps), suppress(Killed):
            self._tap(told, settings)
            done = True
        printed = Output(self.life)
        whole = not part or told.getvalue().endswith("\n")
        with self.life.of(target_steps), suppress(Killed, *([] if whole else [Halt])):
            self._target(Pipe(told.getvalue(), self.life, ends=ends), printed)
        states = [json.loads(line) for line in printed.getvalue().splitlines() if line]
        self.state = states[-1] if states else self.state
        return done

    def _tap(self, out: Output, settings: dict[str, Any]) -> None:
        config = quickbooks_settings(self.quickbooks.url, self.store_url, **settings)
        tap = TapQuickBooksPayments(config=config, state=self.state, clock=self.clock)
        for name, stream in tap.streams.items():
            stream.selected = name in STREAMS
        try:
            with redirect_stdout(out):
                tap.sync_all()
        finally:
            if "store" in vars(tap):
                tap.store.close()

    def _target(self, pipe: Pipe, out: Output) -> None:
        config = {**opsmerge_settings(self.opsmerge.url), "store_url": self.store_url}
        target = TargetOpsMerge(config=config, clock=self.clock)
        try:
            with redirect_stdout(out):
                target.listen(pipe)
        finally:
            if "writeback" in vars(target):
                target.writeback._store.close()

    def receive(self, bodies: list[bytes], steps: int | None = None, *, split: bool = True) -> None:
        """What the receiver does with deliveries; killed at this step."""
        with self.life.of(steps), suppress(Killed), self.store() as store:
            inbox = Inbox(store, QuickBooksWebhooks(()), "sandbox")
            inbox.receive(bodies)
            if split:
                inbox.split([REALM])

    def know_posting(self, opsmerge_id: str, external_id: str, number: str, seq: int) -> None:
        """A posting in the store, as target-quickbooks leaves it."""
        row = posting_row(opsmerge_id, external_id, number=number, seq=seq)
        with self.store() as store, store.begin() as connection:
            connection.execute(insert(posting).values(**row))

    # -- what is so, looked up behind everybody's back

    def allocations(self) -> dict[tuple[str, str], Decimal]:
        """What QuickBooks' live payments give each invoice: (payment id, invoice id) to amount."""
        books = self.quickbooks.state.books()
        given: dict[tuple[str, str], Decimal] = defaultdict(lambda: ZERO)
        for (payment_id,) in books.db.all('SELECT id FROM "entity_Payment" WHERE realm = ? AND deleted = 0', REALM):
            for line in books.need("Payment", str(payment_id))["Line"]:
                for link in line["LinkedTxn"]:
                    if link["TxnType"] == "Invoice":
                        given[str(payment_id), link["TxnId"]] += line["Amount"]
        return dict(given)

    def ledger(self) -> list[Any]:
        with self.store() as store, store.read() as connection:
            return list(connection.execute(select(allocation)).mappings())

    def payments(self) -> list[dict[str, Any]]:
        """All payments in OpsMerge."""
        return list(self.opsmerge.state.store.all("payment"))

    def writes(self) -> list[str]:
        return [f"{row['method']} {row['path']}" for row in self.opsmerge.control.requests() if row["method"] != "GET"]

    def unexplained(self) -> dict[str, Decimal]:
        with self.store() as store:
            return {each.external_id: each.remainder for each in Balances(store).unexplained(CONNECTION)}


@dataclass(frozen=True)
class Invoice:
    """One invoice on both sides."""

    opsmerge_id: str
    external_id: str
    number: str
    total: Decimal


class History:
    """One history of a seed."""

    def __init__(self, between: Between, seed: int) -> None:
        self.between = between
        self.dice = random.Random(seed)
        self.invoices: list[Invoice] = []
        self.unknown: list[Invoice] = []
        self.told: list[str] = []
        """What happened, for people."""
        self._delivered: list[bytes] = []
        self._twins: dict[str, tuple[tuple[str, str], str]] = {}
        """Payments entered by hand before ours was there: which allocation each is, and of which state of it."""
        self.by_hand = self.dice.random() < 0.4
        between.renew()
        between.opsmerge.control.switches(refuse_overpayment=self.dice.random() < 0.5)
        self._open_books()

    def _open_books(self) -> None:
        """Invoices of one customer, the last one perhaps posted without our knowing yet; one that is not OpsMerge's."""
        opsmerge, quickbooks = self.between.opsmerge.control, self.between.quickbooks.control
        opsmerge.seed({"clients": [{"id": "cl_1", "name": "Acme"}], "services": [{"id": "svc_1", "name": "Support"}]})
        accounts = {
            "IncomeAccountRef": {"name": "Sales of Product Income"},
            "ExpenseAccountRef": {"name": "Cost of sales"},
        }
        item = {"Name": "Support", "Type": "Service", **accounts}
        quickbooks.seed({"entities": {"Customer": [{"DisplayName": "Acme"}], "Item": [item]}})
        nets = self.dice.sample(NETS, self.dice.randint(2, 4))
        for net in nets:
            line = {"description": "Support", "quantity": 1, "unit_price": Decimal(net), "service_id": "svc_1"}
            made = opsmerge.deed("create_invoice", client_id="cl_1", lines=[{**line, "tax_code_id": "tax_1"}])
            external_id = self._in_quickbooks(made["number"], net)
            self.invoices.append(Invoice(made["id"], external_id, made["number"], Decimal(made["total"])))
        self._in_quickbooks("OTHER-1", "80.00")
        quickbooks.seed({"entities": {"CreditMemo": [self._document("CN-1", "60.00")]}})
        self.unknown = self.invoices[-1:] if self.dice.random() < 0.5 else []
        for invoice in self.invoices:
            if invoice not in self.unknown:
                self._know(invoice)

    def _document(self, number: str, net: str) -> dict[str, Any]:
        detail = {"ItemRef": {"name": "Support"}, "TaxCodeRef": {"name": "20.0% S"}}
        line = {"DetailType": "SalesItemLineDetail", "Amount": Decimal(net), "SalesItemLineDetail": detail}
        return {"DocNumber": number, "CustomerRef": {"name": "Acme"}, "TxnDate": "2026-11-02", "Line": [line]}

    def _in_quickbooks(self, number: str, net: str) -> str:
        seeded = self.between.quickbooks.control.seed({"entities": {"Invoice": [self._document(number, net)]}})
        return str(seeded["ids"]["Invoice"][number])

    def _know(self, invoice: Invoice) -> None:
        seq = 1 + self.invoices.index(invoice)
        self.between.know_posting(invoice.opsmerge_id, invoice.external_id, invoice.number, seq)

    # -- what people do

    def live(self) -> None:
        """Deeds, news, runs that die."""
        for _ in range(self.dice.randint(2, DEEDS_MAX)):
            self._turn_switches()
            self._do(self.dice.choice(BOOKKEEPER))
            if self.by_hand and self.dice.random() < 0.5:
                self._do(self.dice.choice(OPSMERGE_PEOPLE))
            self.between.wait(self.dice.choice(WAITS))
            if self.dice.random() < 0.4:
                self._deliver()
            if self.dice.random() < 0.35:
                self._faulty_run()

    def _turn_switches(self) -> None:
        self.between.quickbooks.control.switches(
            webhook_loss=self.dice.random() < 0.4,
            webhook_copies=self.dice.randint(1, 3),
            webhook_shuffle=self.dice.random() < 0.5,
            webhook_shape=self.dice.choice(["cloudevents", "legacy"]),
            webhook_delay_seconds=self.dice.choice([0, 0, 60, 5000]),
        )

    def _do(self, deed: str) -> None:
        """A deed; what the product refuses to a person did not happen."""
        try:
            said = getattr(self, deed)()
        except IndexError:
            return  # there is nothing to do it to
        except ControlError as error:
            if ": 400 " in str(error) or ": 409 " in str(error):
                return
            raise
        self.told.append(f"{deed} {said}")

    def _quickbooks(self, deed: str, **details: Any) -> str:
        done = self.between.quickbooks.control.deed(deed, **details)
        return f"{details} -> {done.get('Id') if isinstance(done, dict) else done}"

    def _some_invoices(self, payment_id: str = "") -> list[dict[str, Any]]:
        """Invoices with something open, not counting what this payment gives them, and all of that or a part of it."""
        given = self.between.allocations()
        books = self.between.quickbooks.state.books()
        rows = []
        for each in self.dice.sample(self.invoices, self.dice.randint(1, min(3, len(self.invoices)))):
            document = books.get("Invoice", each.external_id)
            room = document["Balance"] + given.get((payment_id, each.external_id), ZERO) if document else ZERO
            if room > 0:  # a deposit may be more than an invoice that became smaller
                rows.append({"invoice_id": each.external_id, "amount": self._part(room)})
        return rows + ([{"invoice": "OTHER-1", "amount": Decimal("5.00")}] if self.dice.random() < 0.15 else [])

    def _part(self, total: Decimal) -> Decimal:
        """All of it, or whole pennies of it."""
        whole = int(total * 100)
        return Decimal(whole if self.dice.random() < 0.4 else self.dice.randint(1, whole)) / 100

    def _some_payment(self) -> str:
        rows = self.between.quickbooks.state.books().db.all('SELECT id FROM "entity_Payment" WHERE deleted = 0')
        return str(self.dice.choice([row[0] for row in rows]))

    def record(self) -> str:
        """Money for one invoice or several, perhaps more than they need."""
        rows = self._some_invoices()
        extra = Decimal(self.dice.randint(0, 3000)) / 100 if self.dice.random() < 0.3 else ZERO
        amount = sum((row["amount"] for row in rows), ZERO) + extra
        words = {"customer": "Acme", "amount": amount, "reference": self.dice.choice(REFERENCES)}
        return self._quickbooks("record_payment", invoices=rows, **words)

    def know_all(self) -> None:
        """Every push has noted what it posted."""
        while self.unknown:
            self.post_becomes_known()

    def pay_a_penny(self) -> None:
        """A penny of the largest invoice; refused where it needs none."""
        invoice = max(self.invoices, key=lambda each: each.total)
        row = {"invoice_id": invoice.external_id, "amount": Decimal("0.01")}
        self._quickbooks("record_payment", invoices=[row], amount=row["amount"])

    def move(self) -> str:
        """A payment applied to other invoices, or in other parts."""
        payment = self._some_payment()
        rows = self._some_invoices(payment)
        amount = sum((row["amount"] for row in rows), ZERO)
        return self._quickbooks("edit_payment", payment_id=payment, invoices=rows, amount=amount)

    def unapply(self) -> str:
        """A payment applied to nothing."""
        return self._quickbooks("edit_payment", payment_id=self._some_payment(), invoices=[])

    def reword(self) -> str:
        """Another reference or date."""
        words = {"reference": self.dice.choice(["BACS 1", "BACS 2", "CHQ 7"]), "date": "2026-11-05"}
        return self._quickbooks("edit_payment", payment_id=self._some_payment(), **words)

    def void(self) -> str:
        return self._quickbooks("void_payment", payment_id=self._some_payment())

    def delete(self) -> str:
        return self._quickbooks("delete_payment", payment_id=self._some_payment())

    def credit(self) -> str:
        """A credit memo settles an invoice, in whole or in part: a payment of 0.00."""
        invoice = self.dice.choice(self.invoices)
        amount = {"amount": self._part(min(invoice.total, Decimal("72.00")))} if self.dice.random() < 0.5 else {}
        return self._quickbooks("apply_credit", invoice_id=invoice.external_id, credit_memo="CN-1", **amount)

    def deposit_on_invoice(self) -> str:
        """A deposit taken on the invoice itself: its balance falls, and no payment says why."""
        invoice = self.dice.choice(self.invoices)
        deposit = {"Deposit": self.dice.choice([ZERO, Decimal("0.01"), Decimal("10.00")])}
        return self._quickbooks("edit_invoice", invoice_id=invoice.external_id, set=deposit)

    def void_invoice(self) -> str:
        return self._quickbooks("void_invoice", invoice_id=self.dice.choice(self.invoices).external_id)

    def delete_invoice(self) -> str:
        return self._quickbooks("delete_invoice", invoice_id=self.dice.choice(self.invoices).external_id)

    def lower_invoice(self) -> str:
        """An invoice becomes smaller: what was applied beyond its new total goes back to its payments."""
        invoice = self.dice.choice(self.invoices)
        amount = self._part(invoice.total / 2)
        return self._quickbooks("edit_invoice", invoice_id=invoice.external_id, line=1, amount=amount)

    def post_becomes_known(self) -> str:
        """The push that posted an invoice comes to note it."""
        invoice = self.unknown.pop()
        self._know(invoice)
        return invoice.number

    def enter_by_hand(self) -> str:
        """A payment of QuickBooks entered in OpsMerge too, or one that only OpsMerge has."""
        if self.dice.random() < 0.3:
            return self._by_hand(self.dice.choice(self.invoices), Decimal("1.00"), self.dice.choice(REFERENCES))["id"]
        ours = {each.external_id: each for each in self.invoices}
        known = [(key, amount) for key, amount in self.between.allocations().items() if key[1] in ours]
        key, amount = self.dice.choice(known)
        payment = self.between.quickbooks.state.books().need("Payment", key[0])
        entered = self._by_hand(ours[key[1]], amount, payment.get("PaymentRefNum"))
        if not any(each["external_id"] == f"{REALM}:{':'.join(key)}" for each in self.between.payments()):
            self._twins[entered["id"]] = (key, payment["SyncToken"])
        return f"{entered['id']} of {amount} for {key}"

    def _by_hand(self, invoice: Invoice, amount: Decimal, reference: str | None) -> dict[str, Any]:
        words = {"reference": reference} if reference else {}
        return self.between.opsmerge.control.deed(
            "record_payment", invoice_id=invoice.opsmerge_id, amount=amount, **words
        )

    def void_in_opsmerge(self) -> str:
        """A person voids a payment in OpsMerge, one of ours perhaps."""
        payment = self.dice.choice([each for each in self.between.payments() if not each["voided"]])
        self.between.opsmerge.control.deed("void_payment", payment_id=payment["id"])
        return f"{payment['id']} {payment['external_id']}"

    # -- how the news travels

    def _deliver(self) -> None:
        """What is due, some of it lost, some again, in any order; the receiver may die, also before it splits."""
        hooks = self.between.quickbooks.state.webhooks
        bodies = []
        while prepared := hooks.prepare():
            notices, delivery = prepared
            hooks.settle(notices, 200)
            bodies.append(delivery.body)
        bodies = [body for body in bodies + self._delivered[-3:] if self.dice.random() < 0.8]
        self._delivered += bodies
        self.dice.shuffle(bodies)
        steps = self.dice.randint(0, 8) if self.dice.random() < 0.3 else None
        split = self.dice.random() < 0.6
        self.told.append(f"deliver {len(bodies)} steps={steps} split={split}")
        self.between.receive(bodies, steps, split=split)

    # -- where processes die

    def _faulty_run(self) -> None:
        kills = {
            "tap_steps": self._perhaps(0.2, TAP_STEPS),
            "tap_lines": self._perhaps(0.2, TAP_LINES),
            "target_steps": self._perhaps(0.5, TARGET_STEPS),
        }
        ways = {"part": self.dice.random() < 0.3, "ends": self.dice.random() < 0.7}
        overlap = self.dice.choice([0, 300])
        if self.dice.random() < 0.1:
            self.between.state = None
            self.told.append("STATE lost")
        self.told.append(f"run {kills} {ways} overlap={overlap}")
        self.between.run(**kills, **ways, overlap_seconds=overlap)

    def _perhaps(self, share: float, most: int) -> int | None:
        """A number up to this, in such a share of all cases."""
        return self.dice.randint(0, most) if self.dice.random() < share else None

    # -- what must hold

    def check(self) -> None:
        """One more run makes OpsMerge right to the penny, and the next one has nothing to do."""
        self.know_all()
        self.between.run()
        asked = self._asked_for()
        assert self.by_hand or not asked, f"refused, and no person is to blame: {asked}"
        self.compare(asked)
        self._check_twins()
        if asked:
            self._follow_remedy(asked)
            self.between.run()
            assert self._asked_for() == {}
            self.compare()
        self._check_remainders()
        before = len(self.between.writes())
        self.between.run()
        assert self.between.writes()[before:] == [], "a run with no news writes"

    def _asked_for(self) -> dict[tuple[str, str], list[str]]:
        """Allocations that a person must help with, and what is in their way: payments entered by hand in OpsMerge."""
        return {
            (row["payment_id"], row["transaction_id"]): self._in_the_way(row)
            for row in self.between.ledger()
            if row["due"] and row["fault_code"]
        }

    def _in_the_way(self, row: Any) -> list[str]:
        """The one that stands for the allocation; or, where OpsMerge takes no more money, all on the invoice."""
        if row["fault_code"] == "entered_by_hand":
            return [row["linked_payment_id"]]
        assert row["fault_code"] == "conflict", row["fault_message"]
        on_it = [each for each in self.between.payments() if each["invoice_id"] == row["opsmerge_invoice_id"]]
        return [each["id"] for each in on_it if not each["external_id"] and not each["voided"]]

    def _follow_remedy(self, asked: dict[tuple[str, str], list[str]]) -> None:
        for payment_id in sorted({each for payments in asked.values() for each in payments}):
            self.between.opsmerge.control.deed("void_payment", payment_id=payment_id)
        self.told.append(f"remedy followed: {asked}")

    def compare(self, asked: Collection[tuple[str, str]] = ()) -> None:
        """OpsMerge shows QuickBooks' allocations, but for those that wait for a person."""
        ids = {each.external_id for each in self.invoices}
        wanted = {key: amount for key, amount in self.between.allocations().items() if key[1] in ids}
        wanted = {key: amount for key, amount in wanted.items() if amount and key not in asked}
        assert {key: amount for key, amount in self._shown().items() if key not in asked} == wanted
        for invoice in self.invoices:
            self._compare_invoice(invoice)

    def _shown(self) -> dict[tuple[str, str], Decimal]:
        """What OpsMerge shows for each allocation: our live payments, and those linked to one. None stands for two."""
        links = {
            row["linked_payment_id"]: (row["payment_id"], row["transaction_id"])
            for row in self.between.ledger()
            if row["linked_payment_id"]
        }
        shown: dict[tuple[str, str], Decimal] = {}
        for each in self.between.payments():
            if each["voided"]:
                continue
            key = tuple(each["external_id"].split(":")[1:]) if each["external_id"] else links.get(each["id"])
            if key is not None:
                assert key not in shown, f"{key} is in OpsMerge twice"
                shown[key] = each["amount"]
        return shown

    def _check_twins(self) -> None:
        """What was entered by hand first, and is in QuickBooks as it was then, is not doubled."""
        books = self.between.quickbooks.state.books()
        payments = {each["id"]: each for each in self.between.payments()}
        ours = {each["external_id"] for each in payments.values() if not each["voided"]}
        for identifier, (key, token) in self._twins.items():
            payment = books.get("Payment", key[0])
            same = payment is not None and payment["SyncToken"] == token
            if same and not payments[identifier]["voided"] and self._is_alone(payments[identifier]):
                assert f"{REALM}:{':'.join(key)}" not in ours, f"{key} was entered by hand, and is there twice"

    def _is_alone(self, chosen: dict[str, Any]) -> bool:
        """Whether nobody ever entered another payment on its invoice, which might have been linked instead."""
        on_it = [each for each in self.between.payments() if each["invoice_id"] == chosen["invoice_id"]]
        return sum(not each["external_id"] for each in on_it) == 1

    def _compare_invoice(self, invoice: Invoice) -> None:
        """Paid and open fit what is paid."""
        document = self.between.opsmerge.state.need("invoice", invoice.opsmerge_id)
        live = [
            each for each in self.between.payments() if each["invoice_id"] == invoice.opsmerge_id and not each["voided"]
        ]
        paid = sum((each["amount"] for each in live), ZERO)
        assert document["amount_paid"] == paid
        assert (document["status"] == "paid") == (paid >= document["total"])

    def _check_remainders(self) -> None:
        """A remainder is reported where QuickBooks has one, and nowhere else."""
        books = self.between.quickbooks.state.books()
        documents = {each.external_id: books.get("Invoice", each.external_id) for each in self.invoices}
        wanted = {key: each["Deposit"] for key, each in documents.items() if each and each.get("Deposit")}
        assert self.between.unexplained() == wanted


BOOKKEEPER = (
    *["record"] * 6,
    *["move"] * 4,
    *["unapply"] * 2,
    *["void"] * 2,
    *["delete"] * 2,
    *["credit"] * 2,
    "reword",
    "deposit_on_invoice",
    "void_invoice",
    "delete_invoice",
    "lower_invoice",
    "post_becomes_known",
)
OPSMERGE_PEOPLE = (*["enter_by_hand"] * 3, "void_in_opsmerge")


def play(between: Between, seed: int) -> History:
    """Play one history and check it; a failure names its seed and tells the story."""
    history = History(between, seed)
    try:
        history.live()
        history.check()
    except Exception as failure:
        story = "\n  ".join(history.told)
        raise AssertionError(f"seed {seed}: {failure}\n  {story}") from failure
    finally:
        between.forget()
    return history
