with source as (select * from {{ source('raw_quickbooks', 'accounts') }})

select
  connection,
  realm_id,
  id as account_id,
  name,
  account_type,
  upper(trim(currency)) as currency,
  {{ money('current_balance') }} as current_balance,
  _sdc_deleted_at is not null as is_gone
from source
