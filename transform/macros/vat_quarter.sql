{#
  The VAT quarter that a date falls in: the first day of its last month. The variable vat_quarter_end_month is 3 for
  quarters that end in March, June, September and December; 1 or 2 for the other two staggers.
#}
{% macro vat_quarter(day) -%}
  cast(
    date_trunc('month', {{ day }})
    + ((({{ var('vat_quarter_end_month', 3) }} - cast(extract(month from {{ day }}) as integer)) % 3 + 3) % 3) * interval '1 month'
  as date)
{%- endmacro %}

{# Days from a date to the end of the VAT quarter that another day falls in; negative once it is over. #}
{% macro days_to_quarter_end(today, day) -%}
  (cast({{ vat_quarter(day) }} + interval '1 month' as date) - 1 - {{ today }})
{%- endmacro %}
