{# The remedy of a payment that was entered twice. #}
{% macro void_the_copy(side, payment_id) -%}
  'Void the copy in {{ side }}, payment ' || {{ payment_id }} || coalesce(' (the first is ' || original_id || ')', '')
  || ', unless the bank shows the money twice.'
{%- endmacro %}
