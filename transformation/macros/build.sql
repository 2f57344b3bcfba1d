{# The build that runs: which loads it processes and which ones its models may see. Compiled as literals, because a
   subquery as bound is planned blind (a third of the table). #}

{% macro build_loads() %}
    {% if not execute or not build_id() %}
        {{ return("'{}'::bigint[]") }}
    {% endif %}
    {% set loads = run_query(
        "select coalesce(array_agg(load_id order by load_id), '{}')::text from metadata.build_loads"
        ~ " where build_id = '" ~ build_id() ~ "'"
    ).rows[0][0] %}
    {{ return("'" ~ loads ~ "'::bigint[]") }}
{% endmacro %}


{# A predicate over load_id: what has been processed, and the loads of this build. A load that is committed while
   the build runs waits for the next one. Failed loads left no rows, so they need no exception. #}
{% macro visible_loads() %}
    {% if not execute %}
        {{ return('true') }}
    {% endif %}
    {% set seen %}
        with seen as (
            select load_id from metadata.processed_loads
            {% if build_id() %}
            union
            select load_id from metadata.build_loads where build_id = '{{ build_id() }}'
            {% endif %}
        ),
        newest as (select coalesce(max(load_id), 0) as load_id from seen)
        select
            newest.load_id,
            array(
                select audit.load_id from metadata.load_audit as audit
                where audit.load_id <= newest.load_id and audit.status <> 'FAILED'
                    and not exists (select from seen where seen.load_id = audit.load_id)
                order by audit.load_id
            )::text as hidden
        from newest
    {% endset %}
    {% set row = run_query(seen).rows[0] %}
    {{ return("load_id <= " ~ row[0] ~ " and load_id <> all('" ~ row[1] ~ "'::bigint[])") }}
{% endmacro %}


{# Business days whose transactions and summaries this build computes again, as pairs of literals. #}
{% macro build_days() %}
    {% if not execute or not build_id() %}
        {{ return([]) }}
    {% endif %}
    {% set found %}
        select lower(span)::text, (upper(span) - 1)::text
        from metadata.builds, unnest(days) as span
        where build_id = '{{ build_id() }}'
    {% endset %}
    {{ return(run_query(found).rows | map('list') | list) }}
{% endmacro %}


{% macro on_days(column, days) -%}
    (
        {%- for day in days -%}
        {{ column }} between date '{{ day[0] }}' and date '{{ day[1] }}'{% if not loop.last %} or {% endif %}
        {%- endfor -%}
    )
{%- endmacro %}
