{# The days that a build computes again, made equal to silver before the merge, in its transaction. It is not logged:
   the marts behind the log have applied what silver says, and a row that was changed behind its back would be taken off
   them with its wrong value. Transactions of the build's own loads are left to the merge, which logs them. #}
{% macro repair_days() %}
    {% set days = build_days() %}
    {% if days and is_incremental() %}
        {%- set columns = adapter.get_columns_in_relation(this) | map(attribute='name') | list -%}
        {%- set keys = ['occurred_on', 'transaction_id'] -%}
        {%- set others = columns | reject('in', keys) | list %}
        create temporary table fact_repair on commit drop as
        {% for day in days %}
        select {{ columns | join(', ') }}
        from {{ ref('int_transactions_enriched') }}
        where occurred_at >= timestamptz '{{ day[0] }} 00:00:00+00' - interval '1 day'
            and occurred_at < timestamptz '{{ day[1] }} 00:00:00+00' + interval '2 days'
            and occurred_on between date '{{ day[0] }}' and date '{{ day[1] }}'
        {% if not loop.last %}union all{% endif %}
        {% endfor %};
        analyze fact_repair;
        delete from {{ this }} as d
        where {{ on_days('d.occurred_on', days) }} and not exists (
            select from fact_repair as s
            where s.occurred_on = d.occurred_on and s.transaction_id = d.transaction_id
        );
        delete from fact_repair as s using {{ source('raw', 'transactions') }} as brought
        where brought.transaction_id = s.transaction_id and brought.load_id = any({{ build_loads() }});
        merge into {{ this }} as d using fact_repair as s
            on d.occurred_on = s.occurred_on and d.transaction_id = s.transaction_id
        when matched and (
            {% for column in others %}d.{{ column }}{% if not loop.last %}, {% endif %}{% endfor %}
        ) is distinct from (
            {% for column in others %}s.{{ column }}{% if not loop.last %}, {% endif %}{% endfor %}
        ) then update set
            {% for column in others %}{{ column }} = s.{{ column }}{% if not loop.last %}, {% endif %}{% endfor %}
        when not matched then insert ({{ columns | join(', ') }})
            values ({% for column in columns %}s.{{ column }}{% if not loop.last %}, {% endif %}{% endfor %});
    {% endif %}
{% endmacro %}


{# Rows of a fact that silver does not have, on days that a build computes again. What it has is merged by the model
   itself. #}
{% macro forget_unknown(entity, key) %}
    {% set days = build_days() %}
    {% if days and is_incremental() %}
        delete from {{ this }} as d
        where {{ on_days('d.occurred_on', days) }} and not exists (
            select from {{ source('raw', entity) }} as s where s.{{ key }} = d.{{ key }}
        );
    {% endif %}
{% endmacro %}
