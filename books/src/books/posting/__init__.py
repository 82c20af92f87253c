"""Each invoice is in the ledger once: intent before the call, outcome after it, and nothing twice.

Per chunk of invoices: read, decide, apply.

run          one run: per chunk read, decide, apply; from spool to summary
candidates   one invoice: its record as read, and what the store knows of it
eligibility  which invoices of OpsMerge are to be posted at all (pure)
decide       what happens to each invoice: named decisions, or what has to be asked first (pure)
reading      asks store and ledger for what decisions need
choices      which customer, item and tax code the mapping file and OpsMerge name (pure)
finding      asks the ledger for them, and keeps what is found
judging      with what an invoice would be created, and every problem (pure)
creating     creates missing customers and items
outbox       the protocol of sending: intent, call, outcome, and lost answers

records      a record of the invoices stream -> Invoice; what counts as content (pure)
postings     the row of an invoice, its outcomes, and how one follows from another (pure)
adoption     whether what the ledger has is the same invoice (pure)
changes      what changed in an invoice after it was posted (pure)
checks       what can be refused without a look-up; the VAT comparison (pure)
mappings     the mapping file
gate, plan   which invoices a plan lets through; a plan and its file (pure, but for reading the file)
plans        which plans were posted, and whether a company needs its first one
fence        when a claim may still be sent, and when another run may settle it (pure)
journal      the store; `journal_in_memory` for simulations, `preview` for dry runs
spool        the invoices of one run, on disk
documents    which of the ledger's documents were seen voided or deleted
summary      the counts of one run
crash        named points at which a test may kill or freeze the process

May import ledgers, opsmerge, store and core. Start with `run.PushRun.execute`, then `decide.decide`.
"""
