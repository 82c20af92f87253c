"""The demo's month as planned: what the issue asks for is in it, and the arithmetic is what both systems do."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from importlib.resources import files

import pytest
import yaml

from sandbox.demo.cast import cast, rejected
from sandbox.demo.catalogue import CLIENTS, SERVICES, TWINS
from sandbox.demo.month import by_hand, invoices, posted, recurring, with_role
from sandbox.demo.planted import planted


def test_size_of_the_month():
    """150 invoices for 40 clients and 20 services under five tax codes, by a recurring run and by hand."""
    assert (len(invoices()), len(recurring()), len(by_hand())) == (150, 60, 90)
    assert (len(CLIENTS), len(SERVICES)) == (40, 20)
    assert {invoice.client_id for invoice in invoices()} == {client.id for client in CLIENTS}
    used = {line.tax_code_id for invoice in posted() for line in invoice.lines}
    assert used == {"tax_1", "tax_2", "tax_3", "tax_4", "tax_5"}
    assert {line.service_id for invoice in posted() for line in invoice.lines} == {service.id for service in SERVICES}
    assert Counter(invoice.becomes for invoice in invoices()) == {"open": 142, "draft": 4, "voided": 3, "excluded": 1}
    assert len(posted()) == 140


def test_names_that_are_hard():
    """Names hold apostrophes, ampersands, quotes and letters beyond ASCII; one pair differs only in case."""
    names = [client.name for client in CLIENTS]
    for sign in ("'", "&", '"', "é", "Ł", "Æ", "°", ","):
        assert any(sign in name for name in names), sign
    folded = Counter(name.casefold() for name in names)
    assert [name for name, count in folded.items() if count > 1] == ["northgate media ltd"]


def test_mapping_file_tells_the_twins_apart():
    """The mapping file sends each of the two clients to a customer of its own that is in QuickBooks already."""
    mapping = yaml.safe_load(files("sandbox.demo").joinpath("mappings.yml").read_text("utf-8"))
    assert mapping == {"version": 1, "clients": {key: {"customer": name} for key, name in TWINS.items()}}
    by_id = {client.id: client for client in CLIENTS}
    assert by_id["cl_11"].name.casefold() == by_id["cl_12"].name.casefold()
    assert {by_id[key].in_quickbooks for key in TWINS} == set(TWINS.values())


@pytest.mark.parametrize(
    ("role", "holds"),
    [
        ("line without service", lambda i: any(line.service_id is None for line in i.lines)),
        ("line without tax code", lambda i: any(line.tax_code_id is None for line in i.lines)),
        ("opted out", lambda i: i.becomes == "excluded"),
        ("half a penny up", lambda i: i.lines[0].quantity * i.lines[0].unit_price == Decimal("8.675")),
        ("three decimals", lambda i: i.net == Decimal("1861.08")),
        ("net overridden", lambda i: i.lines[0].amount != i.lines[0].quantity * i.lines[0].unit_price),
        ("sixty lines", lambda i: len(i.lines) == 60),
    ],
)
def test_invoices_that_show_something(role, holds):
    """Every special case that the demo promises is one invoice of the month."""
    assert holds(with_role(role))


def test_some_invoices_differ_by_pennies():
    """Rounding VAT per line and per document gives different pennies on some invoices, both ways, and on few."""
    differences = [invoice.penny_difference for invoice in posted() if invoice.penny_difference]
    assert 5 <= len(differences) <= 20
    assert min(differences) < 0 < max(differences)
    assert all(abs(difference) <= Decimal("0.10") for difference in differences)


def test_everybody_has_one_part():
    """No invoice plays two parts, so that each deviation stands alone."""
    parts = cast()
    single = [parts.payment_voided, parts.payment_deleted, parts.edited, parts.deleted, parts.copied, *rejected()]
    everyone = [*parts.paid, *parts.paid_penny_apart, *parts.paid_in_part, *parts.paid_together, *single]
    assert len({invoice.number for invoice in everyone}) == len(everyone)
    assert 85 <= len(parts.paid) + len(parts.paid_penny_apart) + len(parts.paid_together) + 2 <= 95
    assert len({invoice.client_id for invoice in parts.paid_together}) == 1 == len(parts.paid_together) - 2
    assert not {invoice.number for invoice in parts.paid} & {deviation.number for deviation in planted()}


def test_planted_deviations_stand_alone():
    """One deviation for each invoice or customer, of every kind the demo shows."""
    deviations = planted()
    assert len({(deviation.number, deviation.client) for deviation in deviations}) == len(deviations)
    kinds = Counter((deviation.drift_class, deviation.bucket) for deviation in deviations)
    assert kinds.pop(("A03", "tolerated")) >= 5
    assert kinds == {
        ("I12", "break"): 2,
        ("A01", "break"): 1,
        ("I09", "break"): 1,
        ("I03", "break"): 1,
        ("D01", "by_design"): 4,
        ("D02", "by_design"): 1,
        ("H05", "tolerated"): 3,
    }
