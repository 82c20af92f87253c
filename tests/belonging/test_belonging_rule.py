"""The one rule of belonging, as a table."""

from __future__ import annotations

import pytest

from books.core.faults import Halt
from books.opsmerge import OpsMergeSettings, belonging
from books.opsmerge.belonging import Act, bars_posting, decide, link_of

P, Q = "production:1", "production:2"
S, T = "sandbox:8", "sandbox:9"
WRITE, TAKE_OVER, LEAVE, SHOW = Act.WRITE, Act.TAKE_OVER, Act.LEAVE, Act.SHOW


def block(connection: str | None, external_id: object = "41") -> dict[str, object]:
    return {"provider": "quickbooks", "connection": connection, "external_id": external_id, "status": "posted"}


@pytest.mark.parametrize(
    ("shown", "connection", "at_a_test_one", "at_a_real_one"),
    [
        (None, P, WRITE, WRITE),
        (block(P), P, WRITE, WRITE),
        (block(S), P, TAKE_OVER, TAKE_OVER),
        (block(Q), P, LEAVE, LEAVE),
        (block(Q, None), P, WRITE, WRITE),
        (block(Q, ""), P, WRITE, WRITE),
        (block(S, None), P, WRITE, WRITE),
        (block(None), P, WRITE, WRITE),
        (None, S, WRITE, SHOW),
        (block(S), S, WRITE, SHOW),
        (block(T), S, LEAVE, LEAVE),
        (block(P), S, LEAVE, LEAVE),
        (block(P, None), S, WRITE, SHOW),
    ],
)
def test_who_may_write_an_invoice(shown: object, connection: str, at_a_test_one: Act, at_a_real_one: Act) -> None:
    """Whose block it is, who asks, and which OpsMerge it is decide, and nothing else does."""
    assert decide(shown, connection, opsmerge_is_test=True).act is at_a_test_one
    assert decide(shown, connection, opsmerge_is_test=False).act is at_a_real_one


@pytest.mark.parametrize(
    ("shown", "act"), [(block(S), WRITE), (None, SHOW), (block(S, None), SHOW), (block(P), LEAVE), (block(T), LEAVE)]
)
def test_a_sandbox_clears_its_own_ids_at_a_real_opsmerge_and_nothing_else(shown: object, act: Act) -> None:
    """The one thing that a connection may do where it may not write: take its own id away."""
    assert decide(shown, S, opsmerge_is_test=False, clears_id=True).act is act


@pytest.mark.parametrize(
    ("owner", "connection", "barred"),
    [(None, P, False), (P, P, False), (Q, P, True), (S, P, False), (P, S, False), (T, S, False), (Q, "", False)],
)
def test_who_may_post_an_invoice(owner: str | None, connection: str, barred: bool) -> None:
    """Only a production company leaves an invoice, and only another production company's."""
    assert bars_posting(owner, connection) is barred


@pytest.mark.parametrize("shown", [None, "posted", [], {}, {"connection": {}, "external_id": []}, block("  ", " ")])
def test_a_block_that_names_nobody_belongs_to_nobody(shown: object) -> None:
    """Whatever stands there, without a connection and an id it is nobody's."""
    assert link_of(shown) is None
    assert belonging.owner_of(shown) is None


def test_what_is_left_says_whose_it_is_and_what_to_do() -> None:
    """A person reads who has the invoice, and the command that gives it up."""
    left = decide(block(Q), P, opsmerge_is_test=True)
    assert (left.owner, left.writes) == (Q, False)
    assert Q in left.why
    assert "`books disconnect`" in left.remedy
    assert "opsmerge_is_test" in decide(None, S, opsmerge_is_test=False).remedy


@pytest.mark.parametrize(
    ("api_url", "setting", "is_test"),
    [
        ("http://127.0.0.1:8010/api/v1", None, True),
        ("http://localhost:8010", "", True),
        ("https://app.opsmerge.cloud/api/v1", None, False),
        (None, None, False),
        ("https://test.example.com/api/v1", "true", True),
        ("https://test.example.com/api/v1", True, True),
        ("http://127.0.0.1:8010/api/v1", "false", False),
        ("http://127.0.0.1:8010/api/v1", False, False),
    ],
)
def test_which_opsmerge_is_a_test_one(api_url: str | None, setting: object, is_test: bool) -> None:
    """The setting says it; where it says nothing, only this machine's is."""
    config = {"api_key": "om_x", "api_url": api_url, "opsmerge_is_test": setting}
    assert OpsMergeSettings.from_config(config).is_test is is_test


def test_a_mistyped_word_is_refused() -> None:
    """Neither true nor false: exit code 78, naming the setting."""
    with pytest.raises(Halt, match="opsmerge_is_test") as refused:
        OpsMergeSettings.from_config({"api_key": "om_x", "opsmerge_is_test": "ture"})
    assert refused.value.exit_code == 78
