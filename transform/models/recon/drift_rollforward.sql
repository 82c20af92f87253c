/*
One row per trusted run and currency, open breaks only: opening + new - resolved +/- revalued = closing, in items and in
exposure. The closing of a run is the opening of the next. A break is open while it is not accepted: one that is accepted
counts as resolved, one that no longer is as new.
*/
with

runs as (
  select run_id, run_at, connection, row_number() over (partition by connection order by run_at, run_id) as run_number
  from {{ ref('run_history') }}
  where trusted
),

sightings as (
  select history.drift_key, history.connection, history.currency, history.exposure, runs.run_number
  from {{ ref('drift_history') }} as history
  inner join runs on runs.run_id = history.run_id
  where history.bucket = 'break' and history.accepted is not true
),

movements as (
  select
    coalesce(sighting.connection, earlier.connection) as connection,
    coalesce(sighting.currency, earlier.currency) as currency,
    coalesce(sighting.run_number, earlier.run_number + 1) as run_number,
    earlier.exposure as opening,
    sighting.exposure as closing
  from sightings as sighting
  full join sightings as earlier
    on earlier.drift_key = sighting.drift_key and earlier.currency = sighting.currency and earlier.run_number = sighting.run_number - 1
),

cells as (
  select runs.run_id, runs.run_at, runs.run_number, runs.connection, currencies.currency
  from runs
  inner join (select distinct connection, currency from sightings) as currencies on currencies.connection = runs.connection
)

select
  cells.run_id,
  cells.run_at,
  cells.connection,
  cells.currency,
  count(movements.opening) as opening_items,
  sum(case when movements.closing is not null and movements.opening is null then 1 else 0 end) as new_items,
  sum(case when movements.opening is not null and movements.closing is null then 1 else 0 end) as resolved_items,
  count(movements.closing) as closing_items,
  {{ money('coalesce(sum(movements.opening), 0)') }} as opening,
  {{ money('coalesce(sum(case when movements.opening is null then movements.closing end), 0)') }} as new,
  {{ money('coalesce(sum(case when movements.closing is null then movements.opening end), 0)') }} as resolved,
  {{ money('coalesce(sum(movements.closing - movements.opening), 0)') }} as revalued,
  {{ money('coalesce(sum(movements.closing), 0)') }} as closing
from cells
left join movements
  on movements.connection = cells.connection and movements.currency = cells.currency and movements.run_number = cells.run_number
group by cells.run_id, cells.run_at, cells.connection, cells.currency
