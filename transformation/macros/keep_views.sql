{# dbt swaps a rebuilt table in and then drops the old one with all views on it, so that readers would find no view until
   dbt comes to it. Here the views move to the new table first, after the swap and before the drop: in a transaction
   that locks nothing but the view, because a reader locks the view before the table and would meet us head-on. A view
   that no longer fits (its columns are gone) goes with the old table, and dbt makes it anew in the same build. #}
{% macro postgres__drop_relation(relation) %}
    {% set kept = [] %}
    {% if relation.is_table and relation.identifier.endswith('__dbt_backup') %}
        {% set kept = move_views(relation) %}
    {% endif %}
    {% call statement('drop_relation', auto_begin=False) %}
        {{ get_drop_sql(relation) }}
    {% endcall %}
    {# dbt's cache believes that they went with the table, and would trip over them. #}
    {% for row in kept %}
        {% do adapter.cache_added(
            api.Relation.create(database=relation.database, schema=row[0], identifier=row[1], type='view')
        ) %}
    {% endfor %}
{% endmacro %}


{% macro move_views(old) %}
    {% set new = old.identifier[: -('__dbt_backup' | length)] %}
    {% set dependents %}
        select distinct space.nspname, view.relname
        from pg_depend as dependency
        inner join pg_rewrite as rule
            on dependency.classid = 'pg_rewrite'::regclass and dependency.objid = rule.oid
        inner join pg_class as view on rule.ev_class = view.oid
        inner join pg_namespace as space on view.relnamespace = space.oid
        where view.relkind = 'v' and dependency.refobjid = to_regclass('{{ old.include(database=false) }}')
    {% endset %}
    {% set kept = [] %}
    {% for row in run_query(dependents).rows %}
        {% set name = '"' ~ row[0] ~ '"."' ~ row[1] ~ '"' %}
        {% call statement('move_view', auto_begin=False) %}
            do $move$
            begin
                execute 'create or replace view {{ name }} as '
                    || replace(pg_get_viewdef('{{ name }}'::regclass), '{{ old.identifier }}', '{{ new }}');
            exception when others then
                raise notice 'view {{ row[1] }} does not fit the new table and is made anew';
            end
            $move$;
            commit;
        {% endcall %}
        {% set left %}
            {{ dependents }} and view.relname = '{{ row[1] }}'
        {% endset %}
        {% if not run_query(left).rows %}
            {% do kept.append(row) %}
        {% endif %}
    {% endfor %}
    {{ return(kept) }}
{% endmacro %}
