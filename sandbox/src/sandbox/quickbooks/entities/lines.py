"""The lines of a sales form: checked, completed, and priced."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from sandbox.quickbooks import faults, rules
from sandbox.quickbooks.books import Books, Document, reference
from sandbox.quickbooks.codec import ZERO, half_up
from sandbox.quickbooks.entities.taxes import sales_rates
from sandbox.quickbooks.entities.vat import Rates, Taxed, net_of

LINES_MAX = 10_000
TAXED_LINES_MAX = 750
AMOUNT_DIGITS_MAX = 15
US_CODES = frozenset({"TAX", "NON"})
ITEM, DISCOUNT, NOTE, SUBTOTAL = "SalesItemLineDetail", "DiscountLineDetail", "DescriptionOnly", "SubTotalLineDetail"


@dataclass
class Priced:
    """The lines as they will be stored, and what they come to."""

    lines: list[Document] = field(default_factory=list)
    taxed: list[Taxed] = field(default_factory=list)
    subtotal: Decimal = ZERO
    discount: Decimal = ZERO

    @property
    def net(self) -> Decimal:
        """Return what is charged before tax."""
        return self.subtotal - self.discount


@dataclass(frozen=True)
class TaxMode:
    """How the document is taxed: codes needed or not, and whether prices include tax."""

    charged: bool
    inclusive: bool = False


def price(books: Books, lines: list[Document], mode: TaxMode) -> Priced:
    """Check every line and add up.

    Raises:
        ApiFault: 2020, 2060, 2290, 2500, 6000, 6070 or 6100, by the first line that is wrong.
    """
    wanted = [line for line in lines if line.get("DetailType") != SUBTOTAL]
    if not wanted:
        raise faults.missing("Line")
    if len(wanted) > (TAXED_LINES_MAX if mode.charged else LINES_MAX):
        raise faults.business(f"A transaction can have at most {TAXED_LINES_MAX} taxable lines.", "Line")
    priced = Priced()
    discounts = []
    for line in wanted:
        kind = rules.required(line, "DetailType")
        if kind == ITEM:
            _item(books, line, mode, priced)
        elif kind == DISCOUNT:
            discounts.append(line)
        elif kind == NOTE:
            priced.lines.append(_without_amount(line))
        else:
            raise faults.bad_enum(str(kind), "Line.DetailType")
    for number, line in enumerate(priced.lines, start=1):
        line.update(Id=str(number), LineNum=number)
    priced.lines.append({"Amount": priced.subtotal, "DetailType": SUBTOTAL, SUBTOTAL: {}})
    _discount(books, discounts, priced)
    return priced


def _without_amount(line: Document) -> Document:
    return {"DescriptionLineDetail": {}, **{name: value for name, value in line.items() if name != "Amount"}}


def _item(books: Books, line: Document, mode: TaxMode, priced: Priced) -> None:
    detail = dict(line.get(ITEM) or {})
    amount = _amount(books, line, detail)
    _name_item(books, detail)
    rates = _rates(books, detail, mode)
    gross = detail.get("TaxInclusiveAmt") if mode.inclusive else None
    if gross is not None:
        gross = half_up(gross)
        amount = net_of(gross, rates)
    elif mode.inclusive and rates:
        gross = amount + half_up(amount * sum(percent for _, percent in rates) / 100)
        detail["TaxInclusiveAmt"] = gross
    priced.lines.append({**line, "Amount": amount, ITEM: detail})
    priced.taxed.append(Taxed(amount, rates, gross))
    priced.subtotal += amount


def _amount(books: Books, line: Document, detail: Document) -> Decimal:
    if line.get("Amount") is None:
        raise faults.missing("Line.Amount")
    amount = half_up(line["Amount"])
    if amount < 0 and books.switches.negative_lines == "refuse":
        raise faults.negative_amount()
    quantity, unit_price = detail.get("Qty"), detail.get("UnitPrice")
    if quantity is not None and unit_price is not None and half_up(quantity * unit_price) != line["Amount"]:
        raise faults.amount_mismatch(f"{line['Amount']:,}")
    return amount


def _name_item(books: Books, detail: Document) -> None:
    item_id = reference(detail, "ItemRef")
    if item_id is None:
        return
    item = rules.referred(books, "Item", item_id, "Line.SalesItemLineDetail.ItemRef")
    detail["ItemRef"] = {"value": item_id, "name": item["FullyQualifiedName"]}
    if "IncomeAccountRef" in item:
        detail["ItemAccountRef"] = item["IncomeAccountRef"]


def _rates(books: Books, detail: Document, mode: TaxMode) -> Rates:
    """Return the rates of a line's tax code; none where the company or the document is not taxed."""
    code = reference(detail, "TaxCodeRef")
    if not mode.charged:
        return ()
    if books.company.united_states:
        if code and code.upper() not in US_CODES:
            raise faults.us_tax_code(code)
        return ()
    if code is None or not code.isdigit():
        raise faults.vat_rate_missing()
    rates = sales_rates(books, code)
    if rates is None:
        known = books.get("TaxCode", code)
        raise faults.vat_rate_missing() if known else faults.bad_reference("TaxCode", code, "Line.TaxCodeRef")
    return tuple(rates)


def _discount(books: Books, discounts: list[Document], priced: Priced) -> None:
    if not discounts:
        return
    if not books.company.AllowDiscount:
        raise faults.feature("Discounts are switched off in this company")
    if len(discounts) > 1:
        raise faults.business("Only one discount line is allowed on a transaction.", "Line")
    line = discounts[0]
    detail = dict(line.get(DISCOUNT) or {})
    percent = detail.get("DiscountPercent")
    if detail.get("PercentBased") and percent is not None:
        amount = half_up(priced.subtotal * percent / 100)
    else:
        amount = half_up(rules.required(line, "Amount"))
    if amount < 0:
        raise faults.negative_amount("Line.Amount")
    detail.setdefault("DiscountAccountRef", {"value": "6", "name": "Discounts given"})
    priced.lines.append({**line, "Amount": amount, DISCOUNT: detail})
    priced.discount = amount
