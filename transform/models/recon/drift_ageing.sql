-- One row per class, currency and age band: the open breaks of this run, those not accepted.
with breaks as (
  select
    *,
    case
      when age_days <= 1 then '0-1' when age_days <= 7 then '2-7' when age_days <= 30 then '8-30' when age_days <= 90 then '31-90' else '90+'
    end as band,
    case when age_days <= 1 then 1 when age_days <= 7 then 2 when age_days <= 30 then 3 when age_days <= 90 then 4 else 5 end as band_number
  from {{ ref('drift') }}
  where bucket = 'break' and accepted is not true
)

select
  run_id,
  class,
  currency,
  band,
  band_number,
  count(*) as items,
  {{ money('sum(exposure)') }} as exposure
from breaks
group by run_id, class, currency, band, band_number
