{# A summary of payments against the fact itself, cell by cell. Reads everything: not part of a build. #}
{% test equals_fact_by_cells(model, cells) %}
    with expected as (
        select
            {{ cells | join(', ') }},
            count(*) as attempt_count,
            sum(amount) as attempt_amount,
            sum(fee_revenue) as fee_revenue,
            count(*) filter (where status = 'SUCCESS') as success_count
        from {{ ref('fact_transactions') }}
        group by {{ cells | join(', ') }}
    ),

    actual as (
        select
            {{ cells | join(', ') }},
            success_count + failed_count + pending_count as attempt_count,
            success_amount + failed_amount + pending_amount as attempt_amount,
            fee_revenue,
            success_count
        from {{ model }}
    )

    (select * from expected except all select * from actual)
    union all
    (select * from actual except all select * from expected)
{% endtest %}
