"""OpsMerge shows what the ledger says: its id or the error, and Paid in both directions.

run                 one run: rows of postings, payments and invoices in, calls to OpsMerge out
accounting          the accounting block of each invoice
allocations         which payment settles which invoice, and what to write for it (pure)
allocation_store    the allocations in the state store, and what was written to OpsMerge for each
opsmerge_payments   OpsMerge's own payments, mirrored in the store
payments            writes payments to OpsMerge until they equal the allocations
balances            what the ledger says is still owed, compared with the payments
nonproduction       companies whose payments are no real money

May import posting, ledgers, opsmerge, transport, store and core. Start with `run`.
"""
