/*
One row per compared pair that differs in anything. `amount_class` takes the difference of net, tax and gross,
`settlement_class` and `remainder_class` that of what was applied; the others are flags, and a pair may carry several.

QuickBooks' balance is the truth about what is still owed. What was applied (gross less balance) and is no payment's
allocation is the remainder: a deposit on the invoice, a journal entry.
*/
with

pairs as (
  select
    *,
    currency is distinct from ledger_currency as is_other_currency,
    period is distinct from ledger_period as is_other_month,
    {{ vat_quarter('issue_date') }} is distinct from {{ vat_quarter('ledger_date') }} as is_other_vat_period,
    net - ledger_net as net_difference,
    tax - ledger_tax as tax_difference,
    gross - ledger_gross as gross_difference,
    gross - balance as applied,
    ledger_gross - ledger_balance as ledger_applied
  from {{ ref('pairs') }}
  where is_compared
),

-- A client's customer is the one most of its invoices stand under; on a tie, the one of the same name.
customers_of_client as (
  select client_id, customer_id, count(*) as invoices, max(case when customer_name = client_name then 1 else 0 end) as same_name
  from pairs
  where client_id is not null and customer_id is not null
  group by client_id, customer_id
),

customer_of_client as (
  select client_id, customer_id, invoices
  from (
    select *, row_number() over (partition by client_id order by invoices desc, same_name desc, customer_id) as choice
    from customers_of_client
  ) as ranked
  where choice = 1
),

namesakes as (
  select display_name, max(customer_id) as customer_id
  from {{ ref('stg_quickbooks__customers') }}
  where is_active and not is_gone and realm_id = (select realm_id from {{ ref('run') }})
  group by display_name
  having count(*) = 1
),

-- Which QuickBooks tax code an OpsMerge tax code becomes: what most invoices of a single code on both sides show.
single_codes as (
  select lines.first_tax_code_id as tax_code_id, ledger_lines.first_tax_code_id as ledger_tax_code_id, count(*) as invoices
  from pairs
  inner join {{ ref('opsmerge_line_totals') }} as lines on lines.opsmerge_invoice_id = pairs.opsmerge_invoice_id
  inner join {{ ref('quickbooks_line_totals') }} as ledger_lines on ledger_lines.external_id = pairs.external_id
  where lines.tax_code_count = 1 and ledger_lines.tax_code_count = 1
  group by lines.first_tax_code_id, ledger_lines.first_tax_code_id
),

code_map as (
  select tax_code_id, ledger_tax_code_id
  from (
    select *, row_number() over (partition by tax_code_id order by invoices desc, ledger_tax_code_id) as choice
    from single_codes
  ) as ranked
  where choice = 1
),

opsmerge_codes as (
  select codes.opsmerge_invoice_id, code_map.ledger_tax_code_id, {{ money('sum(codes.net)') }} as net
  from {{ ref('opsmerge_tax_codes') }} as codes
  left join code_map on code_map.tax_code_id = codes.tax_code_id
  group by codes.opsmerge_invoice_id, code_map.ledger_tax_code_id
),

-- Invoices all of whose codes have been learnt, and that do not stand under those codes in QuickBooks.
recoded as (
  select pairs.opsmerge_invoice_id
  from pairs
  inner join opsmerge_codes as codes on codes.opsmerge_invoice_id = pairs.opsmerge_invoice_id
  left join {{ ref('quickbooks_tax_codes') }} as ledger_codes
    on ledger_codes.external_id = pairs.external_id and ledger_codes.tax_code_id = codes.ledger_tax_code_id
  where pairs.net = pairs.ledger_net
  group by pairs.opsmerge_invoice_id
  having count(codes.ledger_tax_code_id) = count(*) and max(case when ledger_codes.net is distinct from codes.net then 1 else 0 end) = 1
),

settled as (
  select
    opsmerge_invoice_id,
    max(case when payment_class = 'T03' then 'T03' end) as in_flight,
    min(case when payment_class like 'P%' then payment_class end) as payment_class,
    max(updated_at) as paid_at
  from {{ ref('payment_pairs') }}
  where opsmerge_invoice_id is not null
  group by opsmerge_invoice_id
),

allocated as (
  select external_id, {{ money('sum(ledger_amount)') }} as amount
  from {{ ref('payment_pairs') }}
  where in_quickbooks
  group by external_id
),

credited as (
  select invoice.transaction_id as external_id, {{ money('sum(invoice.amount)') }} as credited
  from {{ ref('stg_quickbooks__payment_allocations') }} as invoice
  inner join {{ ref('stg_quickbooks__payments') }} as payment
    on payment.realm_id = invoice.realm_id and payment.payment_id = invoice.payment_id and payment.status = 'active'
  where invoice.realm_id = (select realm_id from {{ ref('run') }}) and invoice.transaction_type = 'invoice'
    and exists (
      select 1 from {{ ref('stg_quickbooks__payment_allocations') }} as credit
      where credit.realm_id = invoice.realm_id and credit.payment_id = invoice.payment_id
        and credit.transaction_type in ('creditmemo', 'credit_memo')
    )
  group by invoice.transaction_id
),

