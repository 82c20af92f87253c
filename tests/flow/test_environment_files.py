"""Each environment has a file of its own variables: `meltano`, `books` and the plugins read that one, or refuse."""

from __future__ import annotations

import json

import pytest
from meltano_project import ROOT, make_project

PLAIN = "QUICKBOOKS_REALM_ID=111\nQUICKBOOKS_CLIENT_ID=live\nQUICKBOOKS_CLIENT_SECRET=s1\nOPSMERGE_API_KEY=om_live\n"
OWN = "QUICKBOOKS_REALM_ID=222\nQUICKBOOKS_CLIENT_ID=tried\nQUICKBOOKS_CLIENT_SECRET=s2\nOPSMERGE_API_KEY=om_tried\n"
NO_SIMULATOR = {"QUICKBOOKS_API_URL": "http://127.0.0.1:9", "QUICKBOOKS_TOKEN_URL": "http://127.0.0.1:9"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Production as at 1f79c9d, in `.env`; a sandbox beside it, in a file of its own."""
    made = make_project(tmp_path_factory.mktemp("files") / "project")
    (made.root / ".env").write_text(PLAIN)
    (made.root / ".env.sandbox").write_text(OWN)
    return made


def realm(project, *words):
    done = project.command("meltano", "--log-level", "error", *words, "config", "print", "target-quickbooks")
    return json.loads(done.out[done.out.index("{") :])["realm_id"]


def test_meltano_reads_the_file_that_it_is_given(project):
    """The sandbox's file where it is named; production goes on reading `.env`."""
    assert realm(project, "--env-file", ".env.sandbox", "--environment", "sandbox") == "222"
    assert realm(project, "--environment", "production") == "111"


def test_books_reads_the_environments_own_file_by_itself(project):
    """`books` and the runs that it starts need no option."""
    there = json.loads(project.command("books", "--environment", "sandbox", "status", "--json").out)
    live = json.loads(project.command("books", "--environment", "production", "status", "--json").out)
    assert (there["connection"], live["connection"]) == ("sandbox:222", "production:111")
    plan = project.command("books", "--environment", "sandbox", "plan", TAP_OPSMERGE_API_URL="http://127.0.0.1:9")
    assert "other_environment" not in plan.out
    assert ".env.sandbox" not in plan.out


def test_a_run_without_the_environments_own_file_is_refused(project):
    """Forgotten, the sandbox would work with production's company and keys: exit code 78, the names, the command."""
    done = project.command("meltano", "--environment", "sandbox", "invoke", "target-opsmerge")
    assert "QUICKBOOKS_CLIENT_ID" in done.out
    assert "meltano --env-file .env.sandbox --environment=sandbox" in done.out
    assert "om_live" not in done.out
    assert done.code == 78


def test_a_shell_that_sets_another_company_is_refused_too(project):
    """What the file names, only the file says."""
    words = ("--env-file", ".env.sandbox", "--environment", "sandbox", "invoke", "target-opsmerge")
    assert project.command("meltano", *words, QUICKBOOKS_REALM_ID="333").code == 78
    asked = project.command("books", "--environment", "sandbox", "status", QUICKBOOKS_REALM_ID="333")
    assert (asked.code, "QUICKBOOKS_REALM_ID" in asked.out) == (78, True)


def test_systemd_reads_the_same_file():
    """Each unit names the environment's file in the project."""
    units = list((ROOT / "deploy" / "systemd").glob("*.service"))
    assert units
    assert all("EnvironmentFile=-/srv/bridge/.env.%i\n" in unit.read_text() for unit in units)
