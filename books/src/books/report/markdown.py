"""The report in a few lines of Markdown, for mail and chat."""

from __future__ import annotations

import re
from pathlib import Path

from books.core.files import write_text
from books.report import words
from books.report.read import Break, Report

ITEMS_MAX = 12
ZERO_WIDTH_SPACE = "\u200b"  # invisible; breaks up an address so that it is no link
_ADDRESS = re.compile(r"@|:(?=//)|www(?=\.)")


def write(report: Report, path: Path) -> Path:
    """Write the file; return its path."""
    return write_text(path, text(report))


def text(report: Report) -> str:
    """Return the summary: whether it may be acted on, whether the totals agree, what is open."""
    lines = [f"# OpsMerge and QuickBooks, {words.day(report.day)}", "", headline(report), "", *_ties(report), ""]
    lines += [_item(one) for one in report.open_breaks[:ITEMS_MAX]]
    left = len(report.open_breaks) - ITEMS_MAX
    return "\n".join([*lines, *([f"- and {words.count(left, 'more break')}"] if left > 0 else []), ""])


def headline(report: Report) -> str:
    """Return whether the run may be acted on, and how many breaks it has."""
    if not report.trusted:
        failed = ", ".join(check["promise"] for check in report.failed_gates)
        remedies = dict.fromkeys(words.sentence(check["remedy"]) for check in report.failed_gates if check["remedy"])
        return " ".join([f"**Do not act on this run.** These checks failed: {failed}.", *remedies])
    breaks = words.count(len(report.open_breaks), "break")
    documents = words.count(len(report.documents), "document")
    moved = f"{report.movement['new']} new, {report.movement['resolved']} resolved"
    return f"Complete: every check passes and every penny is classified. {breaks} on {documents} ({moved})."


def _ties(report: Report) -> list[str]:
    head = [
        "| measure | currency | OpsMerge | QuickBooks | difference | breaks | unexplained |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    names = ("opsmerge_total", "ledger_total", "difference", "breaks", "unexplained")
    return head + [
        f"| {row['measure']} | {row['currency']} | " + " | ".join(words.money(row[name]) for name in names) + " |"
        for row in report.totals
    ]


def _item(one: Break) -> str:
    what = escaped(words.name_of(one.row))
    worth = f"{one.severity}, {one.currency} {words.money(one.exposure)}" if one.exposure else one.severity
    summary = f"**{one.row['class']} {one.title}** {what} ({worth}). {escaped(words.sides(one.row))}."
    link = f" [Open in QuickBooks]({one.link})" if one.link else ""
    return f"- {summary} {escaped(words.sentence(one.remedy))}{link}"


def escaped(value: str) -> str:
    """Return text from a ledger so that it is no markup, no link, and mentions no person or channel."""
    text = "".join("\\" + letter if letter in "\\`*_{}[]<>|#~" else letter for letter in value.replace("\n", " "))
    return _ADDRESS.sub(lambda found: found[0] + ZERO_WIDTH_SPACE, text)
