with tax_lines as (
  {{ json_rows(source('raw_quickbooks', 'invoices'), {'realm_id': 'realm_id', 'external_id': 'id'}, 'tax_lines', {
    'tax_rate_id': 'varchar', 'tax_percent': 'decimal(9,4)', 'net_taxable': 'decimal(18,6)', 'amount': 'decimal(18,6)',
  }) }}
)

select
  realm_id,
  external_id,
  tax_rate_id,
  tax_percent,
  net_taxable,
  amount as tax
from tax_lines
