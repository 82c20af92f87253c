-- One row per OpsMerge invoice that has lines: what its lines add up to, and its VAT worked out by both rules.
with

lines as (
  select *, {{ sent('quantity') }} as sent_quantity, {{ sent('unit_price') }} as sent_unit_price
  from {{ ref('stg_opsmerge__invoice_lines') }}
),

-- QuickBooks: VAT once per tax code and document, on the sum of that code's lines.
by_code as (
  select
    opsmerge_invoice_id,
    {{ money('sum(tax)') }} as tax,
    count(distinct tax_code_id) as tax_code_count,
    min(tax_code_id) as first_tax_code_id
  from {{ ref('opsmerge_tax_codes') }}
  group by opsmerge_invoice_id
),

-- OpsMerge: VAT line by line.
by_line as (
  select
    opsmerge_invoice_id,
    count(*) as line_count,
    count(tax_code_id) as coded_lines,
    count(line_id) - count(distinct line_id) as repeated_lines,
    {{ money('sum(net)') }} as net,
    {{ money('sum(tax)') }} as tax,
    {{ money("sum(" ~ percent_of('net', 'coalesce(tax_percent, 0)') ~ ")") }} as tax_by_line,
    {{ line_fingerprint('net', 'sent_quantity', 'sent_unit_price', 'description') }} as fingerprint
  from lines
  group by opsmerge_invoice_id
)

select
  by_line.opsmerge_invoice_id,
  by_line.line_count,
  by_line.coded_lines,
  by_line.repeated_lines,
  by_line.net,
  by_line.tax,
  by_line.tax_by_line,
  by_code.tax as tax_by_code,
  by_code.tax_code_count,
  by_code.first_tax_code_id,
  by_line.fingerprint
from by_line
inner join by_code on by_code.opsmerge_invoice_id = by_line.opsmerge_invoice_id
