-- Clients and their customers: H01 (customer of an invoice), H05 (a customer renamed), U01 (two customers of one name).
with

judged as (
  select
    *,
    coalesce(number, ledger_number) as shown_number,
    case when is_other_customer then 'H01' when is_other_name then 'H05' end as customer_rule
  from {{ ref('differences') }}
),

misplaced as (
  select *, {{ timed('customer_rule', 'is_edited_since_push') }} as customer_class
  from judged
  where customer_rule = 'H01'
),

renamed as (
  select customer_id, client_name, customer_name, min(currency) as currency, max(period) as period
  from judged
  where customer_rule = 'H05'
  group by customer_id, client_name, customer_name
),

namesakes as (
  select {{ bare_name('display_name') }} as bare_name, min(customer_id) as customer_id, string_agg(display_name, ', ' order by customer_id) as names
  from {{ ref('stg_quickbooks__customers') }}
  where realm_id = (select realm_id from {{ ref('run') }}) and is_active and not is_gone and {{ bare_name('display_name') }} <> ''
  group by {{ bare_name('display_name') }}
  having count(*) > 1
)

{{ finding(
  part="'customer'", class='customer_class', rule='customer_rule', number='shown_number',
  opsmerge_value='client_name', ledger_value='customer_name', exposure='gross',
  variant="case when namesake_id is not null then 'another_bears_the_name' when is_of_another_client then 'of_another_client' end",
  id='customer_id', other_id='namesake_id',
) }}
from misplaced
union all
{{ finding(
  entity="'customer'", class="'H05'", rule="'H05'", source_id="customer_id || '|' || client_name",
  opsmerge_invoice_id='null', number='null', external_id='customer_id',
  opsmerge_value='client_name', ledger_value='customer_name',
) }}
from renamed
union all
{{ finding(
  entity="'customer'", class="'U01'", rule="'U01'", source_id='bare_name',
  currency='null', period='null', opsmerge_invoice_id='null', number='null', external_id='customer_id', ledger_value='names',
) }}
from namesakes
