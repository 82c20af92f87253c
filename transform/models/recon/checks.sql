/*
One row per check. Where a gate fails, the run is not trusted: nothing is to be acted on, and no case opens or closes.
A check that is no gate is told, and changes nothing.
*/
with

run as (select * from {{ ref('run') }}),

quickbooks_invoices as (
  select * from {{ ref('stg_quickbooks__invoices') }} where realm_id = (select realm_id from run)
),

quickbooks_payments as (
  select * from {{ ref('stg_quickbooks__payments') }} where realm_id = (select realm_id from run)
),

newest_loads as (
  select *
  from (
    select *, row_number() over (partition by system, stream order by ended_at desc, started_at desc) as age
    from {{ ref('stg_loads') }}
  ) as ranked
  where age = 1
),

needed as (
  select 'opsmerge' as system, 'invoices' as stream union all
  select 'opsmerge', 'payments' union all
  select 'quickbooks', 'invoices' union all
  select 'quickbooks', 'payments' union all
  select 'quickbooks', 'postings'
),

loads as (
  select needed.*, newest_loads.is_complete, newest_loads.started_at
  from needed
  left join newest_loads on newest_loads.system = needed.system and newest_loads.stream = needed.stream
),

-- What each complete read sent, which the tap held against the source's own count, beside what is in the tables. A row that
-- changed while it was read may have been sent twice, and so explains one that seems to be missing; no more than one.
counted as (
  select
    newest_loads.system,
    newest_loads.stream,
    newest_loads.row_count,
    count(case when kept.extracted_at >= newest_loads.started_at or (kept.extracted_at is null and not kept.is_gone) then kept.system end) as arrived,
    count(case when kept.extracted_at < newest_loads.started_at and not kept.is_gone then 1 end) as left_over,
    count(case when kept.changed_at >= newest_loads.started_at - interval '10 minutes' then 1 end) as changing
  from newest_loads
  left join (
    {% for system, table, changed_at, whose in [
      ('opsmerge', 'invoices', 'updated_at', none), ('opsmerge', 'payments', 'updated_at', none),
      ('quickbooks', 'invoices', 'updated_at', 'realm_id'), ('quickbooks', 'payments', 'updated_at', 'realm_id'),
      ('quickbooks', 'postings', 'coalesce(finished_at, attempted_at)', 'connection'),
      ('quickbooks', 'credit_memos', 'updated_at', 'realm_id'), ('quickbooks', 'customers', 'updated_at', 'realm_id'),
      ('quickbooks', 'accounts', 'updated_at', 'realm_id'),
    ] %}
    select
      '{{ system }}' as system, '{{ table }}' as stream, {{ utc('_sdc_extracted_at') }} as extracted_at,
      {{ utc(changed_at) }} as changed_at, _sdc_deleted_at is not null as is_gone
    from {{ source('raw_' ~ system, table) }}
    {% if whose %}where {{ whose }} = (select {{ whose }} from run){% endif %}
    {{ "union all" if not loop.last }}
    {% endfor %}
  ) as kept
    on kept.system = newest_loads.system and kept.stream = newest_loads.stream
  where newest_loads.is_complete and newest_loads.mode = 'full'
    and newest_loads.stream in ('invoices', 'payments', 'postings', 'credit_memos', 'customers', 'accounts')
  group by newest_loads.system, newest_loads.stream, newest_loads.row_count
),

