{# Incremental strategy merge_logged: one statement merges the rows and writes every old and new value to the change
   log (MERGE ... RETURNING old, new: PostgreSQL 18). Rows that are equal already are neither written nor logged. #}
{% macro get_incremental_merge_logged_sql(arguments) %}
    {%- set columns = arguments['dest_columns'] | map(attribute='name') | list -%}
    {%- set keys = arguments['unique_key'] -%}
    {%- set others = columns | reject('in', keys) | list -%}
    {%- do run_query("analyze " ~ arguments['temp_relation']) -%}
    {%- set end = watermark_of('fact_transactions') -%}
    with merged as (
        merge into {{ arguments['target_relation'] }} as d
        using {{ arguments['temp_relation'] }} as s
            on {% for key in keys %}d.{{ key }} = s.{{ key }}{% if not loop.last %} and {% endif %}{% endfor %}
        when matched and (
            {% for column in others %}d.{{ column }}{% if not loop.last %}, {% endif %}{% endfor %}
        ) is distinct from (
            {% for column in others %}s.{{ column }}{% if not loop.last %}, {% endif %}{% endfor %}
        ) then update set
            {% for column in others %}{{ column }} = s.{{ column }}{% if not loop.last %}, {% endif %}{% endfor %}
        when not matched then insert ({{ columns | join(', ') }})
            values ({% for column in columns %}s.{{ column }}{% if not loop.last %}, {% endif %}{% endfor %})
        returning
            new.transaction_id
            {%- for column in logged_columns() %},
            old.{{ column }} as old_{{ column }},
            new.{{ column }} as new_{{ column }}
            {%- endfor %}
    )
    insert into {{ source('build', 'fact_changes') }} (
        epoch, build_id, transaction_id
        {%- for column in logged_columns() %}, old_{{ column }}, new_{{ column }}{% endfor %}
    )
    select {{ end[0] }}, '{{ build_id() }}'::uuid, merged.* from merged
{% endmacro %}


{# Few rows against a large table: at the default costs the planner reads the whole table up to some size, so that the
   cost grows with history until it flips. A full refresh sorts everything instead. For this transaction only. #}
{% macro plan_the_merge() %}
    {% if is_incremental() %}
        set local random_page_cost = 1.1;
        set local enable_hashjoin = off;
        set local enable_mergejoin = off;
    {% else %}
        set local work_mem = '128MB';
        set local maintenance_work_mem = '256MB';
    {% endif %}
{% endmacro %}


{# In the fact's own transaction: its loads are processed, and the log's end is where it now is. A full refresh begins
   a new epoch; what the old log said is over. DELETE and not TRUNCATE: a proof that reads the log keeps its snapshot. #}
{% macro record_fact_build() %}
    {% if execute %}
        insert into metadata.processed_loads (load_id, build_id)
        select load_id, build_id from metadata.build_loads where build_id = '{{ build_id() }}'
        on conflict do nothing;
        {% set end = watermark_of('fact_transactions') %}
        {% if should_full_refresh() or end is none %}
            select metadata.move_watermark(
                'fact_transactions', {{ end[0] if end else 'null' }}, {{ end[1] if end else 'null' }},
                {{ (end[0] if end else 0) + 1 }},
                greatest({{ end[1] if end else 0 }}, coalesce((select max(seq) from metadata.fact_changes), 0)),
                '{{ build_id() }}'
            );
            delete from metadata.fact_changes where epoch <= {{ end[0] if end else 0 }};
            analyze {{ this }};
        {% else %}
            select metadata.move_watermark(
                'fact_transactions', {{ end[0] }}, {{ end[1] }}, {{ end[0] }},
                coalesce((select max(seq) from metadata.fact_changes where epoch = {{ end[0] }}), {{ end[1] }}),
                '{{ build_id() }}'
            );
        {% endif %}
    {% endif %}
{% endmacro %}
