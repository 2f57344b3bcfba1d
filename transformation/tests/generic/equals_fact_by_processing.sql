{# The totals of processing times against the fact itself, cell by cell. Reads everything: not part of a build. #}
{% test equals_fact_by_processing(model) %}
    {% set cells %}
        occurred_on,
        currency,
        payment_method,
        country,
        state,
        city,
        region,
        given_segment
    {% endset %}
    with expected as (
        select
            {{ cells }},
            count(*) as attempt_count,
            sum(amount) as attempt_amount,
            sum(fee_revenue) as fee_revenue,
            count(*) filter (where status = 'SUCCESS') as success_count,
            sum(processing_seconds) as processing_seconds,
            count(*) filter (where processing_bucket = 'FAST') as fast_count,
            count(*) filter (where processing_bucket = 'MEDIUM') as medium_count,
            count(*) filter (where processing_bucket = 'SLOW') as slow_count
        from {{ ref('fact_transactions') }}
        where processing_seconds is not null
        group by {{ cells }}
    ),

    actual as (
        select
            {{ cells }},
            success_count + failed_count + pending_count as attempt_count,
            success_amount + failed_amount + pending_amount as attempt_amount,
            fee_revenue,
            success_count,
            processing_seconds,
            fast_count,
            medium_count,
            slow_count
        from {{ model }}
        where success_count + failed_count + pending_count > 0
    )

    (select * from expected except all select * from actual)
    union all
    (select * from actual except all select * from expected)
{% endtest %}
