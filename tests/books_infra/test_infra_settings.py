from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from books.core import paths
from books.core.faults import Exit, Halt
from books.core.settings import Settings, is_loopback
from books.ledgers.quickbooks.settings import (
    QuickBooksPullSettings,
    QuickBooksPushSettings,
    QuickBooksSettings,
)
from books.operations.settings import WatchSettings

NEEDED = {"realm_id": "9341453000000001", "client_id": "client-canary", "client_secret": "secret-canary"}


def refusal(config: dict[str, Any], kind: Any = QuickBooksPushSettings) -> Halt:
    with pytest.raises(Halt) as caught:
        kind.from_config(config)
    assert caught.value.exit_code is Exit.MISCONFIGURED
    return caught.value


def test_defaults_are_the_contracts() -> None:
    """Whoever sets only what is required gets the defaults of the contract."""
    settings = QuickBooksPushSettings.from_config(NEEDED)
    company = settings.ledger
    assert (company.environment, company.store_url) == ("sandbox", "sqlite:///.books/books.db")
    assert (company.requests_per_minute, company.requests_per_second, company.batches_per_minute) == (450, 8, 36)
    assert (company.http_timeout, company.max_wait_seconds) == (130, 300)
    assert (settings.mapping_file, settings.batch_size, settings.settle_seconds) == ("mappings.yml", 30, 900)
    assert (settings.vat_difference, settings.post_from) == ("post", None)
    assert (settings.dry_run, settings.fail_on_rejected) == (False, False)
    assert QuickBooksPullSettings.from_config(NEEDED).overlap_seconds == 300


ALL = (QuickBooksSettings, QuickBooksPushSettings, QuickBooksPullSettings, WatchSettings)


@pytest.mark.parametrize("kind", ALL)
def test_schema_and_value_follow_from_one_declaration(kind: type[Settings]) -> None:
    """Each setting is in the plugin's schema, with words and the default that the code uses."""
    settings = kind.from_config(NEEDED)
    company = getattr(settings, "ledger", settings)
    for name, schema in kind.properties().items():
        assert schema["description"]
        if name not in NEEDED:
            used = getattr(settings if hasattr(settings, name) else company, name)
            assert schema.get("default", None) == used, name


def test_schemas_are_valid_and_secrets_are_marked() -> None:
    """The Singer SDK can validate with the schemas, and Meltano can see what is secret."""
    for kind in (QuickBooksPushSettings, QuickBooksPullSettings):
        schema = kind.config_schema()
        jsonschema.Draft7Validator.check_schema(schema)
        jsonschema.validate(NEEDED, schema)
        assert set(schema["required"]) == set(NEEDED)
    secret = {name for name, schema in QuickBooksSettings.properties().items() if schema.get("secret")}
    assert secret == {"client_id", "client_secret", "refresh_token", "token_key"}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("realm_id", None, "is required"),
        ("realm_id", "  ", "is required"),
        ("realm_id", "12a", "digits only"),
        ("realm_id", "1/../2", "digits only"),
        ("client_secret", "", "is required"),
        ("environment", "live", "must be sandbox or production, not 'live'"),
        ("requests_per_minute", 0, "a whole number of at least 1, not 0"),
        ("requests_per_second", "many", "a whole number of at least 1, not 'many'"),
        ("batches_per_minute", True, "a whole number"),
        ("requests_per_minute", 1.5, "a whole number"),
        ("http_timeout", -1, "a whole number"),
        ("batch_size", 31, "a whole number from 1 to 30, not 31"),
        ("settle_seconds", -1, "of at least 0"),
        ("vat_difference", "ignore", "must be post or hold"),
        ("duplicate_numbers_checked", "no", "must be yes or accepted, not 'no'"),
        ("post_from", "1.11.2026", "a date such as 2026-11-01"),
        ("post_from", "2026-02-30", "a date such as 2026-11-01"),
        ("dry_run", "maybe", "must be true or false"),
        ("api_url", "https://quickbooks.api.intuit.com", "only for this machine"),
        ("api_url", "http://127.0.0.1.evil.example", "only for this machine"),
        ("token_url", "http://user@127.0.0.1:1", "only for this machine"),
        ("token_url", "http://10.0.0.1", "only for this machine"),
        ("mapping_file", ["a"], "must be a text"),
    ],
)
def test_nonsense_is_refused_in_clear_words(name: str, value: Any, words: str) -> None:
    """A wrong setting ends the run with 78, and the message names the setting and what it should be."""
    message = refusal({**NEEDED, name: value}).message
    assert message.startswith(f"setting {name} ")
    assert words in message


