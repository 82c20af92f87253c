{#
  The class, or the timing class that stands for it while it may still right itself: T04 where OpsMerge was edited after
  the last push, T05 where a side moved between the two reads, T06 within the class's own grace. What is tolerated stays
  as it is.
#}
{% macro timed(class, edited) -%}
  case
    when {{ class }} is null or {{ class }} in (select class from {{ ref('drift_class') }} where bucket = 'tolerated') then {{ class }}
    when {{ edited }} then 'T04'
    when is_moving then 'T05'
    when {{ waits(class, 'changed_at') }} then 'T06'
    else {{ class }}
  end
{%- endmacro %}
