{#
  One text for all lines of a document, whatever their order. A part that was not given counts as empty, and numbers
  are compared as numbers: 2 and 2.000000 are the same quantity. QuickBooks keeps 4000 characters of a description.
#}
{# Quantity and price are sent only where they multiply to the amount: QuickBooks refuses anything else (fault 6070). #}
{% macro sent(column) -%} case when round(quantity * unit_price, 2) = net then {{ column }} end {%- endmacro %}

{# One text for all lines of a document as above, each with a tax code of QuickBooks. #}
{% macro coded_fingerprint(line, code) -%}
  md5(string_agg({{ line }} || '|' || coalesce({{ code }}, ''), chr(10) order by {{ line }} || '|' || coalesce({{ code }}, '')))
{%- endmacro %}

{% macro line_fingerprint(net, quantity, unit_price, description) -%}
  md5(string_agg({{ line_text(net, quantity, unit_price, description) }}, chr(10) order by {{ line_text(net, quantity, unit_price, description) }}))
{%- endmacro %}

{% macro line_text(net, quantity, unit_price, description) -%}
  cast(cast({{ net }} as decimal(18, 2)) as varchar) || '|' || coalesce(cast({{ quantity }} as varchar), '') || '|'
  || coalesce(cast({{ unit_price }} as varchar), '') || '|' || left(trim(coalesce({{ description }}, '')), 4000)
{%- endmacro %}
