-- Net, VAT, gross, currency, lines and tax codes of compared invoices: A01 to A06; and QuickBooks' VAT against itself: Q01.
with

judged as (
  select
    *,
    coalesce(number, ledger_number) as shown_number,
    case
      when is_other_currency then 'A06'
      when is_other_net then 'A01'
      when proved_pennies <> 0 then 'A03'
      when is_other_tax or is_other_gross then 'A02'
    end as amount_rule,
    -- Apart from the amounts, so that proved pennies hide no line: told where the net agrees.
    case
      when is_other_currency or is_other_net then null
      when lines_differ then 'A04'
      when codes_differ then 'A05'
    end as line_rule
  from {{ ref('differences') }}
),

amounts as (
  select
    *,
    {{ timed('amount_rule', "is_edited_since_push and changed_in in ('opsmerge', 'unknown')") }} as amount_class,
    case amount_rule
      when 'A06' then currency || ' ' || cast(gross as varchar)
      when 'A01' then 'net ' || cast(net as varchar)
      else 'VAT ' || cast(tax as varchar)
    end as opsmerge_value,
    case amount_rule
      when 'A06' then ledger_currency || ' ' || cast(ledger_gross as varchar)
      when 'A01' then 'net ' || cast(ledger_net as varchar)
      else 'VAT ' || cast(ledger_tax as varchar)
    end as ledger_value,
    case when amount_rule = 'A06' then 0 else gross_difference end as effect,
    case when amount_rule = 'A06' then gross + ledger_gross else greatest(abs(gross_difference), abs(tax_difference)) end as exposure
  from judged
  where amount_rule is not null
),

lines as (
  select *, {{ timed('line_rule', 'is_edited_since_push') }} as line_class
  from judged
  where line_rule is not null
)

{{ finding(
  part="'amount'", class='amount_class', rule='amount_rule', number='shown_number',
  opsmerge_value='opsmerge_value', ledger_value='ledger_value', effect='effect', exposure='exposure',
  variant="'edited_in_' || changed_in",
) }}
from amounts
union all
{{ finding(
  part="'lines'", class='line_class', rule='line_rule', number='shown_number',
  opsmerge_value="case line_rule when 'A04' then 'lines' else 'tax codes' end",
  ledger_value="case line_rule when 'A04' then 'other lines' else 'other tax codes' end", exposure='gross',
) }}
from lines
union all
{{ finding(
  part="'own VAT'", class='class', rule='fixed_class', source_id='source_id',
  opsmerge_value='opsmerge_value', ledger_value='ledger_value', exposure='exposure',
) }}
from {{ ref('own_sums') }}
where fixed_class = 'Q01'
