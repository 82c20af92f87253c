"""Postings: the accounting block of an invoice says what came of it, once."""

from __future__ import annotations

from typing import Any

import pytest

from books.core.faults import Halt
from target_opsmerge.target import TargetOpsMerge

CONNECTION = "sandbox:9341453000000001"


@pytest.mark.parametrize(
    ("row", "block"),
    [
        ({"outcome": "created"}, ("posted", "130", None)),
        ({"outcome": "adopted"}, ("posted", "130", None)),
        (
            {"outcome": "rejected", "external_id": None, "fault_message": "Missing service", "remedy": "Map it"},
            ("rejected", None, "Missing service. What to do: Map it"),
        ),
        ({"outcome": "conflict", "fault_message": "Number taken"}, ("conflict", "130", "Number taken")),
        ({"outcome": "held", "external_id": None, "fault_message": "VAT differs"}, ("held", None, "VAT differs")),
    ],
)
def test_an_outcome_is_shown_in_opsmerge(world: Any, row: Any, block: Any) -> None:
    """Each outcome becomes the block's status, with the QuickBooks id, or with what is wrong and what to do."""
    invoice = world.invoice()
    world.postings(world.posted(invoice, "130", **row))
    shown = world.block(invoice)
    assert (shown["status"], shown["external_id"], shown["error"]) == block
    assert (shown["provider"], shown["connection"]) == ("quickbooks", CONNECTION)
    assert shown["synced_at"].startswith("2026-11-02T09:00:00")


def test_an_unknown_outcome_is_not_told(world: Any) -> None:
    """An outcome that a later run settles says nothing in OpsMerge."""
    invoice = world.invoice()
    seen = world.postings(world.posted(invoice, None, outcome="unknown"))
    assert seen.requests == []
    assert world.block(invoice) is None


def test_what_is_so_is_not_written_again(world: Any) -> None:
    """A second run with the same postings makes no call at all, a newer row that says the same makes none either."""
    rows = [world.posted(world.invoice(), str(number), seq=number) for number in range(30)]
    assert len(world.postings(*rows).writes) == 30
    assert world.postings(*rows).requests == []
    assert world.postings(*({**row, "seq": row["seq"] + 100} for row in rows)).requests == []


def test_what_opsmerge_says_already_is_found_when_the_store_was_lost(world: Any) -> None:
    """After the store is lost everything is adopted again: OpsMerge is asked, and nothing is written."""
    invoice = world.invoice()
    world.postings(world.posted(invoice, "130"))
    world.fresh_store()
    seen = world.postings(world.posted(invoice, "130", outcome="adopted"))
    assert (seen.writes, seen.reads) == ([], [f"/psa/invoices/{invoice}"])


def test_the_newest_row_wins_in_any_order(world: Any) -> None:
    """Rows may come in any order and again: what counts is the highest seq."""
    invoice = world.invoice()
    old = world.posted(invoice, None, outcome="rejected", fault_message="Missing service", seq=4)
    new = world.posted(invoice, "130", seq=9)
    world.postings(new, old, new)
    assert world.block(invoice)["status"] == "posted"
    assert world.postings(old).requests == []
    assert world.block(invoice)["status"] == "posted"


def test_a_change_of_outcome_is_told(world: Any) -> None:
    """A rejected invoice that was posted later shows the id instead of the error."""
    invoice = world.invoice()
    world.postings(world.posted(invoice, None, outcome="rejected", fault_message="Missing service", seq=1))
    world.postings(world.posted(invoice, "130", seq=2))
    shown = world.block(invoice)
    assert (shown["status"], shown["external_id"], shown["error"]) == ("posted", "130", None)


def test_a_refusal_is_recorded_and_the_others_go_on(world: Any) -> None:
    """An invoice that OpsMerge does not know is noted in the store, and tried again later, not at once."""
    invoice = world.invoice()
    rows = [world.posted("inv_999", "131", seq=1), world.posted(invoice, "130", seq=2)]
    world.postings(*rows)
    assert world.block(invoice)["status"] == "posted"
    refused = next(row for row in world.blocks() if row["opsmerge_invoice_id"] == "inv_999")
    assert (refused["fault_code"], refused["attempts"]) == ("not_found", 1)
    assert refused["remedy"]
    assert world.postings(*rows).requests == []
    world.clock.advance(301)
    assert world.postings(*rows).reads == ["/psa/invoices/inv_999"]


def test_state_leaves_after_the_effects(world: Any) -> None:
    """The STATE of the input is printed once the effects are there, and not at all when OpsMerge fails."""
    invoice = world.invoice()
    world.postings(world.posted(invoice, "130"))
    assert len(world.states) == 1
    world.control.fault("5xx_before", path="/accounting", times=0)
    with pytest.raises(Halt):
        world.postings(world.posted(invoice, "131", seq=2))
    assert world._capsys.readouterr().out == ""


def test_effects_need_no_state(world: Any) -> None:
    """Input without STATE, as from a tap whose bookmark stood still, has its effects all the same."""
    invoice = world.invoice()
    world.run(*world.messages("postings", world.posted(invoice, "130")), closing=False)
    assert world.block(invoice)["status"] == "posted"


def test_state_in_the_middle_waits_for_its_effects(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a long run, STATE that leaves before the end of input leaves after the effects of what came before it."""
    monkeypatch.setattr(TargetOpsMerge, "_MAX_RECORD_AGE_IN_MINUTES", -1.0)
    rows = [
        {"type": "RECORD", "stream": "postings", "record": world.posted(world.invoice(), str(seq), seq=seq)}
        for seq in (1, 2)
    ]
    world.control.fault("5xx_before", path="/accounting", times=0)
    with pytest.raises(Halt):
        world.run(*world.messages("postings"), {"type": "STATE", "value": {"x": 1}}, rows[0], rows[1])
    assert world._capsys.readouterr().out == ""


def test_other_streams_are_left_alone(world: Any) -> None:
    """A stream that is not for OpsMerge makes no call, whatever its records look like."""
    seen = world.run(*world.messages("invoices", {"id": "1", "total": "x", "due_date": "soon"}))
    assert seen.requests == []
    assert len(world.states) == 1


def test_an_old_connection_does_not_speak_over_a_new_one(world: Any) -> None:
    """Of two companies that know an invoice the newer one's word counts, whichever is told or tried again later."""
    invoice = world.invoice()
    old = world.posted(invoice, None, seq=1, outcome="held", fault_message="disconnected")
    new = world.posted(invoice, "7", seq=2, connection="sandbox:8")
    assert len(world.postings(old, new).writes) == 1
    assert (world.block(invoice)["connection"], world.block(invoice)["external_id"]) == ("sandbox:8", "7")
    assert world.postings().writes == []
