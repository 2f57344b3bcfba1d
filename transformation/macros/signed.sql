{# Aggregates over contributions(): what was leaves, what is enters. #}
{% macro signed_count(condition) -%}
    coalesce(sum(sign) filter (where {{ condition }}), 0)::bigint
{%- endmacro %}


{% macro signed_sum(value, condition) -%}
    coalesce(sum(sign * {{ value }}) filter (where {{ condition }}), 0)::numeric(38, 4)
{%- endmacro %}
