"""The report tells the truth, whole, to people, spreadsheets and chat; nothing from a ledger can run in it."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pytest
from recon_world import HOSTILE
from rich.console import Console

from books.core.faults import Exit, Halt
from books.report import Paths, build_report, markdown, print_summary, words, workbook
from books.report.publish import publish
from books.report.sheet import guarded


@pytest.fixture(scope="module")
def published(warehouse, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(warehouse.build, tmp_path_factory.mktemp("published") / "books.duckdb")


@pytest.fixture(scope="module")
def paths(published: Path) -> Paths:
    return build_report(published, published.parent / "reports", environment="sandbox")


@pytest.fixture(scope="module")
def breaks(published: Path) -> list[tuple[str, str]]:
    with duckdb.connect(str(published), read_only=True) as connection:
        sql = (
            "select class, coalesce(number, payment_id, external_id) from recon.drift"
            " where bucket = 'break' order by 1, 2"
        )
        return connection.execute(sql).fetchall()


class Page(HTMLParser):
    """What a browser would do with a page: the tags it opens and the addresses it names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[tuple[str, str]] = []
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [(tag, value or "") for name, value in attrs if name in ("href", "src", "xlink:href")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def test_the_page_needs_no_script_and_no_network(paths: Paths):
    """No script, no handler, nothing fetched: the only addresses are links to QuickBooks for a person to click."""
    text = paths.html.read_text()
    page = Page(text)
    assert "script" not in page.tags
    assert page.handlers == []
    assert all(
        tag == "a" and address.startswith("https://sandbox.qbo.intuit.com/app/") for tag, address in page.addresses
    )
    assert "default-src 'none'" in text
    assert "@import" not in text
    assert "url(" not in text.replace("url(#", "")


def test_what_came_from_a_ledger_is_only_text(paths: Paths):
    """Markup in a customer's name or a fault's message is shown, not run."""
    text = paths.html.read_text()
    assert HOSTILE not in text
    assert "&lt;script&gt;" in text


def test_every_break_is_on_the_page(paths: Paths, breaks):
    """Each open break stands on the page by class and number."""
    text = paths.html.read_text()
    for drift_class, name in breaks:
        assert drift_class in text
        assert name.replace('"', "&#34;") in text


def test_the_links_go_to_the_company_that_was_reconciled(published: Path, tmp_path: Path):
    """Production and sandbox have their own hosts; the simulators have none."""
    production = build_report(published, tmp_path / "p", environment="production").html.read_text()
    demo = build_report(published, tmp_path / "d", environment="demo").html.read_text()
    assert "https://qbo.intuit.com/app/invoice?txnId=" in production
    assert Page(demo).addresses == []


@pytest.mark.parametrize("value", ["live 7.00", "live 7.00 (id 12)"])
def test_an_id_is_told_once(value):
    """Where the reconciliation names the id already, the report does not name it again."""
    row = {"ledger_value": value, "payment_id": None, "external_id": "12"}
    assert words.in_quickbooks(row) == "live 7.00 (id 12)"


def test_an_id_stays_an_id_in_a_link():
    """Whatever a ledger holds as its id, the link goes to the company's own pages."""
    link = words.link("production", "1&x=/../2", None)
    assert link == "https://qbo.intuit.com/app/invoice?txnId=1%26x%3D%2F..%2F2"
    assert words.link("sandbox", "7", "9") == "https://sandbox.qbo.intuit.com/app/recvpayment?txnId=9"


def test_the_page_tells_what_happened_to_the_invoice(paths: Paths):
    """Beside a break stands its posting in words."""
    assert re.search(r"Posted on 20 Nov 2026, 09:00 as QuickBooks invoice \d+", paths.html.read_text())


def test_the_csv_has_each_break_once(paths: Paths, breaks):
    """One row per break, money as plain numbers, and no cell a spreadsheet would run."""
    rows = list(csv.DictReader(io.StringIO(paths.csv.read_text())))
    assert sorted((row["class"], row["number"] or row["payment_id"] or row["external_id"]) for row in rows) == breaks
    for row in rows:
        assert re.fullmatch(r"-?\d+\.\d\d", row["exposure"])
        texts = [value for name, value in row.items() if name not in ("effect", "exposure")]
        assert not any(value.startswith(("=", "+", "-", "@")) for value in texts)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+44", "'+44"),
        ("-1", "'-1"),
        ("@x", "'@x"),
        ("\tx", "'\tx"),
        ("\uff1d1", "'\uff1d1"),
        ("a=b", "a=b"),
        (None, ""),
        (Decimal("-1.00"), Decimal("-1.00")),
    ],
)
def test_a_cell_cannot_be_a_formula(value, written):
    """Text that begins like a formula gets an apostrophe; numbers stay numbers."""
    assert guarded(value) == written


def test_the_workbook_has_text_and_numbers_but_no_formula(paths: Paths):
    """Four sheets, nothing of which is a formula or an outside link, whatever the ledgers hold."""
    with zipfile.ZipFile(paths.workbook) as book:
        sheets = [name for name in book.namelist() if name.startswith("xl/worksheets/sheet")]
        assert len(sheets) == 4
        text = "".join(book.read(name).decode() for name in sheets)
        assert "<f>" not in text
        assert "hyperlink" not in text
        assert "=HYPERLINK(" in text


