"""Which of the ledger's names a name of OpsMerge most likely means: proposals for a person, never applied unasked.

By the standard library's difflib on words in one spelling: legal forms, VAT letters and filler words are told alike.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from difflib import SequenceMatcher
from functools import lru_cache
from typing import TypeVar

from books.ledger import Customer, Item, TaxCode
from books.preflight.findings import Suggestion

LIKE = 0.6
VERY_LIKE = 0.85
AHEAD = 0.05
"""By how much the best must lead the next one: two that are as good are none."""
PART_OF = 0.8
"""Every word of the one is in the other: Backup, Managed Backup."""
CUSTOMERS_SHOWN = 3

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
WORDS_KEPT = 100_000
APOSTROPHES = {ord("'"): None, 0x2019: None}
LEGAL_FORMS = frozenset({"ltd", "plc", "llp", "inc", "co", "the", "and"})

Named = TypeVar("Named", Customer, Item, TaxCode)


@lru_cache(maxsize=WORDS_KEPT)
def words(name: str) -> tuple[str, ...]:
    """The words of a name in one spelling, sorted: 20.0% and 20 % are 20, Limited is Ltd."""
    plain = re.sub(r"(\d+)\.0+\b", r"\1", name.casefold()).translate(APOSTROPHES)
    found = re.findall(r"&|[^\W_]+", plain)
    return tuple(sorted(word for word in (WORDS.get(each, each) for each in found) if word))


def likeness(one: str, other: str, least: float = 0.0) -> float:
    """From 0, nothing alike, to 1, the same words; what cannot reach `least` is 0."""
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
    """The cheap upper bounds come first: of thousands of customers few need the exact figure."""
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    possible = matcher.real_quick_ratio() >= least and matcher.quick_ratio() >= least
    return matcher.ratio() if possible else 0.0


def _best(name: str, among: Sequence[Named], least: float) -> tuple[Named, float] | None:
    """The most alike, where it is alike enough and ahead of the next."""
    scored = sorted(((likeness(name, each.name, least - AHEAD), each) for each in among), key=lambda pair: -pair[0])
    if not scored or scored[0][0] < least:
        return None
    if len(scored) > 1 and scored[0][0] - scored[1][0] < AHEAD:
        return None
    return scored[0][1], scored[0][0]


def suggest_item(key: str, label: str, items: Sequence[Item], *, least: float = LIKE) -> Suggestion | None:
    """The item that a service most likely is."""
    best = _best(label, [item for item in items if item.active and item.sellable], least)
    return Suggestion("services", key, label, best[0].id, best[0].name, best[1]) if best else None


def suggest_tax_code(key: str, label: str, rate: Decimal | None, codes: Sequence[TaxCode]) -> Suggestion | None:
    """The code of the same rate that is most alike; the only one of its rate will do. Never a reverse charge."""
    same = [code for code in codes if not code.reverse_charge and (rate is None or code.percent == rate)]
    best = _best(label, same, LIKE)
    if best is None and rate is not None and len(same) == 1:
        best = (same[0], LIKE)
    return Suggestion("tax_codes", key, label, best[0].id, best[0].name, best[1]) if best else None


def suggest_customer(
    client_id: str, label: str, name: str, customers: Sequence[Customer]
) -> tuple[Suggestion | None, list[str]]:
    """(a proposal only where nothing but spelling and legal form differ, names that are alike).

    A customer is proposed with more care than an item: a wrong one gets somebody else's invoice.
    """
    active = [customer for customer in customers if customer.active]
    same = [customer for customer in active if _core(customer.name) == _core(name)]
    like = sorted(((likeness(name, each.name, VERY_LIKE), each) for each in active), key=lambda pair: -pair[0])
    shown = [f"{each.name} ({each.id})" for score, each in like[:CUSTOMERS_SHOWN] if score >= VERY_LIKE]
    if len(same) != 1:
        return None, shown
    shown = list(dict.fromkeys([f"{same[0].name} ({same[0].id})", *shown]))
    return Suggestion("clients", client_id, label, same[0].id, same[0].name, 1.0), shown


def _core(name: str) -> tuple[str, ...]:
    """A company's name without its legal form."""
    return tuple(word for word in words(name) if word not in LEGAL_FORMS)
