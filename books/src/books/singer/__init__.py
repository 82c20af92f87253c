"""The base classes of the Singer plugins: exit codes, how a tap ends a stream, the sinks of target-quickbooks.

No rules and no queries stand here. Start with `endings`.
"""
