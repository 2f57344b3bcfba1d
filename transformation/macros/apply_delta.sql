{# Incremental strategy apply_delta: adds what changed to what there is. The model's meta says how each column is
   combined: sums are added, least and greatest only ever widen (a transaction's time never changes), every other
   column takes the new value. #}
{% macro get_incremental_apply_delta_sql(arguments) %}
    {%- set columns = arguments['dest_columns'] | map(attribute='name') | list -%}
    {%- set keys = arguments['unique_key'] if arguments['unique_key'] is not string else [arguments['unique_key']] -%}
    {%- set meta = config.get('meta') -%}
    merge into {{ arguments['target_relation'] }} as d
    using {{ arguments['temp_relation'] }} as s
        on {% for key in keys %}d.{{ key }} = s.{{ key }}{% if not loop.last %} and {% endif %}{% endfor %}
    when matched then update set
        {% for column in columns | reject('in', keys) -%}
        {{ column }} = {% if column in meta.get('sums', []) -%} d.{{ column }} + s.{{ column }}
        {%- elif column in meta.get('least', []) -%} least(d.{{ column }}, s.{{ column }})
        {%- elif column in meta.get('greatest', []) -%} greatest(d.{{ column }}, s.{{ column }})
        {%- else -%} s.{{ column }}
        {%- endif %}{% if not loop.last %},{% endif %}
        {% endfor %}
    when not matched then insert ({{ columns | join(', ') }})
        values ({% for column in columns %}s.{{ column }}{% if not loop.last %}, {% endif %}{% endfor %})
{% endmacro %}
