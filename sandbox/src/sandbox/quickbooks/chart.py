"""What a new company file holds before anybody has worked in it: accounts, VAT codes, terms, payment methods."""

from __future__ import annotations

from decimal import Decimal

from sandbox.quickbooks.books import Books
from sandbox.quickbooks.codec import ZERO
from sandbox.quickbooks.entities.lists import CLASSES
from sandbox.quickbooks.entities.taxes import tax_code, tax_rate

ACCOUNTS = (
    ("1", "Sales of Product Income", "Income", "SalesOfProductIncome"),
    ("2", "Cost of sales", "Cost of Goods Sold", "SuppliesMaterialsCogs"),
    ("3", "Debtors", "Accounts Receivable", "AccountsReceivable"),
    ("4", "Current", "Bank", "Checking"),
    ("5", "Undeposited Funds", "Other Current Asset", "UndepositedFunds"),
    ("6", "Discounts given", "Income", "DiscountsRefundsGiven"),
    ("7", "VAT Control", "Other Current Liability", "GlobalTaxPayable"),
    ("8", "Creditors", "Accounts Payable", "AccountsPayable"),
    ("9", "Bad debts", "Expense", "BadDebts"),
)
DEBTORS, CURRENT, UNDEPOSITED, BAD_DEBTS = "3", "4", "5", "9"
# ids as one real company had them, with gaps; other companies have others (FirstTaxCodeId), so clients look them up
UK_CODES: tuple[tuple[str, str, str, bool], ...] = (
    ("2", "20.0% ECG", "20", False),
    ("3", "0.0% ECS", "0", False),
    ("5", "5.0% R", "5", True),
    ("6", "20.0% S", "20", True),
    ("7", "0.0% Z", "0", True),
    ("8", "Exempt", "0", True),
    ("10", "No VAT", "0", True),
)
PURCHASE_ONLY = ("14", "20.0% RC SG")
RATE_NAMES = {
    "2": "EC Goods Standard",
    "3": "EC Services",
    "5": "Reduced",
    "6": "Standard",
    "7": "Zero",
    "8": "Exempt",
    "10": "No VAT",
}
TERMS = (("1", "Due on receipt", 0), ("2", "Net 15", 15), ("3", "Net 30", 30), ("4", "Net 60", 60))
METHODS = (("1", "Cash"), ("2", "Cheque"), ("3", "Direct Debit"), ("4", "Bank transfer"))


def open_books(books: Books) -> None:
    """Fill a new company."""
    for account in ACCOUNTS:
        _account(books, *account)
    for object_id, name, days in TERMS:
        term = {"Id": object_id, "Name": name, "Active": True, "Type": "STANDARD", "DueDays": days}
        books.plant("Term", term)
    for object_id, name in METHODS:
        books.plant("PaymentMethod", {"Id": object_id, "Name": name, "Active": True, "Type": "NON_CREDIT_CARD"})
    if not books.company.united_states:
        _vat(books)


def _account(books: Books, object_id: str, name: str, kind: str, sub_type: str) -> None:
    books.plant(
        "Account",
        {
            "Id": object_id,
            "Name": name,
            "FullyQualifiedName": name,
            "SubAccount": False,
            "Active": True,
            "Classification": CLASSES.get(kind, "Asset"),
            "AccountType": kind,
            "AccountSubType": sub_type,
            "CurrentBalance": ZERO,
            "CurrentBalanceWithSubAccounts": ZERO,
            "CurrencyRef": books.company.currency(),
        },
    )


def _vat(books: Books) -> None:
    """Create the UK's codes. Each has its own rates for sales and purchases."""
    books.plant("TaxAgency", {"Id": "1", "DisplayName": "HM Revenue & Customs (VAT)"})
    for object_id, name, percent, active in UK_CODES:
        rates = _rates(books, object_id, Decimal(percent))
        books.plant(
            "TaxCode",
            {"Id": _own_id(books, object_id), **tax_code(name, rates, active=active, taxable=name != "No VAT")},
        )
    _reverse_charge(books)


def _rates(books: Books, code_id: str, percent: Decimal) -> list[tuple[str, str]]:
    name = RATE_NAMES[code_id]
    special = "ZERO_RATE" if percent == 0 else "NONE"
    sales, purchases = _rate_ids(_own_id(books, code_id))
    books.plant("TaxRate", {"Id": sales, **tax_rate(f"{name} Sales", percent, special=special)})
    books.plant("TaxRate", {"Id": purchases, **tax_rate(f"{name} Purchases", percent, special=special)})
    return [(sales, "Sales"), (purchases, "Purchase")]


def _own_id(books: Books, code_id: str) -> str:
    """Return the id that a code has in this company."""
    return str(int(code_id) + books.company.FirstTaxCodeId - int(UK_CODES[0][0]))


def _rate_ids(code_id: str) -> tuple[str, str]:
    return str(int(code_id) * 2), str(int(code_id) * 2 + 1)


def _reverse_charge(books: Books) -> None:
    """Create reverse charge: two purchase rates that cancel out, not usable on a sale."""
    code_id, name = _own_id(books, PURCHASE_ONLY[0]), PURCHASE_ONLY[1]
    due, reclaimed = _rate_ids(code_id)
    books.plant("TaxRate", {"Id": due, **tax_rate("RC SG due", Decimal(20), special="REVERSE_CHARGE")})
    books.plant("TaxRate", {"Id": reclaimed, **tax_rate("RC SG reclaimed", Decimal(-20), special="REVERSE_CHARGE")})
    books.plant("TaxCode", {"Id": code_id, **tax_code(name, [(due, "Purchase"), (reclaimed, "Purchase")])})
