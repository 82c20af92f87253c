"""Errors use the words of OpsMerge's own help pages where it has them, so that they can be looked up there."""

from __future__ import annotations

from decimal import Decimal

import pytest

from books.ledgers.quickbooks.faults import RULES
from books.ledgers.quickbooks.mapping import read_tax_code

LINES = {
    "missing service": {"service_id": None, "service_name": None},
    "missing TaxCodeRef": {"tax_code_id": None, "tax_code_name": None},
    "missing TaxCodeRef: QuickBooks has no active VAT code": {"tax_code_id": "x", "tax_code_name": "Nowhere"},
}


@pytest.mark.parametrize("words", LINES)
def test_what_a_line_lacks_is_said_in_opsmerge_s_words(sqlite_bridge, record, line, words):
    """In the store, and so in OpsMerge, `books log` and `books why`."""
    sqlite_bridge.push(record(1, lines=[line(**LINES[words])]))
    assert words in sqlite_bridge.postings()["inv_1"]["fault_message"]


def test_a_service_without_an_item_is_a_missing_service(sqlite_bridge, record):
    """Where no default accounts are set, so that none is created."""
    sqlite_bridge.config |= {"default_income_account": None, "default_expense_account": None}
    sqlite_bridge.push(record(1))
    assert "missing service" in sqlite_bridge.postings()["inv_1"]["fault_message"]


def test_a_dead_connection_says_token_expired(sqlite_bridge, record):
    """With what to do about it."""
    sqlite_bridge.sim.control.deed("disconnect")
    halt = sqlite_bridge.push(record(1)).halt
    assert ("token expired" in halt.message, halt.exit_code, "reconnect" in halt.remedy) == (True, 69, True)


def test_a_long_pause_says_rate_limited(sqlite_bridge, record):
    """Beyond max_wait_seconds the run ends, and so does the next one inside the pause."""
    sqlite_bridge.sim.control.fault("429", path="/companyinfo", times=50, retry_after=600)
    sqlite_bridge.sim.control.fault("429", path="/query", times=50, retry_after=600)
    for _run in range(2):
        halt = sqlite_bridge.push(record(1), max_wait_seconds=1).halt
        assert (
            halt.message.startswith(("rate limited", "QuickBooks could not be read: rate limited")),
            halt.exit_code,
        ) == (
            True,
            75,
        ), halt.message


def test_intuit_s_codes_for_these_have_the_same_words():
    """Whichever call answers with them."""
    assert RULES["3001"].words == "rate limited"
    assert "token expired" in RULES["3200"].words
    assert "TaxCodeRef" in RULES["6000"].words


@pytest.mark.parametrize(
    ("name", "reversed_", "expected"),
    [("20.0% RC CIS", (), True), ("20.0% S", (), False), ("Domestic", ("12",), True), ("MARCH 20%", (), False)],
)
def test_a_reverse_charge_is_known_by_its_name_or_by_its_rate(name, reversed_, expected):
    """So that preflight can warn of it on a sales form."""
    row = {"Id": "6", "Name": name, "SalesTaxRateList": {"TaxRateDetail": [{"TaxRateRef": {"value": "12"}}]}}
    assert read_tax_code(row, {"12": Decimal(20)}, reversed_).reverse_charge is expected


def test_a_control_character_in_one_record_stops_no_other(sqlite_bridge, record, line):
    """Such a number, service or tax code is refused by itself; such a client is posted under the name without it."""
    bad = [
        record(1, number="INV-\x071"),
        record(2, lines=[line(service_name="Sup\x1bport")]),
        record(3, lines=[line(tax_code_name="V\x9bAT")]),
        record(4, client_name="A\x07cme"),
    ]
    pushed = sqlite_bridge.push(*bad, record(5))
    codes = {key: row["fault_code"] or row["outcome"] for key, row in sqlite_bridge.postings().items()}
    refused = {"inv_1": "number_not_allowed", "inv_2": "item_missing", "inv_3": "tax_code_missing"}
    assert codes == {**refused, "inv_4": "created", "inv_5": "created"}
    assert not {"\x07", "\x1b", "\x9b"} & set(pushed.log)


def test_of_two_invoices_with_one_number_in_one_run_one_is_posted(sqlite_bridge, record):
    """QuickBooks' own check is off, and no look-up sees what is only about to be sent: the second is a conflict."""
    sqlite_bridge.sim.control.deed("set_preferences", WarnDuplicateNumbers=False)
    sqlite_bridge.push(record(1), record(2, number="inv-2026-0001 "), record(3))
    rows = sqlite_bridge.postings()
    assert {key: (row["outcome"], row["fault_code"]) for key, row in rows.items()} == {
        "inv_1": ("created", None),
        "inv_2": ("conflict", "number_twice"),
        "inv_3": ("created", None),
    }
    assert len(sqlite_bridge.books()) == 2


@pytest.mark.parametrize("excluded", ["no", "true", 1, {}])
def test_an_opt_out_that_cannot_be_read_posts_nothing(sqlite_bridge, record, excluded):
    """Anything but true or false is refused by its field: an opted-out invoice is never posted by mistake."""
    sqlite_bridge.push(record(1, accounting_excluded=excluded))
    row = sqlite_bridge.postings()["inv_1"]
    assert (row["outcome"], row["fault_field"]) == ("rejected", "accounting_excluded")
    assert sqlite_bridge.books() == []
