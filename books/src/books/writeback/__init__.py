"""OpsMerge shows what the ledger says: its id or the error, and Paid in both directions.

run                 one run: rows of postings, payments and invoices in, calls to OpsMerge out
accounting          the accounting block of each invoice
allocations         which payment settles which invoice, and what must be done about it (pure)
allocation_ledger   the allocations in the store: what OpsMerge was shown of each
opsmerge_payments   OpsMerge's own payments, mirrored in the store
payments            brings OpsMerge's payments into line with the allocations
balances            what the ledger says is still owed, which the payments must explain
nonproduction       companies whose payments are no money

May import posting, ledgers, opsmerge, transport, store and core. Start with `run`.
"""
