with allocations as (
  {{ json_rows(source('raw_quickbooks', 'payments'), {'realm_id': 'realm_id', 'payment_id': 'id'}, 'allocations', {
    'transaction_type': 'varchar', 'transaction_id': 'varchar', 'amount': 'decimal(18,6)',
  }) }}
)

select
  realm_id,
  payment_id,
  lower(transaction_type) as transaction_type,
  transaction_id,
  {{ money('amount') }} as amount,
  amount as exact_amount
from allocations
