{# What earlier runs left behind. `drift` reads it before this run's rows join it, so it has to be there on day one. #}
{% macro ensure_history() -%}
{% if execute %}
  create schema if not exists recon;
  create table if not exists recon.drift_history (
    run_id varchar, run_at timestamp, trusted boolean, drift_key varchar, class varchar, bucket varchar, severity varchar,
    connection varchar, currency varchar, period varchar, opsmerge_invoice_id varchar, number varchar,
    external_id varchar, payment_id varchar, opsmerge_value varchar, ledger_value varchar, effect decimal(18, 2),
    exposure decimal(18, 2), first_seen timestamp, root_class varchar, accepted boolean
  );
  create table if not exists recon.run_history (
    run_id varchar, run_at timestamp, connection varchar, trusted boolean, failed_checks varchar, breaks bigint
  );
  create table if not exists recon.drift_daily (
    run_id varchar, run_at timestamp, connection varchar, trusted boolean, class varchar, bucket varchar, currency varchar,
    items bigint, documents bigint, new_items bigint, accepted_items bigint, effect decimal(18, 2), exposure decimal(18, 2)
  );
  create table if not exists recon.trusted_documents (
    connection varchar, run_id varchar, system varchar, stream varchar, document_id varchar, number varchar
  );
  create table if not exists recon.accepted_falls (
    connection varchar, since_run_id varchar, system varchar, stream varchar, fingerprint varchar, gone_documents bigint,
    missing_numbers bigint, run_id varchar, accepted_by varchar, accepted_at timestamp
  );
  {# dbt listed the relations before this hook ran: tell it of these. #}
  {% for name in ['drift_history', 'run_history', 'drift_daily', 'trusted_documents'] %}
    {% do adapter.cache_added(api.Relation.create(database=target.database, schema='recon', identifier=name, type='table')) %}
  {% endfor %}
{% endif %}
{%- endmacro %}

{# The run's name: passed as the variable run_id, else the moment dbt started. #}
{% macro run_id() -%} {{ var('run_id', none) or run_started_at.strftime('%Y%m%dT%H%M%SZ') }} {%- endmacro %}

{# The moment of the run, UTC: passed as the variable run_at (a replay of an earlier day), else when dbt started. #}
{% macro run_at() -%} cast('{{ var('run_at', none) or run_started_at.strftime('%Y-%m-%d %H:%M:%S') }}' as timestamp) {%- endmacro %}
