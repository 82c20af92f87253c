"""One protocol for all ledgers, and a folder for each vendor that implements it.

May import transport, store and core. Start with `contract`: the nouns and the protocol `Ledger`. `pretend` is the test
double that ships with it. Vendors do not import each other.
"""
