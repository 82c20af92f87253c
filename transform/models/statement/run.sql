-- One row: what this run is, whose books it compares, and as of when each side was read.
with

newest_push as (
  select connection from {{ ref('stg_bridge__push_runs') }} order by started_at desc limit 1
),

newest_posting as (
  select connection from {{ ref('stg_bridge__postings') }} order by attempted_at desc nulls last, connection limit 1
),

only_realm as (
  select max(realm_id) as realm_id from {{ ref('stg_quickbooks__invoices') }} having count(distinct realm_id) = 1
),

connection as (
  select coalesce(
    nullif({{ quoted(var("connection", env_var("BOOKS_CONNECTION", ""))) }}, ''),
    (select connection from newest_push),
    (select connection from newest_posting),
    'unknown:' || coalesce((select realm_id from only_realm), '0')
  ) as connection
),

pushed as (
  select max(started_at) as pushed_at
  from {{ ref('stg_bridge__push_runs') }}
  where is_complete and connection = (select connection from connection)
),

newest_loads as (
  select system, stream, max(started_at) as started_at, max(ended_at) as ended_at
  from {{ ref('stg_loads') }}
  where stream in ('invoices', 'payments')
  group by system, stream
),

reads as (
  select min(started_at) as read_from, max(ended_at) as read_until from newest_loads
)

select
  cast('{{ run_id() }}' as varchar) as run_id,
  {{ run_at() }} as run_at,
  connection.connection,
  substr(connection.connection, strpos(connection.connection, ':') + 1) as realm_id,
  pushed.pushed_at,
  coalesce(reads.read_from, {{ run_at() }}) as read_from,
  coalesce(reads.read_until, {{ run_at() }}) as read_until,
  cast(nullif({{ quoted(var("post_from", env_var("BOOKS_POST_FROM", env_var("TARGET_QUICKBOOKS_POST_FROM", "")))) }}, '') as date) as post_from
from connection
cross join pushed
cross join reads