def test_the_markdown_tells_trust_totals_and_the_worst(paths: Paths):
    """A few lines for chat: may it be acted on, does it tie, the worst breaks; ledgers' text is no markup."""
    text = paths.markdown.read_text()
    assert "every check passes" in text
    assert "| gross | GBP |" in text
    assert "<script>" not in text.replace("\\<script\\>", "")
    assert len(text.splitlines()) < 60


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("*bold* <b> [x](y) | `c`", r"\*bold\* \<b\> \[x\](y) \| \`c\`"),
        ("@everyone", "@\u200beveryone"),
        ("http://evil.example", "http:\u200b//evil.example"),
        ("www.evil.example", "www\u200b.evil.example"),
        ("one\n# two", "one \\# two"),
        ("Client 4 & Söhne's", "Client 4 & Söhne's"),
    ],
)
def test_text_from_a_ledger_does_nothing_in_a_chat(value, seen):
    """No markup, no link, no call of a person or channel."""
    assert markdown.escaped(value) == seen


def test_text_from_a_ledger_moves_no_cursor(warehouse, tmp_path: Path):
    """Escape sequences, line breaks and turned writing in a ledger's text are shown as spaces, in every form."""
    published = publish(warehouse.build, tmp_path / "books.duckdb")
    with duckdb.connect(str(published)) as connection:
        connection.execute("update recon.drift set ledger_value = chr(27) || '[2J' || chr(10) || chr(8238) || 'x'")
    paths = build_report(published, tmp_path)
    console = Console(width=80, record=True, file=io.StringIO())
    print_summary(published, console=console)
    for text in (paths.html.read_text(), paths.markdown.read_text(), paths.csv.read_text(), console.export_text()):
        assert "[2J" in text.replace("\\", "")
        assert not {"\x1b", "\u202e"} & set(text)


def test_who_accepted_a_break_stands_beside_it(warehouse, tmp_path: Path):
    """An accepted break leaves the open ones and is listed with reason, person and date."""
    published = publish(warehouse.build, tmp_path / "books.duckdb")
    with duckdb.connect(str(published)) as connection:
        connection.execute("update recon.drift set accepted = true where class = 'I02'")
        connection.execute(
            "insert into recon.accepted select class, number, payment_id, opsmerge_value, ledger_value,"
            " 'an <old> series', 'Kim', date '2027-03-31' from recon.drift where class = 'I02'"
        )
        [(number,)] = connection.execute("select number from recon.drift where class = 'I02'").fetchall()
    text = build_report(published, tmp_path).html.read_text()
    opened, accepted = text.split("<h2>Accepted</h2>")
    assert f"<span>{number}</span>" not in opened
    assert number in accepted
    assert "an &lt;old&gt; series (Kim, until 31 March 2027)" in accepted


def test_many_breaks_are_told_as_far_as_they_help(warehouse, tmp_path: Path, monkeypatch):
    """The CSV has every break, the workbook as many as a person can use, the page the largest; and each says so."""
    published = publish(warehouse.build, tmp_path / "books.duckdb")
    with duckdb.connect(str(published)) as connection:
        connection.execute(
            "insert into recon.drift select drift.* replace (drift_key || i as drift_key, number || '/' || i as number,"
            " opsmerge_invoice_id || '/' || i as opsmerge_invoice_id)"
            " from recon.drift, range(4) as copies(i) where bucket = 'break'"
        )
        [(count,)] = connection.execute("select count(*) from recon.drift where bucket = 'break'").fetchall()
    monkeypatch.setattr(workbook, "BREAKS_MAX", 200)
    paths = build_report(published, tmp_path)
    assert paths.csv.read_text().count("\n") == count + 1
    with zipfile.ZipFile(paths.workbook) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    assert sheet.count("<row ") == 1 + workbook.BREAKS_MAX + 1
    assert f"and {count - workbook.BREAKS_MAX:,} more break" in sheet
    page = paths.html.read_text()
    assert f"<b>{count:,}</b>" in page
    assert "all breaks are in the CSV file" in page


def test_the_terminal_tells_the_same(published: Path, paths: Paths):
    """Trust, totals, each break with cause and remedy, and where the page is; readable at 80 columns."""
    console = Console(width=80, record=True, file=io.StringIO())
    print_summary(published, environment="sandbox", paths=paths, console=console)
    text = console.export_text()
    assert "every penny is classified" in text
    assert "I03 Duplicate in QuickBooks" in text
    assert str(paths.html) in text.replace("\n", "")
    assert "…" not in text


def test_a_run_that_is_not_trusted_says_so_first(warehouse, tmp_path: Path):
    """Where a gate failed, page, Markdown and terminal begin with: do not act on this run."""
    published = publish(warehouse.build, tmp_path / "books.duckdb")
    with duckdb.connect(str(published)) as connection:
        connection.execute("update recon.checks set ok = false, failures = 2 where check_name = 'both_sides_complete'")
    paths = build_report(published, tmp_path)
    console = Console(width=80, record=True, file=io.StringIO())
    print_summary(published, console=console)
    for text in (paths.html.read_text(), paths.markdown.read_text(), console.export_text()):
        assert "Do not act on this run" in text
        assert "read from the first to the last" in " ".join(text.split())
        assert "Complete" not in text


@pytest.mark.parametrize("make", [lambda _: None, lambda path: duckdb.connect(str(path)).close()])
def test_nothing_to_report_is_a_matter_of_set_up(tmp_path: Path, make):
    """A missing or an empty warehouse is answered with what to run, not with a traceback."""
    make(tmp_path / "books.duckdb")
    with pytest.raises(Halt) as halted:
        build_report(tmp_path / "books.duckdb", tmp_path)
    assert halted.value.exit_code is Exit.MISCONFIGURED


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (Decimal("-1234.5"), "\u22121,234.50"),
        (Decimal("0.00"), "0.00"),
        (None, "\u2013"),
        (Decimal("1000000.01"), "1,000,000.01"),
    ],
)
def test_money_is_written_for_people(amount, text):
    """Two decimals, thousands apart, a true minus sign."""
    assert words.money(amount) == text
