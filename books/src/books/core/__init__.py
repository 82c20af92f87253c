"""Small nouns and tools without opinions, used by every room: clock, faults, money, redact, printable, paths, settings.

Imports no other room. Start with `faults`: the four kinds of fault are what every other room raises.
"""
