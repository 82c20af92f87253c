/*
One row per drift: an invoice, payment or customer and a class. A versioned contract: docs/tables.md.
`first_seen` is the first of the trusted runs without a break between them that saw it.
*/
with

run as (select * from {{ ref('run') }}),

findings as (
  select
    findings.*,
    run.run_id,
    run.run_at,
    run.connection,
    {{ stable_key(['run.connection', 'findings.entity', 'findings.class', 'findings.source_id']) }} as drift_key
  from {{ ref('findings') }} as findings
  cross join run
),

previous_run as (
  select max(run_id) as run_id
  from {{ source('history', 'run_history') }}
  where trusted and connection = (select connection from run)
    and run_at = (
      select max(run_at) from {{ source('history', 'run_history') }}
      where trusted and connection = (select connection from run) and run_at < (select run_at from run)
    )
),

seen as (
  select drift_key, first_seen
  from {{ source('history', 'drift_history') }}
  where run_id = (select run_id from previous_run)
),

dated as (
  select findings.*, coalesce(seen.first_seen, findings.run_at) as first_seen
  from findings
  left join seen on seen.drift_key = findings.drift_key
),

graded as (
  select
    dated.*,
    drift_class.bucket,
    drift_class.owner,
    drift_class.large_exposure,
    drift_class.old_age_days,
    drift_class.vat_days,
    drift_class.cause as class_cause,
    drift_class.remedy as class_remedy,
    -- A break that follows from another one shows that one's remedy, whatever its own would be.
    case when drift_class.bucket = 'break' and dated.root_class <> dated.class then coalesce(nullif(root.remedy, ''), root_drift_class.remedy) end as root_remedy,
    cast(dated.run_at as date) - cast(dated.first_seen as date) as age_days,
    {{ days_to_quarter_end('cast(dated.run_at as date)', "cast(nullif(dated.period, 'none') || '-01' as date)") }} as days_to_vat_period_end,
    case drift_class.severity when 'critical' then 4 when 'high' then 3 when 'medium' then 2 when 'low' then 1 else 0 end as base_grade
  from dated
  left join {{ ref('drift_class') }} as drift_class on drift_class.class = dated.class
  left join {{ ref('drift_class') }} as root_drift_class on root_drift_class.class = dated.root_class
  left join findings as root on root.class = dated.root_class and root.source_id = dated.root_id
)

select
  run_id,
  drift_key,
  class,
  bucket,
  -- One step up for what is large, old, or soon on a VAT return, as the seed says per class; no break, no step.
  case base_grade
    + case
      when bucket = 'break' and base_grade < 4 and (
        exposure >= large_exposure or age_days > old_age_days or days_to_vat_period_end between 0 and vat_days or is_graver
      ) then 1
      else 0
    end
    when 4 then 'critical' when 3 then 'high' when 2 then 'medium' when 1 then 'low' else 'info'
  end as severity,
  owner,
  coalesce(graded.cause, class_cause) as cause,
  coalesce(root_remedy, nullif(graded.remedy, ''), class_remedy) as remedy,
  connection,
  coalesce(currency, 'none') as currency,
  coalesce(period, 'none') as period,
  opsmerge_invoice_id,
  number,
  external_id,
  payment_id,
  opsmerge_value,
  ledger_value,
  effect,
  exposure,
  first_seen,
  cast(age_days as integer) as age_days,
  coalesce(root_class, class) as root_class,
  exists (
    select 1
    from {{ source('history', 'accepted') }} as accepted
    where graded.bucket = 'break'
      and accepted.class = graded.class
      and (accepted.number = graded.number or accepted.payment_id = graded.payment_id)
      and accepted.opsmerge_value is not distinct from graded.opsmerge_value
      and accepted.ledger_value is not distinct from graded.ledger_value
      and accepted.until >= cast(graded.run_at as date)
  ) as accepted
from graded
