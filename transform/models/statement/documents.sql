{{ config(materialized='view') }}
/*
One row per invoice and payment of either side and every company, those that are gone included. `is_issued`: its number is used, and stays
used. `is_announced`: if it is gone, that was announced, as a deletion or a void.
*/
select
  'opsmerge' as system, 'invoices' as stream, cast(null as varchar) as realm_id, id as document_id,
  {{ number_key('number') }} as number,
  coalesce(lower(status), '') <> 'draft' as is_issued,
  _sdc_deleted_at is null as is_there,
  coalesce(lower(status), '') in ('deleted', 'voided') as is_announced
from {{ source('raw_opsmerge', 'invoices') }}
union all
select
  'opsmerge', 'payments', null, id, cast(null as varchar), false,
  _sdc_deleted_at is null,
  coalesce(voided, false)
from {{ source('raw_opsmerge', 'payments') }}
{% for stream in ['invoices', 'payments'] %}
union all
select
  'quickbooks', '{{ stream }}', realm_id, id, cast(null as varchar), false,
  _sdc_deleted_at is null and coalesce(lower(status), '') <> 'deleted',
  coalesce(lower(status), '') in ('deleted', 'voided')
from {{ source('raw_quickbooks', stream) }}
{% endfor %}
