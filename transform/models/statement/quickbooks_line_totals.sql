-- One row per QuickBooks invoice that has lines: what its lines add up to.
select
  realm_id,
  external_id,
  count(*) as line_count,
  count(tax_code_id) as coded_lines,
  count(line_id) - count(distinct line_id) as repeated_lines,
  count(distinct tax_code_id) as tax_code_count,
  min(tax_code_id) as first_tax_code_id,
  {{ money('sum(net)') }} as net,
  {{ line_fingerprint('net', 'quantity', 'unit_price', 'description') }} as fingerprint
from {{ ref('stg_quickbooks__invoice_lines') }}
where net is not null and realm_id = (select realm_id from {{ ref('run') }})
group by realm_id, external_id
