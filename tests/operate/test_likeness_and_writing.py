"""Suggestions for mappings: what is alike, and how they get into the file."""

from __future__ import annotations

from decimal import Decimal

import pytest

from books.faults import Halt
from books.ledger import Customer, Item, TaxCode
from books.mappings import load
from books.preflight.findings import Suggestion
from books.preflight.likeness import likeness, suggest_customer, suggest_item, suggest_tax_code
from books.preflight.writing import write

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
def test_a_tax_code_is_proposed_of_the_same_rate_only(name, rate):
    """The UK's letters are understood; a reverse charge is never proposed; nothing of another rate."""
    found = suggest_tax_code("tx", name, Decimal(rate), CODES)
    assert (found.ledger_id if found else None) == MEANT[name, rate]


def test_an_item_is_proposed_only_when_it_leads():
    """Two that are as good are none; inactive ones and categories are none either."""
    items = [Item("1", "Managed Backup"), Item("2", "Support"), Item("3", "Backup", active=False)]
    assert suggest_item("svc", "Backup", items).ledger_id == "1"
    assert suggest_item("svc", "Backup", [*items, Item("4", "Backup Server")]) is None
    assert suggest_item("svc", "Telephony", items) is None


@pytest.mark.parametrize("other", ["Acme Limited", "ACME LTD.", "The Acme Ltd"])
def test_a_customer_is_proposed_where_only_spelling_and_legal_form_differ(other):
    """More is shown, but not proposed: a wrong customer gets somebody else's invoice."""
    proposed, shown = suggest_customer(
        "cl_1", "Acme Ltd (cl_1)", "Acme Ltd", [Customer("58", other), Customer("9", "Zen")]
    )
    assert (proposed.ledger_id, shown) == ("58", [f"{other} (58)"])
    assert suggest_customer("cl_1", "x", "Acme Ltd", [Customer("58", other), Customer("59", "acme")])[0] is None
    assert suggest_customer("cl_1", "x", "Acme Ltds", [Customer("58", "Acme Lts")])[0] is None
    assert suggest_customer("cl_1", "x", "Acme", [Customer("58", other, active=False)]) == (None, [])


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
