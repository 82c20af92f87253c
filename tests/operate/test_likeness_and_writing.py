"""Suggestions for mappings: what is alike, and how they get into the file."""

from __future__ import annotations

from decimal import Decimal

import pytest

from books.core.faults import Halt
from books.ledgers.contract import Customer, Item, TaxCode
from books.operations.preflight.findings import Suggestion
from books.operations.preflight.likeness import likeness, match_customer, match_item, match_tax_code, spelling
from books.operations.preflight.writing import write
from books.posting.mappings import load

CODES = [
    TaxCode("6", "20.0% S", (("12", Decimal("20.0")),)),
    TaxCode("5", "5.0% R", (("10", Decimal(5)),)),
    TaxCode("7", "0.0% Z", (("14", Decimal(0)),)),
    TaxCode("8", "Exempt", (("16", Decimal(0)),)),
    TaxCode("10", "No VAT", (("20", Decimal(0)),)),
    TaxCode("21", "20.0% RC CIS", (("42", Decimal(20)),), reverse_charge=True),
]
MEANT = {
    ("VAT Standard 20%", "20"): "6",
    ("Standard rate", "20"): "6",
    ("Anything else of 20 %", "20"): "6",
    ("Reduced 5%", "5"): "5",
    ("VAT Zero 0%", "0"): "7",
    ("Zero rated", "0"): "7",
    ("VAT exempt", "0"): "8",
    ("Outside VAT", "0"): "10",
    ("Odd", "0"): None,
    ("Standard", "17.5"): None,
}


@pytest.mark.parametrize(("name", "rate"), MEANT)
def test_a_tax_code_is_shown_of_the_same_rate_only(name, rate):
    """The UK's letters are understood; a reverse charge is never shown; nothing of another rate, nothing unasked."""
    found = match_tax_code(name, Decimal(rate), CODES)
    assert found.equal is None
    assert (found.candidates[0][0].id if found.candidates else None) == MEANT[name, rate]


