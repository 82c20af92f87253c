"""The QuickBooks Online dialect of the Ledger protocol."""
