with source as (select * from {{ source('raw_quickbooks', 'customers') }})

select
  connection,
  realm_id,
  id as customer_id,
  display_name,
  coalesce(active, true) as is_active,
  _sdc_deleted_at is not null as is_gone
from source
