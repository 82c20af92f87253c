/*
One row per invoice that contradicts itself within its own system: in OpsMerge the amount paid, the payments, and the total
less the balance (O01); in QuickBooks the VAT and its own VAT lines (Q01). The effect on the statement is in other classes.

OpsMerge's invoices and payments are read one after the other: what changed in between waits for the next run.
*/
with

run as (select * from {{ ref('run') }}),

paid as (
  select
    payment.opsmerge_invoice_id,
    {{ money('sum(case when payment.is_voided or payment.is_gone then 0 else payment.amount end)') }} as amount,
    max(case when payment.updated_at > run.read_from and payment.updated_at <= run.read_until then 1 else 0 end) as moving
  from {{ ref('stg_opsmerge__payments') }} as payment
  cross join run
  group by payment.opsmerge_invoice_id
),

invoices as (
  select
    invoice.opsmerge_invoice_id,
    invoice.gross,
    invoice.balance,
    invoice.amount_paid,
    {{ money('coalesce(paid.amount, 0)') }} as payments,
    {{ money('invoice.gross - invoice.balance') }} as settled,
    coalesce(paid.moving = 1 or invoice.updated_at > run.read_from and invoice.updated_at <= run.read_until, false) as is_moving
  from {{ ref('stg_opsmerge__invoices') }} as invoice
  cross join run
  left join paid on paid.opsmerge_invoice_id = invoice.opsmerge_invoice_id
  where not invoice.is_gone and invoice.status in ('open', 'paid', 'overdue')
),

opsmerge as (
  select
    'O01' as fixed_class,
    opsmerge_invoice_id,
    'amount paid ' || coalesce(cast(amount_paid as varchar), 'none') || ', payments ' || cast(payments as varchar)
      || ', total less balance ' || cast(settled as varchar) as opsmerge_value,
    greatest(abs(payments - amount_paid), abs(payments - settled)) as exposure,
    is_moving
  from invoices
  -- An overpaid invoice may owe nothing rather than less than nothing.
  where amount_paid <> payments or settled <> payments and not (balance = 0 and payments > gross)
),

taxed as (
  select external_id, {{ money('sum(amount)') }} as tax
  from {{ ref('stg_quickbooks__tax_lines') }}
  where realm_id = (select realm_id from run)
  group by external_id
),

-- A company that gives no VAT lines at all is not held against them.
quickbooks as (
  select
    'Q01' as fixed_class,
    invoice.external_id,
    'VAT ' || cast(invoice.tax as varchar) || ', VAT lines ' || cast({{ money('coalesce(taxed.tax, 0)') }} as varchar) as ledger_value,
    abs(invoice.tax - coalesce(taxed.tax, 0)) as exposure
  from {{ ref('stg_quickbooks__invoices') }} as invoice
  left join taxed on taxed.external_id = invoice.external_id
  where invoice.realm_id = (select realm_id from run) and invoice.status = 'live'
    and invoice.tax <> coalesce(taxed.tax, 0) and exists (select 1 from taxed)
)

select
  opsmerge.fixed_class,
  case when opsmerge.is_moving then 'T05' else opsmerge.fixed_class end as class,
  pairs.currency,
  pairs.period,
  pairs.opsmerge_invoice_id,
  pairs.number,
  pairs.external_id,
  opsmerge.opsmerge_value,
  cast(null as varchar) as ledger_value,
  opsmerge.exposure,
  opsmerge.opsmerge_invoice_id as source_id
from opsmerge
inner join {{ ref('pairs') }} as pairs on pairs.opsmerge_invoice_id = opsmerge.opsmerge_invoice_id and pairs.in_opsmerge
union all
select
  quickbooks.fixed_class,
  quickbooks.fixed_class,
  pairs.ledger_currency,
  pairs.ledger_period,
  pairs.opsmerge_invoice_id,
  coalesce(pairs.number, pairs.ledger_number),
  pairs.external_id,
  null,
  quickbooks.ledger_value,
  quickbooks.exposure,
  quickbooks.external_id
from quickbooks
inner join {{ ref('pairs') }} as pairs on pairs.external_id = quickbooks.external_id
