"""Singer target for DuckDB: exact money, upsert by key, no row lost."""
