"""The installed command: exit codes, signals, and what it may and may not write."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tap_quickbooks_payments.tap import TapQuickBooksPayments

COMMAND = Path(sys.executable).with_name("tap-quickbooks-payments")


def start(company, folder, streams=("payments",), **settings) -> subprocess.Popen:
    config = folder / "config.json"
    config.write_text(json.dumps(company.config(**settings)))
    catalog = TapQuickBooksPayments(config=company.config()).catalog_dict
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            entry["metadata"]["selected"] = stream["tap_stream_id"] in streams
    chosen = folder / "catalog.json"
    chosen.write_text(json.dumps(catalog))
    return subprocess.Popen(
        [COMMAND, "--config", config, "--catalog", chosen], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_it_reads_to_the_end_and_exits_with_0(company, tmp_path):
    """Singer on stdout, everything for people on stderr, no secret in either."""
    company.seed(Invoice=[company.invoice("INV-1", "10")])
    company.control.deed("record_payment", invoice="INV-1")
    process = start(company, tmp_path)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert {json.loads(line)["type"] for line in out.splitlines()} == {"SCHEMA", "RECORD", "STATE", "ACTIVATE_VERSION"}
    for secret in (b"sandbox-secret", b"RT-sandbox-0001"):
        assert secret not in out + err


def test_discovery_needs_no_network(tmp_path):
    """The streams are known without the company."""
    config = tmp_path / "config.json"
    settings = {"realm_id": "1", "client_id": "a", "client_secret": "b", "api_url": "http://127.0.0.1:9"}
    config.write_text(json.dumps(settings))
    done = subprocess.run([COMMAND, "--config", config, "--discover"], capture_output=True, check=True)
    names = [stream["tap_stream_id"] for stream in json.loads(done.stdout)["streams"]]
    assert sorted(names) == ["accounts", "credit_memos", "customers", "invoices", "payments", "postings", "push_runs"]


def test_stopped_by_a_signal_it_reports_no_success(company, tmp_path):
    """A run cut short by SIGTERM ends with 143, without a bookmark and without a word of completeness."""
    company.control.fault("hang", path="*/query", times=1)
    process = start(company, tmp_path)
    for line in process.stderr:
        if b"Beginning sync of 'payments'" in line:
            break
    while not any("query" in path for path in company.calls()) and process.poll() is None:
        pass
    process.send_signal(signal.SIGTERM)
    out, _err = process.communicate(timeout=20)
    assert process.returncode == 143
    messages = [json.loads(line) for line in out.splitlines()]
    assert not [each for each in messages if each["type"] in ("STATE", "ACTIVATE_VERSION") or "extract" in each]


@pytest.mark.parametrize(
    ("settings", "code", "word"),
    [
        ({"realm_id": "none"}, 78, b"realm_id"),
        ({"api_url": "https://example.com"}, 78, b"api_url"),
        ({"start_date": "yesterday"}, 78, b"start_date"),
        ({"refresh_token": "RT-wrong"}, 69, b"connect"),
    ],
)
def test_what_is_wrong_decides_the_exit_code(company, tmp_path, settings, code, word):
    """78 for a setting, 69 for a dead connection; in one line, without a traceback."""
    process = start(company, tmp_path, **settings)
    _out, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    assert word in err
    assert b"Traceback" not in err
