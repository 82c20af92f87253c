"""Posting: intent before the call, outcome after it, and nothing twice.

records     a record of the invoices stream -> Invoice; what counts as content
triage      what to do with one invoice (pure)
adoption    whether what the ledger has is the same invoice (pure)
checks      what can be refused without a look-up; the VAT comparison (pure)
references  customers, items, tax codes: found, learned, created
outbox      the protocol: intent, call, outcome, and lost answers
journal     the store behind it
run         one run, from spool to summary
"""
