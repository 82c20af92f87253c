"""The whole flow through real `meltano run` against both simulators: what `make run` promises."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import duckdb
import pytest

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
    assert demo.project.query("select check_name from recon.checks where not ok") == []
    assert "Do not act" not in demo.first.out


def test_a_second_run_posts_nothing_and_says_so(demo):
    """Another push of everything creates no invoice, writes nothing to OpsMerge, and says both."""
    assert re.search(r"140 created", demo.first.out)
    nothing_posted(demo.again.out)
    posted = "select count(*), count(distinct external_id) from raw_quickbooks.postings where external_id is not null"
    assert demo.project.query(posted) == [(140, 140)]


def nothing_posted(out: str) -> None:
    assert "140 already posted and unchanged" in out
    assert "no call to QuickBooks" in out
    assert "OpsMerge invoices: 0 updated" in out
    assert not re.search(r"[1-9]\d* created", out)


@pytest.mark.soak
def test_a_second_demo_posts_nothing_and_says_so(demo):
    """The second `make run` creates no invoice, writes nothing to OpsMerge, says both, and reports the same."""
    second = demo.project.demo()
    assert second.code == 0, second.out
    nothing_posted(second.out)
    assert "Do not act" not in second.out


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


# The commands of `books`, on what the demo left behind.


@pytest.fixture(scope="module")
def books(demo):
    def run(*words: str):
        return demo.project.command("books", "--environment", "demo", *words)

    return run


def test_the_log_shows_errors_first_with_what_to_do(books):
    """The sync log begins with what a person must mend: where, what is wrong, what to do."""
    rows = json.loads(books("log", "--json", "--limit", "5").out)
    assert [row["outcome"] for row in rows] == ["rejected", "rejected", "created", "created", "created"]
    assert {row["fault_field"] for row in rows[:2]} == {"lines[0].service", "lines[0].tax_code"}
    assert all("OpsMerge" in row["remedy"] for row in rows[:2])


def test_the_log_can_be_filtered(books):
    """By outcome, by invoice and by time."""
    assert len(json.loads(books("log", "--json", "--outcome", "created", "--limit", "1000").out)) == 140
    assert [row["number"] for row in json.loads(books("log", "--json", "--number", "INV-2026-0064").out)] == [
        "INV-2026-0064"
    ]
    assert json.loads(books("log", "--json", "--since", "2999-01-01").out) == []


def test_why_tells_the_story_of_one_invoice(books):
    """What was sent, what was answered, under which request, what is wrong, what to do."""
    posted, refused = books("why", "INV-2026-0001"), books("why", "INV-2026-0064")
    assert "created by us" in posted.out
    assert "intuit_tid" in posted.out
    assert "missing service" in refused.out
    assert "What to do: Give the line a service" in refused.out


def test_why_tells_how_it_was_mapped_and_paid_and_what_drifted(books, demo):
    """Each part was found by a way that is named; payments and what OpsMerge was told; the report's findings."""
    copied = next(each.number for each in planted() if each.drift_class == "I03")
    ((paid,),) = demo.project.query(
        "select min(i.number) from raw_opsmerge.invoices i join raw_opsmerge.payments p on p.invoice_id = i.id "
        "where i.status = 'paid' and not p.voided"
    )
    story = books("why", paid.lower())
    assert "by OpsMerge's own mapping" in story.out
    assert "OpsMerge shows: posted, QuickBooks id" in story.out
    assert "Paid in QuickBooks: " in story.out
    assert "Payment in OpsMerge: " in story.out
    assert "Drift I03 (break)" in books("why", copied).out


def test_why_says_what_could_be_the_reason_of_an_unknown_number(books, demo):
    """An unknown number is no success: mistyped, a draft, another environment, or not read yet."""
    answer = books("why", "INV-2026-064")
    assert answer.code == 1
    assert "there is INV-2026-0064" in answer.out
    assert "The last whole push began at" in answer.out
    ((draft,),) = demo.project.query("select min(number) from raw_opsmerge.invoices where status = 'draft'")
    assert "drafts are not posted" in books("why", draft).out


def test_the_log_can_be_filtered_by_client_and_time(books):
    """By a part of the client's name, and by a window whose last day counts whole."""
    rows = json.loads(books("log", "--json", "--client", "brien").out)
    assert len(rows) >= 2
    assert {row["client_name"] for row in rows} == {"O'Brien Joinery Ltd"}
    day = rows[0]["finished_at"][:10]
    window = ("log", "--json", "--client", rows[0]["client_id"], "--since", day, "--until", day)
    assert [row["number"] for row in json.loads(books(*window).out)] == [row["number"] for row in rows]
    wrong = books("log", "--since", "yesterday")
    assert (wrong.code, "is not a date or time" in wrong.out) == (1, True)


def test_retry_marks_what_is_named_and_says_what_it_does_not_know(books):
    """A known invoice is marked for the next push; an unknown one is named and ends with 1."""
    assert "INV-2026-0064" in books("retry", "INV-2026-0064").out
    unknown = books("retry", "INV-1999-0001")
    assert (unknown.code, "INV-1999-0001" in unknown.out) == (1, True)
    assert books("retry").code == 1


