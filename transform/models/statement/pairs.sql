/*
One row per OpsMerge invoice, with the QuickBooks invoice that is its partner where there is one, and one row per
QuickBooks invoice that is nobody's partner. `document_class` is null for a pair to be compared, else the one class
of the waterfall that the document falls into.

Matched by what the posting recorded, else by the note that names the OpsMerge invoice, else by number; never by likeness.
*/
with

run as (select * from {{ ref('run') }}),

opsmerge as (
  select invoice.*, {{ number_key('invoice.number') }} as number_key
  from {{ ref('stg_opsmerge__invoices') }} as invoice
  where not invoice.is_gone
),

quickbooks as (
  select
    invoice.*,
    {{ number_key('invoice.doc_number') }} as number_key,
    {{ noted_id('invoice.private_note') }} as noted_id,
    invoice.status = 'live' as is_live
  from {{ ref('stg_quickbooks__invoices') }} as invoice
  where invoice.realm_id = (select realm_id from run)
),

postings as (
  select * from {{ ref('stg_bridge__postings') }} where connection = (select connection from run)
),

elsewhere as (
  select opsmerge_invoice_id, min(connection) as connection
  from {{ ref('stg_bridge__postings') }}
  where connection <> (select connection from run) and outcome in ('created', 'adopted')
  group by opsmerge_invoice_id
),

-- Numbers of a series that is raised in QuickBooks on purpose (accepted.yml).
listed as (
  select distinct quickbooks.external_id
  from quickbooks
  inner join {{ source('history', 'accepted_series') }} as series
    on left(quickbooks.number_key, length(series.prefix)) = series.prefix
  where series.until >= (select cast(run_at as date) from run)
),

-- A QuickBooks invoice that a posting names belongs to that posting, whatever its number says.
by_posting as (
  select postings.opsmerge_invoice_id, quickbooks.external_id, 'posting' as matched_by, 1 as preference
  from postings
  inner join quickbooks on quickbooks.external_id = postings.external_id
),

by_note as (
  select opsmerge.opsmerge_invoice_id, quickbooks.external_id, 'note' as matched_by, 2 as preference
  from quickbooks
  inner join opsmerge on opsmerge.opsmerge_invoice_id = quickbooks.noted_id
  left join by_posting on by_posting.external_id = quickbooks.external_id
  where quickbooks.is_live and by_posting.external_id is null
),

by_number as (
  select
    opsmerge.opsmerge_invoice_id,
    quickbooks.external_id,
    'number' as matched_by,
    3 as preference,
    row_number() over (
      partition by quickbooks.external_id
      order by case when opsmerge.status = 'voided' then 1 else 0 end, opsmerge.opsmerge_invoice_id
    ) as claim
  from quickbooks
  inner join opsmerge on opsmerge.number_key = quickbooks.number_key
  left join by_posting on by_posting.external_id = quickbooks.external_id
  left join by_note on by_note.external_id = quickbooks.external_id
  where quickbooks.is_live and by_posting.external_id is null and by_note.external_id is null
),

links as (
  select opsmerge_invoice_id, external_id, matched_by, preference from by_posting
  union all
  select opsmerge_invoice_id, external_id, matched_by, preference from by_note
  union all
  select opsmerge_invoice_id, external_id, matched_by, preference from by_number where claim = 1
),

ranked as (
  select
    links.*,
    row_number() over (
      partition by links.opsmerge_invoice_id
      order by case when quickbooks.is_live then 0 else 1 end, links.preference, links.external_id
    ) as choice
  from links
  inner join quickbooks on quickbooks.external_id = links.external_id
  inner join opsmerge on opsmerge.opsmerge_invoice_id = links.opsmerge_invoice_id
),

documents as (
  select opsmerge_invoice_id, external_id, matched_by, false as is_copy
  from (
    select opsmerge.opsmerge_invoice_id, ranked.external_id, ranked.matched_by
    from opsmerge
    left join ranked on ranked.opsmerge_invoice_id = opsmerge.opsmerge_invoice_id and ranked.choice = 1
  ) as opsmerge_documents
  union all
  select ranked.opsmerge_invoice_id, quickbooks.external_id, ranked.matched_by, ranked.choice is not null
  from quickbooks
  left join ranked on ranked.external_id = quickbooks.external_id
  where coalesce(ranked.choice, 2) > 1
),