compared as (
  select
    pairs.*,
    {{ money('pairs.applied - pairs.ledger_applied') }} as applied_difference,
    {{ money('pairs.ledger_applied - coalesce(allocated.amount, 0)') }} as remainder,
    -- The remainder explains its part of the difference, unless both sides agree on what is owed: then there is none.
    {{ money('case when pairs.applied = pairs.ledger_applied then 0 else pairs.applied - coalesce(allocated.amount, 0) end') }} as settlement_difference,
    lines.fingerprint is distinct from ledger_lines.fingerprint as lines_differ,
    recoded.opsmerge_invoice_id is not null as codes_differ,
    coalesce(
      case when namesakes.customer_id is not null and pairs.customer_name is distinct from pairs.client_name
        and usual.customer_id = pairs.customer_id and usual.invoices = 1 then namesakes.customer_id end,
      usual.customer_id
    ) as expected_customer_id,
    settled.in_flight,
    settled.payment_class,
    credited.credited,
    case
      when pairs.posted_net is null then 'unknown'
      when (pairs.net, pairs.tax) = (pairs.posted_net, pairs.posted_tax) then 'quickbooks'
      when pairs.ledger_net = pairs.posted_net then 'opsmerge'
      else 'both'
    end as changed_in,
    -- OpsMerge's own edit, not our writing the accounting block, nor a payment: those move updated_at too.
    coalesce(
      pairs.updated_at > pairs.pushed_at
      and pairs.updated_at <= pairs.read_until
      and pairs.updated_at > greatest(
        coalesce(pairs.synced_at, pairs.pushed_at), coalesce(settled.paid_at, pairs.pushed_at)
      ) + interval '1 minute',
      false
    ) as is_edited_since_push,
    coalesce(
      pairs.ledger_updated_at > pairs.read_from and pairs.ledger_updated_at <= pairs.read_until
      or pairs.updated_at > pairs.read_from and pairs.updated_at <= pairs.read_until,
      false
    ) as is_moving,
    greatest(pairs.updated_at, pairs.ledger_updated_at) as changed_at
  from pairs
  left join {{ ref('opsmerge_line_totals') }} as lines on lines.opsmerge_invoice_id = pairs.opsmerge_invoice_id
  left join {{ ref('quickbooks_line_totals') }} as ledger_lines
    on ledger_lines.external_id = pairs.external_id
  left join customer_of_client as usual on usual.client_id = pairs.client_id
  left join namesakes on namesakes.display_name = pairs.client_name
  left join recoded on recoded.opsmerge_invoice_id = pairs.opsmerge_invoice_id
  left join settled on settled.opsmerge_invoice_id = pairs.opsmerge_invoice_id
  left join allocated on allocated.external_id = pairs.external_id
  left join credited on credited.external_id = pairs.external_id
),

judged as (
  select
    *,
    case
      when is_other_currency then 'A06'
      when net is distinct from ledger_net then 'A01'
      when proved_pennies <> 0 then 'A03'
      when tax is distinct from ledger_tax or gross is distinct from ledger_gross then 'A02'
    end as fixed_amount_class,
    -- Apart from the amounts, so that proved pennies hide no line: told where the net agrees.
    case
      when is_other_currency or net is distinct from ledger_net then null
      when lines_differ then 'A04'
      when codes_differ then 'A05'
    end as fixed_line_class,
    case
      when is_other_currency or settlement_difference = 0 then null
      when abs(settlement_difference) <= proved_pennies then 'S07'
      when credited is not null then 'S06'
      when balance = 0 and ledger_applied = 0 then 'S01'
      when ledger_balance = 0 and applied = 0 then 'S02'
      else 'S03'
    end as fixed_settlement_class,
    case when not is_other_currency and remainder <> 0 then 'S04' end as fixed_remainder_class,
    case
      when issue_date is not distinct from ledger_date then null
      when is_other_month then 'H03'
      else 'H02'
    end as fixed_date_class,
    case when due_date is distinct from ledger_due_date then 'H04' end as fixed_due_date_class,
    case
      when customer_id is distinct from expected_customer_id then 'H01'
      when upper(trim(customer_name)) is distinct from upper(trim(client_name)) then 'H05'
    end as fixed_customer_class,
    case when number is distinct from ledger_number then 'I13' end as fixed_number_class,
    case when matched_by <> 'posting' and posted_external_id is not null then 'I14' end as recreated_class,
    case
      when status in ('open', 'overdue') and gross > 0 and balance <= 0 then 'S05'
      when status = 'paid' and balance > 0 then 'S05'
    end as fixed_status_class
  from compared
),

differing as (
  select *
  from judged
  where coalesce(
    fixed_amount_class, fixed_line_class, fixed_settlement_class, fixed_remainder_class, fixed_date_class,
    fixed_due_date_class, fixed_customer_class, fixed_number_class, recreated_class, fixed_status_class
  ) is not null
)

select
  *,
  {{ timed('fixed_amount_class', "is_edited_since_push and changed_in in ('opsmerge', 'unknown')") }} as amount_class,
  case
    when fixed_settlement_class in ('S02', 'S03', 'S06') and in_flight is not null then 'T03'
    else {{ timed('fixed_settlement_class', 'false') }}
  end as settlement_class,
  {{ timed('fixed_remainder_class', 'false') }} as remainder_class,
  {{ timed('fixed_line_class', 'is_edited_since_push') }} as line_class,
  {{ timed('fixed_date_class', 'is_edited_since_push') }} as date_class,
  {{ timed('fixed_due_date_class', 'is_edited_since_push') }} as due_date_class,
  {{ timed('fixed_customer_class', "fixed_customer_class = 'H01' and is_edited_since_push") }} as customer_class,
  {{ timed('fixed_number_class', 'is_edited_since_push') }} as number_class,
  {{ timed('fixed_status_class', 'false') }} as status_class
from differing