EQUAL = [
    ("Acme Limited", "ACME  Ltd."),
    ("Smith & Jones LLP", "smith and jones L.L.P."),
    ("O'Brien's", "O\u2019Briens"),
    ("Cafe\u0301 Rene\u0301", "Caf\u00e9 Ren\u00e9"),
    ("\uff2d\uff33 Office", "MS\u00a0Office"),
    ("Managed-Support (UK)", "managed support UK"),
    ("Wei\u00df GmbH", "WEISS GmbH"),
    ("Office 365 E3", "office 365 e3"),
]
DIFFERENT = [
    ("Microsoft 365 Business Basic", "Microsoft 365 Business Premium"),
    ("Office 365 E3", "Office 365 E5"),
    ("C", "C++"),
    ("C++", "C#"),
    ("C+", "C++"),
    ("Acme Ltd", "Acme LLP"),
    ("Acme Ltd", "Acme PLC"),
    ("Acme Ltd", "Acme"),
    ("Acme Ltd", "Acmeltd"),
    ("Support Managed", "Managed Support"),
    ("Backup 3.5", "Backup 35"),
    ("Server 1 10GB", "Server 11 0GB"),
    ("Line 2024-25", "Line 202425"),
    ("Disk 10\u00b2", "Disk 102"),
    ("Hosting:Web", "Hosting Web"),
    ("R&D", "Rand D"),
    ("Ac\u200bme", "Acme"),
    ("\u202eAcme", "Acme"),
    ("Acme\x07", "Acme"),
    ("Discount 10%", "Discount 10"),
    ("\u0410cme", "Acme"),
    ("Support", "Services"),
    ("!!!", "..."),
    ("", ""),
    ("\u200b", "\u200b"),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_names_of_one_spelling_are_equal(one, other):
    """Unicode form, case, blanks, punctuation, Ltd and & do not tell names apart."""
    assert spelling(one) == spelling(other) is not None
    assert match_item(one, [Item("1", other), Item("2", "Zen")]).equal.id == "1"


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_all_else_is_another_name(one, other):
    """Digits, signs, legal forms, the order of words and what nobody sees tell names apart; none of them is written."""
    assert spelling(one) is None or spelling(one) != spelling(other)
    assert match_item(one, [Item("1", other)]).equal is None
    assert match_customer(one, [Customer("1", other)]).equal is None


def test_an_item_is_equal_only_when_it_is_the_only_one_that_can_be_sold():
    """Two of one spelling are none; inactive ones and categories count for nothing; a name below a category counts."""
    items = [Item("1", "Managed-Backup"), Item("2", "Support"), Item("3", "Managed Backup.", active=False)]
    items.append(Item("5", "MANAGED BACKUP", sellable=False))
    assert match_item("Managed Backup", items).equal.id == "1"
    both = match_item("Managed Backup", [*items, Item("4", "Managed  Backup")])
    assert (both.equal, [each.id for each, _ in both.candidates]) == (None, ["1", "4"])
    assert match_item("Managed Backup", [Item("7", "Services:Managed-Backup")]).equal.id == "7"
    two = [Item("7", "Services:Setup."), Item("8", "Hardware:Setup.")]
    assert match_item("Setup", two).equal is None
    assert match_item("Telephony", items).candidates == []


def test_what_is_alike_is_shown_and_not_entered():
    """Best first; a person chooses."""
    items = [Item("1", "Microsoft 365 Business Premium"), Item("2", "Telephony")]
    found = match_item("Microsoft 365 Business Basic", items)
    assert (found.equal, [each.id for each, _ in found.candidates]) == (None, ["1"])


@pytest.mark.parametrize("other", ["Acme Limited", "ACME LTD."])
def test_a_customer_is_equal_where_only_spelling_differs(other):
    """More is shown, but not entered: a wrong customer gets somebody else's invoice."""
    found = match_customer("Acme Ltd", [Customer("58", other), Customer("9", "Zen")])
    assert (found.equal.id, [each.id for each, _ in found.candidates]) == ("58", ["58"])
    assert match_customer("Acme Ltd", [Customer("58", other), Customer("59", "acme")]).equal.id == "58"
    assert match_customer("Acme Ltd", [Customer("58", other), Customer("59", "acme ltd")]).equal is None
    assert match_customer("Acme Ltd", [Customer("58", other, active=False)]).candidates == []


def test_likeness_is_the_same_both_ways_and_survives_anything():
    """Numbers between 0 and 1, also for names without a letter."""
    for one, other in [("Backup", "Managed Backup"), ("", "x"), ("!!!", "!!!"), ("Bäckerei Süß", "Baeckerei")]:
        assert likeness(one, other) == likeness(other, one)
        assert 0 <= likeness(one, other) <= 1


FILE = """\
# Ours. Ask Kim before you change it.
version: 1

services:
  # the old name of managed support
  svc_12: {item: "Managed Support"}   # agreed in May
  "Backup": {item_id: "20"}
clients: {cl_7: {customer_id: "58"}}
"""


def entry(section, key, label, ledger_id="99"):
    return Suggestion(section, key, label, ledger_id, "Theirs", 0.9)


def test_what_is_written_keeps_comments_order_and_every_entry(tmp_path):
    """An entry that is there, by id or by name, is never touched; new ones come last, with a word on what they mean."""
    path = tmp_path / "mappings.yml"
    path.write_text(FILE)
    path.chmod(0o640)
    wanted = [
        entry("services", "svc_12", "Managed"),
        entry("services", "svc_20", "Backup"),
        entry("services", "svc_3", "Hosting: web"),
        entry("tax_codes", "12", "VAT Standard 20%", "6"),
        entry("clients", "cl_8", "Acme #1\nLtd"),
    ]
    entered = write(path, wanted)
    assert [each.key for each in entered] == ["svc_3", "12", "cl_8"]
    text = path.read_text()
    for line in FILE.splitlines()[:-1]:
        assert line.split("  #")[0] in text
    assert "# agreed in May" in text
    assert 'svc_3: {item_id: "99"} # Hosting: web -> Theirs (id 99)' in " ".join(text.split())
    found = load(path)
    assert found.services["svc_12"].name == "Managed Support"
    assert (found.tax_codes["12"].id, found.clients["cl_7"].id, found.clients["cl_8"].id) == ("6", "58", "99")
    assert path.stat().st_mode & 0o777 == 0o640
    before = path.read_bytes()
    assert write(path, wanted) == []
    assert path.read_bytes() == before


def test_two_meanings_of_one_key_are_left_to_a_person(tmp_path):
    """Neither is entered, whichever came last; the same one twice is entered once."""
    path = tmp_path / "mappings.yml"
    wanted = [entry("clients", "cl_1", "Acme", each) for each in ("58", "59")] + [entry("clients", "cl_2", "Zen")] * 2
    assert [each.key for each in write(path, wanted)] == ["cl_2"]
    assert set(load(path).clients) == {"cl_2"}


def test_a_file_is_made_where_there_is_none_and_a_broken_one_stays_as_it_is(tmp_path):
    """Never half, never over what cannot be read."""
    path = tmp_path / "mappings.yml"
    write(path, [entry("services", "svc_1", "Support", "20")])
    assert load(path).services["svc_1"].id == "20"
    path.write_text("version: 1\nservices: [\n")
    with pytest.raises(Halt) as refused:
        write(path, [entry("services", "svc_2", "x")])
    assert (refused.value.exit_code, path.read_text()) == (78, "version: 1\nservices: [\n")
    assert [each.name for each in tmp_path.iterdir()] == ["mappings.yml"]