joined as (
  select
    documents.matched_by,
    documents.is_copy,
    -- A copy names its original, but brings none of its money: that is with the original's own row.
    coalesce(documents.opsmerge_invoice_id, owner.opsmerge_invoice_id) as opsmerge_invoice_id,
    documents.external_id,
    opsmerge.opsmerge_invoice_id is not null as in_opsmerge,
    quickbooks.external_id is not null as in_quickbooks,
    opsmerge.number,
    opsmerge.status,
    opsmerge.issue_date,
    opsmerge.due_date,
    opsmerge.currency,
    {{ month('opsmerge.issue_date') }} as period,
    opsmerge.client_id,
    opsmerge.client_name,
    opsmerge.net,
    opsmerge.tax,
    opsmerge.gross,
    opsmerge.balance,
    opsmerge.opened_at,
    opsmerge.voided_at,
    opsmerge.synced_at,
    opsmerge.updated_at,
    opsmerge.is_opted_out,
    opsmerge.status in ('open', 'paid', 'overdue')
      and not opsmerge.is_opted_out
      and (run.post_from is null or opsmerge.issue_date >= run.post_from) as is_expected,
    quickbooks.doc_number as ledger_number,
    quickbooks.status as ledger_status,
    quickbooks.txn_date as ledger_date,
    quickbooks.due_date as ledger_due_date,
    quickbooks.currency as ledger_currency,
    {{ month('quickbooks.txn_date') }} as ledger_period,
    quickbooks.customer_id,
    -- The customer's name of today, not the one the invoice was posted under.
    coalesce(customers.display_name, quickbooks.customer_name) as customer_name,
    quickbooks.net as ledger_net,
    quickbooks.tax as ledger_tax,
    quickbooks.gross as ledger_gross,
    quickbooks.balance as ledger_balance,
    quickbooks.noted_id,
    quickbooks.updated_at as ledger_updated_at,
    coalesce(posting.outcome, owner.outcome) as outcome,
    coalesce(posting.external_id, owner.external_id) as posted_external_id,
    coalesce(posting.fault_code, owner.fault_code) as fault_code,
    coalesce(posting.fault_message, owner.fault_message) as fault_message,
    coalesce(posting.remedy, owner.remedy) as posting_remedy,
    posting.net as posted_net,
    posting.tax as posted_tax,
    posting.gross as posted_gross,
    posting.first_attempted_at,
    posting.finished_at,
    owner.opsmerge_invoice_id is not null as is_named_by_a_posting,
    listed.external_id is not null as is_listed,
    elsewhere.connection as posted_elsewhere,
    -- The two VAT rules were worked out again, and each side is right by its own.
    case
      when opsmerge.net = quickbooks.net
        and opsmerge.gross - quickbooks.gross = opsmerge.tax - quickbooks.tax
        and opsmerge.tax = lines.tax_by_line
        and quickbooks.tax = lines.tax_by_code
        then abs(opsmerge.tax - quickbooks.tax)
    end as proved_pennies,
    run.connection,
    run.pushed_at,
    run.read_from,
    run.read_until,
    run.post_from
  from documents
  cross join run
  -- Keys that are null where nothing is to be joined: a second condition would make DuckDB compare all with all.
  left join opsmerge on opsmerge.opsmerge_invoice_id = case when not documents.is_copy then documents.opsmerge_invoice_id end
  left join quickbooks on quickbooks.external_id = documents.external_id
  left join {{ ref('stg_quickbooks__customers') }} as customers
    on customers.realm_id = run.realm_id and customers.customer_id = quickbooks.customer_id
  left join postings as posting on posting.opsmerge_invoice_id = opsmerge.opsmerge_invoice_id
  left join postings as owner
    on owner.external_id = case when opsmerge.opsmerge_invoice_id is null then documents.external_id end
  left join {{ ref('opsmerge_line_totals') }} as lines on lines.opsmerge_invoice_id = opsmerge.opsmerge_invoice_id
  left join elsewhere on elsewhere.opsmerge_invoice_id = opsmerge.opsmerge_invoice_id
  left join listed on listed.external_id = documents.external_id
),

judged as (
  select
    *,
    case
      -- Only in QuickBooks. Voided and deleted ones carry no money and are nobody's business.
      when not in_opsmerge and ledger_status <> 'live' then null
      when is_copy then 'I03'
      when not in_opsmerge and is_named_by_a_posting then 'I10'
      when not in_opsmerge and noted_id is not null then 'I10'
      when not in_opsmerge and {{ matches('ledger_number', "'" ~ var('number_pattern', '^INV-[0-9]{4}-[0-9]+$') ~ "'") }} then 'I10'
      when not in_opsmerge and is_listed then 'D07'
      when not in_opsmerge then 'I02'

      -- In both, and live in QuickBooks.
      when ledger_status = 'live' and status = 'voided' then 'I07'
      when ledger_status = 'live' and is_opted_out then 'I05'
      when ledger_status = 'live' and status = 'draft' then 'I06'
      when ledger_status = 'live' and outcome = 'conflict' and posted_external_id is null then 'I17'
      when ledger_status = 'live' then null

      -- Not live in QuickBooks, or not there at all.
      when status = 'voided' then null
      when status = 'draft' then 'D01'
      when is_opted_out then 'D02'
      when ledger_status = 'voided' then 'I08'
      when ledger_status = 'deleted' then 'I09'
      when posted_external_id is not null and finished_at > read_from then 'T02'
      when posted_external_id is not null then 'I09'
      when issue_date < post_from then 'D04'
      when posted_elsewhere is not null then 'I11'
      when outcome = 'rejected' and fault_code in ('6200', '6210') then 'I15'
      when outcome = 'rejected' then 'I12'
      when outcome = 'conflict' then 'I17'
      when outcome = 'held' then 'I18'
      when outcome = 'unknown' and first_attempted_at + {{ grace('T02') }} > read_from then 'T02'
      when outcome is null and status = 'paid' and gross >= 0 and post_from is null then 'D05'
      -- Opened, or changed (an opt-out cleared, say), since the last complete push began: the next one takes it.
      when pushed_at is null or greatest(opened_at, case when updated_at <= read_until then updated_at end) + {{ grace('I01') }} > pushed_at then 'T01'
      else 'I01'
    end as fixed_class
  from joined
)

select
  judged.*,
  case
    when fixed_class in ('I05', 'I06', 'I07') and updated_at > pushed_at and updated_at <= read_until then 'T04'
    when fixed_class is not null and fixed_class not like 'D%' and fixed_class not like 'T%'
      and (ledger_updated_at > read_from and ledger_updated_at <= read_until
        or updated_at > read_from and updated_at <= read_until) then 'T05'
    when {{ waits('fixed_class', 'greatest(updated_at, ledger_updated_at)') }} then 'T06'
    else fixed_class
  end as document_class,
  in_opsmerge and in_quickbooks and coalesce(ledger_status, '') = 'live' and fixed_class is null as is_compared
from judged
