{# What to do with an invoice that should not be live in QuickBooks, by class; for the CTE `pairs`. #}
{% macro void_invoice() -%}
case document_class
  when 'I02' then 'raise it in OpsMerge, or void it in QuickBooks.'
  when 'I03' then 'void the copy in QuickBooks (id ' || external_id || ').'
  when 'I05' then 'void the invoice in QuickBooks, or clear the opt-out in OpsMerge.'
  when 'I06' then 'void the invoice in QuickBooks, or open it in OpsMerge.'
  when 'I10' then 'find out whether it was deleted in OpsMerge or entered by hand, and void it in QuickBooks.'
  else 'void the invoice in QuickBooks.'
end
{%- endmacro %}
