{#
  The raw tables and their columns (docs/tables.md). A stream that no run has loaded yet, credit notes for example,
  becomes an empty table here; a column that the loader has not met yet becomes an empty column.
#}
{% macro raw_contract() -%}
{% set loaded = {'_sdc_extracted_at': 'timestamp with time zone', '_sdc_deleted_at': 'timestamp with time zone'} %}
{% set loads = {
  'stream': 'varchar', 'extract_started_at': 'timestamp with time zone', 'extract_ended_at': 'timestamp with time zone',
  'rows': 'bigint', 'mode': 'varchar', 'complete': 'boolean',
} %}
{% set tables = {
  'raw_opsmerge.invoices': dict({
    'id': 'varchar', 'number': 'varchar', 'status': 'varchar', 'issue_date': 'date', 'due_date': 'date',
    'currency': 'varchar', 'client_id': 'varchar', 'client_name': 'varchar', 'client_email': 'varchar',
    'billing_address': 'json', 'lines': 'json', 'subtotal': 'decimal(18,2)', 'tax_total': 'decimal(18,2)',
    'total': 'decimal(18,2)', 'amount_paid': 'decimal(18,2)', 'balance': 'decimal(18,2)', 'notes': 'varchar',
    'accounting_excluded': 'boolean', 'accounting': 'json', 'opened_at': 'timestamp with time zone',
    'voided_at': 'timestamp with time zone', 'created_at': 'timestamp with time zone',
    'updated_at': 'timestamp with time zone'}, **loaded),
  'raw_opsmerge.payments': dict({
    'id': 'varchar', 'invoice_id': 'varchar', 'amount': 'decimal(18,2)', 'currency': 'varchar', 'paid_on': 'date',
    'method': 'varchar', 'reference': 'varchar', 'external_id': 'varchar', 'voided': 'boolean',
    'updated_at': 'timestamp with time zone'}, **loaded),
  'raw_opsmerge.clients': dict({
    'id': 'varchar', 'name': 'varchar', 'email': 'varchar', 'billing_address': 'json', 'active': 'boolean'}, **loaded),
  'raw_opsmerge.services': dict({
    'id': 'varchar', 'name': 'varchar', 'active': 'boolean', 'quickbooks_item': 'varchar'}, **loaded),
  'raw_opsmerge.tax_codes': dict({
    'id': 'varchar', 'name': 'varchar', 'rate': 'decimal(9,4)', 'quickbooks_tax_code': 'varchar'}, **loaded),
  'raw_opsmerge._loads': loads,
  'raw_quickbooks.postings': dict({
    'provider': 'varchar', 'connection': 'varchar', 'company_id': 'varchar', 'opsmerge_invoice_id': 'varchar',
    'number': 'varchar', 'outcome': 'varchar', 'external_id': 'varchar', 'fault_code': 'varchar',
    'fault_message': 'varchar', 'remedy': 'varchar', 'currency': 'varchar', 'net': 'decimal(18,2)',
    'tax': 'decimal(18,2)', 'total': 'decimal(18,2)', 'ledger_total': 'decimal(18,2)', 'ledger_tax': 'decimal(18,2)',
    'payload_sha256': 'varchar', 'request_id': 'varchar', 'vendor_request_id': 'varchar', 'attempts': 'bigint',
    'first_attempted_at': 'timestamp with time zone', 'attempted_at': 'timestamp with time zone',
    'finished_at': 'timestamp with time zone', 'seq': 'bigint', 'written_to_opsmerge': 'boolean'}, **loaded),
  'raw_quickbooks.push_runs': dict({
    'connection': 'varchar', 'id': 'varchar', 'started_at': 'timestamp with time zone',
    'finished_at': 'timestamp with time zone', 'complete': 'boolean'}, **loaded),
  'raw_quickbooks.payments': dict({
    'connection': 'varchar',
    'realm_id': 'varchar', 'id': 'varchar', 'txn_date': 'date', 'total_amount': 'decimal(18,2)',
    'unapplied_amount': 'decimal(18,2)', 'currency': 'varchar', 'exchange_rate': 'decimal(18,6)',
    'customer_id': 'varchar', 'customer_name': 'varchar', 'payment_ref_number': 'varchar', 'payment_method': 'varchar',
    'private_note': 'varchar', 'status': 'varchar', 'allocations': 'json', 'sync_token': 'varchar',
    'created_at': 'timestamp with time zone', 'updated_at': 'timestamp with time zone'}, **loaded),
  'raw_quickbooks.invoices': dict({
    'connection': 'varchar',
    'realm_id': 'varchar', 'id': 'varchar', 'doc_number': 'varchar', 'txn_date': 'date', 'due_date': 'date',
    'customer_id': 'varchar', 'customer_name': 'varchar', 'currency': 'varchar', 'exchange_rate': 'decimal(18,6)',
    'net_amount': 'decimal(18,2)', 'tax_amount': 'decimal(18,2)', 'total_amount': 'decimal(18,2)',
    'balance': 'decimal(18,2)', 'status': 'varchar', 'lines': 'json', 'tax_lines': 'json', 'payment_ids': 'json',
    'private_note': 'varchar', 'sync_token': 'varchar', 'created_at': 'timestamp with time zone',
    'updated_at': 'timestamp with time zone'}, **loaded),
  'raw_quickbooks.credit_memos': dict({
    'connection': 'varchar',
    'realm_id': 'varchar', 'id': 'varchar', 'doc_number': 'varchar', 'txn_date': 'date', 'customer_id': 'varchar',
    'customer_name': 'varchar', 'currency': 'varchar', 'net_amount': 'decimal(18,2)', 'tax_amount': 'decimal(18,2)',
    'total_amount': 'decimal(18,2)', 'remaining_credit': 'decimal(18,2)', 'status': 'varchar',
    'updated_at': 'timestamp with time zone'}, **loaded),
  'raw_quickbooks.customers': dict({
    'connection': 'varchar',
    'realm_id': 'varchar', 'id': 'varchar', 'display_name': 'varchar', 'email': 'varchar', 'active': 'boolean',
    'status': 'varchar', 'updated_at': 'timestamp with time zone'}, **loaded),
  'raw_quickbooks.accounts': dict({
    'connection': 'varchar',
    'realm_id': 'varchar', 'id': 'varchar', 'name': 'varchar', 'account_type': 'varchar', 'currency': 'varchar',
    'current_balance': 'decimal(18,2)', 'status': 'varchar', 'updated_at': 'timestamp with time zone'}, **loaded),
  'raw_quickbooks._loads': loads,
} %}
{{ return(tables) }}
{%- endmacro %}

{# The statements that bring the raw schemas to the contract; none when they already are. #}
{% macro ensure_raw() -%}
{% if execute %}
  {% set present = {} %}
  {% set found = run_query("select table_schema || '.' || table_name, column_name from information_schema.columns
      where table_schema in ('raw_opsmerge', 'raw_quickbooks') and table_catalog = current_database()") %}
  {% for row in found.rows %}
    {% do present.setdefault(row[0], []).append(row[1]) %}
  {% endfor %}
  create schema if not exists raw_opsmerge;
  create schema if not exists raw_quickbooks;
  {% for table, columns in raw_contract().items() %}
    {% if table not in present %}
      create table {{ table }} ({% for name, type in columns.items() %}"{{ name }}" {{ type }}{{ ", " if not loop.last }}{% endfor %});
    {% else %}
      {% for name, type in columns.items() if name not in present[table] %}
        alter table {{ table }} add column "{{ name }}" {{ type }};
      {% endfor %}
    {% endif %}
  {% endfor %}
{% endif %}
{%- endmacro %}
