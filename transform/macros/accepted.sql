{#
  accepted.yml, at the project's root: breaks that a person has accepted, with reason and date.
  Read on every run into recon.accepted; a missing file is an empty one.
#}
{% macro accepted_file() -%}
  {{ env_var('BOOKS_ACCEPTED_FILE', env_var('MELTANO_PROJECT_ROOT', '.') ~ '/accepted.yml') }}
{%- endmacro %}

{% macro load_accepted() -%}
{% if execute %}
  {% set content = fromyaml(read_file(accepted_file()) or '{}', none) %}
  {% if content is none or content is string %}
    {{ exceptions.raise_compiler_error(accepted_file() ~ " is not valid YAML: nothing in it can be taken as accepted") }}
  {% endif %}
  {% set entries = content.get('accepted') or [] %}
  drop table if exists recon.accepted;
  create table recon.accepted (
    class varchar, number varchar, payment_id varchar, opsmerge_value varchar, ledger_value varchar,
    reason varchar, accepted_by varchar, until date
  );
  {% for entry in entries %}
    insert into recon.accepted values (
      {{ quoted(entry.get('class')) }}, {{ quoted(entry.get('number')) }}, {{ quoted(entry.get('payment_id')) }},
      {{ quoted(entry.get('opsmerge_value')) }}, {{ quoted(entry.get('ledger_value')) }},
      {{ quoted(entry.get('reason')) }}, {{ quoted(entry.get('by')) }}, cast({{ quoted(entry.get('until')) }} as date)
    );
  {% endfor %}
{% endif %}
{%- endmacro %}

{# A text literal, or null. #}
{% macro quoted(value) -%}
  {%- if value is none -%} null {%- else -%} '{{ value | string | replace("'", "''") }}' {%- endif -%}
{%- endmacro %}

{# The text of a file, or none where there is no such file. #}
{% macro read_file(path) -%} {{ return(adapter.dispatch('read_file')(path)) }} {%- endmacro %}
{% macro default__read_file(path) -%} {{ return(none) }} {%- endmacro %}
{% macro duckdb__read_file(path) -%}
  {% set file = quoted(path | trim) | trim %}
  {% if run_query("select file from glob(" ~ file ~ ")").rows | length == 0 %} {{ return(none) }} {% endif %}
  {{ return(run_query("select content from read_text(" ~ file ~ ")").rows[0][0]) }}
{%- endmacro %}
