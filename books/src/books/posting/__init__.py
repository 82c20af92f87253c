"""Each invoice is in the ledger once: intent before the call, outcome after it, and nothing twice.

records     a record of the invoices stream -> Invoice; what counts as content
triage      what to do with one invoice (pure)
adoption    whether what the ledger has is the same invoice (pure)
checks      what can be refused without a look-up; the VAT comparison (pure)
references  customers, items, tax codes: found, learned, created
mappings    the mapping file: what OpsMerge's words mean in this ledger
outbox      the protocol: intent, call, outcome, and lost answers
fence       when a claim may still be sent, and when another run may settle it (pure)
journal     the store behind it; `journal_in_memory` for simulations, `preview` for dry runs
plan        what a dry run would do, and its file (pure, but for reading the file)
gate        what a plan lets through (pure)
plans       which plans were posted, and whether a company needs its first one
run         one run, from spool to summary

May import ledgers, opsmerge, store and core. Start with `run.PushRun.execute`.
"""
