"""The whole flow through real `meltano run` against both simulators: what `make run` promises."""

from __future__ import annotations

import re

from sandbox.demo.planted import planted


def test_every_planted_deviation_is_named_and_nothing_else(demo):
    """The report of the first run holds each planted deviation with its cause, and no other finding."""
    found = {(number, drift_class, bucket) for number, drift_class, bucket, _ in demo.drift_first if number}
    wanted = {(each.number, each.drift_class, each.bucket) for each in planted() if each.number}
    assert found >= wanted
    assert {each for each in found if each[0].startswith("INV-")} == wanted


def test_each_cause_is_in_words(demo):
    """Each planted deviation's cause says what happened."""
    causes = {(number, drift_class): cause for number, drift_class, _, cause in demo.drift_first}
    for each in planted():
        if each.number:
            assert re.search(each.cause, causes[each.number, each.drift_class], re.IGNORECASE), each


def test_a_copy_can_be_told_from_the_original(demo):
    """The report names the QuickBooks id of the copy, which is not the one that was posted."""
    number = next(each.number for each in planted() if each.drift_class == "I03")
    shown = re.search(rf"I03 .*?{number}.*?\(id (\d+)\)", demo.first.out, re.DOTALL)
    ((posted,),) = demo.project.query(f"select external_id from raw_quickbooks.postings where number = '{number}'")
    assert shown
    assert shown[1] != posted


def test_every_penny_is_explained(demo):
    """The unexplained remainder is 0.00 for every measure, currency and month."""
    rows = demo.project.query("select measure, currency, period, unexplained from recon.control_totals")
    assert len(rows) >= 5
    assert [row for row in rows if row[3] != 0] == []


def test_the_run_can_be_trusted(demo):
    """Every check of the reconciliation passes."""
    assert demo.project.query("select check_name from recon.checks where not passed") == []
    assert "Do not act" not in demo.first.out + demo.second.out


def test_a_second_run_posts_nothing_and_says_so(demo):
    """The second `make run` creates no invoice, writes nothing to OpsMerge, and says both."""
    assert re.search(r"140 created", demo.first.out)
    assert "140 already posted and unchanged" in demo.second.out
    assert "no call to QuickBooks" in demo.second.out
    assert not re.search(r"[1-9]\d* created", demo.second.out)
    posted = "select count(*), count(distinct external_id) from raw_quickbooks.postings where external_id is not null"
    assert demo.project.query(posted) == [(140, 140)]


def test_opsmerge_shows_the_quickbooks_id_or_the_error(demo, accounting):
    """Every invoice that was due bears the QuickBooks id or, refused, the words of what is wrong."""
    posted = [each for each in accounting.values() if each["status"] == "posted"]
    refused = {number: each["error"] for number, each in accounting.items() if each["status"] == "rejected"}
    assert len(posted) == 140
    assert all(each["external_id"] for each in posted)
    assert sorted(refused) == sorted(each.number for each in planted() if each.drift_class == "I12")
    assert all("missing" in error for error in refused.values())


def test_paid_follows_the_books_in_both_directions(demo):
    """Paid in full is Paid; a payment that was voided or deleted leaves the invoice unpaid again."""
    rows = demo.project.query(
        "select i.number, i.status, i.balance from raw_opsmerge.invoices i "
        "join raw_opsmerge.payments p on p.invoice_id = i.id where p.voided"
    )
    assert len(rows) == 2
    assert all(status in ("open", "overdue") and balance > 0 for _, status, balance in rows)
    assert demo.project.query("select count(*) > 80 from raw_opsmerge.invoices where status = 'paid'") == [(True,)]


def test_the_report_is_one_file_that_needs_nothing(demo):
    """The HTML holds no script and asks no other host for anything."""
    (page,) = (demo.project.root / "warehouse" / "demo" / "reports").glob("drift-*.html")
    html = page.read_text()
    assert str(page) in demo.first.out.replace("\n", "")
    assert "<script" not in html
    assert not re.search(r"""(?:src|href)=["']https?://(?!app\.)""", html)


def test_no_secret_is_in_a_log_or_report(demo):
    """The demo's credentials are in no log, no report and no Meltano state."""
    folders = (demo.project.root / ".demo" / "logs", demo.project.root / "warehouse" / "demo" / "reports")
    texts = [path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()]
    logs = b"".join(texts) + demo.first.out.encode()
    for secret in (b"sandbox-secret", b"RT-sandbox-0001"):
        assert secret not in logs.replace(b"client secret    sandbox-secret", b"").replace(
            b"refresh token    RT-sandbox-0001", b""
        )
