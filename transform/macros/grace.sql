{# How long a class waits before it counts, from the seed drift_class (grace_hours). #}
{% macro grace(class) -%}
  (select grace_hours * interval '1 hour' from {{ ref('drift_class') }} where class = '{{ class }}')
{%- endmacro %}
