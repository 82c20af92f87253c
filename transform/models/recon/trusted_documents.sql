{{ config(
  materialized='incremental', incremental_strategy='append', full_refresh=false,
  pre_hook="delete from recon.trusted_documents where connection = (select connection from {{ ref('run_history') }} where trusted and run_id = (select run_id from {{ ref('run') }}))"
) }}
-- One row per document that the last trusted run of a connection saw; a run that is not trusted leaves it alone.
select
  run.connection,
  run.run_id,
  documents.system,
  documents.stream,
  documents.document_id,
  case when documents.is_issued then documents.number end as number
from {{ ref('documents') }} as documents
cross join {{ ref('run') }} as run
where documents.is_there and (documents.realm_id is null or documents.realm_id = run.realm_id)
  and exists (select 1 from {{ ref('run_history') }} as history where history.run_id = run.run_id and history.trusted)
