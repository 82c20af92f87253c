"""`books preflight` through Meltano's settings, against both simulators: each finding with place and remedy."""

from __future__ import annotations

import itertools
import json

import pytest

ACCOUNTS = {
    "TARGET_QUICKBOOKS_DEFAULT_INCOME_ACCOUNT": "Bad debts",
    "TARGET_QUICKBOOKS_DEFAULT_EXPENSE_ACCOUNT": "Cost of sales",
}


@pytest.fixture
def plant(bridge):
    """Write an invoice of one line for a new client; its number."""
    names = (f"Plain {place} Ltd" for place in itertools.count())

    def make(client=None, service="svc_1", tax="tax_1", **details):
        key = bridge.opsmerge.deed("save_client", name=client or next(names))["id"]
        line = {"description": "x", "quantity": 1, "unit_price": 100, "service_id": service, "tax_code_id": tax}
        lines = details.pop("lines", [line])
        return bridge.opsmerge.deed("create_invoice", client_id=key, lines=lines, **details)["number"]

    return make


def item(name, **more):
    accounts = {"IncomeAccountRef": {"name": "Sales of Product Income"}, "ExpenseAccountRef": {"name": "Cost of sales"}}
    return {"Name": name, **accounts, **more}


def test_every_trouble_is_found_with_its_invoices_and_what_to_do(bridge, plant):
    """One of each, found before the first write, in the words that a push would use; 65 for scripts."""
    opsmerge, quickbooks = bridge.opsmerge, bridge.quickbooks
    people = [{"DisplayName": name} for name in ("Sleepy Ltd", "Lookalike Limited")]
    items = [item("Managed Support"), item("Managed Backup"), item("Old Thing")]
    quickbooks.seed({"entities": {"Customer": people, "Vendor": [{"DisplayName": "Vendor Ltd"}], "Item": items}})
    quickbooks.deed("deactivate_customer", customer="Sleepy Ltd")
    quickbooks.deed("deactivate_item", item="Old Thing")
    quickbooks.deed("set_preferences", BookCloseDate="2026-08-31")
    for key, name in (("svc_b", "Backup"), ("svc_n", "Nowhere"), ("svc_o", "Old Thing")):
        opsmerge.deed("save_service", id=key, name=name)
    opsmerge.deed("save_tax_code", id="tax_r", name="VAT", rate=17.5, quickbooks_tax_code="20.0% S")
    opsmerge.deed("save_tax_code", id="tax_z", name="Zero rated", rate=0)
    wanted = {
        ("service", "Backup", "blocks"): plant(service="svc_b"),
        ("service", "Nowhere", "blocks"): plant(service="svc_n"),
        ("service", "Old Thing", "blocks"): plant(service="svc_o"),
        ("tax code", "VAT", "blocks"): plant(tax="tax_r"),
        ("tax code", "Zero rated", "blocks"): plant(tax="tax_z"),
        ("client", "Sleepy Ltd", "blocks"): plant("Sleepy Ltd"),
        ("client", "Vendor Ltd", "blocks"): plant("Vendor Ltd"),
        ("client", "Lookalike Ltd", "warning"): plant("Lookalike Ltd"),
        ("client", "Twice Ltd", "blocks"): plant("Twice Ltd"),
        ("client", "TWICE LTD", "blocks"): plant("TWICE LTD"),
        ("invoice", "missing service", "blocks"): plant(service=None),
        ("invoice", "missing TaxCodeRef", "blocks"): plant(tax=None),
        ("invoice", "closed period", "blocks"): plant(issue_date="2026-08-01"),
        ("invoice", "currency", "blocks"): plant(currency="EUR"),
        ("invoice", "number taken", "blocks"): plant(),
    }
    taken = wanted["invoice", "number taken", "blocks"]
    quickbooks.seed({"entities": {"Invoice": [foreign(taken)]}})
    answer = bridge.books("preflight", "--json", **ACCOUNTS)
    assert answer.code == 65, answer.out
    told = json.loads(answer.out)
    found = {(each["area"], each["what"].rsplit(" (cl_", 1)[0], each["state"]): each for each in told["findings"]}
    for key, number in wanted.items():
        assert key in found, (key, sorted(found))
        assert number in found[key]["numbers"], key
        assert found[key]["remedy"], key
    assert ("company", "default_income_account", "blocks") in found
    assert "Bad debts" in found["company", "default_income_account", "blocks"]["says"]
    assert ("company", "duplicate numbers", "warning") in found
    assert "by OpsMerge's own mapping" not in found["service", "Managed Support", "ok"]["says"]
    assert "missing service: QuickBooks has no item 'Nowhere'" in found["service", "Nowhere", "blocks"]["says"]
    assert "17.5 % in OpsMerge" in found["tax code", "VAT", "blocks"]["says"]
    assert found["client", "Vendor Ltd", "blocks"]["says"].startswith("a vendor has the name")
    assert "6 items" not in found["reading", "pages", "ok"]["says"]
    assert [each["state"] for each in told["findings"]] == sorted(
        (each["state"] for each in told["findings"]), key=["blocks", "warning", "ok"].index
    )
    writes = [each for each in quickbooks.requests() if each["method"] == "POST" and "/v3/" in each["path"]]
    assert [each for each in writes if not each["path"].endswith("/query")] == []
    assert not [each for each in opsmerge.requests() if each["method"] != "GET"]

    proposed = {each["suggestion"]["name"] for each in told["findings"] if each["suggestion"]}
    assert proposed == {found["client", "Lookalike Ltd", "warning"]["what"]}
    shown = {each["what"]: [one["ledger_name"] for one in each["candidates"]] for each in told["findings"]}
    assert (shown["Backup"], shown["Zero rated"]) == (["Managed Backup"], ["0.0% Z"])
    written = json.loads(bridge.books("preflight", "--json", "--write", **ACCOUNTS).out)["written"]
    assert {each["name"] for each in written} == proposed
    mended = bridge.books("preflight", **ACCOUNTS)
    assert "  # Backup -> Managed Backup (id " in mended.out
    assert "block, " in mended.out


