{{ config(materialized='incremental', incremental_strategy='append', pre_hook="delete from recon.drift_daily where run_id = (select run_id from {{ ref('run') }})") }}
-- One row per run, class and currency, kept over runs: the daily summary, what is tolerated and meant included.
select
  summary.run_id,
  run.run_at,
  run.connection,
  run.trusted,
  summary.class,
  summary.bucket,
  summary.currency,
  summary.items,
  summary.documents,
  summary.new_items,
  summary.accepted_items,
  summary.effect,
  summary.exposure
from {{ ref('drift_summary') }} as summary
inner join {{ ref('run_history') }} as run on run.run_id = summary.run_id
