-- Dates of compared invoices: H02 and H03 (invoice date), H04 (due date).
with

judged as (
  select
    *,
    coalesce(number, ledger_number) as shown_number,
    case when is_other_date then case when is_other_month then 'H03' else 'H02' end end as date_rule,
    case when is_other_due_date then 'H04' end as due_date_rule
  from {{ ref('differences') }}
),

timed as (
  select
    *,
    {{ timed('date_rule', 'is_edited_since_push') }} as date_class,
    {{ timed('due_date_rule', 'is_edited_since_push') }} as due_date_class
  from judged
)

{{ finding(
  part="'date'", class='date_class', rule='date_rule', number='shown_number',
  opsmerge_value='cast(issue_date as varchar)', ledger_value='cast(ledger_date as varchar)', exposure='gross',
  is_graver='is_other_vat_period',
) }}
from timed
where date_rule is not null
union all
{{ finding(
  part="'due date'", class='due_date_class', rule='due_date_rule', number='shown_number',
  opsmerge_value='cast(due_date as varchar)', ledger_value='cast(ledger_due_date as varchar)',
) }}
from timed
where due_date_rule is not null
