{# The roll-forward adds up, in items and in money, and each run begins with what the run before it left. #}
{% test opening_and_movements_are_closing(model) %}
select run_id, currency
from (
  select
    *,
    lag(closing_items) over (partition by connection, currency order by run_at, run_id) as items_before,
    lag(closing) over (partition by connection, currency order by run_at, run_id) as closing_before
  from {{ model }}
) as movements
where opening_items + new_items - resolved_items <> closing_items
  or opening + new - resolved + revalued <> closing
  or opening_items <> items_before
  or opening <> closing_before
{% endtest %}
