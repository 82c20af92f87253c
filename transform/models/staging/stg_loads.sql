with loads as (
  select 'opsmerge' as system, stream, extract_started_at, extract_ended_at, mode, complete, rows from {{ source('raw_opsmerge', '_loads') }}
  union all
  select 'quickbooks', stream, extract_started_at, extract_ended_at, mode, complete, rows from {{ source('raw_quickbooks', '_loads') }}
)

select
  system,
  stream,
  {{ utc('extract_started_at') }} as started_at,
  {{ utc('extract_ended_at') }} as ended_at,
  mode,
  coalesce(complete, false) as is_complete,
  rows as row_count
from loads
