/*
One row per OpsMerge payment that counts, with the QuickBooks allocation that is its partner where there is one, and one
row per QuickBooks allocation to an invoice that is nobody's partner. A QuickBooks payment over three invoices is three
allocations, as it is three payments in OpsMerge.

Matched by the allocation's key, else within one invoice by reference and amount, by reference, by amount; the first with
the first, the second with the second. What is null matches nothing.

`source_id` names the row; `root_class` and `root_id` the finding that it follows from, which is mostly its own.
*/
with

run as (select * from {{ ref('run') }}),

documents as (
  select
    opsmerge_invoice_id, external_id, document_class, number, ledger_number, proved_pennies, in_opsmerge, client_id, customer_id,
    ledger_balance,
    {{ document_id() }} as document_id
  from {{ ref('pairs') }}
),

opsmerge as (
  select
    payment.*,
    documents.external_id,
    documents.number,
    documents.document_class,
    documents.proved_pennies,
    documents.document_id,
    documents.client_id,
    documents.customer_id,
    documents.ledger_balance,
    row_number() over (partition by payment.allocation_key, payment.is_voided order by payment.opsmerge_payment_id) as use_of_key
  from {{ ref('stg_opsmerge__payments') }} as payment
  left join documents on documents.opsmerge_invoice_id = payment.opsmerge_invoice_id and documents.in_opsmerge
  where not payment.is_gone
),

live as (select * from opsmerge where not is_voided),

quickbooks as (
  select
    payment.realm_id || ':' || payment.payment_id || ':' || allocation.transaction_id as allocation_key,
    payment.payment_id,
    allocation.transaction_id as external_id,
    payment.currency,
    payment.txn_date,
    payment.reference,
    payment.updated_at,
    payment.unapplied,
    max(documents.document_id) as document_id,
    max(documents.opsmerge_invoice_id) as opsmerge_invoice_id,
    max(coalesce(documents.number, documents.ledger_number)) as number,
    max(documents.document_class) as document_class,
    {{ money('sum(allocation.amount)') }} as amount
  from {{ ref('stg_quickbooks__payments') }} as payment
  inner join {{ ref('stg_quickbooks__payment_allocations') }} as allocation
    on allocation.realm_id = payment.realm_id and allocation.payment_id = payment.payment_id
  left join documents on documents.external_id = allocation.transaction_id
  where payment.realm_id = (select realm_id from run) and payment.status = 'active' and allocation.transaction_type = 'invoice'
  group by
    payment.realm_id, payment.payment_id, allocation.transaction_id, payment.currency, payment.txn_date, payment.reference,
    payment.updated_at, payment.unapplied
),

-- Allocations that a credit note gives are no money.
credit_notes as (
  select distinct payment_id
  from {{ ref('stg_quickbooks__payment_allocations') }}
  where realm_id = (select realm_id from run) and transaction_type in ('creditmemo', 'credit_memo')
),

-- What is set against no invoice yet, under the payment's id in place of an allocation's key.
unapplied as (
  select payment_id as allocation_key, payment_id, txn_date, customer_id, reference, unapplied as amount, currency
  from {{ ref('stg_quickbooks__payments') }}
  where realm_id = (select realm_id from run) and status = 'active' and unapplied > 0
),

by_key as (
  select live.opsmerge_payment_id, quickbooks.allocation_key, 'key' as matched_by
  from live
  inner join quickbooks on quickbooks.allocation_key = live.allocation_key
  where live.use_of_key = 1
),

{{ match_payments('by_reference_and_amount', ['by_key'], ['external_id', 'reference', 'amount', 'currency']) }},
{{ match_payments('by_reference', ['by_key', 'by_reference_and_amount'], ['external_id', 'reference']) }},
{{ match_payments('by_amount', ['by_key', 'by_reference_and_amount', 'by_reference'], ['external_id', 'amount', 'currency']) }},

-- The same QuickBooks payment, or the same reference, for the same sum, but on different invoices.
{{ match_payments('by_payment', ['by_key', 'by_reference_and_amount', 'by_reference', 'by_amount'], ['payment_id', 'amount', 'currency']) }},
{{ match_payments('by_reference_elsewhere', ['by_key', 'by_reference_and_amount', 'by_reference', 'by_amount', 'by_payment'], ['reference', 'amount', 'currency']) }},

-- QuickBooks has the payment too, but set it against nothing.
{{ match_payments('by_unapplied', ['by_key', 'by_reference_and_amount', 'by_reference', 'by_amount', 'by_payment', 'by_reference_elsewhere'], ['customer_id', 'reference', 'amount', 'currency'], 'unapplied') }},

matches as (
  {% for step in ['by_key', 'by_reference_and_amount', 'by_reference', 'by_amount', 'by_payment', 'by_reference_elsewhere'] %}
    select opsmerge_payment_id, allocation_key, matched_by from {{ step }} {{ "union all" if not loop.last }}
  {% endfor %}
),

