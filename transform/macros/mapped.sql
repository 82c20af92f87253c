{#
  The customers that a person chose for clients in the mapping file of target-quickbooks (mappings.yml), read on every run
  into recon.mapped_customers: such a customer is the client's whatever its name. Where dbt cannot read files (PostgreSQL),
  the section `clients` comes as the variable of that name. A file that the push refuses maps nothing here.
#}
{% macro mapping_file() -%}
  {% set file = env_var('BOOKS_MAPPING_FILE', env_var('TARGET_QUICKBOOKS_MAPPING_FILE', 'mappings.yml')) %}
  {{ return(file if file.startswith('/') else env_var('MELTANO_PROJECT_ROOT', '.') ~ '/' ~ file) }}
{%- endmacro %}

{% macro load_mapped() -%}
{% if execute %}
  {% set content = {'clients': var('clients', none)} if var('clients', none) is not none else fromyaml(read_file(mapping_file()) or '{}', {}) %}
  {% set clients = content.get('clients') if content is mapping else none %}
  drop table if exists recon.mapped_customers;
  create table recon.mapped_customers (client_id varchar, customer_id varchar, customer_name varchar);
  {% for client, customer in (clients if clients is mapping else {}).items() if customer is mapping %}
    insert into recon.mapped_customers values (
      {{ quoted(client) }}, {{ quoted(customer.get('customer_id')) }}, {{ quoted(customer.get('customer')) }}
    );
  {% endfor %}
{% endif %}
{%- endmacro %}
