-- One row per QuickBooks invoice that has lines: what its lines add up to.
with lines as (select * from {{ ref('stg_quickbooks__invoice_lines') }} where net is not null)

select
  realm_id,
  external_id,
  count(*) as line_count,
  {{ money('sum(net)') }} as net,
  {{ line_fingerprint('net', 'quantity', 'unit_price', 'description') }} as fingerprint
from lines
group by realm_id, external_id
