/*
Payments and their allocations: P01 to P12, with what is meant (D03, D06) and on its way (T03). The waterfalls are in
`payment_pairs` and `unapplied`, which find each payment's partner.
*/
with

-- A credit note is no payment that is missing: it is a credit that OpsMerge does not have, or one by design.
credited as (
  select opsmerge_invoice_id as credited_invoice_id from {{ ref('drift_settlement') }} where rule = 'S06'
),

-- OpsMerge holds as a payment what QuickBooks settled by something else.
settled_otherwise as (
  select opsmerge_invoice_id as invoice_id, amount as remainder from {{ ref('drift_settlement') }} where rule = 'S04'
),

payments as (
  select
    payments.*,
    credited_invoice_id,
    root_class = 'P02' and is_credit as is_by_credit,
    root_class = 'P01' and remainder = amount as is_settled_otherwise,
    fixed_class = 'P01' and is_of_another_company as is_written_by_another,
    case when fixed_class = 'P04' then ' on ' || number else '' end as on_number,
    case when fixed_class = 'P04' then ' on ' || ledger_number else '' end as on_ledger_number
  from {{ ref('payment_pairs') }} as payments
  left join credited on credited_invoice_id = opsmerge_invoice_id
  left join settled_otherwise on invoice_id = opsmerge_invoice_id
  where payment_class is not null
),

amounts as (
  select
    *,
    case
      when payment_class <> fixed_class then fixed_class
      when is_by_credit then case when credited_invoice_id is null then 'D06' else 'S06' end
      when is_settled_otherwise then 'S04'
      else root_class
    end as shown_root_class,
    case
      when payment_class <> fixed_class then null
      when is_by_credit then coalesce(credited_invoice_id, payment_id)
      when is_settled_otherwise then opsmerge_invoice_id
      else root_id
    end as shown_root_id,
    case
      when is_written_by_another then 'of_another_company'
      when fixed_class = 'P01' and not has_room then 'no_room'
      when fixed_class = 'P09' and was_taken_back then 'taken_back'
      when fixed_class = 'P04' then 'on_two_invoices'
      when fixed_class = 'P06' then
        case when in_opsmerge then 'copy_in_opsmerge' else 'copy_in_quickbooks' end || case when original_id is null then '' else '_of_a_known_one' end
    end as variant
  from payments
)

{{ finding(
  entity="'payment'", part="'amount'", class='payment_class', rule='fixed_class', source_id='source_id',
  root_class='shown_root_class', root_id='shown_root_id',
  currency='coalesce(currency, ledger_currency)', period='case when in_opsmerge then period else ledger_period end',
  payment_id='case when in_quickbooks or was_in_quickbooks then payment_id end',
  opsmerge_value='case when in_opsmerge then cast(amount as varchar) || on_number end',
  ledger_value='case when in_quickbooks then cast(ledger_amount as varchar) || on_ledger_number end',
  effect="case when payment_class = 'P10' then 0 else coalesce(amount, 0) - coalesce(ledger_amount, 0) end",
  exposure="case when fixed_class = 'P03' then abs(amount - ledger_amount) else coalesce(amount, ledger_amount) end",
  variant='variant', id='case when in_opsmerge then opsmerge_payment_id else payment_id end', other_id='original_id',
  other_number='ledger_number', amount='ledger_balance', company='written_for_company',
) }}
from amounts
union all
{{ finding(
  entity="'payment'", part="'date'", class='date_class', rule='fixed_date_class', source_id='opsmerge_payment_id',
  payment_id='payment_id', opsmerge_value='cast(paid_on as varchar)', ledger_value='cast(ledger_date as varchar)', exposure='amount',
) }}
from {{ ref('payment_pairs') }}
where date_class is not null
union all
{{ finding(
  entity="'unapplied'", part="'unapplied'", class='unapplied_class', rule='fixed_unapplied_class', source_id='payment_id',
  opsmerge_invoice_id='null', number='null', external_id='null', payment_id='payment_id',
  ledger_value="customer_name || ' ' || cast(abs(unapplied) as varchar)", effect='-unapplied', exposure='abs(unapplied)',
  variant="case unapplied_class when 'P06' then 'copy_in_quickbooks_of_a_known_one' when 'P05' then 'wanted_by_an_invoice' end",
  id='payment_id', other_id='original_id', other_number='wanted_number',
) }}
from {{ ref('unapplied') }}
where unapplied_class is not null
union all
{{ finding(
  entity="'unapplied'", part="'credit'", class='credit_class', rule='credit_class', source_id='payment_id',
  opsmerge_invoice_id='null', number='null', external_id='null', payment_id='payment_id',
  ledger_value="customer_name || ' ' || cast(from_credit as varchar)", effect='from_credit', exposure='from_credit',
) }}
from {{ ref('unapplied') }}
where credit_class is not null
union all
{{ finding(
  entity="'unapplied'", part="'remainder'", class='remainder_class', rule='fixed_remainder_class', source_id='payment_id',
  opsmerge_invoice_id='null', number='null', external_id='null', payment_id='payment_id',
  ledger_value="customer_name || ' ' || cast(abs(remainder) as varchar)", effect='-remainder', exposure='abs(remainder)',
) }}
from {{ ref('unapplied') }}
where remainder_class is not null
