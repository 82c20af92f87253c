/*
One row per currency and VAT quarter: what the open breaks do to the VAT of that period, beside HMRC's threshold for
correcting errors on the next return (VAT Notice 700/45: 10,000, or 1 % of the period's net sales up to 50,000).
Information for the accountant, who decides. The quarter's last month is the variable vat_quarter_end_month: 3 for
March, June, September, December; 1 or 2 for the other two staggers.
*/
with

months as (
  select currency, period, measure, ledger_total, breaks, cast(period || '-01' as date) as month
  from {{ ref('control_totals') }}
  where measure in ('net', 'tax') and period <> 'none'
),

quarters as (
  select
    *,
    {{ vat_quarter('month') }} as last_month
  from months
),

sums as (
  select
    currency,
    {{ month('last_month') }} as quarter_ending,
    {{ money("sum(case when measure = 'tax' then breaks else 0 end)") }} as vat_effect,
    {{ money("sum(case when measure = 'net' then ledger_total else 0 end)") }} as net_sales
  from quarters
  group by currency, {{ month('last_month') }}
)

select
  (select run_id from {{ ref('run') }}) as run_id,
  currency,
  quarter_ending,
  vat_effect,
  net_sales,
  {{ money('greatest(10000, least(net_sales * 0.01, 50000))') }} as threshold,
  abs(vat_effect) <= greatest(10000, least(net_sales * 0.01, 50000)) as may_go_on_next_return
from sums
