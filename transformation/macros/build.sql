{# The build that runs: which loads it processes and which ones its models may see. Compiled as literals, because a
   subquery as bound is planned blind (a third of the table). #}

{% macro build_id() %}
    {{ return(env_var('TIEOUT_BUILD_ID', '')) }}
{% endmacro %}


{% macro require_build() %}
    {% if execute and flags.WHICH in ['build', 'run'] %}
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


{# Whether this build makes a lookback: not every one does (control/control/build_books.py). #}
{% macro wants_lookback() %}
    {% if not execute or not build_id() %}
        {{ return(false) }}
    {% endif %}
    {{ return(run_query(
        "select 1 from metadata.builds where lookback and build_id = '" ~ build_id() ~ "'"
    ).rows | length > 0) }}
{% endmacro %}


{% macro newest_day() %}
    {{ return(run_query("select max(occurred_on)::text from " ~ this).rows[0][0]) }}
{% endmacro %}


{# The first instant that a lookback reads again, as a literal, or none. It hangs on the data's newest day, never on
   today: replayed history must load too. #}
{% macro lookback_start() %}
    {% set newest = newest_day() if wants_lookback() else none %}
    {% if newest is none %}
        {{ return(none) }}
    {% endif %}
    {{ return("timestamptz '" ~ newest ~ " 00:00:00+00' - interval '" ~ (var('lookback_days') | int) ~ " days'") }}
{% endmacro %}
