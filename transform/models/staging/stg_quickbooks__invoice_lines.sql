with lines as (
  {{ json_rows(source('raw_quickbooks', 'invoices'), {'realm_id': 'realm_id', 'external_id': 'id'}, 'lines', {
    'id': 'varchar', 'item_id': 'varchar', 'item_name': 'varchar', 'description': 'varchar', 'quantity': 'decimal(18,6)',
    'unit_price': 'decimal(18,6)', 'amount': 'decimal(18,6)', 'tax_code_id': 'varchar',
  }) }}
)

select
  realm_id,
  external_id,
  id as line_id,
  item_id,
  item_name,
  description,
  quantity,
  unit_price,
  amount as net,
  tax_code_id
from lines
