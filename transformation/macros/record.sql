{# What a build notes and asks of itself. No row of a mart hangs on this file, so it is no part of the models' hashes
   (transformation/transformation/hashes.py). #}

{% macro build_id() %}
    {{ return(env_var('TIEOUT_BUILD_ID', '')) }}
{% endmacro %}


{# Before anything runs: a build by hand would have no fixed set of loads and no lock. #}
{% macro require_build() %}
    {% if execute and flags.WHICH in ['build', 'run', 'seed'] %}
        {% if not build_id() or not run_query(
            "select 1 from metadata.builds where status = 'RUNNING' and build_id = '" ~ build_id() ~ "'"
        ).rows %}
            {{ exceptions.raise_compiler_error(
                "TIEOUT_BUILD_ID names no running build, so nothing says which loads to process. "
                ~ "The marts are as they were. Next: ./scripts/tieout build"
            ) }}
        {% endif %}
    {% endif %}
{% endmacro %}


{# Inside the model's own transaction: it is built, by this code, exactly when this is committed. A build that has lost
   its lock is over as soon as another one begins, and then it commits nothing any more. #}
{% macro record_model() %}
    {% if execute and build_id() %}
        do $open$
        begin
            perform from metadata.builds where build_id = '{{ build_id() }}' and status = 'RUNNING' for share;
            if not found then
                raise exception 'build {{ build_id() }} is over: it has lost its lock, and another one has begun';
            end if;
        end $open$;
        update metadata.build_models set built_at = clock_timestamp()
        where build_id = '{{ build_id() }}' and model = '{{ this.identifier }}';
    {% endif %}
{% endmacro %}


{# In the transaction of an entity's fact: the fact holds the build's loads of that entity. #}
{% macro record_loads(entity) %}
    insert into metadata.processed_loads (load_id, build_id)
    select load_id, build_id from metadata.build_loads inner join metadata.load_audit using (load_id)
    where build_id = '{{ build_id() }}' and entity = '{{ entity }}'
    on conflict do nothing
{% endmacro %}


{# Whether a model's rows are computed anew in this build. #}
{% macro computed_anew(model) %}
    {% if not execute or not build_id() %}
        {{ return(flags.FULL_REFRESH) }}
    {% endif %}
    {{ return(run_query(
        "select 1 from metadata.build_models where computed_anew and model = '" ~ model ~ "'"
        ~ " and build_id = '" ~ build_id() ~ "'"
    ).rows | length > 0) }}
{% endmacro %}


{# dbt's own question. A mart whose epoch is not the log's is computed anew too: a full refresh of the fact began a new
   log, and the deltas that it had applied belong to the old one. So is the fact without its row of the watermarks. #}
{% macro should_full_refresh() %}
    {% set asked = config.get('full_refresh') %}
    {% if asked is none %}
        {% set asked = computed_anew(this.identifier) %}
    {% endif %}
    {% if not asked and execute and config.get('incremental_strategy') in ['merge_logged', 'apply_delta'] %}
        {% set own = watermark_of(this.identifier) %}
        {% set end = watermark_of('fact_transactions') %}
        {% set asked = own is none or end is none or own[0] != end[0] %}
    {% endif %}
    {{ return(asked) }}
{% endmacro %}


{# The session gives way where its client does (core/core/niceness.py): each of dbt's sessions asks for itself, a
   model's before the model, a test's with its own statement. #}
{% macro give_way() %}
    {% if execute and env_var('TIEOUT_GIVES_WAY', '') %}
        {% do run_query("select control.give_way()") %}
    {% endif %}
{% endmacro %}


{% macro postgres__get_test_sql(main_sql, fail_calc, warn_if, error_if, limit) %}
    {{- give_way() -}}
    {{ default__get_test_sql(main_sql, fail_calc, warn_if, error_if, limit) }}
{% endmacro %}
