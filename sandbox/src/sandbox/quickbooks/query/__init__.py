"""The query language: parsed, checked against the entity, compiled to SQL, run."""

from sandbox.quickbooks.query.run import run_query

__all__ = ["run_query"]
