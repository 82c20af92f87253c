"""What an operator can do: connect, check, watch, explain, retry, forget. The doors (`cli`, `singer`) only call it.

session        one environment: its settings, its company and its open store
configuration  what Meltano's project file says of an environment
connect        a company's consent, checked, and the first look at the company
breadcrumbs    the ids of a company that is disconnected, given up and found again
preflight/     everything that would stop an invoice, before the first write
retry          rejected invoices, marked for the next push
why            the story of one invoice
jobs, runs     starting Meltano's jobs, and how each run ended
runfolder      Meltano's own folder: closed to others, each step in one run's hands
alerts/        facts, rules, messages: what is wrong, told once
forget/        a client's personal data, erased wherever it is kept

May import every room below. Start with `session`.
"""
