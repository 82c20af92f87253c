/*
The signed statement lines. Per measure, currency and month they add up to OpsMerge less QuickBooks:

  only in OpsMerge      + its amount
  only in QuickBooks    - its amount
  in both               the difference; where the month or the currency differs, the amount leaves one cell and enters the other

One row per measure, cell, class and document or payment; rows of 0.00 are left out.
*/
with

pairs as (select * from {{ ref('pairs') }}),

differences as (
  select
    differences.*,
    amounts.class as amount_class,
    dates.class as date_class,
    settlements.class as settlement_class,
    remainders.class as remainder_class
  from {{ ref('differences') }} as differences
  {% for name, family, part in [
    ('amounts', 'amounts', 'amount'), ('dates', 'dates', 'date'), ('settlements', 'settlement', 'settlement'),
    ('remainders', 'settlement', 'remainder'),
  ] %}
  left join {{ ref('drift_' ~ family) }} as {{ name }}
    on {{ name }}.opsmerge_invoice_id = differences.opsmerge_invoice_id and {{ name }}.part = '{{ part }}'
  {% endfor %}
),

payments as (select * from {{ ref('payment_pairs') }}),

lines as (
  {% for measure in ['net', 'tax', 'gross', 'balance'] %}
  -- {{ measure }}: documents that have no partner to be compared with
  select '{{ measure }}' as measure, currency, period, document_class as class, opsmerge_invoice_id, external_id, cast(null as varchar) as payment_id,
    {{ measure }} as amount
  from pairs
  where in_opsmerge and status <> 'voided' and not is_compared
  union all
  select '{{ measure }}', ledger_currency, ledger_period, document_class, opsmerge_invoice_id, external_id, null, -ledger_{{ measure }}
  from pairs
  where in_quickbooks and ledger_status <> 'deleted' and not is_compared
  union all
  -- {{ measure }}: pairs in different currencies
  select '{{ measure }}', currency, period, amount_class, opsmerge_invoice_id, external_id, null, {{ measure }}
  from differences
  where is_other_currency
  union all
  select '{{ measure }}', ledger_currency, ledger_period, amount_class, opsmerge_invoice_id, external_id, null, -ledger_{{ measure }}
  from differences
  where is_other_currency
  union all
  -- {{ measure }}: pairs in different months
  select '{{ measure }}', currency, period, date_class, opsmerge_invoice_id, external_id, null, {{ measure }}
  from differences
  where not is_other_currency and is_other_month
  union all
  select '{{ measure }}', currency, ledger_period, date_class, opsmerge_invoice_id, external_id, null, -{{ measure }}
  from differences
  where not is_other_currency and is_other_month
  union all
  -- {{ measure }}: what is left between the two
  select '{{ measure }}', currency, ledger_period, amount_class, opsmerge_invoice_id, external_id, null,
    {{ 'gross' if measure == 'balance' else measure }}_difference
  from differences
  where not is_other_currency
  union all
  {% endfor %}
  select 'balance', currency, ledger_period, settlement_class, opsmerge_invoice_id, external_id, null, -settlement_difference
  from differences
  where not is_other_currency
  union all
  select 'balance', currency, ledger_period, remainder_class, opsmerge_invoice_id, external_id, null, settlement_difference - applied_difference
  from differences
  where not is_other_currency
  union all
  -- payments: on one side only, or in different currencies
  select 'payments', currency, period, payment_class, opsmerge_invoice_id, external_id, coalesce(payment_id, opsmerge_payment_id), amount
  from payments
  where in_opsmerge and (not in_quickbooks or is_other_currency)
  union all
  select 'payments', ledger_currency, ledger_period, payment_class, opsmerge_invoice_id, external_id, payment_id, -ledger_amount
  from payments
  where in_quickbooks and (not in_opsmerge or is_other_currency)
  union all
  -- payments: pairs in different months, then what is left between the two
  select 'payments', currency, period, date_class, opsmerge_invoice_id, external_id, payment_id, amount
  from payments
  where in_opsmerge and in_quickbooks and not is_other_currency and is_other_month
  union all
  select 'payments', currency, ledger_period, date_class, opsmerge_invoice_id, external_id, payment_id, -amount
  from payments
  where in_opsmerge and in_quickbooks and not is_other_currency and is_other_month
  union all
  select 'payments', currency, ledger_period, payment_class, opsmerge_invoice_id, external_id, payment_id, amount - ledger_amount
  from payments
  where in_opsmerge and in_quickbooks and not is_other_currency
  union all
  -- payments: money in QuickBooks that is applied to no invoice, and allocations that are no money
  select 'payments', currency, period, unapplied_class, null, null, payment_id, -unapplied from {{ ref('unapplied') }}
  union all
  select 'payments', currency, period, credit_class, null, null, payment_id, from_credit from {{ ref('unapplied') }}
  union all
  select 'payments', currency, period, remainder_class, null, null, payment_id, -remainder from {{ ref('unapplied') }}
)

select
  measure,
  coalesce(currency, 'none') as currency,
  period,
  class,
  opsmerge_invoice_id,
  external_id,
  payment_id,
  {{ money('amount') }} as amount
from lines
where amount <> 0
