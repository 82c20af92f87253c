{# How long a class waits before it counts, from the seed drift_class (grace_hours). #}
{% macro grace(class) -%}
  (select coalesce(max(grace_hours), 0) * interval '1 hour' from {{ ref('drift_class') }} where class = '{{ class }}')
{%- endmacro %}

{# Is a break of this class still within its grace, counted from the last change? Needs read_from and read_until. #}
{% macro waits(class, changed_at) -%}
  coalesce(
    {{ changed_at }} <= read_until and {{ changed_at }} + (
      select max(rule.grace_hours) * interval '1 hour'
      from {{ ref('drift_class') }} as rule
      where rule.class = {{ class }} and rule.bucket = 'break' and rule.grace_hours > 0
    ) > read_from,
    false
  )
{%- endmacro %}
