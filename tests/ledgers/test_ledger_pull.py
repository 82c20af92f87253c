"""What the payments tap relies on, on every ledger: the same tests, unchanged."""

from __future__ import annotations

from books.ledgers.columns import STREAMS


def rows_of(extract):
    return {row["id"]: row for row in extract.rows}


def test_everything_is_complete_and_has_the_neutral_columns(office):
    """Each stream's rows have an id, no column that the schema lacks, and a cursor for the next read."""
    office.posted(office.invoice(), "key-1")
    books = office.open_books({})
    for entity in books.entities:
        extract = books.everything(entity.name)
        rows = rows_of(extract)
        assert extract.is_complete
        assert all(set(row) <= set(STREAMS[entity.name]["properties"]) for row in rows.values())
        assert all(key for key in rows)
        assert extract.cursor() is not None


def test_without_a_cursor_everything_is_read(office):
    """And what was posted is among it, with our numbers and amounts."""
    invoice = office.invoice()
    made = office.posted(invoice, "key-1")
    extract = office.open_books({"invoices": None}).changes("invoices")
    row = rows_of(extract)[made.id]
    assert extract.is_complete
    assert (row["doc_number"], row["net_amount"], row["status"]) == (invoice.number, invoice.subtotal, "live")
    assert row["total_amount"] == made.total


def test_from_a_cursor_on_what_changed_is_read(office):
    """A new invoice is among the changes; the next cursor is not before the last."""
    first = office.open_books({"invoices": None}).changes("invoices")
    list(first.rows)
    made = office.posted(office.invoice(), "key-1")
    changes = office.open_books({"invoices": first.cursor()}).changes("invoices")
    assert not changes.is_complete
    assert made.id in rows_of(changes)
    assert changes.cursor() >= first.cursor()


def test_objects_are_read_by_id_and_a_missing_one_is_a_deletion(office):
    """What a notice names: as it is now."""
    made = office.posted(office.invoice(), "key-1")
    rows = {row["id"]: row for row in office.open_books({}).objects("invoices", [made.id, "987654"])}
    assert rows[made.id]["status"] == "live"
    assert rows["987654"]["status"] == "deleted"
