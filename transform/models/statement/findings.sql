/*
One row per entity and class: everything that is to be told of, before severity, history and acceptance are added.
`entity` is invoice, payment, unapplied, customer, credit_memo, series or receivables; `source_id` names it within its
side. A timing item also names the class it stands for, as a document may carry several. `is_graver` is one step up in
severity for a reason of its own.
*/
with

pairs as (select * from {{ ref('pairs') }}),

differences as (select * from {{ ref('differences') }}),

payments as (select * from {{ ref('payment_pairs') }}),

settlements as (
  select opsmerge_invoice_id, min(payment_class) as payment_class
  from payments
  where payment_class in ('P01', 'P02', 'P03', 'P04', 'P06', 'P09')
  group by opsmerge_invoice_id
),

documents as (
  select
    'invoice' as entity, document_class as class,
    case when document_class in ('T04', 'T05', 'T06') then fixed_class else document_class end as root_class,
    case when document_class = 'I12' or document_class = 'I15' or document_class = 'I17' or document_class = 'I18'
      then nullif(rtrim(concat_ws(': ', fault_code, fault_message), '.'), '') || '.' end as cause,
    case when document_class in ('I12', 'I15', 'I17', 'I18') then posting_remedy end as remedy,
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
    coalesce(opsmerge_invoice_id, '') || '|'
      || case when opsmerge_invoice_id is null or fixed_class in ('I03', 'I10') then coalesce(external_id, '') else '' end
      || case when document_class <> fixed_class then '|' || fixed_class else '' end as source_id
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
    {% if class == 'settlement_class' %}coalesce(settlements.payment_class, {{ class }}){% else %}{{ fixed }}{% endif %} as root_class,
    {% if class == 'amount_class' -%}
    case when fixed_amount_class in ('A01', 'A02') then
      case changed_in
        when 'quickbooks' then 'Edited in QuickBooks after posting: OpsMerge still has what was posted.'
        when 'opsmerge' then 'Edited in OpsMerge after posting: QuickBooks still has what was posted.'
        when 'both' then 'Neither side has what was posted: both were edited.'
      end
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
    currency, period, differences.opsmerge_invoice_id, coalesce(number, ledger_number) as number, external_id,
    cast(null as varchar) as payment_id,
    {{ opsmerge_value }} as opsmerge_value, {{ ledger_value }} as ledger_value, {{ effect }} as effect, {{ exposure }} as exposure,
    {{ 'is_other_vat_period' if class == 'date_class' else 'false' }} as is_graver,
    differences.opsmerge_invoice_id{{ " || case when " ~ class ~ " <> " ~ fixed ~ " then '|' || " ~ fixed ~ " else '' end" if class != fixed }} as source_id
  from differences
  {% if class == 'settlement_class' %}left join settlements on settlements.opsmerge_invoice_id = differences.opsmerge_invoice_id{% endif %}
  where {{ class }} is not null {{ "and " ~ class ~ " <> 'H05'" if class == 'customer_class' }}
  {{ "union all" if not loop.last }}
  {% endfor %}
),

links as (
  select
    'invoice', link_class, fixed_link_class,
    case when is_of_another_company then 'The invoice belongs to ' || linked_connection || ' in OpsMerge, and is in these books too.' end,
    case when is_of_another_company
      then 'Find out which company made the sale; void the invoice in the other one, and give up its id there with books disconnect.' end,
    currency, period, opsmerge_invoice_id, number, external_id, cast(null as varchar),
    coalesce(linked_connection, 'no connection') || ', id ' || coalesce(linked_external_id, 'none'),
    connection || ', id ' || external_id,
    0, gross, is_of_another_company,
    opsmerge_invoice_id || '|link' || case when link_class <> fixed_link_class then '|' || fixed_link_class else '' end
  from {{ ref('links') }}
),

renamed as (
  select
    'customer' as entity, 'H05' as class, 'H05' as root_class, cast(null as varchar) as cause, cast(null as varchar) as remedy,
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
    case when payment_class in ('T03', 'T05', 'T06') then fixed_class
      when document_class like 'I%' and payment_class in ('P01', 'P02') then document_class
      else payment_class end as root_class,
    cast(null as varchar) as cause, cast(null as varchar) as remedy,
    coalesce(currency, ledger_currency) as currency,
    case when in_opsmerge then period else ledger_period end as period,
    opsmerge_invoice_id, number, external_id,
    case when in_quickbooks or was_in_quickbooks then payment_id end as payment_id,
    case when in_opsmerge then cast(amount as varchar) end as opsmerge_value,
    case when in_quickbooks then cast(ledger_amount as varchar) end as ledger_value,
    case when payment_class = 'P10' then 0 else coalesce(amount, 0) - coalesce(ledger_amount, 0) end as effect,
    case when fixed_class = 'P03' then abs(amount - ledger_amount) else coalesce(amount, ledger_amount) end as exposure,
    false as is_graver,
    coalesce(opsmerge_payment_id, '') || '|' || case when in_opsmerge then '' else coalesce(allocation_key, '') end
      || case when payment_class <> fixed_class then '|' || fixed_class else '' end as source_id
  from payments
  where payment_class is not null
),

payment_dates as (
  select
    'payment', date_class, fixed_date_class, cast(null as varchar), cast(null as varchar), currency, period, opsmerge_invoice_id, number, external_id,
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
    'unapplied', {{ class }}, {{ fixed }}, cast(null as varchar), cast(null as varchar), currency, period, cast(null as varchar), cast(null as varchar),
    cast(null as varchar), payment_id, cast(null as varchar), customer_name || ' ' || cast({{ exposure }} as varchar), {{ amount }}, {{ exposure }}, false,
    payment_id || case when {{ class }} <> {{ fixed }} then '|' || {{ fixed }} else '' end
  from {{ ref('unapplied') }}
  where {{ class }} is not null
  {{ "union all" if not loop.last }}
  {% endfor %}
),

credit_notes as (
  select
    'credit_memo', 'C01', 'C01', cast(null as varchar), cast(null as varchar), currency, {{ month('txn_date') }}, cast(null as varchar), doc_number,
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
    'series', 'I16', 'I16', cast(null as varchar), cast(null as varchar), cast(null as varchar), cast(null as varchar),
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
    'customer', 'U01', 'U01', cast(null as varchar), cast(null as varchar), cast(null as varchar), cast(null as varchar),
    cast(null as varchar), cast(null as varchar), customer_id, cast(null as varchar), cast(null as varchar), names, 0, 0, false, bare_name
  from namesakes
),

receivables as (
  select
    'receivables', 'R01', 'R01', cast(null as varchar), cast(null as varchar), currency, cast(null as varchar), cast(null as varchar),
    'receivables ' || currency, cast(null as varchar), cast(null as varchar), cast(null as varchar),
    cast(other as varchar) || ' beside the documents', 0, abs(other), false, currency
  from {{ ref('receivables') }}
  where is_read and other <> 0
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
)

select
  entity, class, root_class, cause, remedy, currency, period, opsmerge_invoice_id, number, external_id, payment_id,
  opsmerge_value, ledger_value, {{ money('effect') }} as effect, {{ money('exposure') }} as exposure, is_graver, source_id
from everything
