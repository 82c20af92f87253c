"""The door for Singer: how plugins end, what taps say at the end of a stream, the sinks of target-quickbooks.

No rules here. Start with `endings`.
"""
