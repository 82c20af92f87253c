"""Each way in which an invoice can be settled, or settled no more, through the real plugins and real HTTP.

One push of an invoice for each case, and three `pull-payments`: after a first day of the bookkeeper's, after a second,
and after nothing at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from meltano_project import Bridge, Run, both_simulators, make_bridge

TOTAL = Decimal("360.00")
CUSTOMER = {"name": "Hartley & Sons"}
CASES = (
    *("split one", "split two", "split three"),
    *("part", "two parts", "moved from", "moved to", "unapplied", "over-paid"),
    *("credited", "credited in part", "voided", "deleted", "open again"),
    *("by hand", "settled otherwise", "refused", "left alone"),
)


@dataclass
class Pull:
    """What one `pull-payments` made of it."""

    run: Run
    shown: dict[str, tuple[str, str]]
    """Per case, what OpsMerge shows: status and amount paid."""
    payments: dict[str, list[dict[str, Any]]]
    """Per case, its live payments."""
    writes: list[str]


@dataclass
class Days:
    """The bookkeeper's days, and what came of each in OpsMerge."""

    bridge: Bridge
    ids: dict[str, str]
    numbers: dict[str, str]
    recorded: dict[str, str] = field(default_factory=dict)
    pulls: list[Pull] = field(default_factory=list)

    def pay(self, case: str, *others: str, amount: Any = None, **words: Any) -> None:
        rows = [{"invoice": self.numbers[each]} for each in (case, *others)]
        given = {} if amount is None else {"amount": Decimal(amount)}
        self.recorded[case] = self.do("record_payment", invoices=rows, **given, **words)["Id"]

    def change(self, case: str, deed: str, **details: Any) -> None:
        self.do(deed, payment_id=self.recorded[case], **details)

    def credit(self, case: str, net: str) -> None:
        """A credit memo, applied to the invoice as far as it goes."""
        detail = {"ItemRef": {"name": "Managed Support"}, "TaxCodeRef": {"name": "20.0% S"}}
        line = {"DetailType": "SalesItemLineDetail", "Amount": Decimal(net), "SalesItemLineDetail": detail}
        memo = self.do("create", entity="CreditMemo", body={"CustomerRef": CUSTOMER, "Line": [line]})
        self.do("apply_credit", invoice=self.numbers[case], credit_memo_id=memo["Id"])

    def do(self, deed: str, **details: Any) -> Any:
        return self.bridge.quickbooks.deed(deed, **details)

    def pull(self) -> None:
        before = len(self.bridge.opsmerge.requests())
        run = self.bridge.pipe("pull-payments")
        assert run.code == 0, run.out
        requests = self.bridge.opsmerge.requests()[before:]
        documents = {case: self.bridge.opsmerge_invoice(each) for case, each in self.ids.items()}
        rows = [row for row in self.bridge.opsmerge_get("/psa/payments?limit=200")["data"] if not row["voided"]]
        self.pulls.append(
            Pull(
                run=run,
                shown={case: (each["status"], f"{each['amount_paid']:.2f}") for case, each in documents.items()},
                payments={case: [row for row in rows if row["invoice_id"] == each] for case, each in self.ids.items()},
                writes=[f"{row['method']} {row['path']}" for row in requests if row["method"] != "GET"],
            )
        )


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Days]:
    with both_simulators() as (opsmerge, quickbooks):
        bridge = make_bridge(tmp_path_factory.mktemp("pay") / "project", opsmerge.url, quickbooks.url)
        ids = {case: bridge.open_invoice() for case in CASES}
        pushed = bridge.pipe("push-invoices")
        assert pushed.code == 0, pushed.out
        numbers = {case: bridge.opsmerge_invoice(each)["number"] for case, each in ids.items()}
        days = Days(bridge, ids, numbers)
        first_day(days)
        days.pull()
        second_day(days)
        days.pull()
        days.pull()
        yield days


def first_day(days: Days) -> None:
    days.pay("split one", "split two", "split three", amount="800", reference="BACS 1")
    days.pay("part", amount="59.99")
    days.pay("two parts", amount="100")
    for case in ("moved from", "unapplied", "voided", "deleted", "open again", "refused"):
        days.pay(case)
    days.pay("over-paid", amount="400")
    days.credit("credited", "300")
    days.credit("credited in part", "50")
    days.pay("by hand", reference="CHQ 12")
    days.bridge.opsmerge.deed("record_payment", invoice_id=days.ids["by hand"], reference="chq  12")
    days.do("edit_invoice", invoice=days.numbers["settled otherwise"], set={"Deposit": 60})
    days.bridge.opsmerge.deed("void_invoice", invoice_id=days.ids["refused"])
    days.do("copy_invoice", invoice=days.numbers["left alone"], number="BY-HAND-1")
    days.do("record_payment", invoice="BY-HAND-1")


