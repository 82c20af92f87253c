with lines as (
  {{ json_rows(source('raw_quickbooks', 'invoices'), {'realm_id': 'realm_id', 'external_id': 'id'}, 'tax_lines', {
    'tax_rate_id': 'varchar', 'amount': 'decimal(18,6)',
  }) }}
)

select
  realm_id,
  external_id,
  tax_rate_id,
  amount
from lines
