"""The Singer SDK's own tests of a target, with a configuration that points at the simulator."""

from __future__ import annotations

import atexit
import tempfile
from contextlib import ExitStack
from pathlib import Path

from singer_sdk.testing import get_target_test_class

from sandbox.quickbooks import QuickBooksState, create_app
from sandbox.server import running
from target_quickbooks.target import TargetQuickBooks

# The SDK builds its tests while it is imported, so the simulator must be up by then.
_open = ExitStack()
atexit.register(_open.close)
_url = _open.enter_context(running(create_app(QuickBooksState())))
_folder = Path(_open.enter_context(tempfile.TemporaryDirectory()))

CONFIG = {
    "realm_id": "9341453000000001",
    "client_id": "sandbox-client",
    "client_secret": "sandbox-secret",
    "refresh_token": "RT-sandbox-0001",
    "api_url": _url,
    "token_url": _url,
    "store_url": f"sqlite:///{_folder}/books.db",
    "mapping_file": str(_folder / "mappings.yml"),
}

Standard = get_target_test_class(TargetQuickBooks, config=CONFIG)


class TestTargetQuickBooksStandard(Standard):
    """The target keeps Singer's rules."""