checks as (
  select 'both_sides_complete' as check_name, true as is_gate,
    'invoices and payments of both systems were read from the first to the last' as promise,
    (select count(*) from loads where is_complete is not true) as failures
  union all
  select 'every_row_read_is_there', true, 'the tables hold as many rows as the last complete reads sent, which QuickBooks counts itself',
    (select coalesce(sum(left_over + greatest(arrived - row_count, 0) + greatest(row_count - arrived - changing, 0)), 0) from counted)
  union all
  select 'documents_did_not_vanish', true,
    'of the documents that the last trusted run saw, no more than 5 or 0.5 % (and never all of a list) are gone without a deletion, and no OpsMerge number is missing',
    (select coalesce(sum(greatest(gone_documents, missing_numbers)), 0) from {{ ref('falls') }} where is_fall and accepted_by is null)
  union all
  select 'both_sides_fresh', true, 'both systems were read within {{ var("fresh_hours", 30) }} hours',
    (select count(*) from loads cross join run where started_at is null or started_at < run.run_at - interval '{{ var("fresh_hours", 30) }} hours')
  union all
  select 'push_not_overdue', true, 'a push completed within {{ var("push_hours", 30) }} hours',
    (select count(*) from run where pushed_at is null or pushed_at < run_at - interval '{{ var("push_hours", 30) }} hours')
  union all
  select 'nothing_is_later_than_the_run', true, 'no push began and no read ended later than 5 minutes after this run began',
    (select count(*) from {{ ref('stg_bridge__push_runs') }} as push cross join run
      where push.connection = run.connection and push.started_at > run.run_at + interval '5 minutes')
    + (select count(*) from {{ ref('stg_loads') }} as load cross join run
      where greatest(load.started_at, load.ended_at) > run.run_at + interval '5 minutes')
  union all
  select 'ids_are_unique', true, 'no invoice, line or payment is there twice',
    (select count(*) - count(distinct id) from {{ source('raw_opsmerge', 'invoices') }})
    + (select count(*) - count(distinct id) from {{ source('raw_opsmerge', 'payments') }})
    + (select count(*) - count(distinct realm_id || ':' || id) from {{ source('raw_quickbooks', 'invoices') }})
    + (select count(*) - count(distinct realm_id || ':' || id) from {{ source('raw_quickbooks', 'payments') }})
    + (select coalesce(sum(repeated_lines), 0) from {{ ref('opsmerge_line_totals') }})
    + (select coalesce(sum(repeated_lines), 0) from {{ ref('quickbooks_line_totals') }})
  union all
  select 'numbers_are_unique', true, 'no two OpsMerge invoices bear one number (I04)',
    (select count({{ number_key('number') }}) - count(distinct {{ number_key('number') }}) from {{ ref('stg_opsmerge__invoices') }} where not is_gone)
  union all
  select 'statuses_are_known', true, 'every status is one that both systems are known to have',
    (select count(*) from {{ ref('stg_opsmerge__invoices') }} where status is null or status not in ('draft', 'open', 'paid', 'overdue', 'voided'))
    + (select count(*) from quickbooks_invoices where status not in ('live', 'voided', 'deleted'))
    + (select count(*) from quickbooks_payments where status not in ('active', 'voided', 'deleted'))
  union all
  select 'money_is_there', true, 'no amount, currency or date is missing',
    (select count(*) from {{ ref('stg_opsmerge__invoices') }} where not is_gone and (net is null or tax is null or gross is null or balance is null or coalesce(currency, '') = '' or issue_date is null))
    + (select count(*) from quickbooks_invoices where status <> 'deleted' and (net is null or tax is null or gross is null or balance is null or coalesce(currency, '') = '' or txn_date is null))
    + (select count(*) from {{ ref('stg_opsmerge__payments') }} where not is_gone and (amount is null or coalesce(currency, '') = '' or paid_on is null))
    + (select count(*) from quickbooks_payments where status <> 'deleted' and (total is null or unapplied is null or coalesce(currency, '') = '' or txn_date is null))
  union all
  select 'money_is_whole_pennies', true, 'no amount carries less than a penny',
    {% for system, table, columns in [
      ('opsmerge', 'invoices', ['subtotal', 'tax_total', 'total', 'amount_paid', 'balance']), ('opsmerge', 'payments', ['amount']),
      ('quickbooks', 'invoices', ['net_amount', 'tax_amount', 'total_amount', 'balance']),
      ('quickbooks', 'payments', ['total_amount', 'unapplied_amount']),
      ('quickbooks', 'postings', ['net', 'tax', 'total']),
      ('quickbooks', 'credit_memos', ['total_amount', 'remaining_credit']), ('quickbooks', 'accounts', ['current_balance']),
    ] %}
    (select count(*) from {{ source('raw_' ~ system, table) }} where {% for column in columns %}{{ column }} <> {{ money(column) }}{{ " or " if not loop.last }}{% endfor %}) +
    {% endfor %}
    (select count(*) from {{ ref('stg_opsmerge__invoice_lines') }} where net <> round(net, 2) or tax <> round(tax, 2))
    + (select count(*) from {{ ref('stg_quickbooks__invoice_lines') }} where net <> round(net, 2))
    + (select count(*) from {{ ref('stg_quickbooks__payment_allocations') }} where exact_amount <> amount)
  union all
  select 'totals_add_up', true, 'net and VAT make the gross of every invoice',
    (select count(*) from {{ ref('stg_opsmerge__invoices') }} where not is_gone and net + tax <> gross)
    + (select count(*) from quickbooks_invoices where status <> 'deleted' and net + tax <> gross)
  union all
  select 'lines_add_up', true, 'the lines of every OpsMerge invoice make its net and its VAT',
    (select count(*) from {{ ref('stg_opsmerge__invoices') }} as invoice
      left join {{ ref('opsmerge_line_totals') }} as lines on lines.opsmerge_invoice_id = invoice.opsmerge_invoice_id
      where not invoice.is_gone and (coalesce(lines.net, 0) <> invoice.net or coalesce(lines.tax, 0) <> invoice.tax))
  union all
  select 'voided_is_zero', true, 'a voided QuickBooks invoice carries no money',
    (select count(*) from quickbooks_invoices where status = 'voided' and (gross <> 0 or balance <> 0))
  union all
  select 'postings_are_known', true, 'every posting names its OpsMerge invoice, and an outcome that there is',
    (select count(*) from {{ ref('stg_bridge__postings') }}
      where coalesce(opsmerge_invoice_id, '') = ''
        or outcome is null or outcome not in ('created', 'adopted', 'rejected', 'conflict', 'held', 'unknown'))
  union all
  select 'postings_name_one_invoice', true, 'no two OpsMerge invoices are posted to one QuickBooks invoice',
    (select count(external_id) - count(distinct external_id) from {{ ref('stg_bridge__postings') }} where connection = (select connection from run))
  union all
  select 'each_invoice_is_used_once', true, 'every invoice of either side is in the comparison once',
    (select count(*) - count(distinct opsmerge_invoice_id) from {{ ref('pairs') }} where in_opsmerge)
    + (select count(*) - count(distinct external_id) from {{ ref('pairs') }} where in_quickbooks)
  union all
  select 'each_payment_is_used_once', true, 'every payment of either side is in the comparison once',
    (select count(*) - count(distinct opsmerge_payment_id) from {{ ref('payment_pairs') }} where in_opsmerge)
    + (select count(*) - count(distinct allocation_key) from {{ ref('payment_pairs') }} where in_quickbooks)
  union all
  select 'every_line_has_a_class', true, 'every line of the statement has a class that the seed knows',
    (select count(*) from {{ ref('bridge') }} as bridge
      left join {{ ref('drift_class') }} as drift_class on drift_class.class = bridge.class where drift_class.class is null)
  union all
  select 'nothing_is_unexplained', true, 'every penny of the difference is classified',
    (select count(*) from {{ ref('control_totals') }} where unexplained <> 0)
  union all
  select 'receivables_tie_out', {{ 'true' if var('receivables_gate', true) else 'false' }}, 'QuickBooks agrees with itself: open invoices less unapplied payments and credits are the receivables account (R01)',
    (select count(*) from {{ ref('drift') }} where class = 'R01' and not accepted)
  union all
  select 'receivables_are_read', false, 'credit memos and accounts were read too, so that the receivables account can be compared',
    (select 1 - count(distinct run_id) from {{ ref('receivables') }} where is_read)
  union all
  select 'accepted_breaks_apply', false, 'every entry of accepted.yml is in date, and its break is there as it was accepted',
    (select count(*) from {{ source('history', 'accepted') }} as entry
      where not exists (
        select 1 from {{ ref('drift') }} as drift
        where drift.accepted and drift.class = entry.class and (drift.number = entry.number or drift.payment_id = entry.payment_id)
      ))
  union all
  select 'clocks_agree', false, 'no document was changed after it was read',
    (select count(*) from {{ ref('pairs') }} where updated_at > read_until or ledger_updated_at > read_until)
),