def test_only_what_has_the_same_name_is_written(bridge, plant):
    """A product is never mapped to another product, nor a client to another company; a person is shown both names."""
    opsmerge = bridge.opsmerge
    names = ["Microsoft 365 Business Premium", "Office 365 E5", "C#", "Setup.", "set-up", "Managed-Support (UK)"]
    customers = [{"DisplayName": name} for name in ("Acme LLP", "Zenith Limited", "Yew Limited", "Oak Limited")]
    items = [item(name) for name in names]
    bridge.quickbooks.seed({"entities": {"Item": items, "Customer": customers}})
    wanted = {
        "a": "Microsoft 365 Business Basic",
        "b": "Office 365 E3",
        "c": "C++",
        "d": "Setup",
        "e": "Managed Support UK",
    }
    for key, name in wanted.items():
        opsmerge.deed("save_service", id=f"svc_{key}", name=name)
    numbers = {key: plant(service=f"svc_{key}") for key in wanted}
    opsmerge.deed("save_client", id="cl_oak", name="OAK LTD.", active=True)
    for client in ("Acme Ltd", "Zenith Ltd", "Oak Ltd"):
        plant(client)
    answer = bridge.books("preflight", "--json", "--write")
    told = json.loads(answer.out)
    assert sorted((each["name"].split(" (cl_")[0], each["ledger_name"]) for each in told["written"]) == [
        ("Managed Support UK", "Managed-Support (UK)"),
        ("Zenith Ltd", "Zenith Limited"),
    ]
    found = {each["what"].split(" (cl_")[0]: each for each in told["findings"]}
    assert found["Microsoft 365 Business Basic"]["numbers"] == [numbers["a"]]
    assert [each["ledger_name"] for each in found["Microsoft 365 Business Basic"]["candidates"]] == [names[0]]
    assert [each["ledger_name"] for each in found["Setup"]["candidates"]] == ["Setup.", "set-up"]
    assert [each["ledger_name"] for each in found["Acme Ltd"]["candidates"]] == ["Acme LLP"]
    assert [each["ledger_name"] for each in found["Oak Ltd"]["candidates"]] == ["Oak Limited"]
    shown = bridge.books("preflight").out
    assert "\nservices:\n" in shown
    assert '  "svc_a": {item_id: "' in shown
    assert "  # Microsoft 365 Business Basic -> Microsoft 365 Business Premium (id " in shown


def foreign(number):
    """An invoice of somebody else's, under a number of ours."""
    detail = {"ItemRef": {"name": "Managed Support"}, "TaxCodeRef": {"name": "20.0% S"}}
    line = {"DetailType": "SalesItemLineDetail", "Amount": 5, "SalesItemLineDetail": detail}
    return {"DocNumber": number, "CustomerRef": {"name": "Lookalike Limited"}, "Line": [line]}


def test_nothing_in_the_way_ends_with_0(bridge):
    """Warnings alone do not stop a script."""
    bridge.quickbooks.seed({"entities": {"Item": [item("Managed Support")]}})
    bridge.open_invoice()
    answer = bridge.books("preflight")
    assert answer.code == 0, answer.out
    assert "0 block, 1 warnings" in answer.out
    assert "new, will be created" in answer.out


def test_a_side_that_cannot_be_read_is_named(bridge):
    """Exit codes as everywhere: 69 for a dead connection, 78 for a key that OpsMerge refuses."""
    bridge.quickbooks.deed("disconnect")
    dead = bridge.books("preflight")
    assert (dead.code, "What to do" in dead.out) == (69, True), dead.out
    refused = bridge.books("preflight", TAP_OPSMERGE_API_KEY="om_wrong")
    assert (refused.code, "OpsMerge" in refused.out) == (78, True), refused.out
