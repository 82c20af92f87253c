"""A secret that is no text is refused by its name; what it holds is in no message, log or traceback."""

from __future__ import annotations

import json
import logging

import pytest
from click.testing import CliRunner

from tap_opsmerge.tap import TapOpsMerge
from tap_quickbooks_payments.tap import TapQuickBooksPayments
from target_opsmerge.target import TargetOpsMerge
from target_quickbooks.target import TargetQuickBooks

CANARY = 9182736455463728
KINDS = {"number": CANARY, "list": [str(CANARY)], "object": {"value": str(CANARY)}, "fraction": CANARY / 10}
QUICKBOOKS = {"realm_id": "9341453000000001", "client_id": "an-app", "client_secret": "its-secret"}
SECRETS = {
    TapOpsMerge: ("api_key",),
    TargetOpsMerge: ("api_key", "store_url"),
    TargetQuickBooks: ("client_id", "client_secret", "refresh_token", "token_key", "store_url"),
    TapQuickBooksPayments: ("client_id", "client_secret", "refresh_token", "token_key", "store_url"),
}
CASES = [(plugin, setting, kind) for plugin, settings in SECRETS.items() for setting in settings for kind in KINDS]


@pytest.mark.parametrize(("plugin", "setting", "kind"), CASES, ids=lambda each: getattr(each, "__name__", each))
def test_a_secret_of_the_wrong_kind_is_named_and_not_printed(tmp_path, caplog, plugin, setting, kind):
    """The run ends with 78 and the setting's name; not a digit of the value is printed."""
    caplog.set_level(logging.DEBUG)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**QUICKBOOKS, "api_key": "om_key_1234", setting: KINDS[kind]}))
    ended = CliRunner().invoke(plugin.get_singer_command(), ["--config", str(config)], input="")
    said = f"{ended.output}{caplog.text}{ended.exception}{ended.exc_info}"
    assert "918273" not in said
    assert f"setting {setting} has the wrong type: it must be text" in said
    assert ended.exit_code == 78


@pytest.mark.parametrize("value", [str(CANARY), f"[{CANARY}]", '{"value": ' + str(CANARY) + "}"])
def test_a_secret_from_the_environment_is_not_printed(tmp_path, caplog, monkeypatch, value):
    """`--config=ENV` takes a variable as the text it is; beside another wrong setting it is not printed either."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MELTANO_PROJECT_ROOT", str(tmp_path))
    for name, text in {**QUICKBOOKS, "client_secret": value, "vat_difference": "maybe"}.items():
        monkeypatch.setenv(f"TARGET_QUICKBOOKS_{name.upper()}", text)
    ended = CliRunner().invoke(TargetQuickBooks.get_singer_command(), ["--config", "ENV"], input="")
    said = f"{ended.output}{caplog.text}{ended.exception}{ended.exc_info}"
    assert ended.exit_code == 78
    assert "vat_difference" in said
    assert "918273" not in said
