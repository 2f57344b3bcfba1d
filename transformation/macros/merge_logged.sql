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
   a new epoch; what the old log said is over. DELETE and not TRUNCATE: a proof that reads the log keeps its snapshot.
   A fact that is computed anew because its own code changed goes on with the log, or is not committed at all. #}
{% macro record_fact_build() %}
    {% if execute %}
        {{ record_loads('transactions') }};
        {% set end = watermark_of('fact_transactions') %}
        {% set is_anew = should_full_refresh() %}
        {% set former = load_cached_relation(make_backup_relation(this, 'table')) if is_anew else none %}
        {% if end is none or (is_anew and (build_is_full() or former is none)) %}
            select metadata.move_watermark(
                'fact_transactions', {{ end[0] if end else 'null' }}, {{ end[1] if end else 'null' }},
                {{ (end[0] if end else 0) + 1 }},
                greatest({{ end[1] if end else 0 }}, coalesce((select max(seq) from metadata.fact_changes), 0)),
                '{{ build_id() }}'
            );
            delete from metadata.fact_changes where epoch <= {{ end[0] if end else 0 }};
        {% else %}
            {% if is_anew %}{{ log_what_differs(former, end[0]) }}{% endif %}
            select metadata.move_watermark(
                'fact_transactions', {{ end[0] }}, {{ end[1] }}, {{ end[0] }},
                coalesce((select max(seq) from metadata.fact_changes where epoch = {{ end[0] }}), {{ end[1] }}),
                '{{ build_id() }}'
            );
        {% endif %}
        {% if is_anew %}analyze {{ this }};{% endif %}
    {% endif %}
{% endmacro %}


{% macro build_is_full() %}
    {{ return(run_query(
        "select 1 from metadata.builds where full_refresh and build_id = '" ~ build_id() ~ "'"
    ).rows | length > 0) }}
{% endmacro %}


{# The fact's former rows against those that were computed anew, in every column that both have. What this build's loads
   brought is logged, as the merge would have done. Anything else that differs means that the new code gives payments of
   before another value, and the marts behind the log hold sums of the former ones: all of it goes back then. #}
{% macro log_what_differs(former, epoch) %}
    {%- set keys = ['occurred_on', 'transaction_id'] -%}
    {%- set now = adapter.get_columns_in_relation(this) | map(attribute='name') | list -%}
    {%- set both = adapter.get_columns_in_relation(former) | map(attribute='name') | select('in', now) | list -%}
    {%- set unknown = logged_columns() | reject('in', both) | list -%}
    create temporary table brought on commit drop as
    select distinct transaction_id from {{ source('raw', 'transactions') }} where load_id = any({{ build_loads() }});
    analyze brought;
    do $prove$
    declare others bigint;
    begin
        select count(*) into others
        from {{ former }} as d
        full join {{ this }} as s on {% for key in keys %}d.{{ key }} = s.{{ key }}{% if not loop.last %} and {% endif %}{% endfor %}

        where {% if unknown %}true or {% endif %}(
            (d.{{ both | join(', d.') }}) is distinct from (s.{{ both | join(', s.') }})
            and not exists (
                select from brought where brought.transaction_id = coalesce(s.transaction_id, d.transaction_id)
            )
        );
        if others > 0 then
            raise exception '% rows of fact_transactions would not be what they were', others;
        end if;
    end $prove$;
    {%- if not unknown %}
    insert into {{ source('build', 'fact_changes') }} (
        epoch, build_id, transaction_id
        {%- for column in logged_columns() %}, old_{{ column }}, new_{{ column }}{% endfor %}
    )
    select
        {{ epoch }}, '{{ build_id() }}'::uuid, s.transaction_id
        {%- for column in logged_columns() %}, d.{{ column }}, s.{{ column }}{% endfor %}
    from brought
    inner join {{ this }} as s on brought.transaction_id = s.transaction_id
    left join {{ former }} as d on {% for key in keys %}d.{{ key }} = s.{{ key }}{% if not loop.last %} and {% endif %}{% endfor %}

    where (d.{{ both | join(', d.') }}) is distinct from (s.{{ both | join(', s.') }});
    {%- endif %}
{% endmacro %}
