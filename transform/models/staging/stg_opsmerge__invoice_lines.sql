with lines as (
  {{ json_rows(source('raw_opsmerge', 'invoices'), {'opsmerge_invoice_id': 'id'}, 'lines', {
    'id': 'varchar', 'position': 'bigint', 'description': 'varchar', 'quantity': 'decimal(18,6)',
    'unit_price': 'decimal(18,6)', 'service_id': 'varchar', 'service_name': 'varchar', 'tax_code_id': 'varchar',
    'tax_code_name': 'varchar', 'tax_rate': 'decimal(9,4)', 'net_amount': 'decimal(18,6)', 'tax_amount': 'decimal(18,6)',
  }) }}
)

select
  opsmerge_invoice_id,
  id as line_id,
  position,
  description,
  quantity,
  unit_price,
  service_id,
  service_name,
  tax_code_id,
  tax_code_name,
  tax_rate as tax_percent,
  net_amount as net,
  tax_amount as tax
from lines
