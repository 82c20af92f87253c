with source as (select * from {{ source('raw_quickbooks', 'invoices') }})

select
  connection,
  realm_id,
  id as external_id,
  doc_number,
  cast(txn_date as date) as txn_date,
  cast(due_date as date) as due_date,
  customer_id,
  customer_name,
  upper(trim(currency)) as currency,
  {{ money('net_amount') }} as net,
  {{ money('tax_amount') }} as tax,
  {{ money('total_amount') }} as gross,
  {{ money('balance') }} as balance,
  case when _sdc_deleted_at is not null then 'deleted' else coalesce(lower(status), 'live') end as status,
  private_note,
  {{ utc('created_at') }} as created_at,
  {{ utc('updated_at') }} as updated_at
from source
