/*
One row per entity and class: everything that is to be told of, before severity, history and acceptance are added.
`entity` is invoice, payment, unapplied, customer, credit_memo, series or receivables; `source_id` names it within its
side. A timing item also names the class it stands for, as a document may carry several. What follows from another finding
names that one's class and source_id (`root_class`, `root_id`), and `drift` shows its remedy. `is_graver` is one step up in
severity for a reason of its own.
*/
with

pairs as (select * from {{ ref('pairs') }}),

differences as (select * from {{ ref('differences') }}),

payments as (select * from {{ ref('payment_pairs') }}),

own_sums as (select * from {{ ref('own_sums') }}),

documents as (
  select
    'invoice' as entity, document_class as class,
    case when document_class in ('T04', 'T05', 'T06') then fixed_class else document_class end as root_class,
    cast(null as varchar) as root_id,
    case when document_class = 'I12' or document_class = 'I15' or document_class = 'I17' or document_class = 'I18'
      then nullif(rtrim(concat_ws(': ', fault_code, fault_message), '.'), '') || '.' end as cause,
    case
      when document_class in ('I12', 'I15', 'I17', 'I18') then posting_remedy
      when document_class in ('I02', 'I03', 'I05', 'I06', 'I07', 'I10') and ledger_balance <> ledger_gross then
        cast(ledger_gross - ledger_balance as varchar) || ' was set against this invoice in QuickBooks. Move that to the right invoice first, or pay it back; then: ' || {{ void_invoice() }}
      when document_class = 'I03' then 'Void the copy in QuickBooks (id ' || external_id || ').'
    end as remedy,
    case when in_opsmerge then currency else ledger_currency end as currency,
    case when in_opsmerge then period else ledger_period end as period,
    opsmerge_invoice_id,
    coalesce(number, ledger_number) as number,
    coalesce(external_id, posted_external_id) as external_id,
    cast(null as varchar) as payment_id,
    case when in_opsmerge then status || ' ' || cast(gross as varchar) end as opsmerge_value,
    case when in_quickbooks then ledger_status || ' ' || cast(ledger_gross as varchar) || case when in_opsmerge then '' else ' (id ' || external_id || ')' end end as ledger_value,
    case when in_opsmerge and status <> 'voided' then gross else 0 end
      - case when in_quickbooks and ledger_status <> 'deleted' then ledger_gross else 0 end as effect,
    case when document_class in ('I02', 'I03', 'I05', 'I06', 'I07', 'I10') then ledger_gross else coalesce(gross, ledger_gross) end as exposure,
    false as is_graver,
    {{ document_id() }} || case when document_class <> fixed_class then '|' || fixed_class else '' end as source_id
  from pairs
  where document_class is not null
),

