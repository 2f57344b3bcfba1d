{# The fact's merge looks seeds up row by row, with hash joins off. #}
{% macro index_seed(columns) %}
    create unique index if not exists {{ this.identifier }}_key on {{ this }} ({{ columns | join(', ') }});
    analyze {{ this }};
{% endmacro %}
