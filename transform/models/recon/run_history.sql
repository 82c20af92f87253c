{{ config(materialized='incremental', incremental_strategy='append', pre_hook="delete from recon.run_history where run_id = (select run_id from {{ ref('run') }})") }}
-- One row per run: may its drift be acted on?
select
  run.run_id,
  run.run_at,
  run.connection,
  (select count(*) from {{ ref('checks') }} where is_gate and not ok) = 0 as trusted,
  (select string_agg(check_name, ', ' order by check_name) from {{ ref('checks') }} where is_gate and not ok) as failed_checks,
  (select count(*) from {{ ref('drift') }} where bucket = 'break' and not accepted) as breaks
from {{ ref('run') }} as run
