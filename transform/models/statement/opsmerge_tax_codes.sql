-- One row per OpsMerge invoice, tax code and rate: the lines of that code, and its VAT by QuickBooks' rule.
select
  opsmerge_invoice_id,
  tax_code_id,
  tax_percent,
  {{ money('sum(net)') }} as net,
  {{ money('round(sum(net * coalesce(tax_percent, 0) * 0.01), 2)') }} as tax
from {{ ref('stg_opsmerge__invoice_lines') }}
group by opsmerge_invoice_id, tax_code_id, tax_percent
