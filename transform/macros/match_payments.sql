{#
  One step of matching payments: among those that no earlier step matched, join on `keys`, the k-th with the k-th.
  Needs the CTEs `live` (OpsMerge) and `quickbooks`.
#}
{% macro match_payments(step, earlier, keys) -%}
{{ step }} as (
  select one.opsmerge_payment_id, other.allocation_key, '{{ step }}' as matched_by
  from (
    select
      live.opsmerge_payment_id,
      {% for key in keys %}{{ payment_key_part('live', key) }} as {{ key }}, {% endfor %}
      row_number() over (
        partition by {% for key in keys %}{{ payment_key_part('live', key) }}{{ ", " if not loop.last }}{% endfor %}
        order by live.paid_on, live.opsmerge_payment_id
      ) as k
    from live
    where (live.use_of_key = 1 or live.allocation_key is null)
    {% for done in earlier %}
      and not exists (select 1 from {{ done }} where {{ done }}.opsmerge_payment_id = live.opsmerge_payment_id)
    {% endfor %}
  ) as one
  inner join (
    select
      quickbooks.allocation_key,
      {% for key in keys %}quickbooks.{{ key }}, {% endfor %}
      row_number() over (
        partition by {% for key in keys %}quickbooks.{{ key }}{{ ", " if not loop.last }}{% endfor %}
        order by quickbooks.txn_date, quickbooks.allocation_key
      ) as k
    from quickbooks
    {% for done in earlier %}
      {{ "where" if loop.first else "and" }} not exists (select 1 from {{ done }} where {{ done }}.allocation_key = quickbooks.allocation_key)
    {% endfor %}
  ) as other
    on {% for key in keys %}other.{{ key }} = one.{{ key }} and {% endfor %}other.k = one.k
)
{%- endmacro %}

{# OpsMerge names the QuickBooks payment in the second part of the allocation's key. #}
{% macro payment_key_part(table, key) -%}
  {%- if key == 'payment_id' -%} split_part({{ table }}.allocation_key, ':', 2) {%- else -%} {{ table }}.{{ key }} {%- endif -%}
{%- endmacro %}
