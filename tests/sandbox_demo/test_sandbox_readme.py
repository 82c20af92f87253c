"""The commands and the test of sandbox/README.md work as they stand there."""

from __future__ import annotations

import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

from sandbox.control import Control
from sandbox.demo.furnish import furnish
from sandbox.opsmerge import OpsMergeState
from sandbox.opsmerge import create_app as opsmerge_app
from sandbox.opsmerge.deeds import DEEDS
from sandbox.opsmerge.state import POSITIONS
from sandbox.quickbooks import QuickBooksState
from sandbox.quickbooks import create_app as quickbooks_app
from sandbox.server import running

README = Path(__file__).parents[2] / "sandbox" / "README.md"
pytest_plugins = ["pytester"]


def _commands():
    """The shell commands that call a simulator; lines that end in a backslash go on."""
    text = re.sub(r"\\\n\s*", "", README.read_text("utf-8"))
    lines = [line[4:] for line in text.splitlines() if line.startswith(("    curl", "    TOKEN="))]
    return [line.split("  #")[0] for line in lines]


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README's commands use curl")
def test_curl_examples():
    """Every curl of the README is answered without an error by the simulators with the demo."""
    with running(opsmerge_app(OpsMergeState())) as opsmerge, running(quickbooks_app(QuickBooksState())) as quickbooks:
        furnish(Control(opsmerge), Control(quickbooks))
        commands = [command for command in _commands() if "record_payment" not in command]
        assert len(commands) >= 6
        script = "set -e\n" + "\n".join(commands)
        script = script.replace("http://127.0.0.1:8010", opsmerge).replace("http://127.0.0.1:8020", quickbooks)
        script = script.replace("curl ", "curl --silent --show-error --fail-with-body ")
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"QueryResponse"' in done.stdout


BRIDGE = """
import requests
from sandbox.control import Control

def my_bridge(opsmerge_url, quickbooks_url):
    key = {"Authorization": "Bearer om_sandbox_key"}
    (bill,) = requests.get(opsmerge_url + "/psa/invoices", headers=key, timeout=5).json()["data"]
    detail = {"TaxCodeRef": {"name": "20.0% S"}}
    line = {"DetailType": "SalesItemLineDetail", "Amount": bill["subtotal"], "SalesItemLineDetail": detail}
    invoice = {"DocNumber": bill["number"], "CustomerRef": {"name": "Acme"}, "Line": [line]}
    Control(quickbooks_url).seed({"entities": {"Customer": [{"DisplayName": "Acme"}], "Invoice": [invoice]}})

"""


def test_pytest_example(pytester):
    """The README's test runs, given a bridge that posts the invoice."""
    example = re.search(r"    def test_paid.*?\n\n", README.read_text("utf-8"), re.DOTALL).group(0)
    pytester.makepyfile(BRIDGE + textwrap.dedent(example))
    pytester.runpytest_subprocess("-q").assert_outcomes(passed=1)


def test_tables_are_complete():
    """The README names every switch and every deed of the OpsMerge simulator."""
    text = README.read_text("utf-8")
    for word in [*POSITIONS, *DEEDS]:
        if word != "void_payment":
            assert f"`{word}`" in text, word