-- class column, the class whose place it takes in timing, both sides' values, effect, exposure
flags as (
  {% set flags = [
    ('amount_class', 'fixed_amount_class',
     "case when fixed_amount_class = 'A06' then currency || ' ' || cast(gross as varchar) when fixed_amount_class = 'A01' then 'net ' || cast(net as varchar) else 'VAT ' || cast(tax as varchar) end",
     "case when fixed_amount_class = 'A06' then ledger_currency || ' ' || cast(ledger_gross as varchar) when fixed_amount_class = 'A01' then 'net ' || cast(ledger_net as varchar) else 'VAT ' || cast(ledger_tax as varchar) end",
     "case when fixed_amount_class = 'A06' then 0 else gross_difference end",
     "case when fixed_amount_class = 'A06' then gross + ledger_gross else greatest(abs(gross_difference), abs(tax_difference)) end"),
    ('settlement_class', 'fixed_settlement_class', "'balance ' || cast(balance as varchar)", "'balance ' || cast(ledger_balance as varchar)",
     '-settlement_difference', 'abs(settlement_difference)'),
    ('remainder_class', 'fixed_remainder_class', "'balance ' || cast(balance as varchar)",
     "'balance ' || cast(ledger_balance as varchar) || ', of ' || cast(ledger_gross as varchar) || ' less payments: remainder ' || cast(remainder as varchar)",
     'settlement_difference - applied_difference', 'abs(remainder)'),
    ('line_class', 'fixed_line_class', "case fixed_line_class when 'A04' then 'lines' else 'tax codes' end",
     "case fixed_line_class when 'A04' then 'other lines' else 'other tax codes' end", '0', 'gross'),
    ('date_class', 'fixed_date_class', 'cast(issue_date as varchar)', 'cast(ledger_date as varchar)', '0', 'gross'),
    ('due_date_class', 'fixed_due_date_class', 'cast(due_date as varchar)', 'cast(ledger_due_date as varchar)', '0', '0'),
    ('customer_class', 'fixed_customer_class', 'client_name', 'customer_name', '0', 'gross'),
    ('number_class', 'fixed_number_class', 'number', 'ledger_number', '0', '0'),
    ('recreated_class', 'recreated_class', 'posted_external_id', 'external_id', '0', 'gross'),
    ('status_class', 'fixed_status_class', "status || ', balance ' || cast(balance as varchar)", "'balance ' || cast(ledger_balance as varchar)", '0', '0'),
  ] %}
  {% for class, fixed, opsmerge_value, ledger_value, effect, exposure in flags %}
  select
    'invoice' as entity,
    {{ class }} as class,
    {% if class == 'settlement_class' -%}
    -- What is owed differs because a payment does, or else because OpsMerge contradicts itself.
    case when settlement_class in ('S01', 'S02', 'S03') then coalesce(settlement_root_class, own_sums.fixed_class, settlement_class)
      else fixed_settlement_class end as root_class,
    case when settlement_class in ('S01', 'S02', 'S03') then coalesce(settlement_root_id, own_sums.source_id) end as root_id,
    {%- else -%}
    {{ fixed }} as root_class, cast(null as varchar) as root_id,
    {%- endif %}
    {% if class == 'amount_class' -%}
    case when fixed_amount_class in ('A01', 'A02') then
      case changed_in
        when 'quickbooks' then 'Edited in QuickBooks after posting: OpsMerge still has what was posted.'
        when 'opsmerge' then 'Edited in OpsMerge after posting: QuickBooks still has what was posted.'
        when 'both' then 'Neither side has what was posted: both were edited.'
      end
    end
    {%- elif class == 'customer_class' -%}
    case
      when namesake_id is not null then 'Another active customer (id ' || namesake_id || ') bears the client''s name; the invoice stands under id ' || customer_id || '.'
      when is_of_another_client then 'The invoice stands under a customer (id ' || customer_id || ') that bears the name of another client.'
    end
    {%- else -%} cast(null as varchar) {%- endif %} as cause,
    {% if class == 'amount_class' -%}
    case when fixed_amount_class in ('A01', 'A02') then
      case changed_in
        when 'quickbooks' then 'Put the invoice in QuickBooks back to what OpsMerge has.'
        when 'opsmerge' then 'Void the invoice in QuickBooks and post it again with books retry, or undo the edit in OpsMerge.'
      end
    end
    {%- else -%} cast(null as varchar) {%- endif %} as remedy,
    differences.currency, differences.period, differences.opsmerge_invoice_id,
    coalesce(differences.number, ledger_number) as number, differences.external_id, cast(null as varchar) as payment_id,
    {{ opsmerge_value }} as opsmerge_value, {{ ledger_value }} as ledger_value, {{ effect }} as effect, {{ exposure }} as exposure,
    {{ 'is_other_vat_period' if class == 'date_class' else 'false' }} as is_graver,
    differences.opsmerge_invoice_id{{ " || case when " ~ class ~ " <> " ~ fixed ~ " then '|' || " ~ fixed ~ " else '' end" if class != fixed }} as source_id
  from differences
  {% if class == 'settlement_class' %}left join own_sums on own_sums.opsmerge_invoice_id = differences.opsmerge_invoice_id and own_sums.fixed_class = 'O01'{% endif %}
  where {{ class }} is not null {{ "and " ~ class ~ " <> 'H05'" if class == 'customer_class' }}
  {{ "union all" if not loop.last }}
  {% endfor %}
),

links as (
  select
    'invoice', link_class, fixed_link_class, cast(null as varchar),
    case when is_of_another_company then 'The invoice belongs to ' || linked_connection || ' in OpsMerge, and is in these books too.' end,
    case when is_of_another_company
      then 'Find out which company made the sale; void the invoice in the other one.' end,
    currency, period, opsmerge_invoice_id, number, external_id, cast(null as varchar),
    coalesce(linked_connection, 'no connection') || ', id ' || coalesce(linked_external_id, 'none'),
    connection || ', id ' || external_id,
    0, gross, is_of_another_company,
    opsmerge_invoice_id || '|link' || case when link_class <> fixed_link_class then '|' || fixed_link_class else '' end
  from {{ ref('links') }}
),

renamed as (
  select
    'customer' as entity, 'H05' as class, 'H05' as root_class, cast(null as varchar) as root_id, cast(null as varchar) as cause, cast(null as varchar) as remedy,
    min(currency) as currency, max(period) as period, cast(null as varchar) as opsmerge_invoice_id,
    cast(null as varchar) as number, customer_id as external_id, cast(null as varchar) as payment_id,
    client_name as opsmerge_value, customer_name as ledger_value, 0 as effect, 0 as exposure, false as is_graver,
    customer_id || '|' || client_name as source_id
  from differences
  where customer_class = 'H05'
  group by customer_id, client_name, customer_name
),

