with source as (select * from {{ source('raw_quickbooks', 'payments') }})

select
  connection,
  realm_id,
  id as payment_id,
  cast(txn_date as date) as txn_date,
  {{ money('total_amount') }} as total,
  {{ money('unapplied_amount') }} as unapplied,
  upper(trim(currency)) as currency,
  customer_id,
  customer_name,
  nullif(trim(payment_ref_number), '') as reference,
  case when _sdc_deleted_at is not null then 'deleted' else coalesce(lower(status), 'active') end as status,
  {{ utc('created_at') }} as created_at,
  {{ utc('updated_at') }} as updated_at
from source
