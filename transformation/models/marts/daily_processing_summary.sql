{{ config(materialized='view') }}

with totals as (

    select
        occurred_on,
        currency,
        sum(success_count)::bigint as success_count,
        sum(failed_count)::bigint as failed_count,
        sum(success_count + failed_count + pending_count)::bigint as attempt_count,
        sum(success_amount)::numeric(38, 4) as revenue,
        sum(fee_revenue)::numeric(38, 4) as fee_revenue,
        sum(processing_seconds)::numeric(38, 4) as processing_seconds,
        {%- for bucket in ['fast', 'medium', 'slow'] %}
        sum({{ bucket }}_count)::bigint as {{ bucket }}_count{% if not loop.last %},{% endif %}
        {%- endfor %}
    from {{ ref('daily_processing_totals') }}
    group by occurred_on, currency

),

weeks as (

    select
        *,
        count(*) over seven as day_count,
        sum(success_count) over seven as success_count_of_7_days,
        sum(failed_count) over seven as failed_count_of_7_days,
        sum(attempt_count) over seven as attempt_count_of_7_days,
        sum(revenue) over seven as revenue_of_7_days,
        sum(fee_revenue) over seven as fee_revenue_of_7_days,
        sum(processing_seconds) over seven as processing_seconds_of_7_days,
        sum(fast_count) over seven as fast_count_of_7_days,
        sum(medium_count) over seven as medium_count_of_7_days,
        sum(slow_count) over seven as slow_count_of_7_days
    from totals
    window seven as (
        partition by currency
        order by occurred_on
        range between interval '6 days' preceding and current row
    )

)

select
    occurred_on,
    currency,
    attempt_count,
    (attempt_count_of_7_days / day_count)::numeric(20, 4) as attempt_count_7_days,
    revenue,
    (revenue_of_7_days / day_count)::numeric(38, 4) as revenue_7_days,
    fee_revenue,
    (fee_revenue_of_7_days / day_count)::numeric(38, 4) as fee_revenue_7_days,
    (failed_count::numeric / nullif(success_count + failed_count, 0))::numeric(7, 6) as failure_rate,
    (failed_count_of_7_days / nullif(success_count_of_7_days + failed_count_of_7_days, 0))::numeric(7, 6)
        as failure_rate_7_days,
    (processing_seconds / nullif(attempt_count, 0))::numeric(20, 4) as average_processing_seconds,
    (processing_seconds_of_7_days / nullif(attempt_count_of_7_days, 0))::numeric(20, 4)
        as average_processing_seconds_7_days,
    fast_count,
    (fast_count_of_7_days / day_count)::numeric(20, 4) as fast_count_7_days,
    medium_count,
    (medium_count_of_7_days / day_count)::numeric(20, 4) as medium_count_7_days,
    slow_count,
    (slow_count_of_7_days / day_count)::numeric(20, 4) as slow_count_7_days
from weeks
where attempt_count > 0