payment_amounts as (
  select
    'payment' as entity, payment_class as class,
    case
      when payment_class <> fixed_class then fixed_class
      when root_class = 'P02' and is_credit then coalesce(credit_class, 'D06')
      when root_class = 'P01' and remainder = amount then 'S04'
      else root_class
    end as root_class,
    case
      when payment_class <> fixed_class then null
      when root_class = 'P02' and is_credit then coalesce(credited.invoice_id, payment_id)
      when root_class = 'P01' and remainder = amount then settled_otherwise.invoice_id
      else root_id
    end as root_id,
    case
      when fixed_class = 'P04' then 'The payment is on ' || number || ' in OpsMerge, and on ' || ledger_number || ' in QuickBooks.'
      when fixed_class = 'P01' and is_of_another_company then
        'A connection with another company (' || written_for_company || ') wrote the payment into OpsMerge; QuickBooks does not have it.'
    end as cause,
    case
      when payment_class <> fixed_class then null
      when fixed_class = 'P01' and is_of_another_company then
        'If company ' || written_for_company || ' is a sandbox, void the payment in OpsMerge; else record it in QuickBooks.'
      when fixed_class = 'P01' and not has_room then
        'QuickBooks has only ' || cast(ledger_balance as varchar) || ' open on the invoice: void the payment in OpsMerge, unless the bank shows that money besides.'
      when fixed_class = 'P09' and was_taken_back then 'QuickBooks voided or deleted it: void it in OpsMerge too.'
      when fixed_class = 'P04' then
        'Apply it to one invoice on both sides: ' || number || ', where OpsMerge has it, or ' || ledger_number || ', where QuickBooks has it.'
      when fixed_class = 'P06' and in_opsmerge then {{ void_the_copy('OpsMerge', 'opsmerge_payment_id') }}
      when fixed_class = 'P06' then {{ void_the_copy('QuickBooks', 'payment_id') }}
    end as remedy,
    coalesce(currency, ledger_currency) as currency,
    case when in_opsmerge then period else ledger_period end as period,
    opsmerge_invoice_id, number, external_id,
    case when in_quickbooks or was_in_quickbooks then payment_id end as payment_id,
    case when in_opsmerge then cast(amount as varchar) || case when fixed_class = 'P04' then ' on ' || number else '' end end as opsmerge_value,
    case when in_quickbooks then cast(ledger_amount as varchar) || case when fixed_class = 'P04' then ' on ' || ledger_number else '' end end as ledger_value,
    case when payment_class = 'P10' then 0 else coalesce(amount, 0) - coalesce(ledger_amount, 0) end as effect,
    case when fixed_class = 'P03' then abs(amount - ledger_amount) else coalesce(amount, ledger_amount) end as exposure,
    false as is_graver,
    source_id || case when payment_class <> fixed_class then '|' || fixed_class else '' end as source_id
  from payments
  -- A credit note is no payment that is missing: it is a credit that OpsMerge does not have, or one by design.
  left join (select opsmerge_invoice_id as invoice_id, fixed_settlement_class as credit_class from differences where fixed_settlement_class = 'S06') as credited
    on credited.invoice_id = payments.opsmerge_invoice_id
  -- OpsMerge holds as a payment what QuickBooks settled by something else.
  left join (select opsmerge_invoice_id as invoice_id, remainder from differences where fixed_remainder_class = 'S04') as settled_otherwise
    on settled_otherwise.invoice_id = payments.opsmerge_invoice_id
  where payment_class is not null
),

payment_dates as (
  select
    'payment', date_class, fixed_date_class, cast(null as varchar), cast(null as varchar), cast(null as varchar), currency, period, opsmerge_invoice_id, number, external_id,
    payment_id, cast(paid_on as varchar), cast(ledger_date as varchar), 0, amount, false,
    opsmerge_payment_id || case when date_class <> fixed_date_class then '|' || fixed_date_class else '' end
  from payments
  where date_class is not null
),

