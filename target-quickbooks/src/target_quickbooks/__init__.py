"""Singer target that posts OpsMerge invoices to QuickBooks Online."""
