"""Secrets stay where they belong: real processes at DEBUG through every ending, and a search of all they leave."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import urllib.parse

from cryptography.fernet import Fernet
from sqlalchemy import select

from books.posting.crash import VARIABLE
from books.posting.records import to_text
from books.store import Store
from books.store.tables_infra import token
from books.transport.seal import Seal

REALM = "9341453000000001"
CLIENT, SECRET, BOOTSTRAP = "client-canary-0c1", "secret-canary-7f3a91", "RT-canary-55d0e2"
API_KEY = "om_canary_3b9be4"
TOKEN_KEY = Fernet.generate_key().decode()


class Command:
    """Runs of the plugin's own command, each into files of its own; the config lies apart from what is searched."""

    def __init__(self, sim, folder, token_key):
        sim.control.switches(limits=False)
        sim.state.consents.add_client(CLIENT, SECRET, "sandbox")
        sim.state.consents.grant(CLIENT, REALM, refresh_token=BOOTSTRAP)
        self.left, self.private = folder / "left", folder / "private"
        self.left.mkdir()
        self.private.mkdir()
        self.store_url = f"sqlite:///{self.left}/books/books.db"
        self.token_key = token_key
        self.tokens = set()
        self.config = {
            "realm_id": REALM,
            "client_id": CLIENT,
            "client_secret": SECRET,
            "refresh_token": BOOTSTRAP,
            "token_key": token_key,
            "api_url": sim.url,
            "token_url": sim.url,
            "store_url": self.store_url,
            "mapping_file": str(self.private / "mappings.yml"),
            "default_income_account": "Sales of Product Income",
            "default_expense_account": "Cost of sales",
        }

    def run(self, name, *records, crash="", **settings):
        """The exit code; negative where a signal ended it."""
        config, given = self.private / "config.json", self.private / "input.jsonl"
        config.write_text(json.dumps({key: each for key, each in {**self.config, **settings}.items() if each}))
        schema = {"type": "object", "properties": {"id": {"type": "string"}}}
        head = {"type": "SCHEMA", "stream": "invoices", "key_properties": ["id"], "schema": schema}
        rows = [{"type": "RECORD", "stream": "invoices", "record": record} for record in records]
        given.write_text("".join(to_text(message) + "\n" for message in (head, *rows)))
        variables = {"LOGLEVEL": "DEBUG", "TARGET_QUICKBOOKS_LOGLEVEL": "DEBUG", "TAP_OPSMERGE_API_KEY": API_KEY}
        command = [sys.executable, "-m", "target_quickbooks", "--config", str(config), "--input", str(given)]
        with (self.left / f"{name}.out").open("w") as out, (self.left / f"{name}.err").open("w") as err:
            done = subprocess.run(
                command,
                stdout=out,
                stderr=err,
                env={**os.environ, **variables, VARIABLE: crash},
                cwd=self.private,
                check=False,
                timeout=60,
            )
        self._remember_tokens()
        return done.returncode

    def _remember_tokens(self):
        """Every token that the store ever held is a canary from then on."""
        store, seal = Store.open(self.store_url), Seal(self.token_key)
        with store.read() as connection:
            rows = connection.execute(
                select(token.c.access_token, token.c.refresh_token, token.c.previous_refresh_token)
            ).all()
        store.close()
        self.tokens |= {seal.open(each) for row in rows for each in row if each}

    def found(self):
        """(file, secret) wherever a secret lies in the open, as it is or as HTTP carries it."""
        secrets = {SECRET, BOOTSTRAP, API_KEY, *self.tokens, *([self.token_key] if self.token_key else [])}
        spelt = {urllib.parse.quote(each, safe="") for each in secrets}
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        files = [each for each in self.left.rglob("*") if each.is_file()]
        return {(each.name, secret) for each in files for secret in secrets | spelt | {basic} if _holds(each, secret)}


def _holds(file, secret):
    return secret.encode() in file.read_bytes()


def test_a_secret_is_found_nowhere(quickbooks_sim, record, line, tmp_path):
    """Not on stdout, on stderr at DEBUG, in the store, in a plan: after success, refusals, rotation and a kill."""
    command = Command(quickbooks_sim, tmp_path, TOKEN_KEY)
    rejected = record(2, lines=[line(tax_code_name="no such code", tax_code_id="tx_9")])
    quickbooks_sim.control.fault("401", method="POST", path="/batch")
    assert command.run("pushed", record(1), rejected) == 0
    assert command.run("plan", record(5), dry_run=True, plan_file=str(command.left / "plan.json")) == 0
    quickbooks_sim.control.advance(25 * 3600)  # the access token ends, and the refresh token is a day old
    assert command.run("crash", record(7), crash="after_send") == -signal.SIGKILL
    quickbooks_sim.control.deed("disconnect")
    assert command.run("disconnected", record(8)) == 69
    assert len(command.tokens) >= 3, "the store never held a rotated token"
    assert "DEBUG" in (command.left / "pushed.err").read_text()
    assert (command.left / "plan.json").stat().st_size > 0
    assert command.found() == set()


def test_the_search_finds_what_lies_in_the_open(quickbooks_sim, record, tmp_path):
    """Without a token_key the tokens are in the store file, readable by its owner alone: so the search can fail."""
    command = Command(quickbooks_sim, tmp_path, None)
    assert command.run("success", record(1)) == 0
    files = {name for name, _ in command.found()}
    assert any(name.startswith("books.db") for name in files)
    assert not any(name.startswith("success") for name in files)
    assert (command.left / "books" / "books.db").stat().st_mode & 0o777 == 0o600
