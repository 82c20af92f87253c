/*
One row per posted invoice whose accounting block in OpsMerge does not name the connection and the id that it was posted
under. Asked only where target-opsmerge has written the block, or tried to: a connection that may not write to OpsMerge
has none there. A connection that is not a production one leaves what belongs to another, and misses nothing.
*/
with

run as (select * from {{ ref('run') }}),

linked as (
  select
    invoice.opsmerge_invoice_id,
    invoice.number,
    invoice.currency,
    {{ month('invoice.issue_date') }} as period,
    invoice.gross,
    posting.external_id,
    invoice.linked_connection,
    invoice.linked_external_id,
    left(run.connection, 11) = 'production:' as is_production,
    coalesce(invoice.linked_connection <> run.connection and invoice.linked_external_id is not null, false) as is_of_another,
    coalesce(left(invoice.linked_connection, 11) = 'production:', false) as names_production,
    run.connection,
    run.read_from,
    run.read_until,
    greatest(invoice.updated_at, posting.finished_at) as changed_at,
    coalesce(invoice.updated_at > run.read_from and invoice.updated_at <= run.read_until, false) as is_moving
  from {{ ref('stg_opsmerge__invoices') }} as invoice
  cross join run
  inner join {{ ref('stg_bridge__postings') }} as posting
    on posting.opsmerge_invoice_id = invoice.opsmerge_invoice_id and posting.connection = run.connection
  where not invoice.is_gone
    and posting.external_id is not null
    and posting.is_written_to_opsmerge
    and posting.finished_at <= run.read_from
    and (
      invoice.linked_connection is distinct from run.connection
      or invoice.linked_external_id is distinct from posting.external_id
    )
),

judged as (
  select *, 'I19' as fixed_link_class, is_of_another and names_production as is_of_another_company
  from linked
  where is_production or not is_of_another
)

select *, {{ timed('fixed_link_class', 'false') }} as link_class
from judged
