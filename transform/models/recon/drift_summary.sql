-- One row per class and currency of this run.
with

drift as (select * from {{ ref('drift') }}),

run as (select * from {{ ref('run') }})

select
  drift.run_id,
  drift.class,
  drift_class.title,
  drift.bucket,
  drift.owner,
  drift.currency,
  count(*) as items,
  count(distinct coalesce(drift.opsmerge_invoice_id, drift.external_id, drift.payment_id)) as documents,
  sum(case when drift.first_seen = run.run_at then 1 else 0 end) as new_items,
  sum(case when drift.accepted then 1 else 0 end) as accepted_items,
  {{ money('sum(drift.effect)') }} as effect,
  {{ money('sum(drift.exposure)') }} as exposure,
  min(drift.first_seen) as oldest_first_seen,
  max(drift.age_days) as oldest_age_days,
  max(case drift.severity when 'critical' then 4 when 'high' then 3 when 'medium' then 2 when 'low' then 1 else 0 end) as worst_grade
from drift
inner join {{ ref('drift_class') }} as drift_class on drift_class.class = drift.class
cross join run
group by drift.run_id, drift.class, drift_class.title, drift.bucket, drift.owner, drift.currency
