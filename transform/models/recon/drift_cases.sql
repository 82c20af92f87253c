/*
One row per drift and spell: from the trusted run that first saw it to the last in an unbroken row of trusted runs.
A case that comes back is a new spell with a higher `occurrence`.
*/
with

runs as (
  select run_id, run_at, connection, row_number() over (partition by connection order by run_at, run_id) as run_number
  from {{ ref('run_history') }}
  where trusted
),

newest as (
  select connection, max(run_number) as run_number from runs group by connection
),

sightings as (
  select history.*, runs.run_number, runs.run_number - row_number() over (partition by history.drift_key order by runs.run_number) as spell
  from {{ ref('drift_history') }} as history
  inner join runs on runs.run_id = history.run_id
),

spells as (
  select
    drift_key,
    spell,
    min(run_number) as first_run,
    max(run_number) as last_run
  from sightings
  group by drift_key, spell
)

select
  latest.drift_key,
  row_number() over (partition by latest.drift_key order by spells.first_run) as occurrence,
  latest.class,
  latest.bucket,
  latest.severity,
  latest.connection,
  latest.currency,
  latest.period,
  latest.opsmerge_invoice_id,
  latest.number,
  latest.external_id,
  latest.payment_id,
  latest.effect,
  latest.exposure,
  latest.accepted,
  opened.run_id as opened_by_run,
  opened.run_at as first_seen,
  seen.run_at as last_seen,
  resolved.run_id as resolved_by_run,
  resolved.run_at as resolved_at,
  resolved.run_id is null as is_open,
  cast(cast(coalesce(resolved.run_at, current_run.run_at) as date) - cast(opened.run_at as date) as integer) as age_days
from spells
inner join sightings as latest on latest.drift_key = spells.drift_key and latest.run_number = spells.last_run
inner join runs as opened on opened.connection = latest.connection and opened.run_number = spells.first_run
inner join runs as seen on seen.connection = latest.connection and seen.run_number = spells.last_run
inner join newest on newest.connection = latest.connection
inner join runs as current_run on current_run.connection = latest.connection and current_run.run_number = newest.run_number
left join runs as resolved on resolved.connection = latest.connection and resolved.run_number = spells.last_run + 1
