"""Alerts: gather facts, judge them by rules, and send one message when something goes wrong and one when it is over.

    facts -> rules -> sent (what was sent, what is still due) -> messages -> sending

Start with `check`. `books status` shows the same facts and judgements and sends nothing.
"""
