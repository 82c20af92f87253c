/*
One row per class and currency of this run. Items, documents, exposure, age and grade are of what is open; what is accepted
is counted in `accepted_items` only. The effect is of all: accepting a break takes nothing out of the difference.
*/
with

drift as (
  select *, accepted is not true as is_open from {{ ref('drift') }}
),

run as (select * from {{ ref('run') }})

select
  drift.run_id,
  drift.class,
  drift_class.title,
  drift.bucket,
  drift.owner,
  drift.currency,
  count(case when drift.is_open then 1 end) as items,
  count(distinct case when drift.is_open then coalesce(drift.opsmerge_invoice_id, drift.external_id, drift.payment_id) end) as documents,
  sum(case when drift.is_open and drift.first_seen = run.run_at then 1 else 0 end) as new_items,
  sum(case when drift.accepted then 1 else 0 end) as accepted_items,
  {{ money('sum(drift.effect)') }} as effect,
  {{ money('sum(case when drift.is_open then drift.exposure else 0 end)') }} as exposure,
  min(case when drift.is_open then drift.first_seen end) as oldest_first_seen,
  max(case when drift.is_open then drift.age_days end) as oldest_age_days,
  max(case when not drift.is_open then 0 else case drift.severity when 'critical' then 4 when 'high' then 3 when 'medium' then 2 when 'low' then 1 else 0 end end) as worst_grade
from drift
inner join {{ ref('drift_class') }} as drift_class on drift_class.class = drift.class
cross join run
group by drift.run_id, drift.class, drift_class.title, drift.bucket, drift.owner, drift.currency
