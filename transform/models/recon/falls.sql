/*
One row per system and stream of documents: what of the last trusted run is missing now. A fall is more than 5 documents and
more than 0.5 % of them, gone without a deletion, or all of more than two; or an OpsMerge number that was used and that no invoice bears now: the
series has no gaps, so a row was lost. Without an earlier trusted run there is none.
`accepted_by`: a person let exactly this fall pass, which holds until the next trusted run.
*/
with

run as (select * from {{ ref('run') }}),

known as (
  select * from {{ source('history', 'trusted_documents') }} where connection = (select connection from run)
),

documents as (
  select * from {{ ref('documents') }} where realm_id is null or realm_id = (select realm_id from run)
),

numbers as (
  select distinct number from documents where is_there and number is not null
),

compared as (
  select
    known.system,
    known.stream,
    known.run_id,
    known.document_id,
    known.number,
    not coalesce(documents.is_there, false) and not coalesce(documents.is_announced, false) as is_gone,
    {{ series_of('known.number') }} is not null and numbers.number is null as is_gap
  from known
  left join documents
    on documents.system = known.system and documents.stream = known.stream and documents.document_id = known.document_id
  left join numbers on numbers.number = known.number
),

streams as (
  select 'opsmerge' as system, 'invoices' as stream union all
  select 'opsmerge', 'payments' union all
  select 'quickbooks', 'invoices' union all
  select 'quickbooks', 'payments'
),

counted as (
  select
    streams.system,
    streams.stream,
    max(compared.run_id) as since_run_id,
    count(compared.document_id) as known_documents,
    coalesce(sum(case when compared.is_gone then 1 else 0 end), 0) as gone_documents,
    coalesce(sum(case when compared.is_gap then 1 else 0 end), 0) as missing_numbers,
    min(case when compared.is_gone or compared.is_gap then coalesce(compared.number, compared.document_id) end) as first_missing,
    max(case when compared.is_gone or compared.is_gap then coalesce(compared.number, compared.document_id) end) as last_missing,
    md5(string_agg(case when compared.is_gone or compared.is_gap then compared.document_id end, ',' order by compared.document_id)) as fingerprint
  from streams
  left join compared on compared.system = streams.system and compared.stream = streams.stream
  group by streams.system, streams.stream
)

select
  run.run_id,
  run.connection,
  counted.system,
  counted.stream,
  counted.since_run_id,
  cast(counted.known_documents as bigint) as known_documents,
  cast(counted.gone_documents as bigint) as gone_documents,
  cast(counted.missing_numbers as bigint) as missing_numbers,
  counted.first_missing,
  counted.last_missing,
  counted.fingerprint,
  counted.gone_documents > greatest(5, counted.known_documents * 0.005)
    or counted.gone_documents = counted.known_documents and counted.known_documents > 2
    or counted.missing_numbers > 0 as is_fall,
  accepted.accepted_by
from counted
cross join run
left join {{ source('history', 'accepted_falls') }} as accepted
  on accepted.connection = run.connection and accepted.since_run_id = counted.since_run_id
  and accepted.system = counted.system and accepted.stream = counted.stream and accepted.fingerprint = counted.fingerprint
