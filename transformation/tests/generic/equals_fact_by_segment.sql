{# The summary by segment against the fact and what each customer is now. Reads everything: not part of a build. #}
{% test equals_fact_by_segment(model, cells) %}
    with expected as (
        select
            fact.{{ cells | join(', fact.') }},
            customers.segment,
            count(*) as attempt_count,
            sum(fact.amount) as attempt_amount,
            sum(fact.fee_revenue) as fee_revenue,
            count(*) filter (where fact.status = 'SUCCESS') as success_count,
            coalesce(sum(fact.settlement_seconds) filter (where fact.settlement_seconds >= 0), 0) as delayed_seconds
        from {{ ref('fact_transactions') }} as fact
        inner join {{ ref('dim_customers') }} as customers
            on fact.customer_id = customers.customer_id
        group by fact.{{ cells | join(', fact.') }}, customers.segment
    ),

    actual as (
        select
            {{ cells | join(', ') }},
            segment,
            success_count + failed_count + pending_count as attempt_count,
            success_amount + failed_amount + pending_amount as attempt_amount,
            fee_revenue,
            success_count,
            delayed_seconds
        from {{ model }}
    )

    (select * from expected except all select * from actual)
    union all
    (select * from actual except all select * from expected)
{% endtest %}
