{# A full refresh, or a mart that rebuilds itself, swaps the table and then drops the old one with all views on it, so
   that readers would find no view until dbt comes to it. In the transaction of the swap the views move to the new table
   instead. A view that no longer fits (its columns are gone) is left to dbt, which makes it anew in the same build. #}
{% macro keep_views() %}
    {% if execute %}
        {% set old = make_backup_relation(this, 'table') %}
        do $keep_views$
        declare
            dependent record;
        begin
            for dependent in
                select distinct rule.ev_class as oid, rule.ev_class::regclass::text as name
                from pg_depend as dependency
                inner join pg_rewrite as rule
                    on dependency.classid = 'pg_rewrite'::regclass and dependency.objid = rule.oid
                where dependency.refobjid = to_regclass('{{ old.include(database=false) }}')
                    and rule.ev_class <> dependency.refobjid
            loop
                begin
                    execute 'create or replace view ' || dependent.name || ' as '
                        || replace(pg_get_viewdef(dependent.oid), '{{ old.identifier }}', '{{ this.identifier }}');
                exception when others then
                    raise notice 'view % does not fit the new table and is made anew', dependent.name;
                end;
            end loop;
        end
        $keep_views$;
    {% endif %}
{% endmacro %}


{# dbt's cache believes that the views went with the old table and would trip over them; tell it, after the drop. #}
{% macro remember_views() %}
    {% if execute %}
        {% set views %}
            select distinct space.nspname, view.relname
            from pg_depend as dependency
            inner join pg_rewrite as rule
                on dependency.classid = 'pg_rewrite'::regclass and dependency.objid = rule.oid
            inner join pg_class as view on rule.ev_class = view.oid
            inner join pg_namespace as space on view.relnamespace = space.oid
            where dependency.refobjid = to_regclass('{{ this.include(database=false) }}')
        {% endset %}
        {% for row in run_query(views).rows %}
            {% if not adapter.get_relation(this.database, row[0], row[1]) %}
                {% do adapter.cache_added(
                    api.Relation.create(database=this.database, schema=row[0], identifier=row[1], type='view')
                ) %}
            {% endif %}
        {% endfor %}
    {% endif %}
{% endmacro %}
