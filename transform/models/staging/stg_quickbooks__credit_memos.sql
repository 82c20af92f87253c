with source as (select * from {{ source('raw_quickbooks', 'credit_memos') }})

select
  connection,
  realm_id,
  id as credit_memo_id,
  doc_number,
  cast(txn_date as date) as txn_date,
  customer_id,
  customer_name,
  upper(trim(currency)) as currency,
  {{ money('total_amount') }} as gross,
  {{ money('remaining_credit') }} as remaining,
  case when _sdc_deleted_at is not null then 'deleted' else coalesce(lower(status), 'live') end as status,
  {{ utc('updated_at') }} as updated_at
from source