def second_day(days: Days) -> None:
    days.pay("two parts")
    days.change("moved from", "edit_payment", invoices=[{"invoice": days.numbers["moved to"]}])
    days.change("unapplied", "edit_payment", invoices=[])
    days.change("voided", "void_payment")
    days.change("deleted", "delete_payment")
    days.change(
        "open again", "edit_payment", amount=20, invoices=[{"invoice": days.numbers["open again"], "amount": 20}]
    )


PAID, NOTHING = ("paid", "360.00"), ("open", "0.00")


@pytest.mark.parametrize(
    ("case", "first", "second"),
    [
        ("split one", PAID, PAID),
        ("split two", PAID, PAID),
        ("split three", ("open", "80.00"), ("open", "80.00")),
        ("part", ("open", "59.99"), ("open", "59.99")),
        ("two parts", ("open", "100.00"), PAID),
        ("moved from", PAID, NOTHING),
        ("moved to", NOTHING, PAID),
        ("unapplied", PAID, NOTHING),
        ("over-paid", PAID, PAID),
        ("credited", PAID, PAID),
        ("credited in part", ("open", "60.00"), ("open", "60.00")),
        ("voided", PAID, NOTHING),
        ("deleted", PAID, NOTHING),
        ("open again", PAID, ("open", "20.00")),
        ("by hand", PAID, PAID),
        ("settled otherwise", NOTHING, NOTHING),
        ("refused", ("voided", "0.00"), ("voided", "0.00")),
        ("left alone", NOTHING, NOTHING),
    ],
)
def test_opsmerge_shows_what_quickbooks_says(days, case, first, second):
    """After each day OpsMerge's status and amount paid of the invoice are what the bookkeeper made of it."""
    assert days.pulls[0].shown[case] == first
    assert days.pulls[1].shown[case] == second


def test_a_split_payment_is_one_payment_on_each_invoice(days):
    """Each bears QuickBooks' payment and invoice in its id, and the bookkeeper's reference."""
    rows = [days.pulls[0].payments[case] for case in ("split one", "split two", "split three")]
    assert [len(each) for each in rows] == [1, 1, 1]
    payment = days.recorded["split one"]
    assert all(each[0]["external_id"].split(":")[:2] == ["9341453000000001", payment] for each in rows)
    assert {each[0]["reference"] for each in rows} == {"BACS 1"}


def test_a_payment_entered_by_hand_on_both_sides_is_not_doubled(days):
    """It is linked: the invoice has the one that the person entered, and none of ours."""
    for pull in days.pulls:
        assert [row["external_id"] for row in pull.payments["by hand"]] == [None]
    assert "1 linked to one entered by hand" in days.pulls[0].run.out


def test_what_no_payment_explains_is_reported(days):
    """An invoice settled by a deposit on itself: the log names it and the remainder; OpsMerge is told no payment."""
    for pull in days.pulls:
        line = next(each for each in pull.run.out.splitlines() if "do not explain" in each)
        assert days.numbers["settled otherwise"] in line
        assert "do not explain 60.00" in line
        assert pull.payments["settled otherwise"] == []


def test_no_other_invoice_is_reported(days):
    """Credit memos, parts and payments taken back leave no remainder."""
    for pull in days.pulls:
        assert sum("do not explain" in each for each in pull.run.out.splitlines()) == 1


def test_a_refusal_stops_no_other_and_says_what_to_do(days):
    """OpsMerge takes no payment on a voided invoice: recorded for that one, with its number, and the run ends well."""
    out = days.pulls[0].run.out
    assert "1 refused" in out
    line = next(each for each in out.splitlines() if "takes no payment" in each)
    assert days.numbers["refused"] in line
    assert "What to do: look at the invoice and its payments in OpsMerge" in line


def test_a_payment_of_an_invoice_that_is_not_opsmerge_s_is_left_alone(days):
    """It is counted, and told to nobody."""
    assert "1 for invoices that are not from OpsMerge" in days.pulls[0].run.out
    assert days.pulls[0].payments["left alone"] == []


def test_only_what_changed_is_written(days):
    """The second day's six deeds are six payments written or voided; moved money is taken away before it is given."""
    written = days.pulls[1].writes
    assert sorted(each.split()[0] for each in written) == ["DELETE"] * 4 + ["PUT"] * 3
    assert [each.split()[0] for each in written][:4] == ["DELETE"] * 4


def test_a_run_without_news_writes_nothing(days):
    """The third run finds everything so already."""
    assert days.pulls[2].writes == []
    assert days.pulls[2].shown == days.pulls[1].shown
