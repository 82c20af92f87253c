"""The READMEs of both plugins say what the plugins say of themselves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from books.opsmerge import api
from tap_opsmerge.tap import TapOpsMerge
from target_opsmerge.target import TargetOpsMerge

ROOT = Path(__file__).parents[2]
OWN = {
    TapOpsMerge: {"api_key", "api_url", "start_date", "page_size", "invoice_status"},
    TargetOpsMerge: {"api_key", "api_url", "store_url", "opsmerge_is_test"},
}


@pytest.mark.parametrize("plugin", OWN, ids=lambda plugin: plugin.name)
def test_the_settings_table_is_complete(plugin: Any) -> None:
    """Every setting of the contract is the plugin's and in its README's table, with its default, and no other."""
    text = (ROOT / plugin.name / "README.md").read_text("utf-8").partition("## Settings")[2].partition("\n\nThe key")[0]
    table = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", text, re.MULTILINE))
    settings = plugin.config_jsonschema["properties"]
    assert set(table) == OWN[plugin]
    assert set(settings) >= OWN[plugin]
    for name, default in table.items():
        if "default" in settings[name]:
            assert str(settings[name]["default"]) == default.strip(" `")


def test_the_scopes_named_are_those_needed() -> None:
    """Each README names the scopes that its plugin's calls need."""
    tap = (ROOT / "tap-opsmerge" / "README.md").read_text("utf-8")
    target = (ROOT / "target-opsmerge" / "README.md").read_text("utf-8")
    assert all(f"`{listing.operation.scope}`" in tap for listing in api.LISTINGS)
    told = (api.GET_INVOICE, api.LIST_PAYMENTS, api.PUT_ACCOUNTING, api.PUT_PAYMENT, api.VOID_PAYMENT)
    assert all(f"`{operation.scope}`" in target for operation in told)
