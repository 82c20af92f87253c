"""Tax codes and rates: read-only as entities; new ones come through the tax service."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sandbox.quickbooks import faults, rules, shape
from sandbox.quickbooks.books import Books, Document


def create_tax_code(books: Books, body: Any) -> Document:
    """Run `POST /taxservice/taxcode`: create a code with its rates, existing (TaxRateId) or new.

    Raises:
        ApiFault: 2020, 2500 or 6240.
    """
    if not isinstance(body, dict):
        raise faults.bad_property("TaxService", "must be a JSON object")
    name = str(rules.required(body, "TaxCode"))[:100]
    details = rules.required(body, "TaxRateDetails")
    if not isinstance(details, list) or not all(isinstance(detail, dict) for detail in details):
        raise faults.bad_property("TaxRateDetails", "must be a list of objects")
    if books.find("TaxCode", "Name", name):
        raise faults.duplicate_name("Tax Code Name already exists")
    answered = [_rate(books, detail) for detail in details]
    code = books.insert("TaxCode", tax_code(name, [(row["TaxRateId"], row["TaxApplicableOn"]) for row in answered]))
    return {"TaxCode": name, "TaxCodeId": code["Id"], "TaxRateDetails": answered}


def _rate(books: Books, detail: Document) -> Document:
    applicable = str(detail.get("TaxApplicableOn", "Sales"))
    if detail.get("TaxRateId") is not None:
        rate = rules.referred(books, "TaxRate", str(detail["TaxRateId"]), "TaxRateId")
    else:
        value = shape.decimal(rules.required(detail, "RateValue"), "RateValue")
        agency = str(detail.get("TaxAgencyId", "1"))
        rules.referred(books, "TaxAgency", agency, "TaxAgencyId")
        rate = books.insert("TaxRate", tax_rate(str(rules.required(detail, "TaxRateName"))[:100], value, agency))
    return {
        "TaxRateName": rate["Name"],
        "TaxRateId": rate["Id"],
        "RateValue": rate["RateValue"],
        "TaxAgencyId": rate["AgencyRef"]["value"],
        "TaxApplicableOn": applicable,
    }


def tax_rate(name: str, percent: Decimal, agency: str = "1", *, special: str = "NONE") -> Document:
    """Return a TaxRate without identity."""
    return {
        "Name": name,
        "Description": name,
        "Active": True,
        "RateValue": percent,
        "AgencyRef": {"value": agency},
        "SpecialTaxType": special,
        "DisplayType": "ReadOnly",
        "EffectiveTaxRate": [{"RateValue": percent, "EffectiveDate": "2011-01-04T00:00:00-08:00"}],
    }


def tax_code(name: str, rates: list[tuple[str, str]], *, active: bool = True, taxable: bool = True) -> Document:
    """Return a TaxCode without identity; rates are (TaxRate id, `Sales` or `Purchase`)."""

    def side(wanted: str) -> Document:
        details = [
            {"TaxRateRef": {"value": rate}, "TaxTypeApplicable": "TaxOnAmount", "TaxOrder": 0}
            for rate, on in rates
            if on == wanted
        ]
        return {"TaxRateDetail": details}

    return {
        "Name": name,
        "Description": name,
        "Active": active,
        "Hidden": not active,
        "Taxable": taxable,
        "TaxGroup": True,
        "TaxCodeConfigType": "SYSTEM_GENERATED",
        "SalesTaxRateList": side("Sales"),
        "PurchaseTaxRateList": side("Purchase"),
    }


def sales_rates(books: Books, code_id: str) -> list[tuple[str, Decimal]] | None:
    """Return (TaxRate id, percent) that a code charges on sales; None when it cannot be used there."""
    code = books.get("TaxCode", code_id)
    if code is None or not code.get("Active") or code.get("Hidden"):
        return None
    details = code.get("SalesTaxRateList", {}).get("TaxRateDetail", [])
    if not details:
        return None
    if not code.get("Taxable"):
        return []  # "No VAT" is outside the base: no tax line, not even of nought
    rates = [books.need("TaxRate", detail["TaxRateRef"]["value"]) for detail in details]
    return [(rate["Id"], Decimal(rate["RateValue"])) for rate in rates]
