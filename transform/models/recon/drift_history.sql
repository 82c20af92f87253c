{{ config(materialized='incremental', incremental_strategy='append', pre_hook="delete from recon.drift_history where run_id = (select run_id from {{ ref('run') }})") }}
-- One row per run and drift, breaks and timing items: what is tolerated or meant is many rows and no case.
select
  drift.run_id,
  run.run_at,
  run.trusted,
  drift.drift_key,
  drift.class,
  drift.bucket,
  drift.severity,
  drift.connection,
  drift.currency,
  drift.period,
  drift.opsmerge_invoice_id,
  drift.number,
  drift.external_id,
  drift.payment_id,
  drift.opsmerge_value,
  drift.ledger_value,
  drift.effect,
  drift.exposure,
  drift.first_seen,
  drift.root_class,
  drift.accepted
from {{ ref('drift') }} as drift
inner join {{ ref('run_history') }} as run on run.run_id = drift.run_id
where drift.bucket in ('break', 'timing')