-- What a key once named and no longer does: the allocation, or the whole payment, was voided, deleted or taken off.
once_in_quickbooks as (
  select realm_id || ':' || payment_id as payment_key, updated_at from {{ ref('stg_quickbooks__payments') }}
),

-- Payments entered by hand on both sides bear no key: what QuickBooks took back of them is known by its reference.
taken_back as (
  select distinct customer_id, reference
  from {{ ref('stg_quickbooks__payments') }}
  where realm_id = (select realm_id from run) and status in ('voided', 'deleted') and reference is not null
),

voided_in_opsmerge as (
  select distinct allocation_key from opsmerge where is_voided and allocation_key is not null
),

matched_once as (
  select distinct quickbooks.external_id, quickbooks.reference, quickbooks.amount, quickbooks.currency
  from matches
  inner join quickbooks on quickbooks.allocation_key = matches.allocation_key
  where quickbooks.reference is not null
),

placed as (
  select matches.opsmerge_payment_id, quickbooks.unapplied
  from matches
  inner join quickbooks on quickbooks.allocation_key = matches.allocation_key
),

-- Entered twice in OpsMerge: of one client, reference and amount within days, and QuickBooks has the money once.
unplaced as (
  select *
  from live
  where document_class is null and reference is not null
    and not exists (select 1 from placed where placed.opsmerge_payment_id = live.opsmerge_payment_id)
    and not exists (select 1 from by_unapplied where by_unapplied.opsmerge_payment_id = live.opsmerge_payment_id)
),

opsmerge_copies as (
  select copy.opsmerge_payment_id, min(original.opsmerge_payment_id) as original_id
  from unplaced as copy
  inner join live as original
    on original.reference = copy.reference and original.amount = copy.amount and original.currency = copy.currency
    and original.client_id = copy.client_id
  left join placed on placed.opsmerge_payment_id = original.opsmerge_payment_id
  where original.opsmerge_payment_id <> copy.opsmerge_payment_id
    and {{ entered_twice('copy.paid_on', 'original.paid_on') }}
    and (
      placed.unapplied < copy.amount
      or original.opsmerge_invoice_id = copy.opsmerge_invoice_id and (
        placed.opsmerge_payment_id is not null
        or original.paid_on = copy.paid_on and original.opsmerge_payment_id < copy.opsmerge_payment_id
      )
    )
  group by copy.opsmerge_payment_id
),

paired as (
  select
    live.opsmerge_payment_id,
    quickbooks.allocation_key,
    matches.matched_by,
    coalesce(live.opsmerge_invoice_id, quickbooks.opsmerge_invoice_id) as opsmerge_invoice_id,
    coalesce(quickbooks.external_id, live.external_id) as external_id,
    coalesce(quickbooks.payment_id, split_part(live.allocation_key, ':', 2)) as payment_id,
    coalesce(live.number, quickbooks.number) as number,
    coalesce(quickbooks.number, 'id ' || quickbooks.external_id) as ledger_number,
    coalesce(live.document_id, quickbooks.document_id) as document_id,
    coalesce(live.opsmerge_payment_id, '') || '|'
      || case when live.opsmerge_payment_id is null then coalesce(quickbooks.allocation_key, '') else '' end as source_id,
    case when live.allocation_key like '%:%:%' then split_part(live.allocation_key, ':', 1) end as written_for_company,
    by_unapplied.allocation_key as unapplied_payment_id,
    opsmerge_copies.original_id as opsmerge_original_id,
    credit_notes.payment_id is not null as is_credit,
    live.amount,
    live.currency,
    live.paid_on,
    {{ month('live.paid_on') }} as period,
    live.updated_at,
    live.proved_pennies,
    quickbooks.amount as ledger_amount,
    quickbooks.currency as ledger_currency,
    quickbooks.txn_date as ledger_date,
    {{ month('quickbooks.txn_date') }} as ledger_period,
    coalesce(quickbooks.updated_at, once_in_quickbooks.updated_at) as ledger_updated_at,
    coalesce(live.document_class, quickbooks.document_class) as document_class,
    live.currency is distinct from quickbooks.currency as is_other_currency,
    {{ month('live.paid_on') }} <> {{ month('quickbooks.txn_date') }} as is_other_month,
    live.opsmerge_payment_id is not null as in_opsmerge,
    quickbooks.allocation_key is not null as in_quickbooks,
    live.allocation_key is not null and live.use_of_key > 1 as is_second_use,
    once_in_quickbooks.payment_key is not null as was_in_quickbooks,
    taken_back.reference is not null as was_taken_back,
    live.ledger_balance,
    -- Whether QuickBooks has enough open on the invoice to take the payment.
    coalesce(live.ledger_balance >= live.amount, true) as has_room,
    voided_in_opsmerge.allocation_key is not null as was_in_opsmerge,
    matched_once.external_id is not null as is_repeated,
    quickbooks.opsmerge_invoice_id is not null as is_ours,
    quickbooks.opsmerge_invoice_id <> live.opsmerge_invoice_id as is_elsewhere
  from live
  full join matches on matches.opsmerge_payment_id = live.opsmerge_payment_id
  full join quickbooks on quickbooks.allocation_key = matches.allocation_key
  left join by_unapplied on by_unapplied.opsmerge_payment_id = live.opsmerge_payment_id
  left join opsmerge_copies on opsmerge_copies.opsmerge_payment_id = live.opsmerge_payment_id
  left join credit_notes on credit_notes.payment_id = quickbooks.payment_id
  left join once_in_quickbooks
    on once_in_quickbooks.payment_key = case
      when quickbooks.allocation_key is null then split_part(live.allocation_key, ':', 1) || ':' || split_part(live.allocation_key, ':', 2)
    end
  left join taken_back
    on taken_back.customer_id = live.customer_id
    and taken_back.reference = case when quickbooks.allocation_key is null and live.allocation_key is null then live.reference end
  left join voided_in_opsmerge
    on voided_in_opsmerge.allocation_key = case when live.opsmerge_payment_id is null then quickbooks.allocation_key end
  left join matched_once
    on matched_once.external_id = case when live.opsmerge_payment_id is null then quickbooks.external_id end
    and matched_once.reference = quickbooks.reference
    and matched_once.amount = quickbooks.amount
    and matched_once.currency = quickbooks.currency
),

