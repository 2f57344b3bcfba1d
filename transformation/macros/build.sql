{# The build that runs: which loads it processes and which ones its models may see. Compiled as literals, because a
   subquery as bound is planned blind (a third of the table). #}

{% macro build_id() %}
    {{ return(env_var('TIEOUT_BUILD_ID', '')) }}
{% endmacro %}


{# Before anything runs: the build must be open and hold the lock; its lease begins anew, since somebody works on it.
   What the build has to bring to success is written down, so that its end can tell whether something is missing. #}
{% macro require_build() %}
    {% if execute and flags.WHICH in ['build', 'run', 'seed'] %}
        {% set running = [] %}
        {% if build_id() %}
            {% set running = run_query(
                "select 1 from metadata.builds join metadata.build_lock using (build_id) where status = 'RUNNING'"
                ~ " and build_id = '" ~ build_id() ~ "'"
            ).rows %}
        {% endif %}
        {% if not running %}
            {{ exceptions.raise_compiler_error(
                "TIEOUT_BUILD_ID names no running build, so nothing says which loads to process. "
                ~ "The marts are as they were. Next: ./scripts/tieout build"
            ) }}
        {% endif %}
    {% endif %}
    {% if execute and build_id() and flags.WHICH in ['build', 'run', 'seed', 'test'] %}
        {{ end_earlier_tries() }}
        insert into metadata.build_nodes (build_id, node, kind) values
        {% for node in wanted_nodes() -%}
        ('{{ build_id() }}', '{{ node.unique_id }}', '{{ node.resource_type }}'){% if not loop.last %}, {% endif %}
        {%- endfor %}
        on conflict do nothing;
        {{ keep_lease() }}
        commit;
    {% endif %}
{% endmacro %}


{# Every model, and every test of a model that is part of a build. #}
{% macro wanted_nodes() %}
    {% set wanted = [] %}
    {% for node in graph.nodes.values() %}
        {% if node.resource_type == 'model' or (
            node.resource_type == 'test' and 'full' not in node.tags
            and (node.attached_node or '').startswith('model.')
        ) %}
            {% do wanted.append(node) %}
        {% endif %}
    {% endfor %}
    {{ return(wanted) }}
{% endmacro %}


{% macro keep_lease() %}
    update metadata.build_lock
    set heartbeat_at = clock_timestamp(), lease_until = clock_timestamp() + interval '15 minutes'
    where build_id = '{{ build_id() }}' and run_id is not null;
{% endmacro %}


{# Where one dbt of a build follows the other (TIEOUT_INVOCATION is set then), whoever connected before this one began
   was left by a try that was killed: its statements end here. #}
{% macro end_earlier_tries() %}
    {% if env_var('TIEOUT_INVOCATION', '') %}
        select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = current_setting('application_name') and usename = current_user
            and datname = current_database() and backend_start < '{{ run_started_at }}'::timestamptz;
    {% endif %}
{% endmacro %}


{# Inside the model's own transaction: it is built exactly when this is committed. #}
{% macro record_model() %}
    {% if execute and build_id() %}
        insert into metadata.build_nodes (build_id, node, kind, status)
        values ('{{ build_id() }}', '{{ model.unique_id }}', 'model', 'success')
        on conflict (build_id, node) do update set status = 'success', said_at = clock_timestamp();
    {% endif %}
{% endmacro %}


{% macro record_results(results) %}
    {% if execute and build_id() and flags.WHICH in ['build', 'run', 'seed', 'test'] %}
        {% set wanted = wanted_nodes() | map(attribute='unique_id') | list %}
        {% for result in results if result.node.unique_id in wanted and result.status != 'skipped' %}
        insert into metadata.build_nodes (build_id, node, kind, status)
        values ('{{ build_id() }}', '{{ result.node.unique_id }}', '{{ result.node.resource_type }}', '{{ result.status }}')
        on conflict (build_id, node) do update set status = excluded.status, said_at = clock_timestamp();
        {% endfor %}
        {{ keep_lease() }}
        commit;
    {% endif %}
{% endmacro %}


{# The books say whether the build computes everything anew; so a dbt of one model needs no flag of its own. #}
{% macro build_is_full() %}
    {% if not execute or not build_id() %}
        {{ return(flags.FULL_REFRESH) }}
    {% endif %}
    {{ return(run_query(
        "select 1 from metadata.builds where full_refresh and build_id = '" ~ build_id() ~ "'"
    ).rows | length > 0) }}
{% endmacro %}


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
