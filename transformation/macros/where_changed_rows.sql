{# Tests inside a build read what the build changed: `where: __changed_rows__` becomes the build's loads, as literals.
   Of a table that is computed anew, and in `dbt test` by hand, the same tests read everything. Needs load_id, with an index. The
   subquery has no alias (PostgreSQL 16 needs none), so that a test may give it one. #}
{% macro get_where_subquery(relation) -%}
    {%- set where = config.get('where', '') -%}
    {%- if where == '__changed_rows__' -%}
        {%- if not build_id() or computed_anew(relation.identifier) -%}
            {%- do return(relation) -%}
        {%- endif -%}
        {%- set where = "load_id = any(" ~ build_loads() ~ ")" -%}
    {%- endif -%}
    {%- if where -%}
        {%- do return("(select * from " ~ relation ~ " where " ~ where ~ ")") -%}
    {%- endif -%}
    {%- do return(relation) -%}
{%- endmacro %}
