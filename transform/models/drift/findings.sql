{% set families = ['identity', 'amounts', 'dates', 'parties', 'settlement', 'payments'] %}
/*
One row per entity and class: everything that the families tell of, before severity, history and acceptance are added.
The columns are taken by name (finding_columns); DuckDB's `union all by name` is not known to PostgreSQL.

Cause and remedy are those that the seed drift_words has for the variant, with the finding's values in their places; null
where it has none: `drift` then takes the class's own.
*/
with

everything as (
  {% for family in families %}
  select {{ finding_columns() | join(', ') }} from {{ ref('drift_' ~ family) }}
  {{ "union all" if not loop.last }}
  {% endfor %}
)

select
  entity,
  everything.class,
  coalesce(root_class, rule) as root_class,
  root_id,
  {{ filled('words.cause') }} as cause,
  -- What may still come right by itself says so, whatever the class that it stands for would advise.
  case when everything.class = rule then {{ filled('words.remedy') }} end as remedy,
  currency,
  period,
  opsmerge_invoice_id,
  number,
  external_id,
  payment_id,
  opsmerge_value,
  ledger_value,
  effect,
  exposure,
  is_graver,
  -- A timing item also names the class it stands for, as a document may carry several.
  source_id || case when everything.class <> rule then '|' || rule else '' end as source_id
from everything
left join {{ ref('drift_words') }} as words on words.class = everything.rule and words.variant = everything.variant
