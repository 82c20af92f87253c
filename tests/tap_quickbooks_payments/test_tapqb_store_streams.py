"""Postings and push runs come from the state store alone."""

from __future__ import annotations

import pendulum


def test_postings_make_no_call_to_quickbooks(company):
    """The push job reads them every minute: neither the API nor the token endpoint is touched."""
    company.posted("7")
    reading = company.read("postings", "push_runs")
    [row] = reading.rows("postings")
    assert (row["opsmerge_invoice_id"], row["outcome"], row["external_id"], row["net"]) == ("om_7", "created", "7", 100)
    assert company.control.requests() == []


def test_postings_come_once_and_again_when_they_change(company):
    """Each change has a higher `seq`; what was read is not read again."""
    company.posted("7", seq=1)
    company.posted("8", seq=2, outcome="rejected")
    first = company.read("postings")
    assert [row["seq"] for row in first.rows("postings")] == [1, 2]
    assert company.read("postings", state=first.state).rows("postings") == []
    company.posted("9", seq=5)
    second = company.read("postings", state=first.state)
    assert [row["seq"] for row in second.rows("postings")] == [5]
    assert second.extract("postings")["mode"] == "incremental"
    everything = company.read("postings", state=second.state, full_refresh=True)
    assert len(everything.rows("postings")) == 3
    assert everything.extract("postings")["mode"] == "full"


def test_a_store_that_went_back_is_read_from_its_beginning(company):
    """A restored or new store knows fewer changes than the bookmark: its postings are not passed over."""
    company.posted("7", seq=3)
    state = company.read("postings").state
    state["bookmarks"]["postings"]["replication_key_value"] = 900
    assert [row["seq"] for row in company.read("postings", state=state).rows("postings")] == [3]


def test_finished_push_runs_are_read_once(company):
    """A run still going is not told; it comes when it has finished."""
    noon = pendulum.datetime(2026, 11, 2, 12)
    company.pushed("a", noon, noon.add(seconds=20))
    company.pushed("b", noon.add(minutes=1), None)
    first = company.read("push_runs")
    assert [(row["id"], row["complete"], row["started_at"]) for row in first.rows("push_runs")] == [
        ("a", True, "2026-11-02T12:00:00.000000Z")
    ]
    company.pushed("c", noon.add(minutes=2), noon.add(minutes=3))
    assert [row["id"] for row in company.read("push_runs", state=first.state).rows("push_runs")] == ["c"]


def test_another_company_s_postings_stay_where_they_are(company):
    """One store may hold several companies."""
    company.posted("7", connection="sandbox:1")
    assert company.read("postings").rows("postings") == []
