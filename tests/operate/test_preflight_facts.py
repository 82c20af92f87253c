"""What a preflight believes and which invoices it counts: real clients on both simulators, a real store."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from sqlalchemy import insert
from worlds import posting_row

from books.core.clock import SystemClock
from books.ledgers.quickbooks import open_client
from books.ledgers.quickbooks.ledger import QuickBooksLedger
from books.ledgers.quickbooks.settings import QuickBooksSettings
from books.operations.preflight import State, inspect
from books.operations.preflight.gather import Rules, gather
from books.opsmerge import OpsMergeSettings
from books.opsmerge import open_client as open_opsmerge
from books.posting.journal import Lesson, SqlJournal
from books.posting.mappings import Mappings
from books.posting.postings import GONE
from books.store import Store
from books.store.tables_posting import posting

REALM = "9341453000000001"


class Company:
    """Both sides with one client, one service and one tax code, all mapped."""

    def __init__(self, opsmerge, quickbooks, folder):
        self.opsmerge, self.quickbooks = opsmerge.control, quickbooks.control
        self.store = Store.open(f"sqlite:///{folder}/books/books.db")
        settings = QuickBooksSettings.from_config(
            {
                "realm_id": REALM,
                "client_id": "sandbox-client",
                "client_secret": "sandbox-secret",
                "refresh_token": "RT-sandbox-0001",
                "api_url": quickbooks.url,
                "token_url": quickbooks.url,
                "requests_per_second": 1000,
            }
        )
        self.quickbooks.switches(limits=False)
        self.clock = SystemClock()
        self.ledger = QuickBooksLedger(open_client(settings, self.store, self.clock), settings.connection)
        key = {"api_key": "om_sandbox_key", "api_url": f"{opsmerge.url}/api/v1"}
        self.source = open_opsmerge(OpsMergeSettings.from_config(key), self.clock)
        self.journal = SqlJournal(self.store, settings.connection)
        self.opsmerge.deed("save_client", id="cl_1", name="Hartley & Sons")
        self.opsmerge.deed("save_service", id="svc_1", name="Support")
        self.opsmerge.deed("save_tax_code", id="tax_1", name="VAT", rate=20, quickbooks_tax_code="20.0% S")
        accounts = {"IncomeAccountRef": {"value": "1"}, "ExpenseAccountRef": {"value": "2"}}
        seeded = self.quickbooks.seed(
            {"entities": {"Customer": [{"DisplayName": "Hartley & Sons"}], "Item": [{"Name": "Support", **accounts}]}}
        )
        self.customer_id = seeded["ids"]["Customer"]["Hartley & Sons"]

    def bill(self, net=100, **details):
        line = {"description": "x", "quantity": 1, "unit_price": net, "service_id": "svc_1", "tax_code_id": "tax_1"}
        lines = details.pop("lines", [line])
        return self.opsmerge.deed("create_invoice", client_id="cl_1", lines=lines, **details)

    def document(self):
        """Return the id of an invoice in QuickBooks."""
        detail = {"ItemRef": {"name": "Support"}, "TaxCodeRef": {"name": "20.0% S"}}
        line = {"DetailType": "SalesItemLineDetail", "Amount": "100.00", "SalesItemLineDetail": detail}
        body = {"DocNumber": "POSTED-1", "CustomerRef": {"name": "Hartley & Sons"}, "Line": [line]}
        return self.quickbooks.seed({"entities": {"Invoice": [body]}})["ids"]["Invoice"]["POSTED-1"]

    def facts(self, **rules):
        wanted = {"mappings": Mappings(), "post_from": None, "vat_difference": "post"}
        wanted |= {"income_account": None, "expense_account": None, **rules}
        return gather(self.ledger, self.source, self.store, Rules(**wanted))

    def inspect(self, **rules):
        return {(each.area, each.what): each for each in inspect(self.facts(**rules))}


@pytest.fixture
def company(opsmerge_sim, quickbooks_sim, tmp_path):
    made = Company(opsmerge_sim, quickbooks_sim, tmp_path)
    yield made
    made.store.close()


def blocks(findings):
    return {key for key, each in findings.items() if each.state is State.BLOCKS}


def test_only_what_a_push_would_post_is_counted(company):
    """Not drafts, opted out, voided, posted or dated before the go-live date; paid ones only after it."""
    from datetime import date

    bills = [company.bill(), company.bill(status="draft"), company.bill(accounting_excluded=True)]
    bills += [company.bill(issue_date="2026-01-05"), company.bill(), company.bill()]
    company.opsmerge.deed("void_invoice", number=bills[4]["number"])
    company.opsmerge.deed("record_payment", number=bills[5]["number"])
    assert company.inspect()["invoice", "2 due"].state is State.OK
    assert company.inspect(post_from=date(2026, 2, 1))["invoice", "2 due"].state is State.OK
    values = {"connection": f"sandbox:{REALM}", "opsmerge_invoice_id": bills[0]["id"], "external_id": "7"}
    blank = {each.name: "x" for each in posting.c if not each.nullable and each.name not in values}
    numbers = {"attempts": 1, "seq": 1, "generation": 1, "retry": False, "outcome": "created"}
    with company.store.begin() as conn:
        conn.execute(insert(posting).values(**{**blank, **numbers, **values, "record": "{}"}))
    assert company.inspect()["invoice", "1 due"].state is State.OK


ANSWERS = {
    ("production", None): State.BLOCKS,
    ("production", "accepted"): State.WARNING,
    ("production", "yes"): State.OK,
    ("sandbox", None): State.WARNING,
}


@pytest.mark.parametrize(("environment", "answer"), ANSWERS)
def test_a_person_is_asked_about_duplicate_numbers(company, environment, answer):
    """Nothing is created in production before somebody looked: named here with the switch, as the push does."""
    facts = company.facts(duplicate_numbers_checked=answer)
    facts = replace(facts, company=replace(facts.company, connection=f"{environment}:{REALM}"))
    found = [each for each in inspect(facts) if each.what.startswith("duplicate numbers")]
    assert [each.state for each in found] == [ANSWERS[environment, answer]]
    assert answer == "yes" or "Warn if duplicate" in found[0].remedy
    assert environment == "sandbox" or answer or "DUPLICATE_NUMBERS_CHECKED=yes" in found[0].remedy


def test_nothing_that_was_learned_is_believed(company):
    """An item or customer that earlier runs knew and that is inactive now is found out."""
    number = company.bill()["number"]
    company.journal.learn(
        [
            Lesson("customer", "client:cl_1", company.customer_id, {"name": "Hartley & Sons", "currency": None}),
            Lesson("item", "name:support", "1", {"name": "Support"}),
        ]
    )
    fine = company.inspect()
    assert blocks(fine) == set()
    assert "found by the id stored" in fine["client", "1 clients"].says
    company.quickbooks.deed("deactivate_customer", customer="Hartley & Sons")
    company.quickbooks.deed("deactivate_item", item="Support")
    found = company.inspect()
    assert blocks(found) == {("client", "Hartley & Sons (cl_1)"), ("service", "Support")}
    assert found["service", "Support"].numbers == (number,)


@pytest.mark.parametrize(
    ("preference", "what"), [({"VAT": False}, "vat off"), ({"CustomTxnNumbers": False}, "custom numbers off")]
)
def test_a_company_that_is_not_ready_blocks_every_invoice(company, preference, what):
    """In the words that a push would end with, and with what to switch on."""
    number = company.bill()["number"]
    company.quickbooks.deed("set_preferences", **preference)
    found = company.inspect()["company", what]
    assert (found.state, found.numbers, "In QuickBooks:" in found.remedy) == (State.BLOCKS, (number,), True)


def test_a_reverse_charge_on_a_sale_and_pennies_are_told(company):
    """A warning for the one, a word for the other; neither blocks."""
    client = company.ledger.client
    rate = {"TaxRateName": "RC", "RateValue": "20", "TaxAgencyId": "1", "TaxApplicableOn": "Sales"}
    client.post("taxservice/taxcode", json.dumps({"TaxCode": "20.0% RC CIS", "TaxRateDetails": [rate]}).encode())
    company.opsmerge.deed("save_tax_code", id="tax_rc", name="CIS", rate=20, quickbooks_tax_code="20.0% RC CIS")
    line = {"description": "x", "quantity": 1, "unit_price": 0.33, "service_id": "svc_1", "tax_code_id": "tax_rc"}
    company.bill(lines=[line, line, line])
    found = company.inspect()
    assert blocks(found) == set()
    assert found["tax code", "CIS"].state is State.WARNING
    assert "reverse charge" in found["tax code", "CIS"].says
    assert "-0.01 in all" in found["invoice", "VAT pennies"].says
    held = company.inspect(vat_difference="hold")
    assert ("invoice", "vat rounding") in blocks(held)


def test_an_account_of_the_wrong_kind_or_missing_blocks(company):
    """Both default accounts are looked at, by name and by type."""
    company.bill()
    right = company.inspect(income_account="Sales of Product Income", expense_account="Cost of sales")
    assert blocks(right) == set()
    wrong = company.inspect(income_account="Current", expense_account="Nowhere")
    assert blocks(wrong) == {("company", "default_income_account"), ("company", "default_expense_account")}
    assert "is of type Bank" in wrong["company", "default_income_account"].says


def test_an_invoice_withdrawn_after_posting_and_a_credit_are_named(company):
    """In the words of a push: a warning for the one, which refuses nothing; a credit blocks, whatever the dates."""
    from datetime import date

    posted, credit = company.bill(), company.bill(net=-100, issue_date="2026-01-05")
    document_id = company.document()
    values = {"connection": f"sandbox:{REALM}", "opsmerge_invoice_id": posted["id"], "external_id": document_id}
    blank = {each.name: "x" for each in posting.c if not each.nullable and each.name not in values}
    numbers = {"attempts": 1, "seq": 1, "generation": 1, "retry": False, "outcome": "created"}
    with company.store.begin() as conn:
        conn.execute(insert(posting).values(**{**blank, **numbers, **values, "record": "{}"}))
    assert ("invoice", "voided after posting") not in company.inspect()
    company.opsmerge.deed("void_invoice", number=posted["number"])
    for rules in ({}, {"post_from": date(2026, 11, 1)}):
        found = company.inspect(**rules)
        voided = found["invoice", "voided after posting"]
        assert (voided.state, voided.numbers) == (State.WARNING, (posted["number"],))
        assert "voided in OpsMerge after it was posted" in voided.says
        refused = found["invoice", "negative total"]
        assert (refused.state, refused.numbers) == (State.BLOCKS, (credit["number"],))
    company.journal.note_ended({document_id: "voided"})
    assert ("invoice", "voided after posting") not in company.inspect()


def test_a_customer_of_an_equal_name_is_not_proposed_where_it_is_or_may_be_another_client_s(company):
    """Another client has the name in another spelling, or stands for the customer already: a person chooses."""
    company.opsmerge.deed("save_client", id="cl_2", name="Hartley and Sons.")
    company.quickbooks.seed({"entities": {"Customer": [{"DisplayName": "Oak Limited"}, {"DisplayName": "Elm Ltd"}]}})
    for key, name in (("cl_3", "Oak Ltd"), ("cl_4", "Elm Limited"), ("cl_9", "Renamed")):
        company.opsmerge.deed("save_client", id=key, name=name)
    oak = company.ledger.find_customers(names=["Oak Limited"])[0]
    detail = {"name": "Oak Limited", "currency": None}
    company.journal.learn([Lesson("customer", "client:cl_9", oak.id, detail)])
    for key in ("cl_1", "cl_2", "cl_3", "cl_4"):
        line = {"description": "x", "quantity": 1, "unit_price": 9, "service_id": "svc_1", "tax_code_id": "tax_1"}
        company.opsmerge.deed("create_invoice", client_id=key, lines=[line])
    found = {each.what: each for each in company.inspect().values() if each.area == "client"}
    proposed = {
        what: each.suggestion and each.suggestion.ledger_name for what, each in found.items() if each.candidates
    }
    assert proposed == {"Hartley and Sons. (cl_2)": None, "Oak Ltd (cl_3)": None, "Elm Limited (cl_4)": "Elm Ltd"}


def test_a_service_that_lines_name_in_two_ways_is_not_proposed(company):
    """An entry for its id would change what the other lines mean."""
    accounts = {"IncomeAccountRef": {"value": "1"}, "ExpenseAccountRef": {"value": "2"}}
    company.quickbooks.seed({"entities": {"Item": [{"Name": "Back-up", **accounts}]}})
    company.opsmerge.deed("save_service", id="svc_2", name="Backup.")
    line = {"description": "x", "quantity": 1, "unit_price": 9, "service_id": "svc_2", "tax_code_id": "tax_1"}
    company.bill(lines=[line])
    assert company.inspect()["service", "Backup."].suggestion.ledger_name == "Back-up"
    company.opsmerge.deed("save_service", id="svc_3", name="svc_2")
    assert company.inspect()["service", "Backup."].suggestion is None


def test_an_invoice_that_is_missing_since_a_disconnect_is_named(company):
    """As a push leaves it: only a retry ends the hold, so it is no longer counted as due."""
    missing = company.bill()
    row = posting_row(missing["id"], None, outcome="held", fault_code=GONE, number=missing["number"])
    with company.store.begin() as conn:
        conn.execute(insert(posting).values(**row))
    found = company.inspect()
    assert found["invoice", "no longer in the books"].numbers == (missing["number"],)
    assert ("invoice", "0 due") in found
