"""Watches over the bridge: gathers facts, judges them, tells people once when something is wrong and once when over.

    facts -> rules -> journal (what was told, what is still to be told) -> messages -> sending

`books status` shows the same facts and judgements and tells nobody.
"""
