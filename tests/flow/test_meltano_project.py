"""The wiring in meltano.yml: what a scheduler and an operator rely on."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, Project, make_project


@pytest.fixture(scope="module")
def definition() -> dict:
    return yaml.safe_load((ROOT / "meltano.yml").read_text())


def test_jobs_and_schedules_bear_the_contract_s_names(definition):
    """The four jobs and their schedules are there."""
    assert [job["name"] for job in definition["jobs"]] == ["push-invoices", "pull-payments", "reconcile", "daily"]
    assert {each["job"]: each["interval"] for each in definition["schedules"]} == {
        "push-invoices": "* * * * *",
        "pull-payments": "*/5 * * * *",
        "daily": "0 6 * * *",
    }


def test_every_setting_that_a_plugin_has_can_be_given_through_meltano(definition):
    """Each plugin's own settings are all declared in meltano.yml, secrets as sensitive."""
    for kind, name in [
        ("extractors", "tap-opsmerge"),
        ("extractors", "tap-quickbooks-payments"),
        ("loaders", "target-quickbooks"),
        ("loaders", "target-opsmerge"),
        ("loaders", "target-duckdb"),
    ]:
        about = subprocess.run(
            [ROOT / ".venv" / "bin" / name, "--about", "--format", "json"], capture_output=True, text=True, check=True
        )
        own = json.loads(about.stdout)["settings"]["properties"]
        declared = next(each for each in definition["plugins"][kind] if each["name"] == name)["settings"]
        sdk = {"stream_maps", "stream_map_config", "faker_config", "flattening_enabled", "batch_config"}
        wanted = {each for each in own if each not in sdk and not each.startswith("flattening")}
        assert wanted <= {each["name"] for each in declared}, name
        secret = {each for each in wanted if own[each].get("secret")}
        assert secret <= {each["name"] for each in declared if each.get("sensitive")}, name
