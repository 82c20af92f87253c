{#
  The rows of a JSON array column, one row per element: `keys` (name: column) are repeated, `fields` (name: type) are taken
  from the element. A column that is null or no array gives no rows.
#}
{% macro json_rows(relation, keys, column, fields) -%}
  {{ return(adapter.dispatch('json_rows')(relation, keys, column, fields)) }}
{%- endmacro %}

{% macro duckdb__json_rows(relation, keys, column, fields) -%}
  select
    {% for key in keys %}{{ key }}, {% endfor %}
    {% for name, type in fields.items() %}element.{{ name }} as {{ name }}{{ ", " if not loop.last }}{% endfor %}
  from (
    select
      {% for name, key in keys.items() %}{{ key }} as {{ name }}, {% endfor %}
      unnest(from_json({{ column }}, '[{ {%- for name, type in fields.items() -%} "{{ name }}":"{{ type }}"{{ "," if not loop.last }} {%- endfor -%} }]')) as element
    from {{ relation }}
  ) as elements
{%- endmacro %}

{% macro postgres__json_rows(relation, keys, column, fields) -%}
  select
    {% for name, key in keys.items() %}source.{{ key }} as {{ name }}, {% endfor %}
    {% for name, type in fields.items() %}element.{{ name }}{{ ", " if not loop.last }}{% endfor %}
  from {{ relation }} as source
  cross join lateral jsonb_to_recordset(
    case when jsonb_typeof(cast(source.{{ column }} as jsonb)) = 'array' then cast(source.{{ column }} as jsonb) else cast('[]' as jsonb) end
  ) as element({% for name, type in fields.items() %}{{ name }} {{ type }}{{ ", " if not loop.last }}{% endfor %})
{%- endmacro %}
