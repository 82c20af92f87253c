"""What an operator can do: connect, check, plan, watch, explain, retry, disconnect, forget. `cli` and `singer` call it.

session         one environment: its settings, its company and its open store
configuration   what Meltano's project file says of an environment
connect         a company's consent, checked, and the first look at the company
disconnect      the consent revoked, the company's ids cleared from the store and OpsMerge
breadcrumbs     the former ids of a disconnected company, by which every invoice is found again
preflight/      everything that would stop an invoice, before the first write
plan            plans: made, found again, posted, and what became of each invoice
status          the health of everything, in one document
log, why        what became of each invoice; everything about one
retry           rejected invoices, marked for the next push
daily           the three jobs of a day
reporting       publish the warehouse, write its report, accept a fall
webhooks        the receiver, what it received, what to read again
contract_check  the OpsMerge API, compared with its description and real pages
jobs, runs      start Meltano's jobs; how each run ended
runfolder       Meltano's own folder: private, and each step run only once at a time
alerts/         facts, rules, messages: one message for each thing that goes wrong, one when it is over
forget/         a client's personal data, erased wherever it is kept

May import every room below. Start with `session`.
"""
