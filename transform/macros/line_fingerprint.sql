{#
  One text for all lines of a document, whatever their order. A part that was not given counts as empty, and numbers
  are compared as numbers: 2 and 2.000000 are the same quantity. QuickBooks keeps 4000 characters of a description.
#}
{% macro line_fingerprint(net, quantity, unit_price, description) -%}
  md5(string_agg({{ line_text(net, quantity, unit_price, description) }}, chr(10) order by {{ line_text(net, quantity, unit_price, description) }}))
{%- endmacro %}

{% macro line_text(net, quantity, unit_price, description) -%}
  cast(cast({{ net }} as decimal(18, 2)) as varchar) || '|' || coalesce(cast({{ quantity }} as varchar), '') || '|'
  || coalesce(cast({{ unit_price }} as varchar), '') || '|' || left(trim(coalesce({{ description }}, '')), 4000)
{%- endmacro %}
