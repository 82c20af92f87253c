-- Two sides of $n invoices each, for `make bench`: lines, payments and postings, with four kinds of drift sown into one
-- invoice in a thousand each. `dice` is the same for a number on every machine.
create or replace temp macro dice(i, salt, sides) as cast(hash(i * 31 + salt) % sides as bigint);
create or replace temp macro pennies(x) as cast(round(x, 2) as decimal(18,2));

create or replace temp table line as
select
  i, position, code, case code when 'tx_20' then 20 when 'tx_5' then 5 else 0 end as rate, quantity, unit_price,
  pennies(quantity * unit_price) as net,
  pennies(pennies(quantity * unit_price) * rate * 0.01) as tax
from (
  select
    i, position,
    case dice(i * 7 + position, 1, 4) when 0 then 'tx_20' when 1 then 'tx_20' when 2 then 'tx_5' else 'tx_0' end as code,
    cast(1 + dice(i * 7 + position, 2, 12) as decimal(9,2)) as quantity,
    cast(100 + dice(i * 7 + position, 3, 40000) as decimal(18,2)) * 0.01 as unit_price
  from range(1, $n + 1) as invoice(i), range(1, 6) as lines(position)
  where position <= 1 + dice(i, 4, 5)
);

create or replace temp table doc as
with by_code as (
  select i, pennies(sum(net) * max(rate) * 0.01) as tax from line group by i, code
),
ledger as (select i, cast(sum(tax) as decimal(18,2)) as ledger_tax from by_code group by i),
own as (select i, cast(sum(net) as decimal(18,2)) as net, cast(sum(tax) as decimal(18,2)) as tax from line group by i),
listed as (
  select
    i,
    to_json(list({'id': 'l' || position, 'position': position, 'description': 'Service ' || position,
      'quantity': quantity, 'unit_price': unit_price, 'tax_code_id': code, 'tax_rate': rate,
      'net_amount': net, 'tax_amount': tax} order by position)) as lines,
    to_json(list({'id': 'l' || position, 'item_id': '1', 'item_name': 'Services', 'description': 'Service ' || position,
      'quantity': quantity, 'unit_price': unit_price, 'amount': net,
      'tax_code_id': case code when 'tx_20' then '6' when 'tx_5' then '7' else '10' end} order by position)) as ledger_lines
  from line group by i
)
select
  i, 'inv_' || i as id, 'INV-2026-' || lpad(cast(i as varchar), 7, '0') as number, cast(i + 5000000 as varchar) as external_id,
  date '2026-01-01' + cast(dice(i, 5, 320) as integer) as issued, cast(1 + dice(i, 6, greatest(2, $n // 40)) as varchar) as client,
  net, tax, ledger_tax, lines, ledger_lines,
  i % 10 <> 0 as is_paid, pennies(net * 0.5) as paid,
  i % 1000 = 1 as is_missing, i % 1000 = 2 as is_edited, i % 1000 = 3 as is_unpaid_here, i % 1000 = 4 as is_doubled
from own join ledger using (i) join listed using (i);

insert into raw_opsmerge.invoices by name
select
  id, number, 'open' as status, issued as issue_date, issued + 30 as due_date, 'GBP' as currency, 'cl_' || client as client_id,
  'Client ' || client as client_name, lines, net as subtotal, tax as tax_total, net + tax as total,
  case when is_paid and not is_missing and not is_unpaid_here then paid else 0 end as amount_paid,
  net + tax - case when is_paid and not is_missing and not is_unpaid_here then paid else 0 end as balance,
  false as accounting_excluded, timestamptz '2026-11-20 09:00:00+00' as opened_at,
  timestamptz '2026-11-20 09:00:00+00' as created_at, timestamptz '2026-11-20 09:00:00+00' as updated_at
from doc;

insert into raw_quickbooks.invoices by name
select
  '9341453000000001' as realm_id, external_id || copy as id, number as doc_number, issued as txn_date, issued + 30 as due_date,
  client as customer_id, 'Client ' || client as customer_name, 'GBP' as currency,
  net + edit as net_amount, ledger_tax as tax_amount, net + edit + ledger_tax as total_amount,
  net + edit + ledger_tax - case when is_paid and copy = '' then paid else 0 end as balance, 'live' as status,
  ledger_lines as lines, 'OpsMerge invoice ' || id as private_note,
  timestamptz '2026-11-20 09:00:00+00' as created_at, timestamptz '2026-11-20 09:00:00+00' as updated_at
from (select *, case when is_edited then cast(5 as decimal(18,2)) else 0 end as edit from doc where not is_missing)
cross join (values (''), ('9')) as copies(copy)
where copy = '' or is_doubled;

insert into raw_quickbooks.payments by name
select
  '9341453000000001' as realm_id, 'p' || i as id, issued + 20 as txn_date, paid as total_amount, 0 as unapplied_amount,
  'GBP' as currency, client as customer_id, 'Client ' || client as customer_name, 'BACS ' || i as payment_ref_number,
  'active' as status,
  to_json([{'transaction_type': 'Invoice', 'transaction_id': external_id, 'invoice_number': number,
    'opsmerge_invoice_id': id, 'amount': paid}]) as allocations,
  timestamptz '2026-11-20 10:00:00+00' as created_at, timestamptz '2026-11-20 10:00:00+00' as updated_at
from doc where is_paid and not is_missing;

insert into raw_opsmerge.payments by name
select
  'pay_' || i as id, id as invoice_id, paid as amount, 'GBP' as currency, issued + 20 as paid_on, 'bank' as method,
  'BACS ' || i as reference, '9341453000000001:p' || i || ':' || external_id as external_id, false as voided,
  timestamptz '2026-11-20 11:00:00+00' as updated_at
from doc where is_paid and not is_missing and not is_unpaid_here;

insert into raw_quickbooks.postings by name
select
  'quickbooks' as provider, 'sandbox:9341453000000001' as connection, '9341453000000001' as realm_id,
  id as opsmerge_invoice_id, number, 'created' as outcome, external_id, 'GBP' as currency, net, tax, net + tax as total,
  net + ledger_tax as ledger_total, ledger_tax, 1 as attempts, timestamptz '2026-11-20 09:00:00+00' as attempted_at,
  timestamptz '2026-11-20 09:00:00+00' as first_attempted_at, timestamptz '2026-11-20 09:00:00+00' as finished_at, i as seq
from doc where not is_missing;

insert into raw_quickbooks.customers by name
select distinct '9341453000000001' as realm_id, client as id, 'Client ' || client as display_name, true as active from doc;

insert into raw_quickbooks.push_runs by name
select
  'sandbox:9341453000000001' as connection, 'push-1' as id, timestamptz '2026-11-22 05:50:00+00' as started_at,
  timestamptz '2026-11-22 05:51:00+00' as finished_at, true as complete;

insert into raw_opsmerge._loads by name
select stream, timestamptz '2026-11-22 06:00:00+00' as extract_started_at, timestamptz '2026-11-22 06:01:00+00' as extract_ended_at,
  rows, 'full' as mode, true as complete from (select 'invoices' as stream, count(*) as rows from raw_opsmerge.invoices union all select 'payments' as stream, count(*) as rows from raw_opsmerge.payments);
insert into raw_quickbooks._loads by name
select stream, timestamptz '2026-11-22 06:00:00+00' as extract_started_at, timestamptz '2026-11-22 06:01:00+00' as extract_ended_at,
  rows, 'full' as mode, true as complete from (
    select 'invoices' as stream, count(*) as rows from raw_quickbooks.invoices
    union all select 'payments' as stream, count(*) as rows from raw_quickbooks.payments
    union all select 'postings' as stream, count(*) as rows from raw_quickbooks.postings);
