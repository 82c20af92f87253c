"""Which of the ledger's names a name of OpsMerge is, or may be.

Equal names (`spelling`) may be entered into mappings.yml unasked; what is merely alike (`likeness`, by the standard
library's difflib on words in one spelling) is shown to a person, who chooses.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Generic, TypeVar

from books.ledgers.contract import Customer, Item, TaxCode

LIKE = 0.6
VERY_LIKE = 0.85
PART_OF = 0.8
"""Every word of the one is in the other: Backup, Managed Backup."""
CANDIDATES_SHOWN = 3

WORDS = {
    "&": "and",
    "limited": "ltd",
    "company": "co",
    "incorporated": "inc",
    "s": "standard",
    "z": "zero",
    "r": "reduced",
    "rated": "",
    "rate": "",
    "outside": "no",
    "services": "service",
}
LEGAL_FORMS = frozenset({"ltd", "plc", "llp", "lp", "inc", "co", "the", "and"})
WORDS_KEPT = 100_000
APOSTROPHES = {ord("'"): None, 0x2019: None}

Named = TypeVar("Named", Customer, Item, TaxCode)


@lru_cache(maxsize=WORDS_KEPT)
def words(name: str) -> tuple[str, ...]:
    """Return the words of a name in one spelling, sorted: 20.0% and 20 % are 20, Limited is Ltd."""
    plain = re.sub(r"(\d+)\.0+\b", r"\1", name.casefold()).translate(APOSTROPHES)
    found = re.findall(r"&|[^\W_]+", plain)
    return tuple(sorted(word for word in (WORDS.get(each, each) for each in found) if word))


def likeness(one: str, other: str, least: float = 0.0) -> float:
    """Return from 0, nothing alike, to 1, the same words; what cannot reach `least` is 0."""
    ones, others = words(one), words(other)
    if not ones or not others:
        return 0.0
    if ones == others:
        return 1.0
    first, second = sorted((" ".join(ones), " ".join(others)))  # so that it is the same both ways
    ratio = _ratio(first, second, least)
    is_part = set(ones) <= set(others) or set(others) <= set(ones)
    return max(ratio, PART_OF) if is_part else ratio


def _ratio(one: str, other: str, least: float) -> float:
    """Return the ratio; cheap upper bounds come first, as few of thousands of customers need the exact figure."""
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    possible = matcher.real_quick_ratio() >= least and matcher.quick_ratio() >= least
    return matcher.ratio() if possible else 0.0


SEPARATORS = frozenset("-.,;/\\!?\"'()[]{}_\u2010\u2011\u2012\u2013\u2014\u2018\u2019\u201c\u201d")
"""Punctuation that may differ between two spellings of a name. Any other sign counts: C, C+, C++ and C# are four names,
and so are `Support` and `Services:Support`."""
ONE_SPELLING = {"limited": "ltd", "and": "&"}
"""No other legal form has two spellings here: Ltd, LLP and PLC are different companies."""


@lru_cache(maxsize=WORDS_KEPT)
def spelling(name: str) -> str | None:
    """Return one spelling of a name, without regard to Unicode form, case, blanks, punctuation, Ltd or &.

    Blanks and punctuation between two digits count: 3.5 is not 35, and `1 10GB` is not `11 0GB`. None for a name that
    is empty then, or holds something that people do not see or that Unicode would turn into another digit (10\u00b2).
    """
    if any(_is_hidden(each) or unicodedata.category(each) == "No" for each in name):
        return None
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    spaced = "".join(each if each not in SEPARATORS else f" {each} " for each in folded.replace("&", " & "))
    joined = ""
    between: list[str] = []
    for word in spaced.split():
        if word in SEPARATORS:
            between.append(word)
            continue
        if joined and joined[-1].isdigit() and word[0].isdigit():
            joined += "".join(between) or " "
        # A mark around the words that have two spellings, so that `Acme Ltd` is not `Acmeltd`.
        joined += f"\0{ONE_SPELLING.get(word, word)}\0" if word in _MARKED else word
        between.clear()
    return joined or None


_MARKED = frozenset({*ONE_SPELLING, *ONE_SPELLING.values()})


def _is_hidden(character: str) -> bool:
    """Return whether a character is a control, a direction mark or takes no space; blanks do not count."""
    return unicodedata.category(character)[0] == "C" and not character.isspace()


@dataclass(frozen=True)
class Match(Generic[Named]):
    """What the ledger has for a name: the one thing of an equal name, or None; and what a person may choose from."""

    equal: Named | None
    candidates: Sequence[tuple[Named, float]]


def match(
    name: str, among: Sequence[Named], least: float = LIKE, alike: Callable[[str, str, float], float] = likeness
) -> Match[Named]:
    """Return the one of `among` whose name is equal, if it is the only one, and those that are alike, best first.

    `among`: what may be used, so nothing inactive. An item counts by its full name and by its own name below a
    category, as it does when a push looks for it.
    """
    wanted = spelling(name)
    equal = [each for each in among if wanted is not None and wanted in _spellings(each)]
    scored = [(each, 1.0 if each in equal else alike(name, each.name, least)) for each in among]
    best = sorted((pair for pair in scored if pair[1] >= least), key=lambda pair: -pair[1])
    return Match(equal[0] if len(equal) == 1 else None, best[: max(CANDIDATES_SHOWN, len(equal))])


def _spellings(named: Customer | Item | TaxCode) -> set[str | None]:
    own = [named.name.rpartition(":")[2]] if isinstance(named, Item) else []
    return {spelling(each) for each in (named.name, *own)}


def match_item(name: str, items: Sequence[Item]) -> Match[Item]:
    """Match a service's name with the items that can be sold."""
    return match(name, [item for item in items if item.active and item.sellable])


def match_tax_code(name: str, rate: Decimal | None, codes: Sequence[TaxCode]) -> Match[TaxCode]:
    """Match a tax code's name with the codes of its rate, never with a reverse charge.

    The only code of its rate is shown whatever its name.
    """
    same = [code for code in codes if not code.reverse_charge and (rate is None or code.percent == rate)]
    found = match(name, same)
    if not found.candidates and rate is not None and len(same) == 1:
        return Match(None, [(same[0], LIKE)])
    return found


def match_customer(name: str, customers: Sequence[Customer]) -> Match[Customer]:
    """Match a client's name with the active customers."""
    return match(name, [customer for customer in customers if customer.active], VERY_LIKE, _like_companies)


def _like_companies(one: str, other: str, least: float) -> float:
    """Return the likeness; names that differ in their legal form alone are very like, and never the same company."""
    core = _core(one)
    return max(likeness(one, other, least), VERY_LIKE if core and core == _core(other) else 0.0)


def _core(name: str) -> tuple[str, ...]:
    return tuple(word for word in words(name) if word not in LEGAL_FORMS)
