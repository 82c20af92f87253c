{#
  accepted.yml, at the project's root: breaks that a person has accepted, and series of numbers that are raised in
  QuickBooks on purpose, each with reason, person and date. Read on every run into recon.accepted and
  recon.accepted_series; a missing file is an empty one. Where dbt cannot read files (PostgreSQL), the same comes as
  variables: dbt build --vars "$(cat accepted.yml)".
#}
{% macro accepted_file() -%}
  {{ env_var('BOOKS_ACCEPTED_FILE', env_var('MELTANO_PROJECT_ROOT', '.') ~ '/accepted.yml') }}
{%- endmacro %}

{% macro load_accepted() -%}
{% if execute %}
  {% set content = accepted_content() %}
  drop table if exists recon.accepted;
  create table recon.accepted (
    class varchar, number varchar, payment_id varchar, opsmerge_value varchar, ledger_value varchar,
    reason varchar, accepted_by varchar, until date
  );
  {% for entry in content.get('accepted') or [] %}
    {% do require(entry, ['class', 'reason', 'by', 'until'], 'accepted', loop.index) %}
    insert into recon.accepted values (
      {{ quoted(entry.get('class')) }}, {{ quoted(entry.get('number')) }}, {{ quoted(entry.get('payment_id')) }},
      {{ quoted(entry.get('opsmerge_value')) }}, {{ quoted(entry.get('ledger_value')) }},
      {{ quoted(entry.get('reason')) }}, {{ quoted(entry.get('by')) }}, cast({{ quoted(entry.get('until')) }} as date)
    );
  {% endfor %}
  drop table if exists recon.accepted_series;
  create table recon.accepted_series (prefix varchar, reason varchar, accepted_by varchar, until date);
  {% for entry in content.get('series') or [] %}
    {% do require(entry, ['prefix', 'reason', 'by', 'until'], 'series', loop.index) %}
    insert into recon.accepted_series values (
      {{ number_key(quoted(entry.get('prefix'))) }}, {{ quoted(entry.get('reason')) }}, {{ quoted(entry.get('by')) }},
      cast({{ quoted(entry.get('until')) }} as date)
    );
  {% endfor %}
{% endif %}
{%- endmacro %}

{# What is accepted, as a mapping: from the variables `accepted` and `series` where one is set, else from the file. #}
{% macro accepted_content() -%}
  {% if var('accepted', none) is not none or var('series', none) is not none %}
    {{ return({'accepted': var('accepted', []), 'series': var('series', [])}) }}
  {% endif %}
  {% set content = fromyaml(read_file(accepted_file()) or '{}', none) %}
  {% if content is not mapping %}
    {{ exceptions.raise_compiler_error(accepted_file() | trim ~ " is not valid YAML with the keys accepted and series: nothing in it can be taken as accepted") }}
  {% endif %}
  {% for key in content if key not in ['version', 'accepted', 'series'] %}
    {{ exceptions.raise_compiler_error(accepted_file() | trim ~ ": unknown key " ~ key ~ "; there are accepted and series") }}
  {% endfor %}
  {{ return(content) }}
{%- endmacro %}

{# An entry says what, why, who and until when, or nothing is accepted. #}
{% macro require(entry, names, list, place) -%}
  {% for name in names if entry is not mapping or entry.get(name) is none %}
    {{ exceptions.raise_compiler_error("accepted.yml, entry " ~ place ~ " of " ~ list ~ ": " ~ name ~ " is missing") }}
  {% endfor %}
  {% if not modules.re.fullmatch('[0-9]{4}-[0-9]{2}-[0-9]{2}', entry.get('until') | string) %}
    {{ exceptions.raise_compiler_error("accepted.yml, entry " ~ place ~ " of " ~ list ~ ": until is " ~ entry.get('until') ~ ", which is no date such as 2027-03-31") }}
  {% endif %}
{%- endmacro %}

{# A text literal, or null. #}
{% macro quoted(value) -%}
  {%- if value is none -%} null {%- else -%} '{{ value | string | replace("'", "''") }}' {%- endif -%}
{%- endmacro %}

{# The text of a file, or none where there is no such file, or where the engine cannot read one. #}
{% macro read_file(path) -%} {{ return(adapter.dispatch('read_file')(path)) }} {%- endmacro %}
{% macro default__read_file(path) -%} {{ return(none) }} {%- endmacro %}
{% macro duckdb__read_file(path) -%}
  {% set file = quoted(path | trim) | trim %}
  {% if run_query("select file from glob(" ~ file ~ ")").rows | length == 0 %} {{ return(none) }} {% endif %}
  {{ return(run_query("select content from read_text(" ~ file ~ ")").rows[0][0]) }}
{%- endmacro %}
