"""`python -m target_quickbooks`."""

from target_quickbooks.target import TargetQuickBooks

TargetQuickBooks.cli()