def test_production_needs_a_go_live_date() -> None:
    """Nobody posts years of old invoices into real books by leaving a setting out."""
    assert "post_from" in refusal({**NEEDED, "environment": "production"}).message
    settings = QuickBooksPushSettings.from_config({**NEEDED, "environment": "production", "post_from": "2026-11-01"})
    assert settings.post_from == date(2026, 11, 1)
    assert settings.ledger.api_base == "https://quickbooks.api.intuit.com"


def test_production_needs_a_settle_wait() -> None:
    """Under 300 seconds a lost request may still arrive: refused in production, in words that say what to do."""
    live = {**NEEDED, "environment": "production", "post_from": "2026-11-01"}
    halt = refusal({**live, "settle_seconds": 299})
    assert halt.message.startswith("setting settle_seconds must be at least 300 in production, not 299")
    assert "correct settle_seconds" in halt.remedy
    assert QuickBooksPushSettings.from_config({**live, "settle_seconds": 300}).settle_seconds == 300
    assert QuickBooksPushSettings.from_config({**NEEDED, "settle_seconds": 0}).settle_seconds == 0


def test_text_from_the_environment_is_read() -> None:
    """Environment variables are texts, and an unset one is an empty text."""
    settings = QuickBooksPushSettings.from_config(
        {**NEEDED, "realm_id": 9341453000000001, "batch_size": "7", "dry_run": "TRUE", "api_url": "", "environment": ""}
    )
    assert settings.ledger.connection == "sandbox:9341453000000001"
    assert (settings.batch_size, settings.dry_run, settings.ledger.api_url) == (7, True, None)


def test_addresses_follow_the_environment_and_loopback() -> None:
    """The environment picks Intuit's hosts; a loopback address replaces them, as a host or as a whole address."""
    sandbox = QuickBooksSettings.from_config(NEEDED)
    assert sandbox.api_base == "https://sandbox-quickbooks.api.intuit.com"
    assert sandbox.token_endpoint == "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer"
    assert sandbox.revoke_endpoint == "https://developer.api.intuit.com/v2/oauth2/tokens/revoke"
    for token_url in (
        "http://127.0.0.1:8020",
        "http://127.0.0.1:8020/",
        "http://127.0.0.1:8020/oauth2/v1/tokens/bearer",
    ):
        local = QuickBooksSettings.from_config({**NEEDED, "api_url": "http://[::1]:8020/", "token_url": token_url})
        assert local.api_base == "http://[::1]:8020"
        assert local.token_endpoint == "http://127.0.0.1:8020/oauth2/v1/tokens/bearer"
        assert local.revoke_endpoint == "http://127.0.0.1:8020/v2/oauth2/tokens/revoke"


def test_secrets_are_in_no_repr_and_no_message() -> None:
    """Settings can be printed, and refused, without giving a secret away."""
    settings = QuickBooksPushSettings.from_config({**NEEDED, "refresh_token": "RT-canary", "token_key": "key-canary"})
    assert "canary" not in repr(settings)
    assert "canary" not in str(refusal({**NEEDED, "client_id": "", "client_secret": "canary"}))


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost:1/x", True),
        ("https://127.9.9.9", True),
        ("http://[::1]", True),
        ("http://localhost.example", False),
        ("http://0.0.0.0", False),
        ("ftp://127.0.0.1", False),
        ("127.0.0.1", False),
        ("http://127.0.0.1:port", False),
        ("http://127.0.0.1@evil.example", False),
    ],
)
def test_loopback_is_this_machine_only(url: str, local: bool) -> None:
    """Only addresses that cannot leave this machine count as loopback."""
    assert is_loopback(url) is local


def test_paths_are_relative_to_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path means the same file from whatever folder a plugin is started."""
    project, inside = tmp_path / "project", tmp_path / "project" / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.delenv("MELTANO_PROJECT_ROOT", raising=False)
    monkeypatch.chdir(inside)
    assert paths.resolve("x.db") == inside / "x.db"
    (project / "meltano.yml").touch()
    assert paths.resolve("x.db") == project / "x.db"
    monkeypatch.setenv("MELTANO_PROJECT_ROOT", str(tmp_path))
    assert paths.resolve("x.db") == tmp_path / "x.db"
    monkeypatch.setenv("MELTANO_PROJECT_ROOT", "")
    assert paths.resolve("x.db") == project / "x.db"
    assert paths.resolve("/elsewhere/x.db") == Path("/elsewhere/x.db")
