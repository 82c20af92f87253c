/*
Per measure, currency and month: both totals straight from the raw tables, through no join of ours, and what the
difference is made of. `unexplained` must be 0.00 in every row.
*/
with

run as (select * from {{ ref('run') }}),

opsmerge as (
  select
    coalesce(upper(trim(currency)), 'none') as currency, {{ month('cast(issue_date as date)') }} as period,
    sum(subtotal) as net, sum(tax_total) as tax, sum(total) as gross, sum(balance) as balance
  from {{ source('raw_opsmerge', 'invoices') }}
  where lower(status) <> 'voided' and _sdc_deleted_at is null
  group by 1, 2
),

quickbooks as (
  select
    coalesce(upper(trim(currency)), 'none') as currency, {{ month('cast(txn_date as date)') }} as period,
    sum(net_amount) as net, sum(tax_amount) as tax, sum(total_amount) as gross, sum(balance) as balance
  from {{ source('raw_quickbooks', 'invoices') }}
  where coalesce(lower(status), 'live') <> 'deleted' and _sdc_deleted_at is null and realm_id = (select realm_id from run)
  group by 1, 2
),

totals as (
  {% for measure in ['net', 'tax', 'gross', 'balance'] %}
  select '{{ measure }}' as measure, currency, period, {{ measure }} as opsmerge_total, 0 as ledger_total, 0 as drift, 'total' as bucket from opsmerge
  union all
  select '{{ measure }}', currency, period, 0, {{ measure }}, 0, 'total' from quickbooks
  union all
  {% endfor %}
  select 'payments', coalesce(upper(trim(currency)), 'none'), {{ month('cast(paid_on as date)') }}, sum(amount), 0, 0, 'total'
  from {{ source('raw_opsmerge', 'payments') }}
  where not coalesce(voided, false) and _sdc_deleted_at is null
  group by 2, 3
  union all
  select 'payments', coalesce(upper(trim(currency)), 'none'), {{ month('cast(txn_date as date)') }}, 0, sum(total_amount), 0, 'total'
  from {{ source('raw_quickbooks', 'payments') }}
  where coalesce(lower(status), 'active') <> 'deleted' and _sdc_deleted_at is null and realm_id = (select realm_id from run)
  group by 2, 3
  union all
  select bridge.measure, bridge.currency, bridge.period, 0, 0, sum(bridge.amount), coalesce(drift_class.bucket, 'none')
  from {{ ref('bridge') }} as bridge
  left join {{ ref('drift_class') }} as drift_class on drift_class.class = bridge.class
  group by 1, 2, 3, 7
),

cells as (
  select
    measure,
    currency,
    period,
    sum(opsmerge_total) as opsmerge_total,
    sum(ledger_total) as ledger_total,
    sum(case when bucket = 'by_design' then drift else 0 end) as by_design,
    sum(case when bucket = 'timing' then drift else 0 end) as timing,
    sum(case when bucket = 'tolerated' then drift else 0 end) as tolerated,
    sum(case when bucket = 'break' then drift else 0 end) as breaks
  from totals
  group by measure, currency, period
)

select
  run.run_id,
  run.connection,
  cells.measure,
  cells.currency,
  cells.period,
  {{ money('cells.opsmerge_total') }} as opsmerge_total,
  {{ money('cells.ledger_total') }} as ledger_total,
  {{ money('cells.opsmerge_total - cells.ledger_total') }} as difference,
  {{ money('cells.by_design') }} as by_design,
  {{ money('cells.timing') }} as timing,
  {{ money('cells.tolerated') }} as tolerated,
  {{ money('cells.breaks') }} as breaks,
  {{ money('cells.opsmerge_total - cells.ledger_total - cells.by_design - cells.timing - cells.tolerated - cells.breaks') }} as unexplained
from cells
cross join run
