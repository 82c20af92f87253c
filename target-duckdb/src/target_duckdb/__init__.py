"""Singer target for DuckDB: exact money, upsert by key, no row lost, all of a run or nothing."""
