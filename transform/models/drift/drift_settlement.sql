/*
What is still owed on compared invoices, and why: S01 to S07. Each side's balances against themselves: O01 (OpsMerge's
sums), R01 (QuickBooks' receivables account); and credit notes, which OpsMerge does not have: C01.
*/
with

judged as (
  select
    differences.*,
    coalesce(differences.number, ledger_number) as shown_number,
    own_sums.fixed_class as own_sums_class,
    own_sums.source_id as own_sums_id,
    case
      when is_other_currency or not is_other_settlement then null
      when abs(settlement_difference) <= proved_pennies then 'S07'
      when is_credited then 'S06'
      when balance = 0 and ledger_applied = 0 then 'S01'
      when ledger_balance = 0 and applied = 0 then 'S02'
      else 'S03'
    end as settlement_rule,
    case when not is_other_currency and remainder <> 0 then 'S04' end as remainder_rule
  from {{ ref('differences') }} as differences
  left join {{ ref('own_sums') }} as own_sums
    on own_sums.opsmerge_invoice_id = differences.opsmerge_invoice_id and own_sums.fixed_class = 'O01'
),

timed as (
  select
    *,
    case
      when settlement_rule in ('S01', 'S02', 'S03', 'S06') and in_flight is not null then 'T03'
      else {{ timed('settlement_rule', 'false') }}
    end as settlement_class,
    {{ timed('remainder_rule', 'false') }} as remainder_class,
    {{ timed("'S05'", 'false') }} as status_class
  from judged
),

-- What is owed differs because a payment does, or else because OpsMerge contradicts itself.
settlements as (
  select
    *,
    case when settlement_class in ('S01', 'S02', 'S03') then coalesce(settlement_root_class, own_sums_class, settlement_class) end as root_class,
    case when settlement_class in ('S01', 'S02', 'S03') then coalesce(settlement_root_id, own_sums_id) end as root_id
  from timed
  where settlement_rule is not null
)

{{ finding(
  part="'settlement'", class='settlement_class', rule='settlement_rule', root_class='root_class', root_id='root_id', number='shown_number',
  opsmerge_value="'balance ' || cast(balance as varchar)", ledger_value="'balance ' || cast(ledger_balance as varchar)",
  effect='-settlement_difference', exposure='abs(settlement_difference)',
) }}
from settlements
union all
{{ finding(
  part="'remainder'", class='remainder_class', rule='remainder_rule', number='shown_number',
  opsmerge_value="'balance ' || cast(balance as varchar)",
  ledger_value="'balance ' || cast(ledger_balance as varchar) || ', of ' || cast(ledger_gross as varchar) || ' less payments: remainder ' || cast(remainder as varchar)",
  effect='settlement_difference - applied_difference', exposure='abs(remainder)', amount='remainder',
) }}
from timed
where remainder_rule is not null
union all
{{ finding(
  part="'status'", class='status_class', rule="'S05'", number='shown_number',
  opsmerge_value="status || ', balance ' || cast(balance as varchar)", ledger_value="'balance ' || cast(ledger_balance as varchar)",
) }}
from timed
where is_status_unfit
union all
{{ finding(
  part="'own sums'", class='class', rule='fixed_class', source_id='source_id',
  opsmerge_value='opsmerge_value', ledger_value='ledger_value', exposure='exposure',
) }}
from {{ ref('own_sums') }}
where fixed_class = 'O01'
union all
{{ finding(
  entity="'receivables'", class="'R01'", rule="'R01'", source_id='currency',
  period='null', opsmerge_invoice_id='null', number="'receivables ' || currency", external_id='null',
  ledger_value="cast(other as varchar) || ' beside the documents'", exposure='abs(other)',
) }}
from {{ ref('receivables') }}
where is_read and other <> 0
union all
{{ finding(
  entity="'credit_memo'", class="'C01'", rule="'C01'", source_id='credit_memo_id',
  period=month('txn_date'), opsmerge_invoice_id='null', number='doc_number', external_id='credit_memo_id',
  ledger_value="customer_name || ' ' || cast(gross as varchar)", exposure='gross',
) }}
from {{ ref('stg_quickbooks__credit_memos') }}
where realm_id = (select realm_id from {{ ref('run') }}) and status = 'live'
