/*
One row per currency: QuickBooks against itself. What its documents still owe and hold, beside the balance of its
receivables accounts. `other` is what neither an open invoice, nor an unapplied payment, nor a remaining credit explains:
open journal entries, or documents that our copy lacks or has too many. Not computed (`is_read` false) unless invoices,
payments, credit memos and accounts were all read to their end.
*/
with

run as (select * from {{ ref('run') }}),

reads as (
  select count(*) = 4 as is_read
  from (
    select stream, is_complete, row_number() over (partition by stream order by ended_at desc, started_at desc) as age
    from {{ ref('stg_loads') }}
    where system = 'quickbooks' and stream in ('invoices', 'payments', 'credit_memos', 'accounts')
  ) as newest
  where age = 1 and is_complete
),

parts as (
  select currency, balance as invoice_balance, 0 as unapplied, 0 as remaining_credit, 0 as account_balance
  from {{ ref('stg_quickbooks__invoices') }}
  where realm_id = (select realm_id from run) and status = 'live'
  union all
  select currency, 0, unapplied, 0, 0
  from {{ ref('stg_quickbooks__payments') }}
  where realm_id = (select realm_id from run) and status = 'active'
  union all
  select currency, 0, 0, remaining, 0
  from {{ ref('stg_quickbooks__credit_memos') }}
  where realm_id = (select realm_id from run) and status = 'live'
  union all
  select currency, 0, 0, 0, current_balance
  from {{ ref('stg_quickbooks__accounts') }}
  where realm_id = (select realm_id from run) and account_type = 'Accounts Receivable' and not is_gone
),

sums as (
  select
    coalesce(currency, 'none') as currency,
    {{ money('sum(invoice_balance)') }} as invoice_balance,
    {{ money('sum(unapplied)') }} as unapplied_payments,
    {{ money('sum(remaining_credit)') }} as remaining_credit,
    {{ money('sum(account_balance)') }} as account_balance
  from parts
  group by coalesce(currency, 'none')
)

select
  run.run_id,
  run.connection,
  sums.currency,
  sums.invoice_balance,
  sums.unapplied_payments,
  sums.remaining_credit,
  {{ money('sums.account_balance - (sums.invoice_balance - sums.unapplied_payments - sums.remaining_credit)') }} as other,
  sums.account_balance,
  reads.is_read
from sums
cross join reads
cross join run
