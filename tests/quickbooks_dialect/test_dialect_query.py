"""The query language, written safely."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from books.ledgers.quickbooks import query

LITERALS = {
    "O'Brien": r"'O\'Brien'",
    "back\\slash": r"'back\\slash'",
    "' OR 1=1": r"'\' OR 1=1'",
    r"\'": r"'\\\''",
    "": "''",
    "Łódź": "'Łódź'",
}


@pytest.mark.parametrize("value", LITERALS)
def test_a_value_is_quoted_so_that_it_stays_a_value(value):
    """Apostrophes and backslashes are escaped, the backslash first."""
    assert query.literal(value) == LITERALS[value]


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=30))
def test_every_value_reads_back_as_itself(value):
    """Undoing the escapes gives the value, and no quote inside ends the literal."""
    text = query.literal(value)
    inner, read, place = text[1:-1], "", 0
    while place < len(inner):
        assert inner[place] != "'"
        place += inner[place] == "\\"
        read += inner[place]
        place += 1
    assert read == value


def test_control_characters_are_refused():
    """No name or number has one."""
    with pytest.raises(ValueError, match="control"):
        query.literal("a\nb")


def test_pages_and_lists():
    """Statements as QuickBooks reads them; limits are kept here, not discovered there."""
    assert query.in_list("Id", ["1", "2"]) == "Id IN ('1','2')"
    assert query.page("Invoice", start_position=1001) == "SELECT * FROM Invoice STARTPOSITION 1001 MAXRESULTS 1000"
    assert query.count("Item", "Active = true") == "SELECT COUNT(*) FROM Item WHERE Active = true"
    assert [len(part) for part in query.chunks([str(n) for n in range(900)])] == [400, 400, 100]
    assert list(query.chunks(["a", "a"])) == [["a"]]
    for wrong in ({"size": 1001}, {"start_position": 0}):
        with pytest.raises(ValueError, match=r"page|positions"):
            query.page("Invoice", **wrong)
