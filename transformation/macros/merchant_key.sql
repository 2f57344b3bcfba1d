{# The key of a merchant: name and category, each behind its length, so that no two pairs share a text. #}
{% macro merchant_key(name, category) -%}
    md5(length({{ name }}) || ':' || {{ name }} || length({{ category }}) || ':' || {{ category }})::uuid
{%- endmacro %}
