{#
  The shape of a finding: each column's type, and what stands in it where a rule says nothing. The YAML of `findings`
  says what each means.
#}
{% macro finding_columns() -%}
  {{ return({
    'entity': ('varchar', "'invoice'"), 'source_id': ('varchar', 'opsmerge_invoice_id'), 'part': ('varchar', 'null'),
    'class': ('varchar', none), 'rule': ('varchar', none), 'root_class': ('varchar', 'null'), 'root_id': ('varchar', 'null'),
    'currency': ('varchar', 'currency'), 'period': ('varchar', 'period'),
    'opsmerge_invoice_id': ('varchar', 'opsmerge_invoice_id'), 'number': ('varchar', 'number'),
    'external_id': ('varchar', 'external_id'), 'payment_id': ('varchar', 'null'),
    'opsmerge_value': ('varchar', 'null'), 'ledger_value': ('varchar', 'null'),
    'effect': ('decimal(18, 2)', '0'), 'exposure': ('decimal(18, 2)', '0'), 'is_graver': ('boolean', 'false'),
    'variant': ('varchar', 'null'), 'id': ('varchar', 'null'), 'other_id': ('varchar', 'null'),
    'other_number': ('varchar', 'null'), 'amount': ('decimal(18, 2)', 'null'), 'company': ('varchar', 'null'),
    'fault': ('varchar', 'null'), 'posting_remedy': ('varchar', 'null'),
  }) }}
{%- endmacro %}

{#
  `select` of a rule's findings in that shape: {{ finding(class='A01', rule='A01', exposure='gross') }} from ...
  Each argument is a column of the shape and the SQL of its value. `class` and `rule` have to be given.
#}
{% macro finding() -%}
  {%- set shape = finding_columns() -%}
  {%- for name in kwargs if name not in shape -%}
    {{ exceptions.raise_compiler_error("finding() got " ~ name ~ ", which is no column of a finding; there are " ~ shape | join(', ')) }}
  {%- endfor -%}
  select
  {%- for name, column in shape.items() %}
    cast({{ kwargs[name] if name in kwargs else column[1] or exceptions.raise_compiler_error("finding() needs " ~ name) }} as {{ column[0] }}) as {{ name }}{{ "," if not loop.last }}
  {%- endfor %}
{%- endmacro %}

{#
  A text of the seed drift_words with each {column} replaced by the finding's value of it. Null where a value that it
  names is null: then the class's own words stand.
#}
{% macro filled(text) -%}
  {%- set names = ['id', 'other_id', 'external_id', 'number', 'other_number', 'amount', 'company', 'fault', 'posting_remedy'] -%}
  case
    when not ({% for name in names %}{{ name }} is null and strpos({{ text }}, '{{ '{' ~ name ~ '}' }}') > 0{{ " or " if not loop.last }}{% endfor %}) then
      {% for name in names %}replace({% endfor %}{{ text }}
      {%- for name in names %}, '{{ '{' ~ name ~ '}' }}', coalesce(cast({{ name }} as varchar), '')){% endfor %}
  end
{%- endmacro %}
