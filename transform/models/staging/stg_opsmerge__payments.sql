with source as (select * from {{ source('raw_opsmerge', 'payments') }})

select
  id as opsmerge_payment_id,
  invoice_id as opsmerge_invoice_id,
  {{ money('amount') }} as amount,
  upper(trim(currency)) as currency,
  cast(paid_on as date) as paid_on,
  method,
  nullif(trim(reference), '') as reference,
  nullif(external_id, '') as allocation_key,
  coalesce(voided, false) as is_voided,
  {{ utc('updated_at') }} as updated_at,
  _sdc_deleted_at is not null as is_gone
from source
