{# Whole pennies. Never a bare `numeric`: DuckDB reads that as three decimals. #}
{% macro money(expression) -%} cast({{ expression }} as decimal(18, 2)) {%- endmacro %}

{# A moment, in UTC, without zone. #}
{% macro utc(expression) -%} {{ return(adapter.dispatch('utc')(expression)) }} {%- endmacro %}
{% macro default__utc(expression) -%} (cast({{ expression }} as timestamp with time zone) at time zone 'UTC') {%- endmacro %}
{# DuckDB's sessions run in UTC (profiles.yml), so no cast moves it; `at time zone` would cost more. #}
{% macro duckdb__utc(expression) -%} cast(cast({{ expression }} as timestamp with time zone) as timestamp) {%- endmacro %}

{# The month a date falls in, `2026-11`; `none` for a document without a date, so that its money still has a cell. #}
{% macro month(expression) -%} {{ return(adapter.dispatch('month')(expression)) }} {%- endmacro %}
{% macro default__month(expression) -%} coalesce(to_char({{ expression }}, 'YYYY-MM'), 'none') {%- endmacro %}
{% macro duckdb__month(expression) -%} coalesce(strftime({{ expression }}, '%Y-%m'), 'none') {%- endmacro %}

{# How a document number is compared when matching: case and blanks aside. #}
{% macro number_key(expression) -%} nullif(upper(replace({{ expression }}, ' ', '')), '') {%- endmacro %}

{# Percent of an amount, in whole pennies, halves up. By 0.01 and never by division: decimal divided is a double. #}
{% macro percent_of(amount, percent) -%} {{ money("round(" ~ amount ~ " * " ~ percent ~ " * 0.01, 2)") }} {%- endmacro %}

{# A key that is the same on every run and in every warehouse. #}
{% macro stable_key(parts) -%}
  md5({% for part in parts %}coalesce(cast({{ part }} as varchar), ''){% if not loop.last %} || '|' || {% endif %}{% endfor %})
{%- endmacro %}

{# Does the text match the regular expression? #}
{% macro matches(text, pattern) -%} {{ return(adapter.dispatch('matches')(text, pattern)) }} {%- endmacro %}
{% macro default__matches(text, pattern) -%} coalesce({{ text }} ~ {{ pattern }}, false) {%- endmacro %}
{% macro duckdb__matches(text, pattern) -%} coalesce(regexp_matches({{ text }}, {{ pattern }}), false) {%- endmacro %}

{# The OpsMerge invoice that a private note names: the note that target-quickbooks writes. Null where it names none. #}
{% macro noted_id(note) -%} {{ return(adapter.dispatch('noted_id')(note)) }} {%- endmacro %}
{% macro default__noted_id(note) -%} substring({{ note }} from 'OpsMerge invoice (\S+)') {%- endmacro %}
{% macro duckdb__noted_id(note) -%} nullif(regexp_extract({{ note }}, 'OpsMerge invoice (\S+)', 1), '') {%- endmacro %}

{# The series a number belongs to, `INV-2026-`, and its place in it; null for a number of another form. #}
{% macro series_of(number) -%} {{ return(adapter.dispatch('series_of')(number)) }} {%- endmacro %}
{% macro default__series_of(number) -%} substring({{ number }} from '^(.*[0-9]{4}-)[0-9]+$') {%- endmacro %}
{% macro duckdb__series_of(number) -%} nullif(regexp_extract({{ number }}, '^(.*[0-9]{4}-)[0-9]+$', 1), '') {%- endmacro %}

{% macro sequence_of(number) -%} {{ return(adapter.dispatch('sequence_of')(number)) }} {%- endmacro %}
{% macro default__sequence_of(number) -%} cast(substring({{ number }} from '^.*[0-9]{4}-([0-9]{1,18})$') as bigint) {%- endmacro %}
{% macro duckdb__sequence_of(number) -%} cast(nullif(regexp_extract({{ number }}, '^.*[0-9]{4}-([0-9]{1,18})$', 1), '') as bigint) {%- endmacro %}

{# The option that names this environment, for a command that a message tells people to run. #}
{% macro in_environment() -%} --environment {{ env_var('MELTANO_ENVIRONMENT', 'demo') }} {%- endmacro %}

{#
  A name without case, blanks and punctuation, in one Unicode form. Each character is listed: the classes of regular
  expressions differ between engines.
#}
{% macro bare_name(name) -%} regexp_replace(lower({{ composed(name) }}), '[\s !-/:-@\[-`{-~‘’“”‐–—…]', '', 'g') {%- endmacro %}

{# One Unicode form: an accent as part of its letter. #}
{% macro composed(text) -%} {{ return(adapter.dispatch('composed')(text)) }} {%- endmacro %}
{% macro default__composed(text) -%} normalize({{ text }}, NFC) {%- endmacro %}
{% macro duckdb__composed(text) -%} nfc_normalize({{ text }}) {%- endmacro %}

{# Whether two names are one, apart from case, blanks, punctuation and Unicode form. #}
{% macro same_name(one, other) -%}
  coalesce(case when {{ one }} = {{ other }} then true else {{ bare_name(one) }} = {{ bare_name(other) }} end, false)
{%- endmacro %}
