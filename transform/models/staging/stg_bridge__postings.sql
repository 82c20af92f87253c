with source as (select * from {{ source('raw_quickbooks', 'postings') }})

select
  connection,
  company_id,
  opsmerge_invoice_id,
  number,
  lower(outcome) as outcome,
  nullif(external_id, '') as external_id,
  fault_code,
  fault_message,
  remedy,
  currency,
  {{ money('net') }} as net,
  {{ money('tax') }} as tax,
  {{ money('total') }} as gross,
  attempts,
  coalesce(written_to_opsmerge, false) as is_written_to_opsmerge,
  {{ utc('first_attempted_at') }} as first_attempted_at,
  {{ utc('attempted_at') }} as attempted_at,
  {{ utc('finished_at') }} as finished_at
from source
where _sdc_deleted_at is null