known as (
  select payment_id from paired where in_opsmerge and payment_id is not null
  union all
  select unapplied_payment_id from paired where unapplied_payment_id is not null
),

{{ payment_copies() }},

judged as (
  select
    paired.*,
    coalesce(opsmerge_original_id, copies.original_id) as original_id,
    case
      when in_opsmerge and in_quickbooks and (matched_by in ('by_payment', 'by_reference_elsewhere') or is_elsewhere) then 'P04'
      when in_opsmerge and in_quickbooks and is_other_currency then 'P10'
      when in_opsmerge and in_quickbooks and abs(amount - ledger_amount) between 0.01 and proved_pennies then 'P08'
      when in_opsmerge and in_quickbooks and amount is distinct from ledger_amount then 'P03'
      when in_opsmerge and in_quickbooks then null
      when in_opsmerge and is_second_use then 'P06'
      when in_opsmerge and (was_in_quickbooks or was_taken_back) then 'P09'
      when in_opsmerge and document_class in ('D01', 'D02', 'D04', 'D05') then 'D03'
      when in_opsmerge and document_class in ('T01', 'T02') then 'T03'
      when in_opsmerge and opsmerge_original_id is not null then 'P06'
      when in_opsmerge then 'P01'
      when was_in_opsmerge then 'P09'
      when is_repeated or copies.original_id is not null then 'P06'
      else 'P02'
    end as fixed_class,
    case
      when in_opsmerge and in_quickbooks and paid_on is distinct from ledger_date
        then case when is_other_month then 'P07' else 'P12' end
    end as fixed_date_class,
    coalesce(
      updated_at > run.read_from and updated_at <= run.read_until
      or ledger_updated_at > run.read_from and ledger_updated_at <= run.read_until,
      false
    ) as is_moving,
    written_for_company <> run.realm_id as is_of_another_company,
    run.connection,
    run.read_from,
    run.read_until
  from paired
  left join copies on copies.payment_id = case when not paired.in_opsmerge then paired.payment_id end
  cross join run
)

select
  judged.*,
  case
    -- pull-payments brings it by itself, if it is for an invoice of ours.
    when fixed_class in ('P02', 'P03', 'P04', 'P09')
      and (is_ours or fixed_class <> 'P02')
      and {{ waits('fixed_class', 'ledger_updated_at') }} then 'T03'
    -- A payment that pull-payments has not met yet is on its way before it is a copy.
    when fixed_class = 'P06' and not in_opsmerge and is_ours and {{ waits("'P02'", 'ledger_updated_at') }} then 'T03'
    when fixed_class like 'P%' and fixed_class <> 'P08' and is_moving then 'T05'
    when fixed_class not in ('P02', 'P03', 'P04', 'P09') and {{ waits('fixed_class', 'greatest(updated_at, ledger_updated_at)') }} then 'T06'
    else fixed_class
  end as payment_class,
  case
    when fixed_date_class is not null and is_moving then 'T05'
    when {{ waits('fixed_date_class', 'greatest(updated_at, ledger_updated_at)') }} then 'T06'
    else fixed_date_class
  end as date_class,
  case
    when fixed_class in ('P01', 'P02') and document_class like 'I%' then document_class
    when fixed_class = 'P01' and unapplied_payment_id is not null and has_room then 'P05'
    else fixed_class
  end as root_class,
  case
    when fixed_class in ('P01', 'P02') and document_class like 'I%' then document_id
    when fixed_class = 'P01' and unapplied_payment_id is not null and has_room then unapplied_payment_id
    else source_id
  end as root_id
from judged
