"""What the rooms above rely on, of every vendor in the registry: words, settings, OAuth, webhooks, the wiring."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import jsonschema
import pytest
import yaml

from books.core.faults import Exit, Halt
from books.ledgers.notices import Unreadable
from books.ledgers.registry import LEDGER_VARIABLE, vendor
from books.transport.access import Meaning
from books.transport.call import Response

ROOT = Path(__file__).parents[2]
COMPANY = {"quickbooks": "9341453000000001"}


@pytest.fixture
def settings(each_vendor):
    named = {each_vendor.words.company_setting: COMPANY[each_vendor.provider]}
    return each_vendor.settings.from_config({"client_id": "client", "client_secret": "secret-canary", **named})


def test_an_unknown_ledger_is_refused_by_name():
    """Exit code 78, and the ledgers that there are."""
    with pytest.raises(Halt, match="no ledger 'sage'") as caught:
        vendor("sage")
    assert caught.value.exit_code is Exit.MISCONFIGURED
    assert LEDGER_VARIABLE in caught.value.remedy


def test_every_word_is_there(each_vendor):
    """Messages have no gaps."""
    assert all(getattr(each_vendor.words, each.name) for each in dataclasses.fields(each_vendor.words))


def test_settings_give_valid_schemas_and_the_company_s_key(each_vendor, settings):
    """`<environment>:<company id>`, before and after the settings were checked."""
    for kind in (each_vendor.push_settings, each_vendor.pull_settings):
        jsonschema.Draft7Validator.check_schema(kind.config_schema())
    company = COMPANY[each_vendor.provider]
    assert settings.connection == f"sandbox:{company}"
    assert each_vendor.connection_of({each_vendor.words.company_setting: company}) == settings.connection
    assert settings.of_company("7").connection == "sandbox:7"
    assert each_vendor.connection_of({}) == ""


def test_its_plugins_and_jobs_are_in_meltano_yml(each_vendor):
    """What the registry names can be run, and the target can make plans."""
    project = yaml.safe_load((ROOT / "meltano.yml").read_text())
    names = {each["name"] for kind in project["plugins"].values() for each in kind}
    assert {each_vendor.target, f"{each_vendor.target}--plan", each_vendor.tap} <= names
    assert set(each_vendor.jobs.values()) <= {each["name"] for each in project["jobs"]}


def test_a_consent_leads_to_the_vendor_and_back(settings):
    """The address holds state and redirect; an answer without a code is no answer."""
    oauth = settings.access.oauth
    address = oauth.consent_address("the-state", "http://localhost:8765/callback")
    assert address.startswith("https://")
    assert "the-state" in address
    assert "secret-canary" not in address
    with pytest.raises(ValueError, match="code"):
        oauth.read_answer({"state": "the-state"})


def test_a_token_call_is_a_post_that_names_the_app(settings):
    """With the grant in its body; tokens that cannot be read are no tokens."""
    oauth = settings.access.oauth
    request = oauth.token_request({"grant_type": "refresh_token", "refresh_token": "RT"})
    assert (request.method, b"refresh_token" in (request.body or b"")) == ("POST", True)
    with pytest.raises((ValueError, KeyError, TypeError)):
        oauth.read_grant({"access_token": ""})


def test_a_refused_token_is_told_apart(settings):
    """401 is an expired token, a success none; what the vendor's support asks for is read from the headers."""
    access = settings.access
    denial = access.denial(Response(401, {}, b""))
    assert denial is not None
    assert (denial.meaning, bool(denial.remedy)) == (Meaning.EXPIRED, True)
    assert access.denial(Response(200, {}, b"{}")) is None
    assert access.request_id({}) is None


def test_a_webhook_is_taken_from_the_vendor_alone(each_vendor):
    """Nothing unsigned is genuine; a body that cannot be read is said to be so; there is time to store it."""
    dialect = each_vendor.webhooks(["the-secret"])
    assert dialect.path.startswith("/webhooks/")
    assert dialect.answer_seconds > 1
    assert not dialect.is_genuine(b"[]", {})
    assert all(isinstance(each, Unreadable) for each in dialect.parse(b"\xff not json"))
    assert set(dialect.reads) <= {each.notices for each in each_vendor.entities}
