"""Small nouns and tools that every room uses: clock, faults, money, files, paths, settings.

Imports no other room. Start with `faults`: the four kinds of fault are what every other room raises.
"""
