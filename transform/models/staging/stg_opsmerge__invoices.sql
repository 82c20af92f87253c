with source as (select * from {{ source('raw_opsmerge', 'invoices') }})

select
  id as opsmerge_invoice_id,
  number,
  lower(status) as status,
  cast(issue_date as date) as issue_date,
  cast(due_date as date) as due_date,
  upper(trim(currency)) as currency,
  client_id,
  client_name,
  {{ money('subtotal') }} as net,
  {{ money('tax_total') }} as tax,
  {{ money('total') }} as gross,
  {{ money('amount_paid') }} as amount_paid,
  {{ money('balance') }} as balance,
  coalesce(accounting_excluded, false) as is_opted_out,
  {{ utc("cast(accounting as json) ->> 'synced_at'") }} as synced_at,
  nullif(cast(accounting as json) ->> 'connection', '') as linked_connection,
  nullif(cast(accounting as json) ->> 'external_id', '') as linked_external_id,
  {{ utc('opened_at') }} as opened_at,
  {{ utc('voided_at') }} as voided_at,
  {{ utc('created_at') }} as created_at,
  {{ utc('updated_at') }} as updated_at,
  _sdc_deleted_at is not null as is_gone
from source
