"""The Singer SDK's own tests of a target."""

from __future__ import annotations

import tempfile

from singer_sdk.testing import get_target_test_class

from target_duckdb.target import TargetDuckDB

StandardTests = get_target_test_class(
    TargetDuckDB,
    config={"path": f"{tempfile.mkdtemp()}/standard.duckdb", "schema": "raw"},
    parse_env_config=False,
)


class TestStandard(StandardTests):
    """The target keeps Singer's rules."""
