"""Simulators of QuickBooks Online and OpsMerge."""
