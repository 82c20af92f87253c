"""The Singer SDK's own tests of a tap, against the simulator over real HTTP."""

from __future__ import annotations

import atexit
from contextlib import ExitStack

from singer_sdk.testing import SuiteConfig, get_tap_test_class

from sandbox.control import Control
from sandbox.opsmerge import OpsMergeState, create_app
from sandbox.server import running
from tap_opsmerge.tap import TapOpsMerge

# The suite checks `multipleOf` in floats, in which 33.335 is no multiple of 0.000001; real targets read decimals.
LINE = {"description": "Support", "quantity": 1.5, "unit_price": 12.5, "service_id": "svc_1", "tax_code_id": "tax_1"}
ADDRESS = {"line1": "1 High Street", "line2": "Floor 2", "city": "Leeds", "postcode": "LS1 1AA", "country": "GB"}

# The SDK builds its tests while it is imported, so the simulator must be up by then.
_open = ExitStack()
atexit.register(_open.close)
_url = _open.enter_context(running(create_app(OpsMergeState())))


def _furnish(control: Control) -> None:
    """One row of every stream, with every field filled in at least once."""
    client = {"id": "cl_1", "name": "O'Brien", "email": "ap@obrien.example", "billing_address": ADDRESS}
    service = {"id": "svc_1", "name": "Support", "quickbooks_item": "Managed Support"}
    control.seed({"clients": [client], "services": [service]})
    for notes in ("paid", "voided"):
        control.deed("create_invoice", client_id="cl_1", lines=[LINE], notes=notes)
    control.deed("record_payment", invoice_id="inv_1", method="BACS", reference="BACS 8831")
    control.deed("void_invoice", invoice_id="inv_2")


_furnish(Control(_url))

Standard = get_tap_test_class(
    TapOpsMerge,
    config={"api_url": f"{_url}/api/v1", "api_key": "om_sandbox_key", "start_date": "2020-01-01T00:00:00Z"},
    suite_config=SuiteConfig(ignore_no_records_for_streams=[]),
    parse_env_config=False,
)


class TestTapOpsMergeStandard(Standard):
    """The tap keeps Singer's rules."""
