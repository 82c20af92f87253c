with source as (select * from {{ source('raw_quickbooks', 'push_runs') }})

select
  connection,
  id as push_run_id,
  {{ utc('started_at') }} as started_at,
  {{ utc('finished_at') }} as finished_at,
  coalesce(complete, false) as is_complete
from source
where _sdc_deleted_at is null