unapplied as (
  {% for class, fixed, amount, exposure in [
    ('unapplied_class', 'fixed_unapplied_class', '-unapplied', 'abs(unapplied)'),
    ('credit_class', 'credit_class', 'from_credit', 'from_credit'),
    ('remainder_class', 'fixed_remainder_class', '-remainder', 'abs(remainder)'),
  ] %}
  select
    'unapplied', {{ class }}, {{ fixed }}, cast(null as varchar), cast(null as varchar),
    {% if class == 'unapplied_class' -%}
    case
      when unapplied_class = 'P06' then {{ void_the_copy('QuickBooks', 'payment_id') }}
      when unapplied_class = 'P05' then
        'Apply it in QuickBooks to invoice ' || wanted_number || ', where OpsMerge has it: recording it again would double it.'
    end
    {%- else -%} cast(null as varchar) {%- endif %}, currency, period, cast(null as varchar), cast(null as varchar),
    cast(null as varchar), payment_id, cast(null as varchar), customer_name || ' ' || cast({{ exposure }} as varchar), {{ amount }}, {{ exposure }}, false,
    payment_id || case when {{ class }} <> {{ fixed }} then '|' || {{ fixed }} else '' end
  from {{ ref('unapplied') }}
  where {{ class }} is not null
  {{ "union all" if not loop.last }}
  {% endfor %}
),

credit_notes as (
  select
    'credit_memo', 'C01', 'C01', cast(null as varchar), cast(null as varchar), cast(null as varchar), currency, {{ month('txn_date') }}, cast(null as varchar), doc_number,
    credit_memo_id, cast(null as varchar), cast(null as varchar), customer_name || ' ' || cast(gross as varchar), 0, gross, false, credit_memo_id
  from {{ ref('stg_quickbooks__credit_memos') }}
  where realm_id = (select realm_id from {{ ref('run') }}) and status = 'live'
),

-- Numbers of a year's series that no OpsMerge invoice bears, voided ones included: one row per gap.
numbered as (
  select
    number,
    {{ series_of('number') }} as series,
    {{ sequence_of('number') }} as sequence,
    lag(number) over (partition by {{ series_of('number') }} order by {{ sequence_of('number') }}) as number_before,
    lag({{ sequence_of('number') }}) over (partition by {{ series_of('number') }} order by {{ sequence_of('number') }}) as sequence_before
  from {{ ref('stg_opsmerge__invoices') }}
  where not is_gone and {{ series_of('number') }} is not null
),

number_gaps as (
  select
    'series', 'I16', 'I16', cast(null as varchar), cast(null as varchar), cast(null as varchar), cast(null as varchar), cast(null as varchar),
    cast(null as varchar),
    'after ' || number_before, cast(null as varchar), cast(null as varchar),
    cast(sequence - sequence_before - 1 as varchar) || ' missing between ' || number_before || ' and ' || number,
    cast(null as varchar), 0, 0, false, number_before
  from numbered
  where sequence - sequence_before > 1
),

namesakes as (
  select {{ bare_name('display_name') }} as bare_name, min(customer_id) as customer_id, string_agg(display_name, ', ' order by customer_id) as names
  from {{ ref('stg_quickbooks__customers') }}
  where realm_id = (select realm_id from {{ ref('run') }}) and is_active and not is_gone and {{ bare_name('display_name') }} <> ''
  group by {{ bare_name('display_name') }}
  having count(*) > 1
),

duplicate_customers as (
  select
    'customer', 'U01', 'U01', cast(null as varchar), cast(null as varchar), cast(null as varchar), cast(null as varchar), cast(null as varchar),
    cast(null as varchar), cast(null as varchar), customer_id, cast(null as varchar), cast(null as varchar), names, 0, 0, false, bare_name
  from namesakes
),

receivables as (
  select
    'receivables', 'R01', 'R01', cast(null as varchar), cast(null as varchar), cast(null as varchar), currency, cast(null as varchar), cast(null as varchar),
    'receivables ' || currency, cast(null as varchar), cast(null as varchar), cast(null as varchar),
    cast(other as varchar) || ' beside the documents', 0, abs(other), false, currency
  from {{ ref('receivables') }}
  where is_read and other <> 0
),

contradictions as (
  select
    'invoice', class, fixed_class, cast(null as varchar), cast(null as varchar), cast(null as varchar), currency, period,
    opsmerge_invoice_id, number, external_id, cast(null as varchar), opsmerge_value, ledger_value, 0, exposure, false,
    source_id || case when class <> fixed_class then '|' || fixed_class else '' end
  from own_sums
),

everything as (
  select * from documents
  union all
  select * from flags
  union all
  select * from links
  union all
  select * from renamed
  union all
  select * from payment_amounts
  union all
  select * from payment_dates
  union all
  select * from unapplied
  union all
  select * from credit_notes
  union all
  select * from number_gaps
  union all
  select * from duplicate_customers
  union all
  select * from receivables
  union all
  select * from contradictions
)

select
  entity, class, root_class, root_id, cause, remedy, currency, period, opsmerge_invoice_id, number, external_id, payment_id,
  opsmerge_value, ledger_value, {{ money('effect') }} as effect, {{ money('exposure') }} as exposure, is_graver, source_id
from everything
