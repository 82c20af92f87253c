"""The demo: an MSP's October 2026 in OpsMerge, a company file in QuickBooks, and a bookkeeper's deeds."""
