"""One seam, many vendors: what a ledger is to us, and a folder for each vendor that keeps to it.

May import transport, store and core. Start with `contract`, the nouns and the protocol `Ledger`; `pretend` is the
double that ships with it. Vendors do not know each other.
"""
