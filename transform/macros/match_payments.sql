{#
  One step of matching payments: among those that no earlier step matched, join on `keys`, the k-th with the k-th.
  Needs the CTEs `live` (OpsMerge) and `quickbooks`, or another one in its place, with an `allocation_key`.
#}
{% macro match_payments(step, earlier, keys, quickbooks='quickbooks') -%}
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
    from {{ quickbooks }} as quickbooks
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

{# How near two payments of one reference and amount have to be to be one payment entered twice: a standing order is not. #}
{% macro entered_twice(one, other) -%} {{ one }} - {{ other }} between -6 and 6 {%- endmacro %}

{#
  QuickBooks payments that were entered twice: the same customer, reference, amount and currency within days, and one that
  OpsMerge does not know. Where it knows neither, the copy is the one that is set against nothing, or the later one.
  Needs the CTE `known` (payment_id), which OpsMerge has in some way.
#}
{% macro payment_copies() -%}
referenced as (
  select *, unapplied = total as is_unapplied
  from {{ ref('stg_quickbooks__payments') }}
  where realm_id = (select realm_id from run) and status = 'active' and total > 0 and reference is not null
),

unknown as (
  select * from referenced where not exists (select 1 from known where known.payment_id = referenced.payment_id)
),

copies as (
  select copy.payment_id, min(original.payment_id) as original_id
  from unknown as copy
  inner join referenced as original
    on original.customer_id = copy.customer_id and original.reference = copy.reference
    and original.total = copy.total and original.currency = copy.currency
  where original.payment_id <> copy.payment_id
    and {{ entered_twice('copy.txn_date', 'original.txn_date') }}
    and (
      not exists (select 1 from unknown where unknown.payment_id = original.payment_id)
      or copy.is_unapplied and (
        not original.is_unapplied or original.txn_date < copy.txn_date
        or original.txn_date = copy.txn_date and original.payment_id < copy.payment_id
      )
    )
  group by copy.payment_id
)
{%- endmacro %}
