/*
One row per compared pair that differs in anything, and what differs. Which class that is, the families in models/drift say:
a pair may carry several.

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

client_names as (
  select name, count(distinct client_id) as clients, min(client_id) as client_id
  from (
    select distinct client_id, {{ bare_name('client_name') }} as name from {{ ref('pairs') }} where in_opsmerge and client_id is not null
  ) as named
  where name <> ''
  group by name
),

namesakes as (
  select {{ bare_name('display_name') }} as name, min(customer_id) as customer_id
  from {{ ref('stg_quickbooks__customers') }}
  where is_active and not is_gone and realm_id = (select realm_id from {{ ref('run') }})
  group by {{ bare_name('display_name') }}
),

-- Each customer that invoices of a client stand under. One of another name is the client's after a renaming, unless an
-- active customer bears the client's name, or another client bears the customer's. What mappings.yml chose is no question,
-- nor is it one where two clients bear one name: then a person had to choose.
customers_of_client as (
  select
    stands.*,
    mapped.client_id is not null as is_mapped,
    case when mapped.client_id is null and mine.clients = 1 then namesakes.customer_id end as namesake_id,
    coalesce(mapped.client_id is null and (theirs.clients > 1 or theirs.client_id <> stands.client_id), false) as is_of_another_client
  from (
    select client_id, client_name, customer_id, customer_name, {{ same_name('client_name', 'customer_name') }} as is_same_name, count(*) as invoices
    from pairs
    where client_id is not null and customer_id is not null
    group by client_id, client_name, customer_id, customer_name
  ) as stands
  left join client_names as mine on mine.name = case when not stands.is_same_name then {{ bare_name('stands.client_name') }} end
  left join client_names as theirs on theirs.name = case when not stands.is_same_name then {{ bare_name('stands.customer_name') }} end
  left join namesakes on namesakes.name = mine.name
  left join {{ source('history', 'mapped_customers') }} as mapped
    on mapped.client_id = stands.client_id
    and coalesce(mapped.customer_id = stands.customer_id, {{ same_name('mapped.customer_name', 'stands.customer_name') }})
),

-- A client's customer is the one of mappings.yml, else the one that bears its name, else that of most of its invoices.
customer_of_client as (
  select client_id, customer_id
  from (
    select
      client_id, customer_id,
      row_number() over (
        partition by client_id
        order by
          max(case when is_mapped then 1 else 0 end) desc,
          max(case when namesake_id is not null or is_of_another_client then 1 else 0 end),
          max(case when is_same_name then 1 else 0 end) desc, sum(invoices) desc, customer_id
      ) as choice
    from customers_of_client
    group by client_id, customer_id
  ) as ranked
  where choice = 1
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

-- Invoices of several codes: every line with the code that it should have in QuickBooks, and as it stands there.
of_several_codes as (
  select pairs.opsmerge_invoice_id, pairs.external_id
  from pairs
  inner join {{ ref('opsmerge_line_totals') }} as lines on lines.opsmerge_invoice_id = pairs.opsmerge_invoice_id
  where lines.tax_code_count > 1 and lines.coded_lines = lines.line_count and pairs.net = pairs.ledger_net
),

opsmerge_codes as (
  select opsmerge_invoice_id, {{ coded_fingerprint('text', 'code') }} as fingerprint, count(code) = count(*) as is_learnt
  from (
    select
      line.opsmerge_invoice_id, code_map.ledger_tax_code_id as code,
      {{ line_text('line.net', sent('quantity'), sent('unit_price'), 'line.description') }} as text
    from {{ ref('stg_opsmerge__invoice_lines') }} as line
    inner join of_several_codes on of_several_codes.opsmerge_invoice_id = line.opsmerge_invoice_id
    left join code_map on code_map.tax_code_id = line.tax_code_id
  ) as coded
  group by opsmerge_invoice_id
),

ledger_codes as (
  select external_id, {{ coded_fingerprint('text', 'code') }} as fingerprint
  from (
    select line.external_id, line.tax_code_id as code, {{ line_text('line.net', 'line.quantity', 'line.unit_price', 'line.description') }} as text
    from {{ ref('stg_quickbooks__invoice_lines') }} as line
    inner join of_several_codes on of_several_codes.external_id = line.external_id
    where line.net is not null and line.realm_id = (select realm_id from {{ ref('run') }})
  ) as coded
  group by external_id
),

paid as (
  select opsmerge_invoice_id, max(updated_at) as paid_at
  from {{ ref('payment_pairs') }}
  where opsmerge_invoice_id is not null
  group by opsmerge_invoice_id
),

allocated as (
  select
    external_id,
    {{ money('sum(case when in_quickbooks then ledger_amount else 0 end)') }} as amount,
    max(case when is_moving then 1 else 0 end) as moving
  from {{ ref('payment_pairs') }}
  where external_id is not null
  group by external_id
),

-- What each payment that differs adds to what the two sides applied to an invoice: those of the largest sum come first.
unlike as (
  select opsmerge_invoice_id, source_id, sum(amount) as amount
  from (
    select opsmerge_invoice_id, source_id, amount from {{ ref('payment_pairs') }} where in_opsmerge and fixed_class is not null
    union all
    select pairs.opsmerge_invoice_id, payment.source_id, -payment.ledger_amount
    from {{ ref('payment_pairs') }} as payment
    inner join pairs on pairs.external_id = payment.external_id
    where payment.in_quickbooks and payment.fixed_class is not null
  ) as sides
  group by opsmerge_invoice_id, source_id
  having sum(amount) <> 0
),

settled as (
  select
    unlike.opsmerge_invoice_id,
    payment.root_class,
    payment.root_id,
    payment.is_credit,
    max(case when payment.payment_class = 'T03' then 'T03' end) over (partition by unlike.opsmerge_invoice_id) as in_flight,
    row_number() over (partition by unlike.opsmerge_invoice_id order by abs(unlike.amount) desc, payment.fixed_class, payment.source_id) as choice
  from unlike
  inner join {{ ref('payment_pairs') }} as payment on payment.source_id = unlike.source_id
),

compared as (
  select
    pairs.*,
    {{ money('pairs.applied - pairs.ledger_applied') }} as applied_difference,
    {{ money('pairs.ledger_applied - coalesce(allocated.amount, 0)') }} as remainder,
    -- The remainder explains its part of the difference, unless both sides agree on what is owed: then there is none.
    {{ money('case when pairs.applied = pairs.ledger_applied then 0 else pairs.applied - coalesce(allocated.amount, 0) end') }} as settlement_difference,
    lines.fingerprint is distinct from ledger_lines.fingerprint as lines_differ,
    coalesce(
      case
        when lines.tax_code_count > 1 then opsmerge_codes.is_learnt and opsmerge_codes.fingerprint <> ledger_codes.fingerprint
        when lines.coded_lines = lines.line_count then
          ledger_lines.tax_code_count <> 1 or ledger_lines.coded_lines <> ledger_lines.line_count
          or ledger_lines.first_tax_code_id <> only_code.ledger_tax_code_id
      end,
      false
    ) and (lines.tax_code_count > 1 or only_code.ledger_tax_code_id is not null) as codes_differ,
    usual.customer_id as expected_customer_id,
    theirs.namesake_id,
    coalesce(theirs.is_of_another_client, false) as is_of_another_client,
    settled.in_flight,
    settled.root_class as settlement_root_class,
    settled.root_id as settlement_root_id,
    coalesce(settled.is_credit, false) as is_credited,
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
        coalesce(pairs.synced_at, pairs.pushed_at), coalesce(paid.paid_at, pairs.pushed_at)
      ) + interval '1 minute',
      false
    ) as is_edited_since_push,
    coalesce(
      pairs.ledger_updated_at > pairs.read_from and pairs.ledger_updated_at <= pairs.read_until
      or pairs.updated_at > pairs.read_from and pairs.updated_at <= pairs.read_until
      or allocated.moving = 1,
      false
    ) as is_moving,
    greatest(pairs.updated_at, pairs.ledger_updated_at) as changed_at
  from pairs
  left join {{ ref('opsmerge_line_totals') }} as lines on lines.opsmerge_invoice_id = pairs.opsmerge_invoice_id
  left join {{ ref('quickbooks_line_totals') }} as ledger_lines
    on ledger_lines.external_id = pairs.external_id
  left join customer_of_client as usual on usual.client_id = pairs.client_id
  left join customers_of_client as theirs
    on theirs.client_id = pairs.client_id and theirs.customer_id = pairs.customer_id
    and theirs.client_name = pairs.client_name and theirs.customer_name = pairs.customer_name
  left join code_map as only_code on only_code.tax_code_id = lines.first_tax_code_id
  left join opsmerge_codes on opsmerge_codes.opsmerge_invoice_id = pairs.opsmerge_invoice_id
  left join ledger_codes on ledger_codes.external_id = pairs.external_id
  left join paid on paid.opsmerge_invoice_id = pairs.opsmerge_invoice_id
  left join settled on settled.opsmerge_invoice_id = pairs.opsmerge_invoice_id and settled.choice = 1
  left join allocated on allocated.external_id = pairs.external_id
),

facts as (
  select
    *,
    net is distinct from ledger_net as is_other_net,
    tax is distinct from ledger_tax as is_other_tax,
    gross is distinct from ledger_gross as is_other_gross,
    coalesce(settlement_difference <> 0, true) as is_other_settlement,
    issue_date is distinct from ledger_date as is_other_date,
    due_date is distinct from ledger_due_date as is_other_due_date,
    customer_id is distinct from expected_customer_id or namesake_id is not null or is_of_another_client as is_other_customer,
    upper(trim(customer_name)) is distinct from upper(trim(client_name)) as is_other_name,
    number is distinct from ledger_number as is_other_number,
    matched_by <> 'posting' and posted_external_id is not null as is_recreated,
    status in ('open', 'overdue') and gross > 0 and balance <= 0 or status = 'paid' and balance > 0 as is_status_unfit
  from compared
)

select *
from facts
where is_other_currency or is_other_net or is_other_tax or is_other_gross or proved_pennies <> 0 or lines_differ or codes_differ
  or is_other_settlement or remainder <> 0 or is_other_date or is_other_due_date or is_other_customer or is_other_name
  or is_other_number or is_recreated or is_status_unfit
