{# What the roll-forward leaves of a run is what the run itself counted as open. #}
{% test closing_is_the_open_breaks(model) %}
select run.run_id, run.breaks, sum(movements.closing_items) as closing_items
from {{ ref('run_history') }} as run
left join {{ model }} as movements on movements.run_id = run.run_id
where run.trusted
group by run.run_id, run.breaks
having run.breaks <> coalesce(sum(movements.closing_items), 0)
{% endtest %}
