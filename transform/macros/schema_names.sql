{# A model's schema is the one it names: `recon`, not `recon_recon`. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
  {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}

{# References leave the database name out, so that views still work once build.duckdb is published as books.duckdb. #}
{% macro ref() -%}
  {{ return(builtins.ref(*varargs, **kwargs).include(database=false)) }}
{%- endmacro %}

{% macro source() -%}
  {{ return(builtins.source(*varargs, **kwargs).include(database=false)) }}
{%- endmacro %}
