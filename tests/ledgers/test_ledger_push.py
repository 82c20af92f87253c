"""What posting relies on, on every ledger: the same tests, unchanged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from books.core.faults import Reject
from books.ledgers.contract import Customer, KeyScope, LedgerInvoice, Member, NewCustomer


def test_the_company_says_what_it_takes(office):
    """Its key, its home currency, and nothing in the way."""
    company = office.ledger.company()
    assert company.connection == office.ledger.connection
    assert company.takes(company.home_currency)
    assert company.obstacles == ()


def test_what_does_not_exist_is_left_out(office):
    """Look-ups of names, ids and numbers that nobody has give nothing, and fail for nothing."""
    assert list(office.ledger.find_customers(names=["Nobody Ltd"], ids=["987654"])) == []
    assert list(office.ledger.find_items(names=["Nothing"], ids=["987654"])) == []
    assert list(office.ledger.find_invoices(["INV-0"], ids=["987654"])) == []
    assert list(office.ledger.find_customers()) == []
    assert list(office.ledger.find_invoices([])) == []


def test_customers_come_back_in_the_order_asked_for_and_are_found_in_any_case(office):
    """Created once each, then found by name whatever its case, and by id."""
    made = office.ledger.create_customers([NewCustomer("Zeta & Sons"), NewCustomer("Alpha Ltd")], "key-1")
    assert [each.name for each in made] == ["Zeta & Sons", "Alpha Ltd"]
    [found] = office.ledger.find_customers(names=["zETA & sONS"])
    assert found.id == made[0].id
    [found] = office.ledger.find_customers(ids=[made[1].id])
    assert found.name == "Alpha Ltd"
    assert {each.id for each in made} <= {each.id for each in office.ledger.list_customers().rows}


def test_a_draft_is_the_same_bytes_each_time(office):
    """Pure: what is committed before a call is what a later run sends again."""
    invoice = office.invoice()
    assert office.body(invoice) == office.body(invoice)
    assert office.body(invoice) != office.body(office.invoice())


def test_an_invoice_is_in_the_ledger_as_it_was_sent(office):
    """Number, day, customer, net and our note; the VAT is the predicted one; found by number and by id."""
    invoice = office.invoice()
    references = office.references(invoice)
    made = office.posted(invoice, "key-1")
    for [found] in (office.ledger.find_invoices([invoice.number]), office.ledger.find_invoices(ids=[made.id])):
        assert (found.id, found.number, found.issue_date) == (made.id, invoice.number, invoice.issue_date)
        assert (found.customer_id, found.net, found.source_id) == (references.customer.id, invoice.subtotal, invoice.id)
        assert found.tax == office.ledger.predict_tax(invoice, references.tax_codes)
        assert found.total == found.net + found.tax
        assert not found.voided


def test_the_same_call_under_the_same_key_creates_once(office):
    """A repeat is answered with what is there."""
    members = [office.member("1", office.invoice()), office.member("2", office.invoice())]
    first, again = office.post(*members), office.post(*members)
    assert {bid: made.id for bid, made in first.items()} == {bid: made.id for bid, made in again.items()}
    assert len({made.id for made in first.values()}) == 2


def test_a_key_stands_for_what_the_capabilities_say(office):
    """Per member, one of them may be sent again alone; per call, another call under the key is refused."""
    one, two = office.member("1", office.invoice()), office.member("2", office.invoice())
    first = office.post(one, two)
    if office.ledger.capabilities.key_scope is KeyScope.MEMBER:
        assert office.post(two)["2"].id == first["2"].id
        return
    with pytest.raises(Reject):
        office.post(two)


def test_prove_comes_before_every_sending_and_stops_it(office):
    """What it raises is raised, and nothing was sent."""
    invoice = office.invoice()
    member, asked = office.member("1", invoice), []

    def refuse():
        asked.append(1)
        raise RuntimeError("the claim is not ours any more")

    with office.ledger.turn(), pytest.raises(RuntimeError, match="not ours"):
        office.ledger.create_invoices([member], "key-1", refuse)
    assert asked == [1]
    assert list(office.ledger.find_invoices([invoice.number])) == []


def test_a_turn_knows_that_the_lock_is_held(office):
    """While it lasts; a permit can be taken within it."""
    with office.ledger.turn() as turn:
        assert turn.is_held()
        assert turn.reserve() >= 0


def test_every_member_gets_an_answer_of_its_own(office):
    """No bid is left out, and a member that is refused, here for a customer that is not there, stops no other."""
    fine, wrong = office.invoice(), office.invoice()
    nobody = replace(office.references(wrong), customer=Customer("987654", "Nobody Ltd"))
    refused = Member("b", office.ledger.draft(wrong, nobody, office.ledger.company()))
    answers = office.post(office.member("a", fine), refused)
    assert set(answers) == {"a", "b"}
    assert isinstance(answers["a"], LedgerInvoice)
    assert isinstance(answers["b"], LedgerInvoice | Reject)


def test_the_capabilities_are_of_use(office):
    """Names for messages, room for a number and lines, a key that outlives a call."""
    can = office.ledger.capabilities
    assert all((can.provider, can.ledger, can.vendor, can.request_id_name))
    assert can.number_chars_max >= 8
    assert can.lines_max >= 100
    assert can.key_lifetime_seconds >= 60


def test_calls_are_counted(office):
    """The summary of a run shows them."""
    before = office.ledger.spent().calls
    office.ledger.find_invoices(["INV-0"])
    assert office.ledger.spent().calls > before
