-- One row per QuickBooks payment of which a part is applied to no invoice.
with

run as (select * from {{ ref('run') }}),

payments as (
  select * from {{ ref('stg_quickbooks__payments') }}
  where realm_id = (select realm_id from {{ ref('run') }}) and status = 'active'
),

allocations as (
  select
    payment_id,
    {{ money("sum(case when transaction_type = 'invoice' then amount else 0 end)") }} as to_invoices,
    {{ money("sum(case when transaction_type in ('creditmemo', 'credit_memo') then amount else 0 end)") }} as from_credit
  from {{ ref('stg_quickbooks__payment_allocations') }}
  where realm_id = (select realm_id from {{ ref('run') }})
  group by payment_id
),

proved_pennies as (
  select allocation.payment_id, {{ money('sum(pairs.proved_pennies)') }} as pennies
  from {{ ref('stg_quickbooks__payment_allocations') }} as allocation
  inner join {{ ref('pairs') }} as pairs on pairs.external_id = allocation.transaction_id and pairs.proved_pennies <> 0
  where allocation.transaction_type = 'invoice' and allocation.realm_id = (select realm_id from {{ ref('run') }})
  group by allocation.payment_id
),

known as (
  select payment_id from {{ ref('payment_pairs') }} where in_opsmerge and payment_id is not null
  union all
  select unapplied_payment_id from {{ ref('payment_pairs') }} where unapplied_payment_id is not null
),

{{ payment_copies() }},

parts as (
  select
    payments.payment_id,
    payments.reference,
    payments.customer_name,
    payments.currency,
    {{ month('payments.txn_date') }} as period,
    payments.txn_date,
    payments.updated_at,
    payments.total,
    payments.unapplied,
    {{ money('coalesce(allocations.from_credit, 0)') }} as from_credit,
    {{ money('payments.total - coalesce(allocations.to_invoices, 0) - payments.unapplied + coalesce(allocations.from_credit, 0)') }} as remainder,
    {{ money('coalesce(proved_pennies.pennies, 0)') }} as pennies,
    copies.original_id,
    wanted.number as wanted_number
  from payments
  left join allocations on allocations.payment_id = payments.payment_id
  left join proved_pennies on proved_pennies.payment_id = payments.payment_id
  left join copies on copies.payment_id = payments.payment_id
  -- The invoice on which OpsMerge has the payment.
  left join {{ ref('payment_pairs') }} as wanted on wanted.unapplied_payment_id = payments.payment_id and wanted.has_room
),

judged as (
  select
    parts.*,
    case
      when unapplied = 0 then null
      when unapplied > 0 and unapplied <= pennies then 'P08'
      when original_id is not null then 'P06'
      else 'P05'
    end as fixed_unapplied_class,
    case when from_credit <> 0 then 'D06' end as credit_class,
    case when remainder <> 0 then 'P11' end as fixed_remainder_class,
    updated_at > run.read_from and updated_at <= run.read_until as is_moving,
    run.read_from,
    run.read_until
  from parts
  cross join run
  where unapplied <> 0 or from_credit <> 0 or remainder <> 0
)

select
  *,
  case
    when fixed_unapplied_class in ('P05', 'P06') and is_moving then 'T05'
    when {{ waits('fixed_unapplied_class', 'updated_at') }} then 'T06'
    else fixed_unapplied_class
  end as unapplied_class,
  case
    when fixed_remainder_class is not null and is_moving then 'T05'
    when {{ waits('fixed_remainder_class', 'updated_at') }} then 'T06'
    else fixed_remainder_class
  end as remainder_class
from judged
