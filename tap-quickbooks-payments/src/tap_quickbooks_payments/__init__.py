"""Singer tap for what QuickBooks Online knows: payments, invoices, postings."""
