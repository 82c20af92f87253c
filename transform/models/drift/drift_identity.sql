/*
Is the document there, once, under its number, and linked? I01 to I19, with what is meant (D01, D02, D04, D05, D07) and on
its way (T01, T02). The waterfall of documents is in `pairs`, as it says which pairs are compared.
*/
with

documents as (
  select
    pairs.*,
    coalesce(number, ledger_number) as shown_number,
    coalesce(external_id, posted_external_id) as known_external_id,
    case when in_opsmerge then currency else ledger_currency end as shown_currency,
    case when in_opsmerge then period else ledger_period end as shown_period,
    case when in_opsmerge then status || ' ' || cast(gross as varchar) end as opsmerge_value,
    case when in_quickbooks then
      ledger_status || ' ' || cast(ledger_gross as varchar) || case when in_opsmerge then '' else ' (id ' || external_id || ')' end
    end as ledger_value,
    case when in_opsmerge and status <> 'voided' then gross else 0 end
      - case when in_quickbooks and ledger_status <> 'deleted' then ledger_gross else 0 end as effect,
    case when document_class in ('I02', 'I03', 'I05', 'I06', 'I07', 'I10') then ledger_gross else coalesce(gross, ledger_gross) end as exposure,
    case
      when document_class <> fixed_class then null
      when document_class in ('I12', 'I15', 'I17', 'I18') then 'as_the_posting_says'
      when ledger_balance <> ledger_gross then 'partly_settled'
      when document_class = 'I03' then 'copy'
    end as variant,
    nullif(rtrim(concat_ws(': ', fault_code, fault_message), '.'), '') as fault
  from {{ ref('pairs') }} as pairs
  where document_class is not null
),

compared as (
  select
    *,
    coalesce(number, ledger_number) as shown_number,
    {{ timed("'I13'", 'is_edited_since_push') }} as number_class
  from {{ ref('differences') }}
),

-- Numbers of a year's series that no OpsMerge invoice bears, voided ones included: one row per gap.
numbered as (
  select
    number,
    {{ sequence_of('number') }} as sequence,
    lag(number) over (partition by {{ series_of('number') }} order by {{ sequence_of('number') }}) as number_before,
    lag({{ sequence_of('number') }}) over (partition by {{ series_of('number') }} order by {{ sequence_of('number') }}) as sequence_before
  from {{ ref('stg_opsmerge__invoices') }}
  where not is_gone and {{ series_of('number') }} is not null
)

{{ finding(
  part="'document'", class='document_class', rule='fixed_class', source_id=document_id(),
  currency='shown_currency', period='shown_period', number='shown_number', external_id='known_external_id',
  opsmerge_value='opsmerge_value', ledger_value='ledger_value', effect='effect', exposure='exposure',
  variant='variant', amount='ledger_gross - ledger_balance', fault='fault', posting_remedy='posting_remedy',
) }}
from documents
union all
{{ finding(
  part="'number'", class='number_class', rule="'I13'", number='shown_number',
  opsmerge_value='number', ledger_value='ledger_number',
) }}
from compared
where is_other_number
union all
{{ finding(
  part="'recreated'", class="'I14'", rule="'I14'", number='shown_number',
  opsmerge_value='posted_external_id', ledger_value='external_id', exposure='gross',
) }}
from compared
where is_recreated
union all
{{ finding(
  part="'link'", class='link_class', rule='fixed_link_class', source_id="opsmerge_invoice_id || '|link'",
  opsmerge_value="coalesce(linked_connection, 'no connection') || ', id ' || coalesce(linked_external_id, 'none')",
  ledger_value="connection || ', id ' || external_id", exposure='gross', is_graver='is_of_another_company',
  variant="case when is_of_another_company then 'of_another_company' end", company='linked_connection',
) }}
from {{ ref('links') }}
union all
{{ finding(
  entity="'series'", class="'I16'", rule="'I16'", source_id='number_before',
  currency='null', period='null', opsmerge_invoice_id='null', number="'after ' || number_before", external_id='null',
  opsmerge_value="cast(sequence - sequence_before - 1 as varchar) || ' missing between ' || number_before || ' and ' || number",
) }}
from numbered
where sequence - sequence_before > 1