-- What to do where reading both sides again is not all.
remedies as (
  select 'documents_did_not_vanish' as check_name,
    'Read both sides again: `meltano {{ in_environment() }} run reconcile`. If they stay gone, look for them at the source (`select * from recon.falls`). Only if they were deleted there on purpose: `books {{ in_environment() }} report --accept-fall`' as remedy
  union all
  select 'postings_are_known',
    'The state store holds postings that these models do not know (`select * from raw_quickbooks.postings`): bring the plugins and transform/ to one version, then run `meltano {{ in_environment() }} run reconcile`'
  union all
  select 'money_is_whole_pennies',
    'Look for the amount in the raw tables and allocations, correct it in the system that it came from, then run `meltano {{ in_environment() }} run reconcile`'
  union all
  select 'nothing_is_later_than_the_run',
    'A clock was moved: set the clocks of all machines that push and read (`timedatectl status`), push again, then run `meltano {{ in_environment() }} run reconcile`'
  union all
  select 'push_not_overdue', 'Push: `meltano {{ in_environment() }} run push-invoices`, then `meltano {{ in_environment() }} run reconcile`'
)

select
  run.run_id,
  checks.check_name,
  checks.is_gate,
  checks.failures = 0 as ok,
  checks.failures,
  checks.promise,
  case
    when checks.failures = 0 or not checks.is_gate then null
    else coalesce(remedies.remedy, 'Read both sides again: `meltano {{ in_environment() }} run reconcile`')
  end as remedy
from checks
cross join run
left join remedies on remedies.check_name = checks.check_name
