"""Posting: intent before the call, outcome after it, and nothing twice.

records     a record of the invoices stream -> Invoice; what counts as content
triage      what to do with one invoice (pure)
adoption    whether what the ledger has is the same invoice (pure)
checks      what can be refused without a look-up; the VAT comparison (pure)
references  customers, items, tax codes: found, learned, created
outbox      the protocol: intent, call, outcome, and lost answers
journal     the store behind it
plan        what a dry run would do, and its file (pure, but for reading the file)
gate        what a plan lets through (pure)
plans       which plans were posted, and whether a company needs its first one
run         one run, from spool to summary
"""
