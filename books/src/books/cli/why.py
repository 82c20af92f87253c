"""`books why NUMBER`: the story of one invoice, from stored facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from books.cli import Context
from books.cli.output import json_option, print_json, say, show
from books.core.faults import Exit
from books.operations.log import fault_text
from books.operations.session import Session
from books.operations.why import reasons, stories
from books.writeback.allocation_store import LEFT

STORY = {
    "created": "It is in QuickBooks, created by us.",
    "adopted": "It was in QuickBooks already and is the same invoice: adopted, not sent.",
    "rejected": "It was refused; nothing was written to QuickBooks.",
    "conflict": "QuickBooks and OpsMerge disagree about it; nothing more is written until a person decides.",
    "held": "It was not sent, on purpose.",
    "unknown": "It was sent and the answer was lost. A later run looks it up and settles it.",
}


@click.command("why")
@click.argument("number")
@json_option
@click.pass_obj
def command(context: Context, *, number: str, as_json: bool) -> int:
    """Tell what happened to the invoice NUMBER (or OpsMerge id), and what to do."""
    session = Session.open(context.environment)
    found = stories(session, number)
    if as_json:
        print_json(found)
    for story in found if not as_json else []:
        say(*_lines(story))
    if not found:
        say(f"No posting of {number} is known in {session.connection}.", err=as_json)
        for reason in reasons(session, number):
            say(f"  {reason}", err=as_json)
    return Exit.DONE if found else Exit.FAILED


def _lines(story: Mapping[str, Any]) -> Iterator[str]:
    yield f"{story['number']} (OpsMerge {story['opsmerge_invoice_id']}): {story['outcome']}"
    yield STORY[story["outcome"]]
    for part in (_seen, _mapped, _sent, _answered, _written, _paid, _drifted):
        yield from (f"  {line}" for line in part(story))
    if fault_text(story):
        yield f"What is wrong: {fault_text(story)}"
    if story["remedy"]:
        yield f"What to do: {story['remedy']}"


def _seen(story: Mapping[str, Any]) -> Iterator[str]:
    seen = story["seen"]
    client = f"{seen['client_name']} ({seen['client_id']})"
    yield f"Seen in OpsMerge: {seen['status']}, dated {seen['issue_date']}, for {client}"
    if story["total"] is not None:
        amounts = f"net {story['net']}, VAT {story['tax']}, total {story['total']} {story['currency']}"
        yield f"{'As sent' if story['attempts'] else 'In OpsMerge'}: {amounts}"
    if story["content_sha256"] != story["seen_sha256"]:
        yield "It has changed in OpsMerge since then."


def _mapped(story: Mapping[str, Any]) -> Iterator[str]:
    mapped = story["mapped"]
    if mapped is None:
        return
    yield f"Mapped: customer {mapped['customer']['id']}, by {mapped['customer']['way']}"
    for word, section in (("service", "services"), ("tax code", "tax_codes")):
        for name, there in mapped[section].items():
            yield f"Mapped: {word} {name} -> {there['name']} (id {there['id']}), by {there['way']}"


def _sent(story: Mapping[str, Any]) -> Iterator[str]:
    for each in story["tries"]:
        code = f" [{each['fault_code']}]" if each["fault_code"] else ""
        tid = f", intuit_tid {each['vendor_request_id']}" if each["vendor_request_id"] else ""
        yield f"Sent {show(each['at'])}: {each['outcome'] or 'no answer'}{code}, request {each['request_id']}{tid}"


def _answered(story: Mapping[str, Any]) -> Iterator[str]:
    if story["external_id"]:
        yield f"QuickBooks id: {story['external_id']}, settled {show(story['finished_at'])}"
        if story["ended"]:
            yield f"QuickBooks shows it as {story['ended']} since then."
    if story["ledger_total"] is not None:
        yield f"As answered: VAT {story['ledger_tax']}, total {story['ledger_total']}"
        difference = story["ledger_total"] - (story["total"] if story["total"] is not None else story["ledger_total"])
        if difference:
            yield f"QuickBooks' total differs by {difference:+}: it rounds VAT per document"


def _written(story: Mapping[str, Any]) -> Iterator[str]:
    block = story["told"]
    if block is None:
        yield "Not written to OpsMerge yet: target-opsmerge writes it, as the last step of a push."
        return
    shows = f"{block['status']}, QuickBooks id {block['external_id']}" if block["external_id"] else block["status"]
    if block["fault_code"] == LEFT:
        yield f"OpsMerge is left as it is (it would show: {shows}): {block['fault_message']}. {block['remedy']}"
    elif story["not_written"] and block["written_sha256"] is None:
        yield f"OpsMerge is left as it is (it would show: {shows}): {story['not_written']}."
    elif block["fault_message"]:
        yield f"OpsMerge refused it ({shows}): {block['fault_message']} {block['remedy'] or ''}".rstrip()
    elif block["due"] or block["written_sha256"] is None:
        yield f"To be written to OpsMerge: {shows}"
    else:
        yield f"OpsMerge shows: {shows}"


def _paid(story: Mapping[str, Any]) -> Iterator[str]:
    for each in story["paid"]:
        yield f"{_payment(each)}, payment {each['payment_id']}; {_payment_written(each)}"
    for each in story["opsmerge_payments"]:
        state = "voided" if each["voided"] else "valid"
        origin = f"ours, {each['external_id']}" if each["external_id"] else "entered by hand"
        yield f"Payment in OpsMerge: {each['amount']} on {each['paid_on']}, {state}, {origin}"


def _payment(each: Mapping[str, Any]) -> str:
    if not each["amount"]:
        return "Was paid in QuickBooks and no longer is"
    when = f" on {each['paid_on']}" if each["paid_on"] else ""
    reference = f" ({each['reference']})" if each["reference"] else ""
    return f"Paid in QuickBooks: {each['amount']} {each['currency'] or ''}".rstrip() + when + reference


def _payment_written(each: Mapping[str, Any]) -> str:
    if each["fault_code"] == LEFT:
        return f"not written to OpsMerge: {each['fault_message']}. {each['remedy']}"
    if each["fault_message"]:
        return f"OpsMerge refused it: {each['fault_message']} {each['remedy'] or ''}".rstrip()
    if each["linked_payment_id"]:
        return f"it is OpsMerge's payment {each['linked_payment_id']}, entered by hand"
    return "to be written to OpsMerge" if each["due"] else "OpsMerge has it"


def _drifted(story: Mapping[str, Any]) -> Iterator[str]:
    for each in story["drift"]:
        sides = f"OpsMerge {each['opsmerge_value'] or 'nothing'}, QuickBooks {each['ledger_value'] or 'nothing'}"
        yield f"Drift {each['class']} ({each['bucket']}) in the report of {each['run_id']}: {each['cause']} {sides}"
        if each["bucket"] == "break" and each["remedy"]:
            yield f"What to do about it: {each['remedy']}"