def test_the_report_can_be_shown_again(books, demo):
    """`books report --show` prints the published report and its address, and writes nothing."""
    shown = books("report", "--show")
    assert shown.code == 0
    assert "21 of 21 checks pass" in shown.out
    assert "drift-" in shown.out


def test_a_setting_that_is_wrong_is_named(demo):
    """Exit code 78, the setting, and what it should be."""
    answer = demo.project.command("books", "--environment", "demo", "status", TARGET_QUICKBOOKS_REALM_ID="12a")
    assert answer.code == 78
    assert "realm_id" in answer.out
    assert "Traceback" not in answer.out


def test_an_unknown_environment_is_named(demo):
    """Exit code 78 and the environments that there are."""
    answer = demo.project.command("books", "--environment", "live", "status")
    assert (answer.code, "production" in answer.out) == (78, True)
    assert "Traceback" not in answer.out


def test_a_client_can_be_forgotten_and_the_warehouse_still_reconciles(demo, tmp_path):
    """`books forget`: counted first, then gone from every file; a second call finds nothing; the report still reads."""
    copy = demo.project.copied(tmp_path / "copy")
    ((name, client_id),) = copy.query(
        "select name, id from raw_opsmerge.clients where name like '%&%' and id in "
        "(select client_id from raw_opsmerge.invoices where accounting is not null) limit 1"
    )
    mappings = copy.root / "mappings.yml"
    mappings.write_text(f"version: 1\nclients: {{{client_id}: {{customer: x}}}}\n")
    plan = copy.root / "plans" / "demo" / "plan-20261122-1a2b.json"
    plan.parent.mkdir(parents=True)
    plan.write_text(json.dumps({"invoices": [{"client": name}]}))
    planned = copy.command("books", "forget", "--client", name, "--json", TARGET_QUICKBOOKS_MAPPING_FILE=str(mappings))
    told = json.loads(planned.out)
    assert (told["client"], told["acted"]) == (client_id, False)
    assert any("mappings.yml" in line for line in told["elsewhere"])
    holding = copy.holding(name)
    assert {path.name for path in holding} >= {"books.db", "build.duckdb", "books.duckdb", plan.name}

    done = copy.command("books", "forget", "--client", name, "--yes", "--json")
    assert json.loads(done.out)["erased"] == told["erased"]
    assert copy.holding(name) == []
    assert copy.query("select sum(unexplained) from recon.control_totals") == [(0,)]
    assert "21 of 21 checks pass" in copy.command("books", "report", "--show").out
    assert "Nothing is stored" in copy.command("books", "forget", "--client", name, "--yes").out


def test_a_fall_is_accepted_once_and_by_name(demo, compiled, tmp_path):
    """`books report --accept-fall`: a page lost before the tap is not trusted until a person says that it was meant."""
    copy = demo.project.copied(tmp_path / "copy")
    with duckdb.connect(str(copy.root / "warehouse" / "demo" / "build.duckdb")) as build:
        build.execute(
            "update raw_opsmerge.invoices set _sdc_deleted_at = now(), _sdc_extracted_at = now() - interval 1 day"
            " where number = 'INV-2026-0001'"
        )
        build.execute(
            "update raw_opsmerge._loads set rows = rows - 1 where stream = 'invoices'"
            " and extract_ended_at = (select max(extract_ended_at) from raw_opsmerge._loads where stream = 'invoices')"
        )
        compiled.run(build, "fallen", datetime.now(UTC).replace(tzinfo=None, microsecond=0))
    done = copy.command("books", "report")
    assert "Do not act on this run" in done.out
    assert "`books --environment demo report --accept-fall`" in done.out

    accepted = copy.command("books", "report", "--accept-fall", "--by", "Kim")
    assert accepted.code == 0, accepted.out
    assert "Accepted by Kim: opsmerge invoices: 1 of " in accepted.out
    assert "21 of 21 checks pass" in accepted.out
    again = copy.command("books", "report", "--accept-fall")
    assert (again.code, "nothing to accept" in again.out) == (1, True)


def test_status_knows_the_last_reconciliation_and_each_job(books):
    """The gates' state, breaks and critical ones as published; the last run of each job; what waits for a person."""
    status = json.loads(books("status", "--json").out)
    run = status["reconciliation"]
    assert (run["trusted"], run["breaks"]) == (True, 5)
    assert any("I03 Duplicate in QuickBooks" in each for each in run["critical"])
    assert {job["job"]: job["exit_code"] for job in status["jobs"]} == {
        "push-invoices": 0,
        "pull-payments": 0,
        "reconcile": 0,
        "daily": None,
    }
    assert sorted(warning.split(".")[0] for warning in status["warnings"]) == [
        "Critical breaks between OpsMerge and QuickBooks",
        "Invoices were refused",
    ]
