"""The Singer SDK's own tests of a tap, against the simulator over real HTTP."""

from __future__ import annotations

import atexit
import tempfile
from contextlib import ExitStack

from singer_sdk.testing import SuiteConfig, get_tap_test_class

from sandbox.control import Control
from sandbox.quickbooks import QuickBooksState, create_app
from sandbox.server import running
from tap_quickbooks_payments.tap import TapQuickBooksPayments

# The SDK builds its tests while it is imported, so the simulator must be up by then.
_open = ExitStack()
atexit.register(_open.close)
_url = _open.enter_context(running(create_app(QuickBooksState())))
_folder = _open.enter_context(tempfile.TemporaryDirectory())


def _furnish(control: Control) -> None:
    """One row of every stream of the company, with the fields filled in."""
    control.switches(limits=False)
    accounts = {"IncomeAccountRef": {"name": "Sales of Product Income"}, "ExpenseAccountRef": {"name": "Cost of sales"}}
    line = {
        "DetailType": "SalesItemLineDetail",
        "Amount": 100,
        "Description": "Support",
        "SalesItemLineDetail": {
            "ItemRef": {"name": "Support"},
            "TaxCodeRef": {"name": "20.0% S"},
            "Qty": 2,
            "UnitPrice": 50,
        },
    }
    document = {"CustomerRef": {"name": "Acme"}, "TxnDate": "2026-11-02", "PrivateNote": "x", "Line": [line]}
    control.seed(
        {
            "entities": {
                "Customer": [
                    {"DisplayName": "Acme", "CompanyName": "Acme", "PrimaryEmailAddr": {"Address": "a@b.example"}}
                ],
                "Item": [{"Name": "Support", "Type": "Service", **accounts}],
                "CreditMemo": [{**document, "DocNumber": "CN-1"}],
                "Invoice": [{**document, "DocNumber": "INV-1", "DueDate": "2026-12-02"}],
            }
        }
    )
    control.deed("record_payment", invoice="INV-1", amount="20", reference="BACS", note="thanks", method="Cheque")


_furnish(Control(_url))

Standard = get_tap_test_class(
    TapQuickBooksPayments,
    config={
        "realm_id": "9341453000000001",
        "client_id": "sandbox-client",
        "client_secret": "sandbox-secret",
        "refresh_token": "RT-sandbox-0001",
        "store_url": f"sqlite:///{_folder}/store/books.db",
        "api_url": _url,
        "token_url": _url,
    },
    suite_config=SuiteConfig(ignore_no_records_for_streams=["postings", "push_runs"]),
    parse_env_config=False,
)


class TestTapQuickBooksPaymentsStandard(Standard):
    """The tap keeps Singer's rules."""
