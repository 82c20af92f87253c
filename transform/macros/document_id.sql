{# What names a finding of a document as a whole: its OpsMerge invoice, or its QuickBooks one where that is not enough. #}
{% macro document_id() -%}
  coalesce(opsmerge_invoice_id, '') || '|'
  || case when opsmerge_invoice_id is null or fixed_class in ('I03', 'I10') then coalesce(external_id, '') else '' end
{%- endmacro %}
