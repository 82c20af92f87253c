"""The Singer SDK's own tests of a target."""

from __future__ import annotations

import tempfile

from singer_sdk.testing import get_target_test_class

from target_opsmerge.target import TargetOpsMerge

Standard = get_target_test_class(
    TargetOpsMerge,
    config={
        "api_url": "http://127.0.0.1:9/api/v1",  # no stream of the suite is for OpsMerge, so nothing is called
        "api_key": "om_sandbox_key",
        "store_url": f"sqlite:///{tempfile.mkdtemp()}/books/books.db",
    },
    parse_env_config=False,
)


class TestTargetOpsMergeStandard(Standard):
    """The target keeps Singer's rules."""
