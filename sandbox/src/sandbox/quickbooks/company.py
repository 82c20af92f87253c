"""A company file: its setup, and what `companyinfo` and `preferences` say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, get_type_hints

DEFAULT_REALM = "9341453000000001"
TAX_CODE_ID_MAX = 1_000_000
CURRENCY_NAMES = {
    "GBP": "British Pound Sterling",
    "USD": "United States Dollar",
    "EUR": "Euro",
    "AUD": "Australian Dollar",
}


@dataclass
class Company:
    """What a person sets up in the product before any program connects."""

    realm: str = DEFAULT_REALM
    CompanyName: str = "Sandbox Company_GB_1"
    Country: str = "GB"
    HomeCurrency: str = "GBP"
    VAT: bool = True
    CustomTxnNumbers: bool = True
    WarnDuplicateNumbers: bool = True
    MultiCurrency: bool = False
    BookCloseDate: str | None = None
    AutoApplyCredit: bool = False
    AutoApplyPayments: bool = False
    AllowDiscount: bool = True
    AllowDeposit: bool = False
    DefaultTerms: str = "3"
    Subscribed: bool = True
    environment: str = "sandbox"
    plan: str = "QuickBooks Online Plus"
    FirstTaxCodeId: int = 2
    """The ids of VAT codes count on from here: they differ in every real company."""
    created: str = field(default="2026-01-05T09:00:00-08:00")

    def update(self, changes: Mapping[str, Any]) -> None:
        """Change the setup.

        Raises:
            ValueError: no such setting, or a value of the wrong type.
        """
        for name, value in changes.items():
            _check(name, value)
        for name, value in changes.items():
            setattr(self, name, value)

    def as_json(self) -> dict[str, Any]:
        """Return the setup."""
        return asdict(self)

    @property
    def united_states(self) -> bool:
        """Return whether US rules of sales tax hold."""
        return self.Country == "US"

    def currency(self, code: str | None = None) -> dict[str, str]:
        """Return a CurrencyRef."""
        code = code or self.HomeCurrency
        return {"value": code, "name": CURRENCY_NAMES.get(code, code)}

    def info(self) -> dict[str, Any]:
        """Return the CompanyInfo object."""
        country = {"GB": "GBR", "US": "USA", "AU": "AUS", "CA": "CAN", "IN": "IND", "FR": "FRA"}.get(self.Country)
        address = {"Id": "1", "Line1": "1 High Street", "City": "London", "PostalCode": "EC1A 1AA", "Country": country}
        return {
            "CompanyName": self.CompanyName,
            "LegalName": self.CompanyName,
            "CompanyAddr": address,
            "CompanyStartDate": self.created[:10],
            "FiscalYearStartMonth": "April" if self.Country == "GB" else "January",
            "Country": self.Country,
            "Email": {"Address": "books@sandbox.example"},
            "WebAddr": {},
            "SupportedLanguages": "en",
            "DefaultTimeZone": "Europe/London" if self.Country == "GB" else "America/Los_Angeles",
            "NameValue": [
                {"Name": "NeoEnabled", "Value": "true"},
                {"Name": "IndustryType", "Value": "IT services"},
                {"Name": "SubscriptionStatus", "Value": "SUBSCRIBED" if self.Subscribed else "EXPIRED"},
                {"Name": "OfferingSku", "Value": self.plan},
            ],
            **self._entity("1"),
        }

    def preferences(self) -> dict[str, Any]:
        """Return the Preferences object."""
        accounting = {
            "UseAccountNumbers": False,
            "TrackDepartments": False,
            "ClassTrackingPerTxn": False,
            "ClassTrackingPerTxnLine": False,
            "FirstMonthOfFiscalYear": "April" if self.Country == "GB" else "January",
            "CustomerTerminology": "Customers",
        }
        if self.BookCloseDate:
            accounting["BookCloseDate"] = self.BookCloseDate
        return {
            "AccountingInfoPrefs": accounting,
            "SalesFormsPrefs": self._sales_forms(),
            "TaxPrefs": {"UsingSalesTax": self.VAT, "PartnerTaxEnabled": self.VAT and self.united_states},
            "CurrencyPrefs": {"MultiCurrencyEnabled": self.MultiCurrency, "HomeCurrency": {"value": self.HomeCurrency}},
            **self._entity("1"),
        }

    def _sales_forms(self) -> dict[str, Any]:
        return {
            "CustomTxnNumbers": self.CustomTxnNumbers,
            "AllowDiscount": self.AllowDiscount,
            "AllowDeposit": self.AllowDeposit,
            "AllowEstimates": True,
            "AllowServiceDate": False,
            "AllowShipping": False,
            "AutoApplyCredit": self.AutoApplyCredit,
            "AutoApplyPayments": self.AutoApplyPayments,
            "ETransactionEnabledStatus": "NotApplicable",
            "DefaultTerms": {"value": self.DefaultTerms},
            "DefaultCustomerMessage": "Thank you for your business and have a great day!",
        }

    def _entity(self, object_id: str) -> dict[str, Any]:
        meta = {"CreateTime": self.created, "LastUpdatedTime": self.created}
        return {"domain": "QBO", "sparse": False, "Id": object_id, "SyncToken": "4", "MetaData": meta}


SETTINGS = {item.name: get_type_hints(Company)[item.name] for item in fields(Company)}


def _check(name: str, value: Any) -> None:
    if name not in SETTINGS:
        raise ValueError(f"no company setting {name!r}; known: {', '.join(sorted(SETTINGS))}")
    wanted = (str, type(None)) if name == "BookCloseDate" else SETTINGS[name]
    if name == "FirstTaxCodeId" and not (type(value) is int and 0 < value <= TAX_CODE_ID_MAX):
        raise ValueError(f"FirstTaxCodeId must be from 1 to {TAX_CODE_ID_MAX}")
    if not isinstance(value, wanted):
        raise ValueError(f"{name} has a value of the wrong type: {value!r}")  # noqa: TRY004 -- a request's mistake
