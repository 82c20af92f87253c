-- One row per QuickBooks invoice and tax code: the lines of that code.
select
  realm_id,
  external_id,
  tax_code_id,
  {{ money('sum(net)') }} as net
from {{ ref('stg_quickbooks__invoice_lines') }}
where net is not null and realm_id = (select realm_id from {{ ref('run') }})
group by realm_id, external_id, tax_code_id
